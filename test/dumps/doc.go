// Package dumps proves that no process of sotto leaves a core dump, not even
// where the system would write one. It is apart from package memory because
// package memguard, which that imports, forbids core dumps in the test itself,
// and in all that the test starts.
package dumps
