package tui

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
	"sotto/tui/attach"
)

// A message can be a file. Its line says what kind it is, its name and size, and
// how it stands; Enter looks at the one of the chosen message, or of the newest
// that has one. Files are shown and never saved.

// readable reports whether the viewer can show what a file says it is.
func readable(f *client.File) bool {
	return f.Image || strings.HasPrefix(f.Type, "text/") || f.Type == "application/json" || f.Type == "application/xml"
}

// fileKind is the kind of a file, as a word.
func fileKind(f *client.File) string {
	if f.Image {
		return "[image]"
	}
	return "[file]"
}

// fileState says how a file stands, and what can be done.
func (k *look) fileState(f *client.File, outgoing, enter bool) (string, themes.Style) {
	why := strings.TrimRight(f.Why.String(), ".")
	because := func(words string) string {
		if why != "" {
			return words + ": " + why
		}
		return words
	}
	switch f.State {
	case store.Uploading:
		return because(progressWords("uploading", f)), k.State
	case store.Downloading:
		return because(progressWords("arriving", f)), k.State
	case store.Broken:
		words := because("stopped")
		switch {
		case outgoing:
		case enter:
			words += ". Enter tries again"
		}
		return words, k.Warning
	case store.Lost:
		if outgoing && why == "" {
			return "not there any more", k.Warning
		}
		return because("not there any more") + ". Ask for it again", k.Warning
	}
	switch {
	case !enter:
		return "", k.Faint
	case readable(f):
		return "Enter to look", k.Faint
	}
	return "Enter for more", k.Faint
}

// progressWords says how far a file has come.
func progressWords(doing string, f *client.File) string {
	if f.Size > 0 && f.Done > 0 {
		return fmt.Sprintf("%s %d %%", doing, min(f.Done, f.Size)*100/f.Size)
	}
	return doing
}

// fileRow is a line of a message that is a file, painted.
type fileRow struct {
	painted string
	width   int
}

// files draws the files of a message in lines of at most room columns.
func (k *look) files(m *client.Message, enter bool, room int) (rows []fileRow) {
	add := func(l *line) { rows = append(rows, fileRow{l.String(), l.width}) }
	for i := range m.Files {
		f := &m.Files[i]
		// Of an own one that is not sent yet the message says how it stands.
		told := m.Outgoing && !m.Why.Empty() && (f.State == store.Uploading || f.State == store.Broken)
		size := ""
		if f.Size >= 0 {
			size = " " + attach.Size(f.Size)
		}
		l := &line{m: k.m}
		l.add(k.Faint, fileKind(f)+" ")
		l.add(k.Text, clip(k.m, f.Name.String(), max(room-l.width-len(size), 8), k.more)).add(k.Text, size)
		if said, st := k.fileState(f, m.Outgoing, enter && i == 0); said != "" && !told {
			if l.width+3+width(k.m, said) > room {
				add(l)
				for _, s := range wrap(k.m, said, room) {
					l = &line{m: k.m}
					add(l.add(st, s))
				}
				continue
			}
			l.space(3).add(st, said)
		}
		add(l)
	}
	return rows
}

// filesKey holds what the picture of a message's files depends on.
func filesKey(m *client.Message) string {
	if len(m.Files) == 0 {
		return ""
	}
	var b strings.Builder
	for _, f := range m.Files {
		fmt.Fprintf(&b, "%d %s %d %d %d %s\n", f.ID, f.Name, f.Size, f.State, f.Done, f.Why)
	}
	return b.String()
}

// toLook is the index of the message whose file Enter looks at: the chosen one, or
// where none is, the newest that has something to show. It is -1 if there is none.
func (t *timeline) toLook() int {
	if i := t.index(t.chosen); t.chosen != 0 {
		if i >= 0 && len(t.msgs[i].Files) == 0 {
			return -1
		}
		return i
	}
	if t.reveal {
		return -1
	}
	for i := len(t.msgs) - 1; i >= 0; i-- {
		if f := t.msgs[i].Files; len(f) > 0 && readable(&f[0]) {
			return i
		}
	}
	return -1
}

// lookAtFile opens the viewer on the file that Enter looks at. It reports false if there
// is none.
func (m *Model) lookAtFile() (tea.Cmd, bool) {
	if m.tl == nil {
		return nil, false
	}
	i := m.tl.toLook()
	if i < 0 {
		return nil, false
	}
	return m.view(m.tl.msgs[i], 0), true
}

// moving is the file that /cancel stops: one of the chosen message, else the newest
// that moves.
func (m *Model) moving() (client.File, bool) {
	if m.tl == nil {
		return client.File{}, false
	}
	of := func(msg client.Message) (client.File, bool) {
		for _, f := range msg.Files {
			if f.State == store.Uploading || f.State == store.Downloading {
				return f, true
			}
		}
		return client.File{}, false
	}
	if msg, ok := m.chosenMessage(); ok {
		return of(msg)
	}
	for i := len(m.tl.msgs) - 1; i >= 0; i-- {
		if f, ok := of(m.tl.msgs[i]); ok {
			return f, true
		}
	}
	return client.File{}, false
}

// cancelFile stops a file on its way.
func (m *Model) cancelFile(f client.File) tea.Cmd {
	return m.query(func(q queryContext) tea.Msg {
		return doneMsg{"stop " + f.Name.String(), q.CancelFile(q.ctx, f.ID)}
	})
}
