//go:build !cgo

package harden_test

const cgo = false
