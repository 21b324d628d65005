package memory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile bounds a file that is searched, in bytes: all that sotto and its relay
// write in a test is far smaller.
const maxFile = 256 << 20

// Folder looks in every file below a folder, in what is packed there, and in the
// files' names, and says how many bytes that was. Files that disappear meanwhile are left out.
func (s *Search) Folder(dir string) (hits []Hit, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil {
			return err
		}
		hits = append(hits, s.Bytes("the name "+path, []byte(path))...)
		if !entry.Type().IsRegular() {
			return nil
		}
		b, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		size += int64(len(b))
		hits = append(hits, s.Bytes(path, b)...)
		hits = append(hits, s.Unpacked(path, b)...)
		return err
	})
	return hits, size, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return b, err
}
