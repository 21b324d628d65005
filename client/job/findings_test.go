package job

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
)

// TestManyFindings: a device that sends bad batches without end is told of in a bounded
// number of lines, which say how many there were; other devices and other kinds are
// told of as before.
func TestManyFindings(t *testing.T) {
	var out bytes.Buffer
	k := &Collector{with: Collecting{Out: &out}, failed: make(chan struct{}, 1)}
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	bad := func(id uint32, kind collect.Kind, at time.Time) []collect.Finding {
		return []collect.Finding{{Kind: kind, Device: audit.Device{Owner: audit.PersonOf("eve@h.example"), ID: id}, At: at, What: "it is no batch"}}
	}
	lines := func() (list []string) {
		list = strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		out.Reset()
		return list
	}
	for i := range 1000 {
		k.tell(bad(1, collect.Unreadable, noon.Add(time.Duration(i)*time.Second)))
	}
	if got := lines(); len(got) != tellMost {
		t.Errorf("%d lines", len(got))
	}
	k.tell(bad(2, collect.Unreadable, noon))
	k.tell(bad(1, collect.Fork, noon))
	if got := lines(); len(got) != 2 || !strings.Contains(got[0], "unreadable eve@h.example/2") || !strings.Contains(got[1], "fork eve@h.example/1") {
		t.Errorf("%q", got)
	}
	k.summarise(noon.Add(time.Minute), false)
	if out.Len() != 0 {
		t.Errorf("before its time: %q", out.String())
	}
	k.summarise(noon.Add(tellEvery), false)
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "unreadable eve@h.example/1: 990 more of these since 2026-11-22 12:00:00") {
		t.Errorf("%q", got)
	}
	k.tell(bad(1, collect.Unreadable, noon.Add(tellEvery)))
	if got := lines(); len(got) != 1 || !strings.HasSuffix(got[0], "unreadable eve@h.example/1: it is no batch") {
		t.Errorf("afterwards: %q", got)
	}

	// Whoever invents devices gets no further.
	for id := range uint32(3 * maxSubjects) {
		k.tell(bad(100+id, collect.Unknown, noon.Add(tellEvery)))
	}
	if got := len(lines()); got > maxSubjects {
		t.Errorf("%d lines", got)
	}
	k.summarise(noon.Add(2*tellEvery), true)
	if got := lines(); len(got) != 1 || !strings.Contains(got[0], "of further devices") {
		t.Errorf("%q", got)
	}
}
