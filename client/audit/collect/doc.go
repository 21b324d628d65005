// Package collect is the auditor's end of the audit log: it takes the batches of
// many devices, keeps a log for each in a folder, and says what is wrong.
//
// A device's log is one file of lines and checkpoints in the form that
// audit.Verify reads, and is only ever appended to. Each checkpoint in it has two
// signatures: the device's, and below it the collector's, which says when all
// that it covers was on this disk. With the second one it goes back to the device
// as the answer.
//
//	FOLDER/lock                          held while a collector is open
//	FOLDER/collector                     the collector's public key, for who has no other copy of it
//	FOLDER/seal                          what every log was at some time, signed by the collector
//	FOLDER/alice@hospital.example-27183/
//	    log       lines and checkpoints
//	    key       the device's public key, as it was when the first batch came
//	    hashes    of the Merkle tree, made from log; only there to be fast
//	    evidence  batches' checkpoints that contradict the log, at most 1 MiB
//
// The folder holds who wrote to whom and when, never what. It is for its owner's
// eyes, and so are its permissions.
package collect
