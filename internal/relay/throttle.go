package relay

import (
	"sync"
	"time"
)

// throttle slows logins down from where many have failed: by network address
// and by account name. It never locks anybody out, because then anybody could
// lock anybody out; it makes guessing slow. Safe for concurrent use.
type throttle struct {
	mu      sync.Mutex
	entries map[string]*failures
	swept   time.Time // when makeRoom last looked at all of them
	now     func() time.Time
	base    time.Duration // delay after the first failure
}

type failures struct {
	count int
	last  time.Time
}

const (
	throttleForget  = 10 * time.Minute // without a failure, all is forgotten
	throttleMax     = 5 * time.Second
	throttleEntries = 8192
)

func newThrottle() *throttle {
	return &throttle{entries: map[string]*failures{}, now: time.Now, base: 250 * time.Millisecond}
}

// delay returns how long a login that names these keys has to wait. A few
// failures cost nothing: people mistype.
func (t *throttle) delay(keys ...string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var d time.Duration
	for _, k := range keys {
		f := t.entries[k]
		if f == nil || t.now().Sub(f.last) > throttleForget || f.count < 3 {
			continue
		}
		d = max(d, min(t.base<<min(f.count-3, 16), throttleMax))
	}
	return d
}

// failed records a failed login for each key.
func (t *throttle) failed(keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, k := range keys {
		f := t.entries[k]
		if f == nil {
			t.makeRoom(now)
			f = &failures{}
			t.entries[k] = f
		} else if now.Sub(f.last) > throttleForget {
			f.count = 0
		}
		f.count++
		f.last = now
	}
}

// succeeded forgets the failures of a key. Only the account's name is passed
// here: one good password must not clear the address of a guesser.
func (t *throttle) succeeded(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, key)
}

// makeRoom drops what is forgotten, though not at every call, and if that is not
// enough an arbitrary entry.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.entries) < throttleEntries {
		return
	}
	if now.Sub(t.swept) > throttleForget {
		t.swept = now
		for k, f := range t.entries {
			if now.Sub(f.last) > throttleForget {
				delete(t.entries, k)
			}
		}
	}
	for k := range t.entries {
		if len(t.entries) < throttleEntries {
			return
		}
		delete(t.entries, k)
	}
}
