package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

// made is a computer of files: path and content, or "-> target" for a link.
func made(t *testing.T, files ...string) machine {
	t.Helper()
	m := machine{root: t.TempDir(), getenv: func(string) string { return "" }}
	for i := 0; i+1 < len(files); i += 2 {
		path := filepath.Join(m.root, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(files[i+1], "-> "); ok {
			err = os.Symlink(filepath.Join(m.root, target), path)
		} else {
			err = os.WriteFile(path, []byte(files[i+1]), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

const swapsHead = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

func TestParseSwaps(t *testing.T) {
	got := parseSwaps(swapsHead + "/dev/dm-1                               partition\t8388604\t0\t-2\n/my\\040swap\\011file file 1024 0 -3\nshort\n\n")
	want := []area{{"/dev/dm-1", false, 8388604 << 10}, {"/my swap\tfile", true, 1 << 20}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := parseSwaps(swapsHead + strings.Repeat("/dev/x partition 1 0 0\n", 1000)); len(got) != maxAreas {
		t.Errorf("%d areas", len(got))
	}
	for _, s := range []string{"", "\n", swapsHead, "x y z", swapsHead + "a b"} {
		if got := parseSwaps(s); len(got) != 0 {
			t.Errorf("%q is taken for %v", s, got)
		}
	}
}

func FuzzSwaps(f *testing.F) {
	f.Add(swapsHead + "/dev/dm-1 partition 8388604 0 -2\n/my\\040swap file 1024 0 -3\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, a := range parseSwaps(s) {
			if a.path == "" || a.bytes < 0 {
				t.Errorf("%+v", a)
			}
		}
	})
}

// device makes the folders of sysfs for a block device and returns their names.
func device(dev uint64, name string, files ...string) []string {
	dir := "/sys/devices/virtual/block/" + name
	all := []string{fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev)), "-> " + dir, dir + "/size", "1"}
	for i := 0; i+1 < len(files); i += 2 {
		all = append(all, dir+files[i], files[i+1])
	}
	return all
}

// The made-up swap files lie on the disk of this test, whose number decides
// which made-up device that is.
func TestSwap(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	disk := info.Sys().(*syscall.Stat_t).Dev
	file := []string{"/proc/swaps", swapsHead + "/swapfile file 1048576 0 -2\n", "/swapfile", "x"}
	for name, c := range map[string]struct {
		files   []string
		verdict Verdict
		found   string
	}{
		"no list":           {nil, Good, "none"},
		"none":              {[]string{"/proc/swaps", swapsHead}, Good, "none"},
		"zram":              {[]string{"/proc/swaps", swapsHead + "/dev/zram0 partition 100 0 5\n"}, Good, "in memory"},
		"zram with a disk":  {[]string{"/proc/swaps", swapsHead + "/dev/zram0 partition 100 0 5\n", "/sys/block/zram0/backing_dev", "/dev/sda3\n"}, Weak, "in clear"},
		"zram without":      {[]string{"/proc/swaps", swapsHead + "/dev/zram0 partition 100 0 5\n", "/sys/block/zram0/backing_dev", "none\n"}, Good, "in memory"},
		"gone":              {[]string{"/proc/swaps", swapsHead + "/dev/sda2\\040(deleted) partition 100 0 5\n"}, Weak, "in clear"},
		"file, unknown":     {file, Weak, "in clear"},
		"file, plain":       {append(device(disk, "sda1"), file...), Weak, "in clear"},
		"file, encrypted":   {append(device(disk, "dm-0", "/dm/uuid", "CRYPT-LUKS2-abc-root\n"), file...), Good, "encrypted"},
		"LVM on LUKS":       {append(append(device(disk, "dm-1", "/dm/uuid", "LVM-abc\n", "/slaves/dm-0", "-> /sys/devices/virtual/block/dm-0"), device(9999, "dm-0", "/dm/uuid", "CRYPT-LUKS1-x\n")...), file...), Good, "encrypted"},
		"LVM half on LUKS":  {append(append(append(device(disk, "dm-1", "/dm/uuid", "LVM-abc\n", "/slaves/dm-0", "-> /sys/devices/virtual/block/dm-0", "/slaves/sdb1", "-> /sys/devices/virtual/block/sdb1"), device(9999, "dm-0", "/dm/uuid", "CRYPT-LUKS1-x\n")...), device(9998, "sdb1")...), file...), Weak, "in clear"},
		"in a circle":       {append(device(disk, "dm-1", "/slaves/dm-1", "-> /sys/devices/virtual/block/dm-1"), file...), Weak, "in clear"},
		"a name like crypt": {append(device(disk, "dm-1", "/dm/uuid", "LVM-CRYPT-\n"), file...), Weak, "in clear"},
		"one of two":        {append(append(device(disk, "dm-0", "/dm/uuid", "CRYPT-LUKS2-abc-root\n"), file[2:]...), "/proc/swaps", swapsHead+"/swapfile file 10 0 0\n/dev/nothing partition 10 0 0\n"), Weak, "in clear"},
	} {
		m := made(t, c.files...)
		if f := m.swap(t.Context()); f.verdict != c.verdict || !strings.Contains(f.found, c.found) || (f.verdict == Good) != (f.remedy == "") {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestHibernation(t *testing.T) {
	clear := []string{"/proc/swaps", swapsHead + "/dev/sda2 partition 100 0 5\n"}
	can := []string{"/sys/power/state", "freeze mem disk\n", "/sys/power/disk", "[platform] shutdown\n"}
	for name, c := range map[string]struct {
		files   []string
		verdict Verdict
	}{
		"nothing":     {nil, Good},
		"cannot":      {append([]string{"/sys/power/state", "freeze mem\n", "/sys/power/disk", "[platform]\n"}, clear...), Good},
		"disabled":    {append([]string{"/sys/power/state", "freeze disk\n", "/sys/power/disk", "[disabled]\n"}, clear...), Good},
		"no swap":     {can, Good},
		"in clear":    {append(can[:len(can):len(can)], clear...), Weak},
		"into memory": {append(can[:len(can):len(can)], "/proc/swaps", swapsHead+"/dev/zram0 partition 100 0 5\n"), Good},
	} {
		if f := made(t, c.files...).hibernation(t.Context()); f.verdict != c.verdict {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestDebuggers(t *testing.T) {
	for content, want := range map[string]Verdict{"0\n": Weak, "1\n": Good, "2": Good, "3\n": Good, "": Weak, "\x1b[2J": Weak, "11": Weak} {
		if f := made(t, "/proc/sys/kernel/yama/ptrace_scope", content).debuggers(t.Context()); f.verdict != want {
			t.Errorf("%q: %+v", content, f)
		}
	}
	if f := made(t).debuggers(t.Context()); f.verdict != Weak || !strings.Contains(f.found, "no Yama") {
		t.Errorf("without: %+v", f)
	}
}

func TestCoreTarget(t *testing.T) {
	for content, want := range map[string]string{
		"core\n": "off for sotto", "|/usr/lib/systemd/systemd-coredump %P\n": "systemd-coredump", "|": "off for sotto", "| \n": "off for sotto", "": "off for sotto",
	} {
		if got := made(t, "/proc/sys/kernel/core_pattern", content).coreTarget(); !strings.HasSuffix(got, want) {
			t.Errorf("%q: %q", content, got)
		}
	}
}

func TestTPM(t *testing.T) {
	const version = "/sys/class/tpm/tpm0/tpm_version_major"
	if f := made(t).tpm(t.Context()); f.verdict != Weak || f.found != "none" {
		t.Errorf("none: %+v", f)
	}
	if f := made(t, version, "1\n").tpm(t.Context()); f.verdict != Weak || !strings.Contains(f.found, "1.2") {
		t.Errorf("old: %+v", f)
	}
	if f := made(t, "/dev/tpmrm0", "", version, "2\n").tpm(t.Context()); f.verdict != Good {
		t.Errorf("there: %+v", f)
	}
	if f := made(t, "/dev/tpmrm0", "", version, "7\n").tpm(t.Context()); f.verdict != Weak {
		t.Errorf("another: %+v", f)
	}
}

// A kernel's file that never ends is read no further than its bound.
func TestReadIsBounded(t *testing.T) {
	m := machine{root: "/"}
	if s, err := m.read("/dev/zero"); err != nil || len(s) != maxFile {
		t.Errorf("%d bytes, %v", len(s), err)
	}
}

func TestSandbox(t *testing.T) {
	for name, c := range map[string]struct {
		layers  harden.Layers
		verdict Verdict
		says    string
	}{
		"both":        {harden.Layers{Landlock: 7, Seccomp: true}, Good, ""},
		"no Landlock": {harden.Layers{Seccomp: true}, Weak, "Landlock is missing"},
		"no seccomp":  {harden.Layers{Landlock: 7}, Weak, "Seccomp is missing"},
		"neither":     {harden.Layers{}, Bad, "Landlock is missing"},
	} {
		if f := judgeSandbox(c.layers); f.verdict != c.verdict || !strings.Contains(f.meaning, c.says) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		now     time.Time
		kept    string
		verdict Verdict
	}{
		"right":      {now, "yes", Good},
		"not told":   {now, "", Good},
		"not kept":   {now, "no", Weak},
		"1970":       {time.Unix(0, 0), "yes", Bad},
		"far future": {now.AddDate(100, 0, 0), "yes", Bad},
	} {
		if f := judgeClock(c.now, c.kept); f.verdict != c.verdict {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestFileSystems(t *testing.T) {
	for name, c := range map[string]struct {
		v       volume
		verdict Verdict
	}{
		"disk":      {volume{"ext", onDisk, 1 << 40, false}, Good},
		"NFS":       {volume{"NFS", overNetwork, 1 << 40, false}, Weak},
		"tmpfs":     {volume{"tmpfs", fleeting, 1 << 40, false}, Weak},
		"read-only": {volume{"ext", onDisk, 1 << 40, true}, Bad},
		"little":    {volume{"ext", onDisk, 50 << 20, false}, Weak},
		"full":      {volume{"ext", onDisk, 1 << 20, false}, Bad},
	} {
		if f := c.v.judge(""); f.verdict != c.verdict {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if got := room(1<<62, 1<<40); got != 1<<60 {
		t.Errorf("a disk of any size: %d", got)
	}
	if got := room(-5, 4096); got != 0 {
		t.Errorf("a disk of less than nothing: %d", got)
	}
}

// What takes too long is left behind, and the others are told all the same.
func TestNothingHangs(t *testing.T) {
	quick := func(context.Context) finding { return good("yes") }
	stuck := func(context.Context) finding { select {} }
	slow := one("slow", stuck)
	slow.limit = 50 * time.Millisecond
	checks := examine(t.Context(), []group{{"memory", []examination{one("quick", quick), slow, one("late", quick)}}})
	if len(checks) != 3 || checks[0].Verdict != Good || checks[1].Verdict != Weak || checks[2].Verdict != Good || checks[1].ID != "memory.slow" {
		t.Errorf("%+v", checks)
	}
	if !strings.Contains(checks[1].Found, "no answer within") {
		t.Errorf("%+v", checks[1])
	}
}
