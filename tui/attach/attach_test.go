//go:build unix

package attach

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// ward makes a folder for pictures, one for scans, and a secret beside them.
func ward(t *testing.T) (Folders, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"pictures/ecg-bed9.png": "ecg", "pictures/my ecg.png": "mine", "pictures/bed9/x ray.png": "x", "pictures/.hidden": "h",
		"pictures/large": strings.Repeat("x", 2000), "scans/ct.png": "ct", "secret": "secret", "pictures-of-others/p.png": "others",
		"pictures/evil\x1b[2J.png": "evil", `pictures/qu"ote`: "q",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"pictures/out": "../secret", "pictures/in.png": "ecg-bed9.png", "pictures/away": "..", "pictures/root": "/"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return Folders{{Shown: "~/Pictures", Path: filepath.Join(dir, "pictures")}, {Shown: "~/Scans", Path: filepath.Join(dir, "scans")}, {Shown: "~/gone"}}, dir
}

func TestReadsFromTheFoldersOnly(t *testing.T) {
	folders, dir := ward(t)
	for _, c := range []struct{ arg, name, content, caption string }{
		{"~/Pictures/ecg-bed9.png", "ecg-bed9.png", "ecg", ""},
		{"ecg-bed9.png peaked T", "ecg-bed9.png", "ecg", "peaked T"},
		{"ct.png", "ct.png", "ct", ""},
		{dir + "/pictures/ecg-bed9.png  now ", "ecg-bed9.png", "ecg", "now"},
		{`~/Pictures/my\ ecg.png before`, "my ecg.png", "mine", "before"},
		{`"~/Pictures/my ecg.png" before`, "my ecg.png", "mine", "before"},
		{"~/Pictures/my ecg.png before lunch", "my ecg.png", "mine", "before lunch"},
		{"~/Pictures/bed9/x ray.png", "x ray.png", "x", ""},
		{"~/Pictures/bed9/../ecg-bed9.png", "ecg-bed9.png", "ecg", ""},
		{"~/Pictures/../Scans/ct.png", "ct.png", "ct", ""},
	} {
		f, err := folders.Read(t.Context(), c.arg, 1000)
		if err != nil || f.Name != c.name || string(f.Content) != c.content || f.Caption != c.caption {
			t.Errorf("%s: %q %q %q, %v", c.arg, f.Name, f.Content, f.Caption, err)
		}
	}
	outside := "files can be attached from ~/Pictures, ~/Scans, ~/gone only. Your settings name the folders (attach-from)"
	for arg, words := range map[string]string{
		"":                          "which file?",
		"~/secret":                  outside,
		dir + "/secret":             outside,
		"../secret":                 outside,
		"~/Pictures/../secret":      outside,
		"~/Pictures/../../../etc":   outside,
		"/etc/passwd":               outside,
		"~root/x":                   outside,
		dir + "/pictures-of-others": outside,
		"~/Picturesque/x":           outside,
		"~/Pictures/out":            "is a link",
		"~/Pictures/in.png":         "is a link",
		"~/Pictures":                "~/Pictures is a folder",
		"~/Pictures/bed9":           "~/Pictures/bed9 is a folder",
		"~/Pictures/none.png":       "there is no file ~/Pictures/none.png. Tab shows",
		"none.png":                  "there is no file none.png in your folders",
		"~/Pictures/large":          "~/Pictures/large is 2 kB. Files can have up to 1 kB",
		"~/gone/x":                  "~/gone is not there. Make the folder",
		"~/Pictures/no\x1b[2J.png":  "<U+001B>",
	} {
		if f, err := folders.Read(t.Context(), arg, 1000); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %q, %v", arg, f.Content, err)
		}
	}
	for _, arg := range []string{"~/Pictures/away/secret", "~/Pictures/root/etc/passwd"} { // os.Root refuses in its own words
		if f, err := folders.Read(t.Context(), arg, 1000); err == nil {
			t.Errorf("%q: %q", arg, f.Content)
		}
	}
	if _, err := Folders(nil).Read(t.Context(), "x", 1000); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

// What is no plain file is not even opened: a pipe would wait for its other end.
func TestPipesAndDevicesAreNotOpened(t *testing.T) {
	folders, dir := ward(t)
	mkfifo(t, filepath.Join(dir, "pictures", "pipe.png"))
	done := make(chan error, 1)
	go func() {
		_, err := folders.Read(t.Context(), "~/Pictures/pipe.png", 1000)
		folders.Complete(t.Context(), "~/Pictures/pipe.png/")
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "is no plain file") {
			t.Error(err)
		}
	case <-time.After(45 * time.Second):
		t.Fatal("it waits")
	}
	if runtime.GOOS == "linux" {
		if _, err := (Folders{{Shown: "/dev", Path: "/dev"}}).Read(t.Context(), "/dev/zero", 1000); err == nil || !strings.Contains(err.Error(), "is no plain file") {
			t.Error(err)
		}
	}
}

func TestCompletion(t *testing.T) {
	folders, dir := ward(t)
	for _, c := range []struct {
		arg  string
		want []string
	}{
		{"", []string{"~/Pictures/", "~/Scans/", "~/gone/"}},
		{"~/P", []string{"~/Pictures/"}},
		{"~/Pictures", []string{"~/Pictures/"}},
		{"~/Pictures/", []string{"~/Pictures/bed9/", "~/Pictures/ecg-bed9.png", "~/Pictures/large", `~/Pictures/my\ ecg.png`, `~/Pictures/qu\"ote`}},
		{"~/Pictures/.", []string{"~/Pictures/.hidden"}},
		{`~/Pictures/my\ `, []string{`~/Pictures/my\ ecg.png`}},
		{"~/Pictures/bed9/", []string{`~/Pictures/bed9/x\ ray.png`}},
		{"~/Pictures/ecg-bed9.png ", nil},
		{"~/Pictures/away/", nil},
		{"~/Pictures/../", nil},
		{"~/gone/", nil},
		{"/et", nil},
		{"/etc/", nil},
		{dir + "/scans/", []string{dir + "/scans/ct.png"}},
	} {
		if got := folders.Complete(t.Context(), c.arg); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.arg, got)
		}
	}
	if got := folders[:1].Complete(t.Context(), "ec"); !slices.Equal(got, []string{"ecg-bed9.png"}) {
		t.Errorf("with one folder: %q", got)
	}
	for _, s := range folders.Complete(t.Context(), "~/Pictures/") { // what is offered can be read
		if strings.HasSuffix(s, "/") || strings.HasSuffix(s, "large") {
			continue
		}
		if _, err := folders.Read(t.Context(), s+" words", 1000); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1: "1 byte", 999: "999 bytes", 1000: "1 kB", 212_300: "212 kB", 999_999: "1.0 MB", 1_440_000: "1.4 MB", 20 << 20: "21 MB", -5: "0 bytes"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// Whatever is typed, nothing but what lies in the folder is read.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"~/Pictures/ecg-bed9.png", `"a b" c`, `a\ b`, "../x", "~/Pictures/../../secret", "/", "~", `\`, `"`} {
		f.Add(s)
	}
	dir := f.TempDir()
	for name, content := range map[string]string{"in/a b": "inside", "secret": "outside", "in/x": "inside"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			f.Fatal(err)
		}
	}
	folders := Folders{{Shown: "~/Pictures", Path: filepath.Join(dir, "in")}}
	f.Fuzz(func(t *testing.T, arg string) {
		if file, err := folders.Read(t.Context(), arg, 100); err == nil && !bytes.Equal(file.Content, []byte("inside")) {
			t.Fatalf("%q: %q", arg, file.Content)
		}
		for _, s := range folders.Complete(t.Context(), arg) {
			if strings.Contains(s, "secret") {
				t.Fatalf("%q: %q", arg, s)
			}
		}
	})
}

// Where the policy says so, nothing is read from a stick, or from what was mounted
// into a folder since.
func TestNothingIsReadFromOtherDisks(t *testing.T) {
	folders, dir := ward(t)
	info, err := os.Stat(filepath.Join(dir, "pictures"))
	if err != nil {
		t.Fatal(err)
	}
	here := deviceOf(info)
	if here == 0 {
		t.Skip("the system does not tell file systems apart")
	}
	folders[0].Device = here
	if _, err := folders.Read(t.Context(), "~/Pictures/ecg-bed9.png", 1000); err != nil {
		t.Errorf("from its own disk: %v", err)
	}
	folders[0].Device = here + 1
	if _, err := folders.Read(t.Context(), "~/Pictures/ecg-bed9.png", 1000); !errors.Is(err, ErrOutside) || !strings.Contains(err.Error(), "is on another disk than ~/Pictures") {
		t.Errorf("from another disk: %v", err)
	}
	folders[1].Foreign = "is on a removable disk (vfat)"
	if _, err := folders.Read(t.Context(), "~/Scans/ct.png", 1000); !errors.Is(err, ErrOutside) || !strings.Contains(err.Error(), "~/Scans is on a removable disk (vfat). Your organisation") {
		t.Errorf("from a stick: %v", err)
	}
	if found := folders.Complete(t.Context(), "~/Scans/"); len(found) != 0 {
		t.Errorf("Tab shows %q", found)
	}
	if _, err := folders.Read(t.Context(), "/etc/passwd", 1000); !errors.Is(err, ErrOutside) {
		t.Errorf("from elsewhere: %v", err)
	}
}
