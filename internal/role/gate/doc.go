// Package gate is the role that reads the PIN.
//
// It draws the lock screen with plain control sequences and reads the terminal
// byte by byte into locked memory. From the PIN it derives the key, hands that
// to the desk through a pipe and ends: nothing that shows messages ever held a
// PIN, and nothing that was given a wrong one goes on.
package gate
