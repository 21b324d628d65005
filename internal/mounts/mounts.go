// Package mounts finds out whether a folder is on a disk of this computer: not on a
// stick or a card that somebody takes along, and not on another computer. It is for an
// organisation that says where files may come from.
//
// What the system does not tell counts as this computer's own: the folder itself is
// one that the policy names.
package mounts

// Foreign says in words after a folder's name why it is not on a disk of this
// computer: "is on a removable disk (vfat)"; "" if it is.
func Foreign(path string) string { return foreign(path) }

// Device is the number of the file system that a file is on, as the system tells it of
// each file; 0 where it does not.
func Device(path string) int64 { return device(path) }
