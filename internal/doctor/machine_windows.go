package doctor

import "context"

func (machine) coreTarget() string { return "up to Windows Error Reporting" }

func (machine) swap(context.Context) finding {
	return finding{Weak, "sotto does not look on Windows", "Keys are locked in memory and never swapped. Text that sotto shows can be, and then stays on the disk.",
		"Turn BitLocker on, or: fsutil behavior set EncryptPagingFile 1"}
}

func (machine) hibernation(context.Context) finding {
	return finding{Weak, "sotto does not look on Windows", "Hibernating writes all memory to the disk, locked memory too.", "Turn BitLocker on, or: powercfg /hibernate off"}
}

func (machine) debuggers(context.Context) finding {
	return finding{Weak, "allowed", "On this system sotto cannot forbid other programs of yours to read its memory.", "Run sotto as a user that runs nothing else."}
}

func user(context.Context) finding { return skipped("sotto does not look on Windows") }

// memlock is not a limit of its own: the working set bounds it.
func memlock() string { return "within the working set; Windows has no limit of its own" }
