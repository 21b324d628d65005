package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sotto/internal/profile"
	"sotto/internal/role"
	"sotto/internal/role/unattended"
)

// archiving is what the flags of sotto backup and sotto restore say.
type archiving struct {
	profile, pin string
	keys         []string // files with the key that opens a backup
	to           []string
	whole        bool
	noFiles      bool
}

func (a *archiving) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.profile, "profile", profile.Default, "whose messages")
	f.StringVar(&a.pin, "pin-file", "", "of a program's profile: file or pipe with the PIN; a person types it")
}

func backupCommand() *cobra.Command {
	var a archiving
	cmd := &cobra.Command{
		Use:   "backup [FILE|FOLDER]",
		Short: "Back up messages and files, encrypted",
		Long: `Write conversations, messages, drafts and files into an age file that only the
organisation's recovery key opens, and the keys that you name with --to. Keys of this
device are not in it: a backup that is restored makes no second of it.

Into a folder (the one you are in, unless you name one) the first backup is whole, and
each that follows has what is new, until a whole one is due again. Into a file it is
always whole. Each is read back before it counts, and a file that is there is never
replaced.

sotto must not have the profile open meanwhile. Your organisation's policy may forbid
backups (backup = false). See docs/recovery.md.`,
		Example: `  sotto backup /media/backups
  sotto backup alice.age --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			where := "."
			if len(args) > 0 {
				where = args[0]
			}
			return a.backup(where)
		},
	}
	a.flags(cmd)
	cmd.Flags().StringArrayVar(&a.to, "to", nil, "a key that opens it, too: an age recipient, such as sotto org recovery-key prints")
	cmd.Flags().BoolVar(&a.whole, "whole", false, "all of it, and not only what is new")
	cmd.Flags().BoolVar(&a.noFiles, "no-files", false, "without files that came with messages, which make it large")
	return cmd
}

func restoreCommand() *cobra.Command {
	var a archiving
	cmd := &cobra.Command{
		Use:   "restore FILE|FOLDER...",
		Short: "Bring messages back from a backup",
		Long: `Bring back what sotto backup has written, into a profile that has joined: on a new
machine, join first. Messages appear in their conversations, before what has come
since; nothing is sent again, and what is here already is left alone. The device
stays the one that it is.

It needs the organisation's recovery key, whole or in shares, or your own that the
backup was made for: typed, or from files given with --key-file. Of a folder the
newest series is taken. Cut off, run it again: it goes on.`,
		Example: `  sotto restore /media/backups
  sotto restore alice.age --key-file /media/usb/key.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.restore(args) },
	}
	a.flags(cmd)
	cmd.Flags().StringArrayVar(&a.keys, "key-file", nil, "file with the key that opens the backup, or with a share of it; without it you are asked")
	return cmd
}

// backupNames are the names of backups in a folder: address, series, segment.
var backupNames = regexp.MustCompile(`^sotto-([^/]+)-([0-9a-f]{16})-([0-9]{3})\.age$`)

// archived is a backup in a folder.
type archived struct {
	path, series string
	segment      int
}

// newest returns the backups of an address in a folder, of the series that was
// written to last, in their order.
func newest(dir, address string) (list []archived, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for backups: %w", err)
	}
	var last fs.FileInfo
	series := ""
	var all []archived
	for _, e := range entries {
		m := backupNames.FindStringSubmatch(e.Name())
		if m == nil || m[1] != address {
			continue
		}
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		n, _ := strconv.Atoi(m[3])
		all = append(all, archived{filepath.Join(dir, e.Name()), m[2], n})
		if last == nil || info.ModTime().After(last.ModTime()) {
			last, series = info, m[2]
		}
	}
	for _, b := range all {
		if b.series == series {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b archived) int { return a.segment - b.segment })
	return list, nil
}

// backup has a desk write a backup. Whether the policy allows one the desk knows,
// from its database, and says in the audit log.
func (a *archiving) backup(where string) error {
	p, c, lock, err := load(a.profile)
	if err != nil {
		return a.busy(err)
	}
	defer lock.Unlock()
	task := role.Task{Job: role.BackingUp, Archive: role.Archive{To: a.to, Whole: a.whole, NoFiles: a.noFiles}}
	dir, final := filepath.Dir(where), where
	if info, err := os.Stat(where); err == nil && info.IsDir() {
		if strings.ContainsAny(c.Address, `/\`) || c.Address == "" {
			return errors.New("the settings of this profile name no address to call the backup after. Name a file")
		}
		dir, final = where, ""
		list, err := newest(dir, c.Address)
		if err != nil {
			return err
		}
		task.Archive.Kept = true
		if n := len(list); n > 0 {
			task.Archive.Series, task.Archive.Segment = list[n-1].series, list[n-1].segment
		}
	} else if _, err := os.Lstat(where); err == nil {
		return fmt.Errorf("%s is there already. A backup never replaces a file: name another one, or a folder", where)
	}
	part, err := begun(filepath.Join(dir, ".sotto-backup-"+a.profile+".new"))
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // unless it has another name by then
	defer part.Close()
	done, err := a.run(p, c, lock, task, []*os.File{part}, role.Rescue{}, "The PIN opens the messages; then they are backed up.")
	switch {
	case err != nil:
		return err
	case done == nil:
		return errors.New("nothing was backed up")
	case final == "":
		final = filepath.Join(dir, fmt.Sprintf("sotto-%s-%s-%03d.age", c.Address, done.Series, done.Segment))
	}
	if err := settled(part.Name(), final); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%s\n%s. It was read back.\n", final, backupWords(done))
	return nil
}

// begun makes the file that a backup is written into until it counts. One that a run
// before this has left when it was killed goes: with the rights of a new file, and
// never through a link.
func begun(path string) (*os.File, error) {
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("begin the backup: %w", err)
}

// settled gives a file its name for good.
func settled(from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s came into being meanwhile, and is not replaced. Run the backup again", to)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("name the backup: %w. It does not count: see that the folder is there and can be written to, and run this again", err)
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("name the backup: %w", err)
	}
	return nil
}

func backupWords(a *role.Archived) string {
	what := fmt.Sprintf("Whole: %d messages, %d files", a.Messages, a.Files)
	if a.Segment > 0 {
		what = fmt.Sprintf("What is new since %03d: %d messages, %d files", a.Segment-1, a.Messages, a.Files)
	}
	keys := "1 key opens it"
	if a.Keys != 1 {
		keys = fmt.Sprintf("each of %d keys opens it", a.Keys)
	}
	return fmt.Sprintf("%s, %d KiB; %s", what, a.Bytes>>10, keys)
}

// maxArchives is how many files are restored at once: more than a series has.
const maxArchives = 100

// restore has a desk read backups.
func (a *archiving) restore(paths []string) error {
	keys, err := absolute(a.keys)
	if err != nil {
		return err
	}
	p, c, lock, err := load(a.profile)
	if err != nil {
		return a.busy(err)
	}
	defer lock.Unlock()
	var names []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			names = append(names, path)
			continue
		}
		list, err := newest(path, c.Address)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return fmt.Errorf("no backup of %s is in %s", c.Address, path)
		}
		for _, b := range list {
			names = append(names, b.path)
		}
	}
	if len(names) > maxArchives {
		return fmt.Errorf("at most %d files can be restored at once", maxArchives)
	}
	var files []*os.File
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("open the backup: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		files = append(files, f)
	}
	task := role.Task{Job: role.Restoring, Archive: role.Archive{Count: len(files)}}
	done, err := a.run(p, c, lock, task, files, role.Rescue{Ask: true, Files: keys}, "The PIN opens the messages; then the key of the backup is asked for.")
	switch {
	case err != nil:
		return err
	case done == nil:
		return errors.New("nothing was restored")
	case done.Messages == 0 && done.Files == 0:
		fmt.Fprintln(os.Stdout, "All of it was here already.")
	default:
		fmt.Fprintf(os.Stdout, "Restored: %d messages, %d files. %d messages were here already.\n", done.Messages, done.Files, done.Present)
	}
	return nil
}

// run has a desk do the task: behind the lock screen, or with the PIN from a file.
func (a *archiving) run(p profile.Profile, c profile.Config, lock *profile.Lock, task role.Task, files []*os.File, rescue role.Rescue, note string) (*role.Archived, error) {
	var done *role.Archived
	tell := func(m role.Archived) { done = &m }
	if a.pin == "" {
		if err := terminal(); err != nil {
			return nil, err
		}
		cfg, err := opening(role.Unlock, p, c, lock)
		if err != nil {
			return nil, err
		}
		cfg.Note, cfg.Task, cfg.Files, cfg.Done, cfg.Rescue = note, task, files, tell, rescue
		err = afterwards(p, watchOver(cfg))
		return done, err
	}
	h, err := holding(p, c)
	if err == nil {
		err = h.permitted()
	}
	if err == nil {
		err = h.program()
	}
	if err != nil {
		return nil, err
	}
	if !h.Service {
		return nil, fmt.Errorf("profile %q belongs to a person, who types the PIN: leave --pin-file out", a.profile)
	}
	cfg := unattended.Config{
		Profile: places(p), Task: task, Files: files, Done: tell, Rescue: rescue, Tell: lock.Tell,
		DestroyAfter: h.DestroyAfter, NoTPM: h.rules.NoTPM, NeedTPM: h.rules.NeedTPM, Relays: h.rules.Relays, Wishes: h.wishes,
	}
	if cfg.PIN, err = profile.OpenPIN(a.pin); err != nil {
		return nil, err
	}
	_, err = unattended.Run(cfg)
	return done, err
}

// busy says what to do where another sotto has the profile.
func (a *archiving) busy(err error) error {
	if errors.Is(err, profile.ErrInUse) {
		who, _, _ := strings.Cut(err.Error(), ". ")
		return fmt.Errorf("%s. Messages are backed up, and restored, while sotto is closed: close it with Ctrl+Q, and run this again", who)
	}
	return err
}
