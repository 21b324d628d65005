package doctor

import "io/fs"

// closed is what Windows does with what lies beneath a user's own folders.
const closed = "beneath your own folders, which Windows closes to others"

func private(string, fs.FileInfo) (finding, bool) { return finding{}, false }

func changeable(string) (path, by string) { return "", "" }

func (p place) fileSystem(machine) finding { return skipped("sotto does not look on Windows") }
