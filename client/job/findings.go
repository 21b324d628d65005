package job

import (
	"fmt"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
)

// How many lines there are of one kind about one device within a time; further ones are
// counted, and told in one line. A device that sends nonsense without end must not fill
// the disk that the lines go to.
const (
	tellMost  = 10
	tellEvery = time.Hour
)

// maxSubjects bounds what is counted on its own. What is beyond is counted together.
const maxSubjects = 4096

// subject is what findings are counted by.
type subject struct {
	device audit.Device
	kind   collect.Kind
}

// tally counts findings.
type tally struct {
	of   map[subject]*count
	rest int // of further subjects
}

type count struct {
	since time.Time // when the first one was told
	n     int
	last  collect.Finding
}

// take returns which findings are to be told one by one.
func (t *tally) take(list []collect.Finding) (tell []collect.Finding) {
	for _, f := range list {
		s := subject{f.Device, f.Kind}
		c := t.of[s]
		if c == nil {
			if len(t.of) >= maxSubjects {
				t.rest++
				continue
			}
			if t.of == nil {
				t.of = make(map[subject]*count)
			}
			c = &count{since: f.At}
			t.of[s] = c
		}
		c.n, c.last = c.n+1, f
		if c.n <= tellMost {
			tell = append(tell, f)
		}
	}
	return tell
}

// due returns a finding for each subject of which some were not told, once their time is
// over, and how many there were of further subjects. From then on they are told one by
// one again.
func (t *tally) due(now time.Time, all bool) (list []collect.Finding, rest int) {
	for s, c := range t.of {
		over := now.Sub(c.since)
		if !all && over >= 0 && over < tellEvery {
			continue
		}
		if more := c.n - tellMost; more > 0 {
			f := c.last
			f.What = fmt.Sprintf("%d more of these since %s, which are not listed. The last one: %s", more, c.since.UTC().Format(time.DateTime), f.What)
			list = append(list, f)
		}
		delete(t.of, s)
	}
	if all || len(t.of) < maxSubjects {
		rest, t.rest = t.rest, 0
	}
	return list, rest
}
