// Package inforce is what holds on this device: the settings that a person has
// chosen, and what the organisation's policy makes of them.
//
// Before the PIN is given nothing of what the organisation says can be read in the
// database, and much of it has to hold by then: after how long it locks and logs off,
// how often a PIN can be wrong, whether sotto opens at all within tmux. So the desk
// keeps a copy of the organisation's word beside the database, signed as it came
// (Copy). It is public. Whoever can change files of this user can also remove it, as
// they can replace sotto itself; the desk, which has its own in the database, then
// writes it again and locks, so that it holds from the next unlocking on.
package inforce

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sotto/client/org/policy"
	"sotto/internal/profile"
	"sotto/internal/role"
)

// Wishes returns what a person has chosen of the settings that a policy can decide.
func Wishes(c profile.Config, chosen map[string]bool) map[string]policy.Value {
	w := make(map[string]policy.Value)
	for name, v := range values(c) {
		if chosen[name] {
			w[name] = v
		}
	}
	return w
}

// values are a profile's settings as a policy has them.
func values(c profile.Config) map[string]policy.Value {
	v := map[string]policy.Value{
		"lock-after": policy.Time(c.LockAfter), "lock-unfocused": policy.Time(c.LockUnfocused), "logoff-after": policy.Time(c.LogoffAfter),
		"destroy-after": policy.Number(c.DestroyAfter), "tpm": policy.Is(c.TPM),
		"curtain": policy.Bool(c.Curtain), "reveal": policy.Bool(c.Reveal), "mouse": policy.Bool(c.Mouse), "paste": policy.Bool(c.Paste),
		"multiplexer": policy.Is(c.Multiplexer), "service": policy.Bool(c.Service),
	}
	if c.Trust != "" {
		v["trust"] = policy.Is(c.Trust)
	}
	if len(c.AttachFrom) > 0 {
		v["attach-from"] = policy.Of(folderNames(c.AttachFrom)...)
	}
	return v
}

// folderNames writes folders as a policy has them: without what says nothing, and
// beneath ~ where they are in the person's own folder.
func folderNames(folders []string) []string {
	home, _ := os.UserHomeDir()
	var names []string
	for _, f := range folders {
		if n := folderName(f, home); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// Within keeps folders to those that a policy names, on this computer's own disks: a
// link in one of them must not lead elsewhere. limits are as the policy has them; nil
// is no limit. What is not within keeps its place, and says why.
func Within(folders []profile.Folder, limits []string) []profile.Folder {
	if limits == nil {
		return folders
	}
	home, _ := os.UserHomeDir()
	var real []string
	for _, l := range limits {
		if rest, ok := strings.CutPrefix(l, "~"); ok {
			l = filepath.Join(home, rest)
		}
		if r, err := filepath.EvalSymlinks(l); err == nil {
			real = append(real, r)
		}
	}
	folders = slices.Clone(folders)
	for i := range folders {
		f := &folders[i]
		f.Shown = folderName(f.Shown, home)
		if f.Path != "" && f.Foreign == "" && !slices.ContainsFunc(real, func(dir string) bool {
			rel, err := filepath.Rel(dir, f.Path)
			return err == nil && filepath.IsLocal(rel)
		}) {
			f.Foreign = "is a link that leads out of the folders that your organisation names"
		}
	}
	return folders
}

func folderName(f, home string) string {
	f = path.Clean(filepath.ToSlash(f))
	home = filepath.ToSlash(home)
	if home == "" || home == "/" {
		return f
	}
	if f == home {
		return "~"
	}
	if rest, ok := strings.CutPrefix(f, home+"/"); ok {
		return "~/" + rest
	}
	return f
}

// Config returns the settings of a profile as they hold.
func Config(c profile.Config, all []policy.Decided) profile.Config {
	for _, d := range all {
		v := d.Value
		if !v.Set() || d.From == policy.FromDefault {
			continue // c has its own defaults
		}
		switch d.Setting.Name {
		case "lock-after":
			c.LockAfter = v.Duration()
		case "lock-unfocused":
			c.LockUnfocused = v.Duration()
		case "logoff-after":
			c.LogoffAfter = v.Duration()
		case "destroy-after":
			c.DestroyAfter = v.Int()
		case "tpm":
			c.TPM = v.Text()
		case "curtain":
			c.Curtain = v.Bool()
		case "reveal":
			c.Reveal = v.Bool()
		case "mouse":
			c.Mouse = v.Bool()
		case "paste":
			c.Paste = v.Bool()
		case "multiplexer":
			c.Multiplexer = v.Text()
		case "trust":
			c.Trust = v.Text()
		case "service":
			// A policy allows it; that the profile is a program's, only its line says.
			c.Service = c.Service && (v.Bool() || !d.Limit.Set())
		case "attach-from":
			if d.Limit.Set() {
				c.AttachFrom = allowed(c.AttachFrom, v.List())
			}
		}
	}
	return c
}

// allowed keeps the folders whose names are in list.
func allowed(folders, list []string) []string {
	home, _ := os.UserHomeDir()
	return slices.DeleteFunc(slices.Clone(folders), func(f string) bool { return !slices.Contains(list, folderName(f, home)) })
}

// Display returns the settings of the screens as they hold. base are those that the
// desk was started with.
func Display(base role.Display, all []policy.Decided) role.Display {
	set := func(name string, f func(policy.Value)) {
		if v := policy.Find(all, name); v.Set() {
			f(v)
		}
	}
	set("lock-after", func(v policy.Value) { base.LockAfter = v.Duration() })
	set("lock-unfocused", func(v policy.Value) { base.LockUnfocused = v.Duration() })
	set("curtain", func(v policy.Value) { base.Curtain = v.Bool() })
	set("reveal", func(v policy.Value) { base.Reveal = v.Bool() })
	set("mouse", func(v policy.Value) { base.Mouse = v.Bool() })
	set("paste", func(v policy.Value) { base.Paste = v.Bool() })
	base.AttachFrom = slices.Clone(base.AttachFrom)
	for _, d := range all {
		if d.Setting.Name != "attach-from" {
			continue
		}
		if !d.Limit.Set() { // a person says for themselves which disks are theirs
			for i := range base.AttachFrom {
				base.AttachFrom[i].Device, base.AttachFrom[i].Foreign = 0, ""
			}
			break
		}
		home, _ := os.UserHomeDir()
		base.AttachFrom = slices.DeleteFunc(base.AttachFrom, func(f role.Folder) bool {
			return !slices.Contains(d.Value.List(), folderName(f.Shown, home))
		})
	}
	return base
}

// Rules returns what the watch and the gates obey.
func Rules(all []policy.Decided) role.Rules {
	find := func(name string) policy.Value { return policy.Find(all, name) }
	return role.Rules{
		LockAfter: find("lock-after").Duration(), LogoffAfter: find("logoff-after").Duration(), DestroyAfter: find("destroy-after").Int(),
		NoTPM: find("tpm").Text() == "off", NeedTPM: find("tpm").Text() == "required",
		PINLength: find("pin-length").Int(), PINMixed: find("pin-characters").Text() == "mixed",
		Relays: role.Relays{Only: strings.Join(find("relays").List(), "\n"), Pins: strings.Join(find("relay-pins").List(), "\n")},
	}
}

// ComparedOnly says whether nothing goes to a device that was not compared, or is
// not in the directory: what a person sees before sending, and a program does not.
func ComparedOnly(all []policy.Decided, service bool) bool {
	switch policy.Find(all, "trust").Text() {
	case "compared", "directory":
		return true
	case "":
		return service
	}
	return false
}

// PINAge returns after how long a PIN is changed; 0 is never.
func PINAge(all []policy.Decided) time.Duration { return policy.Find(all, "pin-age").Duration() }
