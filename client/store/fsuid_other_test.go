//go:build unix && !linux

package store

import "testing"

// asOrdinaryUser runs fn; there, these tests are not run as root.
func asOrdinaryUser(_ testing.TB, fn func()) { fn() }
