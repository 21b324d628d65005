// Package memory proves that locked means gone. It looks for canaries, which are
// secrets that a test knows or has made up, where they must not be: in the memory
// of every process of a running sotto, in all that sotto and its relay write to
// disk, in what goes over the network, and in what goes to the terminal.
//
// Nothing found proves nothing unless the same search finds what is there. So
// every canary is looked for, too, where it belongs and when it is in use: in the
// desk while unlocked, in the gate while a PIN is typed, in a file that the test
// has planted.
package memory
