// Package multiplexer finds out what stands between sotto and the person's
// terminal: tmux, screen and the like, which let others attach, and programs
// that record a session.
//
// It asks the environment, the kernel and tmux, never the terminal, so it is
// quick enough for the start of sotto.
package multiplexer

import (
	"context"
	"errors"
	"path"
	"strings"
	"time"
)

// Around is what was found. The zero value is nothing.
type Around struct {
	Name     string // such as "tmux"; "tmux or screen" where only TERM tells
	Recorder string // a program that writes the session down, such as "script"
	Tmux     *Tmux  // what tmux says about itself; nil if it was not asked or did not answer
	// Plain says that the terminal is known to have no alternate screen: what
	// is drawn may stay in its history.
	Plain bool
}

// Tmux is what a tmux says about itself and the pane that sotto is in.
type Tmux struct {
	Alternate bool   // alternate-screen: programs get a screen of their own
	Clipboard string // set-clipboard: "on", "external" or "off"
	Focus     bool   // focus-events
	History   int    // lines that are kept of what scrolled away
	Attached  int    // terminals that show this session
	Piped     bool   // pipe-pane: what is shown is also given to a command
}

// askTime is how long tmux may take to answer. It takes a few milliseconds.
const askTime = 500 * time.Millisecond

// Find looks around the process. It takes no longer than ctx, and half a second.
func Find(ctx context.Context, getenv func(string) string) Around {
	a := Around{Name: byEnvironment(getenv)}
	for _, comm := range ancestors() {
		name, recorder := byName(comm)
		if name != "" && (a.Name == "" || a.Name == either) {
			a.Name = name
		}
		if recorder != "" && a.Recorder == "" {
			a.Recorder = recorder
		}
	}
	if getenv("TMUX") != "" {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		a.Tmux = ask(ctx, getenv)
	}
	if t, ok := Lookup(getenv); ok {
		a.Plain = !t.Alternate
	}
	if a.Tmux != nil && !a.Tmux.Alternate {
		a.Plain = true
	}
	return a
}

const either = "tmux or screen"

// byEnvironment goes by variables. One can be unset by accident or on purpose;
// over SSH only TERM arrives.
func byEnvironment(getenv func(string) string) string {
	term := path.Base(getenv("TERM"))
	switch {
	case getenv("TMUX") != "", getenv("TERM_PROGRAM") == "tmux", strings.HasPrefix(term, "tmux"):
		return "tmux"
	case getenv("STY") != "":
		return "screen"
	case getenv("ZELLIJ") != "", getenv("ZELLIJ_SESSION_NAME") != "":
		return "zellij"
	case strings.HasPrefix(term, "screen"):
		return either // tmux has called itself so for years
	}
	return ""
}

// byName goes by the name of a process, which the kernel cuts off after 15 bytes.
func byName(comm string) (multiplexer, recorder string) {
	comm = strings.ToLower(comm)
	name, _, _ := strings.Cut(comm, ":") // "tmux: server"
	switch name {
	case "tmux", "screen", "zellij", "dtach", "abduco":
		return name, ""
	case "script", "asciinema", "ttyrec", "termrec":
		return "", name
	case "tlog-rec-sessio", "tlog-rec":
		return "", "tlog"
	}
	return "", ""
}

// Note says in a few words what was found means; "" for nothing.
func (a Around) Note() string {
	var s []string
	if a.Name != "" {
		s = append(s, a.Name+" is around sotto: whoever can attach to it sees this screen, and its copy mode copies text.")
	}
	if a.Recorder != "" {
		s = append(s, a.Recorder+" is around sotto: it writes down all that this screen shows.")
	}
	switch {
	case a.Tmux != nil && a.Tmux.Piped:
		s = append(s, "Its pipe-pane writes down all that this screen shows.")
	case a.Tmux != nil && !a.Tmux.Alternate:
		s = append(s, "Its alternate-screen is off: what is shown stays in its history.")
	case a.Plain:
		s = append(s, "This terminal has no alternate screen: what is shown can stay in its history.")
	}
	return strings.Join(s, " ")
}

// Permit applies the setting multiplexer: "allow", "refuse" or "warn". It
// returns a note for the person, or an error when sotto must not open here.
func (a Around) Permit(setting string) (note string, err error) {
	note = a.Note()
	switch {
	case setting == "allow":
		return "", nil
	case setting == "refuse" && note != "":
		where := "Run sotto outside of it"
		if a.Name == "" && a.Recorder == "" {
			where = "Use another terminal"
		}
		return "", errors.New(note + ` The settings say multiplexer = "refuse", so sotto does not open. ` + where)
	}
	return note, nil
}
