package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role/ward"
	"sotto/internal/role/watch"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Try it: a hospital in a box",
		Long: `Open sotto with a relay and four colleagues of its own, all on this machine and
in memory. Nothing is installed or configured, and nothing is left behind.

The PIN is ` + ward.PIN + `. Ada Okafor answers; write to her. Ctrl+L locks.`,
		Args: nothing,
		RunE: func(*cobra.Command, []string) error { return demo() },
	}
}

// demoPictures makes the folder that the demo attaches files from.
func demoPictures(dir string) (profile.Folder, error) {
	f := profile.Folder{Shown: "pictures", Path: filepath.Join(dir, "pictures")}
	err := os.Mkdir(f.Path, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.Path, "ecg-bed9.png"), ward.ECG(), 0o600)
	}
	if err != nil {
		return f, fmt.Errorf("make a folder for the demo: %w", err)
	}
	f.Path, err = filepath.EvalSymlinks(f.Path)
	return f, err
}

func demo() error {
	if err := terminal(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sotto-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w. Set TMPDIR to a folder that you can write to", err)
	}
	defer os.RemoveAll(dir)
	p := profile.In(dir)
	if err := p.Make(); err != nil {
		return err
	}
	pictures, err := demoPictures(dir)
	if err != nil {
		return err
	}
	c := profile.Defaults()
	return watchOver(watch.Config{
		Profile: places(p), Label: ward.Label, User: ward.Self, Open: ward.Open,
		Display: display(c, []profile.Folder{pictures}), LogoffAfter: c.LogoffAfter, DestroyAfter: c.DestroyAfter,
		Demo: dir, Hint: "demo PIN " + ward.PIN,
	})
}
