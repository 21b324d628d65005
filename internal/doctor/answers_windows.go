package doctor

import "os"

// ask asks nothing: consoles here answer through another door.
func ask(_, _ *os.File) answers { return answers{} }
