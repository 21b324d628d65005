package audit

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A Frontier is what must be known of a tree's records to add to it, and to know
// its root: the hashes of the complete subtrees that it consists of, at most one
// for each bit of its size. The zero Frontier is of the empty tree.
type Frontier struct {
	size   int64
	hashes []tlog.Hash // of the largest subtree first
}

// Size returns the number of records.
func (f *Frontier) Size() int64 { return f.size }

// Add adds a record by its hash (tlog.RecordHash), and returns the hashes that it
// completes, from its own upwards: what tlog stores for it.
func (f *Frontier) Add(record tlog.Hash) []tlog.Hash {
	done := []tlog.Hash{record}
	h := record
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.hashes) - 1
		h = tlog.NodeHash(f.hashes[last], h)
		f.hashes = f.hashes[:last]
		done = append(done, h)
	}
	f.hashes = append(f.hashes, h)
	f.size++
	return done
}

// Root is the hash of the tree.
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		return emptyRoot
	}
	last := len(f.hashes) - 1
	h := f.hashes[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(f.hashes[i], h)
	}
	return h
}

// Clone returns a copy that can be added to on its own.
func (f *Frontier) Clone() *Frontier {
	return &Frontier{f.size, append([]tlog.Hash(nil), f.hashes...)}
}

// emptyRoot is the root of no records (RFC 6962, section 2.1): SHA-256 of nothing.
var emptyRoot, _ = tlog.TreeHash(0, nil)

// frontierIndexes returns where tlog stores the hashes of the frontier at size.
func frontierIndexes(size int64) (list []int64) {
	start := int64(0)
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size&(1<<level) != 0 {
			list = append(list, tlog.StoredHashIndex(level, start>>level))
			start += 1 << level
		}
	}
	return list
}

// FrontierAt reads the frontier of a tree's first size records.
func FrontierAt(size int64, r tlog.HashReader) (*Frontier, error) {
	hashes, err := readHashes(r, frontierIndexes(size))
	if err != nil {
		return nil, err
	}
	return &Frontier{size, hashes}, nil
}

func readHashes(r tlog.HashReader, indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	return r.ReadHashes(indexes)
}
