package harden

import (
	"debug/elf"
	"errors"
	"io"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// landlockABI is the version that the kernel offers, 0 without Landlock. The
// library's BestEffort does not tell: without Landlock it does nothing, and
// returns nil.
func landlockABI() int {
	abi, err := ll.LandlockGetABIVersion()
	if err != nil || abi < 0 {
		return 0
	}
	return abi
}

// erratumSignals is the kernel's fix that lets threads of one process signal
// each other, whatever their domains. Before ABI 8 each thread gets a domain of
// its own, and Go's scheduler interrupts threads with signals.
const erratumSignals = 1 << (2 - 1)

// applyLandlock restricts every thread to config, as far as the kernel knows it,
// except for what the rules allow. It returns the ABI, 0 without Landlock.
func applyLandlock(config landlock.Config, rules []landlock.Rule) (int, error) {
	abi := landlockABI()
	if abi == 0 {
		return 0, nil
	}
	if abi < 8 {
		if fixed, err := ll.LandlockGetErrata(); err != nil || fixed < 0 || fixed&erratumSignals == 0 {
			config.Scoped &^= ll.ScopeSignal // the filter has it too
		}
	}
	return abi, config.BestEffort().Restrict(rules...)
}

// interpreter is the program that loads a dynamically linked one, "" for one
// that needs none, as sotto is usually built.
func interpreter(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		if p.Filesz > 4096 {
			return "", errors.New("its loader has too long a name")
		}
		b, err := io.ReadAll(p.Open())
		return strings.TrimRight(string(b), "\x00"), err
	}
	return "", nil
}
