// Package attach reads the files that a person attaches, from the folders that the
// settings name and from nowhere else.
//
// Paths are resolved within a folder (os.Root): neither dots nor links lead out of
// it. Plain files are read and nothing else, so that no pipe or device is opened,
// and never more than a limit.
package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"sotto/client/text"
)

// Folder is a folder that files may be attached from.
type Folder struct {
	Shown string // as the person knows it: "~/Pictures"
	Path  string // absolute and without links; "" if it is not there

	Device  int64  // the file system that everything beneath has to be on; 0 is any
	Foreign string // why nothing is attached from it, behind its name; "" if files are
}

// Folders are all of them, in the order of the settings.
type Folders []Folder

// File is what was read.
type File struct {
	Name    string // the last part of its path, as it is on the disk
	Content []byte
	Caption string // what stood behind the path
}

// Errors in words for people, see also Folders.Read.
var (
	ErrNone    = errors.New(`no folder is named to attach files from. Write one into the settings of sotto, as attach-from = ["~/Pictures"], and open it again`)
	ErrNoPath  = errors.New("which file? Tab shows what there is")
	errNotFile = errors.New("is no plain file")

	// ErrOutside is matched by the errors of what lies where nothing may be attached from.
	ErrOutside = errors.New("files cannot be attached from there")
)

// outside is an error that is ErrOutside in other words.
type outside struct{ error }

func (outside) Is(target error) bool { return target == ErrOutside }

// TooLarge is the error about a file that has more bytes than are taken.
type TooLarge struct {
	Size int64 // in bytes
	error
}

// errOutside says where files can be attached from.
func (fs Folders) errOutside() error {
	var shown []string
	for _, f := range fs {
		shown = append(shown, f.Shown)
	}
	return outside{fmt.Errorf("files can be attached from %s only. Your settings name the folders (attach-from)", strings.Join(shown, ", "))}
}

// Read reads the file that an argument names: a path, in quotes or with its spaces
// escaped or neither, and a caption behind it. The path is absolute, begins as a
// folder is shown, or is one within any of the folders. A file of more than limit
// bytes is an error, and so is everything that is not a plain file.
func (fs Folders) Read(ctx context.Context, arg string, limit int64) (File, error) {
	if len(fs) == 0 {
		return File{}, ErrNone
	}
	var first error
	for name, caption := range readings(arg) {
		if err := ctx.Err(); err != nil {
			return File{}, err
		}
		f, err := fs.read(name, limit)
		if err == nil {
			f.Caption = caption
			return f, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, os.ErrNotExist) {
			return File{}, err
		}
	}
	if first == nil {
		first = ErrNoPath
	}
	return File{}, first
}

// place is a path within a folder.
type place struct {
	folder Folder
	rel    string
}

// find says where a path may be; an error if that is nowhere.
func (fs Folders) find(name string) ([]place, error) {
	clean := path.Clean(filepath.ToSlash(name))
	for _, f := range fs {
		for _, base := range []string{f.Shown, f.Path} {
			base = path.Clean(filepath.ToSlash(base))
			if f.Shown == "" || base == "." {
				continue
			}
			if clean == base {
				return []place{{f, "."}}, nil
			}
			if rel, ok := strings.CutPrefix(clean, strings.TrimSuffix(base, "/")+"/"); ok && filepath.IsLocal(rel) {
				return []place{{f, rel}}, nil
			}
		}
	}
	if filepath.IsAbs(name) || strings.HasPrefix(clean, "~") || !filepath.IsLocal(clean) {
		return nil, fs.errOutside()
	}
	var all []place
	for _, f := range fs {
		all = append(all, place{f, clean})
	}
	return all, nil
}

// read reads a file by its path.
func (fs Folders) read(name string, limit int64) (File, error) {
	places, err := fs.find(name)
	if err != nil {
		return File{}, err
	}
	for _, p := range places {
		if p.folder.Path == "" && len(places) > 1 {
			err = notThere{}
			continue
		}
		var f File
		f, err = p.read(limit)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
	}
	if len(places) > 1 {
		err = fmt.Errorf("there is %w %s in your folders. Tab shows what there is", notThere{}, text.Line(name))
	}
	return File{}, err
}

// notThere is fs.ErrNotExist in other words.
type notThere struct{}

func (notThere) Error() string        { return "no file" }
func (notThere) Is(target error) bool { return target == os.ErrNotExist }

func (p place) read(limit int64) (File, error) {
	shown := text.Line(path.Join(p.folder.Shown, p.rel)).String()
	if p.folder.Path == "" {
		return File{}, fmt.Errorf("%s is not there. Make the folder and open sotto again", p.folder.Shown)
	}
	if p.folder.Foreign != "" {
		return File{}, outside{fmt.Errorf("%s %s. Your organisation lets files be attached from this computer's own disks only", text.Line(p.folder.Shown), p.folder.Foreign)}
	}
	root, err := os.OpenRoot(p.folder.Path)
	if err != nil {
		return File{}, explain(p.folder.Shown, err)
	}
	defer root.Close()
	info, err := root.Lstat(p.rel)
	if err != nil {
		return File{}, explain(shown, err)
	}
	if err := plain(info); err != nil {
		return File{}, fmt.Errorf("%s %w", shown, err)
	}
	// Should it have become a pipe since, this does not wait for its other end.
	f, err := root.OpenFile(p.rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return File{}, explain(shown, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return File{}, explain(shown, err)
	}
	if err := plain(info); err != nil {
		return File{}, fmt.Errorf("%s %w", shown, err)
	}
	if d := deviceOf(info); p.folder.Device != 0 && d != 0 && d != p.folder.Device {
		return File{}, outside{fmt.Errorf("%s is on another disk than %s. Your organisation lets files be attached from this computer's own disks only", shown, text.Line(p.folder.Shown))}
	}
	if info.Size() > limit {
		return File{}, &TooLarge{info.Size(), fmt.Errorf("%s is %s. Files can have up to %s", shown, Size(info.Size()), Size(limit))}
	}
	content := make([]byte, 0, info.Size()+1)
	for int64(len(content)) <= limit {
		if len(content) == cap(content) {
			content = slices.Grow(content, 64<<10)
		}
		n, err := f.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if err == io.EOF {
			return File{Name: path.Base(p.rel), Content: content}, nil
		}
		if err != nil {
			return File{}, explain(shown, err)
		}
	}
	return File{}, fmt.Errorf("%s grows while it is read. Files can have up to %s", shown, Size(limit))
}

// plain reports why something is not to be read; nil if it is.
func plain(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return errors.New("is a folder. Tab shows what is in it")
	case mode&os.ModeSymlink != 0:
		return errors.New("is a link. Name the file that it leads to")
	}
	return errNotFile
}

// explain says what an error of the system means for somebody who looks for a file.
func explain(shown string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("there is %w %s. Tab shows what there is", notThere{}, shown)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s cannot be read. Check its permissions, and that no link is on its way", shown)
	}
	return fmt.Errorf("%s cannot be read: %w", shown, err)
}

// Size says how large something is: "212 kB", "1.4 MB".
func Size(n int64) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 1000:
		return fmt.Sprintf("%d bytes", max(n, 0))
	case n < 999_500:
		return fmt.Sprintf("%d kB", (n+500)/1000)
	case n < 9_950_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
}

// escapes reports whether a backslash takes the meaning of what follows. Where
// paths are written with it, it does not.
var escapes = runtime.GOOS != "windows"
