package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"sotto/internal/harden"
	"sotto/keystore"
)

// machine is the computer. Everything that is read of it lies beneath root, so
// that tests can make one up.
type machine struct {
	root   string
	getenv func(string) string
}

// maxFile bounds what is read of one file.
const maxFile = 64 << 10

// read returns the beginning of a file. Where there is no such file it is "",
// without an error.
func (m machine) read(path string) (string, error) {
	f, err := os.Open(filepath.Join(m.root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(b), err
}

// word returns a file's first line, without blanks around it; "" if it can't be read.
func (m machine) word(path string) string {
	s, _ := m.read(path)
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(s)
}

// unreadable is the finding where a file that should be there can't be read.
func unreadable(err error) finding {
	return finding{Weak, "cannot be read: " + err.Error(), "Nothing is known about this.", "Check who may read it."}
}

func (m machine) memory() group {
	return group{"memory", []examination{
		one("lock-limit", lockLimit), one("swap", m.swap), one("hibernation", m.hibernation), one("core-dumps", m.cores),
	}}
}

func (m machine) system() group {
	return group{"system", []examination{
		one("sandbox", sandbox), one("debuggers", m.debuggers), one("user", user), one("tpm", m.tpm),
		one("clock", clock), one("randomness", randomness),
	}}
}

// lockLimit tries what the busiest role needs.
func lockLimit(context.Context) finding {
	allowed := memlock()
	err := keystore.CheckMemlock()
	if err == nil {
		return good(allowed)
	}
	words, do, _ := strings.Cut(err.Error(), ": raise it ")
	f := finding{verdict: Bad, found: allowed, meaning: "Too little: " + words + ", and sotto does not open."}
	if f.remedy = "Tell who looks after this computer."; do != "" {
		f.remedy = "Raise it " + do + "."
	}
	return f
}

func sandbox(context.Context) finding { return judgeSandbox(harden.Offered()) }

// judgeSandbox says what the layers that a system has are worth.
func judgeSandbox(l harden.Layers) finding {
	var have []string
	if l.Landlock > 0 {
		have = append(have, fmt.Sprintf("Landlock %d", l.Landlock))
	}
	if l.Seccomp {
		have = append(have, "seccomp")
	}
	missing := l.Missing()
	if len(missing) == 0 {
		return good(strings.Join(have, ", "))
	}
	f := finding{Weak, strings.Join(have, ", "), sentences(missing), "Use Linux 6.2 or newer with Landlock turned on (lsm=landlock,... when it starts)."}
	if len(have) == 0 {
		f.found = "none"
	}
	if runtime.GOOS != "linux" {
		f.remedy = "Where that matters, run sotto on Linux."
	} else if len(have) == 0 {
		f.verdict = Bad
	}
	return f
}

// sentences makes sentences of phrases.
func sentences(phrases []string) string {
	var b strings.Builder
	for _, p := range phrases {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToUpper(p[:1]) + p[1:] + ".")
	}
	return b.String()
}

// cores goes by what holds for this process, which has hardened itself as every
// role does.
func (m machine) cores(context.Context) finding {
	where := m.coreTarget()
	var open []string
	for _, a := range harden.State() {
		if !a.Holds {
			open = append(open, "this does not hold: "+a.Name)
		}
	}
	if len(open) > 0 {
		return finding{Bad, where, sentences(open) + " A crash may leave keys and text on the disk.", "Turn core dumps off for this user."}
	}
	if runtime.GOOS == "windows" {
		return finding{Weak, where, "On this system sotto cannot keep error reports from holding its memory.", "Turn Windows Error Reporting off."}
	}
	return good(where)
}

// oldest is a time before which no sotto was ever used.
var oldest = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func clock(context.Context) finding { return judgeClock(time.Now(), synchronized()) }

// judgeClock takes whether something keeps the clock right: "yes", "no", or ""
// where the system does not tell.
func judgeClock(now time.Time, kept string) finding {
	found := now.Format("2 Jan 2006 15:04 MST")
	switch {
	case now.Before(oldest) || now.After(oldest.AddDate(40, 0, 0)):
		return finding{Bad, found, "That cannot be: certificates look expired or not yet valid, and messages get wrong times.", "Set the clock."}
	case kept == "no":
		return finding{Weak, found + ", not synchronized", "The times of messages are this clock's, and nothing keeps it right.", "Turn on NTP, such as systemd-timesyncd or chrony."}
	case kept == "yes":
		found += ", synchronized"
	}
	return good(found)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}
