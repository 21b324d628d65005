package attach

import (
	"context"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"

	"sotto/client/text"
)

// Bounds of what is listed.
const (
	maxListed    = 5000 // entries of a folder that are looked at
	maxCandidate = 200
)

// readings are what an argument can mean: a path and a caption. With quotes or
// escapes there is one; without, the path may end at any space, and the shortest
// comes first.
func readings(arg string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		arg = strings.TrimSpace(arg)
		if arg == "" {
			return
		}
		if name, rest, marked := cut(arg); marked || rest == "" {
			yield(name, strings.TrimSpace(rest))
			return
		}
		for i := range len(arg) + 1 {
			if i == len(arg) || arg[i] == ' ' {
				if !yield(arg[:i], strings.TrimSpace(arg[i:])) {
					return
				}
			}
		}
	}
}

// cut takes the path off an argument. marked says that quotes or escapes have said
// where it ends.
func cut(arg string) (name, rest string, marked bool) {
	if inner, ok := strings.CutPrefix(arg, `"`); ok {
		name, rest, _ = strings.Cut(inner, `"`)
		return name, rest, true
	}
	var b strings.Builder
	for i := 0; i < len(arg); i++ {
		switch {
		case arg[i] == '\\' && escapes && i+1 < len(arg):
			i++
			marked = true
			b.WriteByte(arg[i])
		case arg[i] == ' ':
			return b.String(), arg[i:], marked
		default:
			b.WriteByte(arg[i])
		}
	}
	return b.String(), "", marked
}

// Quote writes a path so that Read takes all of it for the path.
func Quote(name string) string {
	if !strings.ContainsAny(name, ` "\`) {
		return name
	}
	if !escapes {
		return `"` + name + `"`
	}
	return strings.NewReplacer(`\`, `\\`, ` `, `\ `, `"`, `\"`).Replace(name)
}

// Complete lists what the path in an argument could become, quoted, folders with a
// slash at their end. There is none once the path has ended. Names that are not
// safe to show are left out. What cannot be read is empty.
func (fs Folders) Complete(ctx context.Context, arg string) (found []string) {
	name, rest, _ := cut(strings.TrimLeft(arg, " "))
	if rest != "" || strings.HasPrefix(rest, " ") {
		return nil
	}
	add := func(s string) {
		if strings.HasPrefix(s, name) && len(found) < maxCandidate {
			found = append(found, Quote(s))
		}
	}
	for _, f := range fs {
		if f.Shown != "" && !strings.HasPrefix(name, f.Shown+"/") {
			add(f.Shown + "/")
		}
	}
	dir, base := path.Split(name)
	places, err := fs.find(dir)
	if err != nil {
		return found
	}
	if dir == "" {
		if len(fs) != 1 || base == "" { // with one folder its name need not be typed
			return found
		}
	}
	for _, p := range places {
		if ctx.Err() != nil {
			break
		}
		for _, entry := range p.list() {
			if strings.HasPrefix(entry, ".") && !strings.HasPrefix(base, ".") {
				continue
			}
			add(dir + entry)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// list names the plain files and the folders of a place.
func (p place) list() (names []string) {
	if p.folder.Path == "" || p.folder.Foreign != "" {
		return nil
	}
	root, err := os.OpenRoot(p.folder.Path)
	if err != nil {
		return nil
	}
	defer root.Close()
	if p.rel != "." { // or a pipe would be opened, and waited for
		if info, err := root.Lstat(p.rel); err != nil || !info.IsDir() {
			return nil
		}
	}
	d, err := root.Open(p.rel)
	if err != nil {
		return nil
	}
	defer d.Close()
	entries, _ := d.ReadDir(maxListed)
	for _, e := range entries {
		if text.Line(e.Name()).String() != e.Name() {
			continue
		}
		switch e.Type() {
		case 0:
			names = append(names, e.Name())
		case fs.ModeDir:
			names = append(names, e.Name()+"/")
		}
	}
	slices.Sort(names)
	return names
}
