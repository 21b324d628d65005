package profile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestFoldersToAttachFrom(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	p := In(filepath.Join(home, "sotto"))
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	scans := filepath.Join(home, "scans")
	for _, dir := range []string{scans, filepath.Join(home, "Pictures", "ward")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(home, "ecg.png")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": scans, "vault": filepath.Dir(p.Vault), "root": "/"} {
		if err := os.Symlink(to, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.Folders(Config{AttachFrom: []string{"~/Pictures", scans, "~/link", "~/gone", "~/Pictures/../scans"}})
	want := []Folder{
		{Shown: "~/Pictures", Path: filepath.Join(home, "Pictures")}, {Shown: scans, Path: scans}, {Shown: "~/link", Path: scans}, {Shown: "~/gone"}, {Shown: "~/Pictures/../scans", Path: scans},
	}
	for i := range got { // package mounts has its own tests
		if got[i].Path != "" && got[i].Device == 0 {
			t.Errorf("on which file system is %s?", got[i].Shown)
		}
		got[i].Device, got[i].Foreign = 0, ""
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for folder, words := range map[string]string{
		"~/":               "holds sotto's own files",
		"~/sotto":          "holds sotto's own files",
		"~/sotto/share":    "holds sotto's own files",
		p.Data:             "holds sotto's own files",
		"~/vault":          "holds sotto's own files",
		"~/root":           "holds sotto's own files",
		"/":                "holds sotto's own files",
		"~/Pictures/../..": "holds sotto's own files",
		"~/ecg.png":        "is a file",
		"/proc/self":       "belongs to the system",
		"/dev":             "belongs to the system",
	} {
		got, err := p.Folders(Config{AttachFrom: []string{folder}})
		if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%s: %v, %v", folder, got, err)
		}
	}
	if got, err := p.Folders(Defaults()); err != nil || got != nil {
		t.Errorf("by default: %v, %v", got, err)
	}
}
