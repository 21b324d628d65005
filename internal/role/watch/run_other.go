//go:build !unix

package watch

import "errors"

// Run says that there are no roles here yet.
func Run(Config) (int, error) {
	return 1, errors.New("sotto does not run on Windows yet. It runs in WSL, and on Linux, macOS, FreeBSD and OpenBSD")
}
