package harden

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// What a role may do with files beneath a folder. The rest stays refused:
// running them, making folders, links, sockets, pipes and devices.
const (
	readFiles = ll.AccessFSReadFile | ll.AccessFSReadDir
	// A journal is made, grows, shrinks and goes.
	keepFiles = readFiles | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

func offered() Layers { return Layers{Landlock: landlockABI(), Seccomp: seccompOffered()} }

// loadTimeZone makes package time read the zone's file while it can. Later it
// would silently be UTC.
func loadTimeZone() { _ = time.Now().Local().String() }

func confineDesk(dataDir string, readable []string) (Layers, error) {
	loadTimeZone()
	calls, rules := deskCalls(), []landlock.Rule{landlock.PathAccess(keepFiles, dataDir)}
	if len(readable) > 0 {
		// One that is gone meanwhile gives no right.
		rules = append(rules, landlock.PathAccess(readFiles, readable...).IgnoreIfMissing())
		calls = append(calls, listCalls()...)
	}
	return confine(landlock.V11, calls, rules...)
}

func confineCollector(dataDir string) (Layers, error) {
	loadTimeZone()
	return confine(landlock.V11, append(deskCalls(), collectorCalls()...),
		landlock.PathAccess(keepFiles|ll.AccessFSMakeDir, dataDir))
}

func confineGate(vaultDirs []string) (Layers, error) {
	loadTimeZone()
	// Replacing a file within its folder needs no more than making and removing.
	return confine(landlock.V11, gateCalls(),
		landlock.PathAccess(keepFiles, vaultDirs...))
}

// linkReads is what name resolution and crypto/x509 read. What is a link into
// /run is replaced there, so the folders are named.
var linkReads = []string{
	"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
	"/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf",
	"/etc/ssl", "/etc/ca-certificates", "/etc/pki", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/etc/localtime", "/usr/share/zoneinfo",
}

func confineLink(caFiles []string) (Layers, error) {
	loadTimeZone()
	paths := append(caFiles[:len(caFiles):len(caFiles)], linkReads...)
	if f := os.Getenv("SSL_CERT_FILE"); f != "" { // crypto/x509 reads these two
		paths = append(paths, f)
	}
	paths = append(paths, filepath.SplitList(os.Getenv("SSL_CERT_DIR"))...)
	var rules []landlock.Rule
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil: // not there, or not for this user: nothing to allow
		case info.IsDir():
			rules = append(rules, landlock.PathAccess(readFiles, path))
		default:
			rules = append(rules, landlock.PathAccess(ll.AccessFSReadFile, path))
		}
	}
	config := landlock.V11
	config.HandledAccessNet = 0 // relays may have any port
	return confine(config, linkCalls(), rules...)
}

func confineWatch() (Layers, error) {
	const self = "/proc/self/exe"
	programs := []string{self}
	loader, err := interpreter(self)
	if err != nil {
		return Layers{}, fmt.Errorf("look at sotto's own program: %w", err)
	}
	if loader != "" {
		programs = append(programs, loader)
	}
	config := landlock.MustConfig(
		landlock.AccessFSSet(ll.AccessFSExecute|ll.AccessFSMakeSock|ll.AccessFSMakeFifo|
			ll.AccessFSMakeChar|ll.AccessFSMakeBlock|ll.AccessFSMakeSym),
		// Signals only if all threads share one domain (ABI 8): else a child of
		// one thread can't be ended by another. See applyLandlock.
		landlock.ScopedSet(ll.ScopeAbstractUnixSocket|ll.ScopeSignal))
	if landlockABI() < 8 {
		config.Scoped &^= ll.ScopeSignal
	}
	return confine(config, watchCalls(loader != ""),
		landlock.PathAccess(ll.AccessFSExecute, programs...))
}

// confine applies Landlock first: the filter takes away the means to.
func confine(config landlock.Config, allowed []call, rules ...landlock.Rule) (l Layers, err error) {
	if l.Landlock, err = applyLandlock(config, rules); err != nil {
		return l, fmt.Errorf("restrict files (Landlock): %w", err)
	}
	if l.Seccomp, err = applySeccomp(allowed); err != nil {
		return l, fmt.Errorf("restrict system calls (seccomp): %w", err)
	}
	return l, nil
}

func dynamic() bool {
	loader, err := interpreter("/proc/self/exe")
	return err == nil && loader != ""
}
