package watch

import (
	"testing"
	"time"

	"sotto/internal/role"
)

func TestNext(t *testing.T) {
	const hour = time.Hour
	c := Config{LogoffAfter: 15 * time.Minute, Display: role.Display{LockAfter: 2 * time.Minute}}
	late := 2*time.Minute + lockGrace
	for _, k := range []struct {
		what string
		c    Config
		s    standing
		now  time.Duration
		due  due
		wait time.Duration
	}{
		{"a key just now", c, standing{open: true, active: hour}, hour, toLock, late},
		{"a minute ago", c, standing{open: true, active: hour}, hour + time.Minute, toLock, late - time.Minute},
		{"the desk's own moment", c, standing{open: true, active: hour}, hour + 2*time.Minute, toLock, lockGrace},
		{"too late", c, standing{open: true, active: hour}, hour + late, toLock, 0},
		{"after a night", c, standing{open: true, active: hour}, 12 * hour, toLock, 0},
		{"the clock went back", c, standing{open: true, active: hour}, 0, toLock, late},
		{"no idle lock", Config{}, standing{open: true, active: hour}, 12 * hour, nothing, 0},
		{"locked just now", c, standing{online: true, locked: hour}, hour, toLogOff, 15 * time.Minute},
		{"locked for long", c, standing{online: true, locked: hour}, hour + 15*time.Minute, toLogOff, 0},
		{"logged off", c, standing{locked: hour}, 12 * hour, nothing, 0},
		{"no log-off", Config{}, standing{online: true, locked: hour}, 12 * hour, nothing, 0},
		{"open, though locked before", c, standing{open: true, active: hour, online: true}, hour, toLock, late},
	} {
		if due, wait := k.c.next(k.s, k.now); due != k.due || wait != k.wait {
			t.Errorf("%s: %v in %v, want %v in %v", k.what, due, wait, k.due, k.wait)
		}
	}
	if lockGrace > 3*time.Second {
		t.Error("a desk that hangs may be late for longer than is said")
	}
}

func TestSlept(t *testing.T) {
	var boot, steady, day time.Duration = time.Hour, time.Minute, 20000 * time.Hour
	at := func(d *time.Duration) func() time.Duration { return func() time.Duration { return *d } }
	s := newSleep(clocks{boot: at(&boot), steady: at(&steady), wall: at(&day)})
	pass := func(d time.Duration) { boot, steady, day = boot+d, steady+d, day+d }
	for _, k := range []struct {
		what string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"a day", func() { pass(24 * time.Hour) }, false},
		{"sleep", func() { boot += 5 * time.Second; day += 5 * time.Second }, true},
		{"once", func() { pass(time.Second) }, false},
		{"the day is set a little", func() { day += 20 * time.Second }, false},
		{"the day is set back", func() { day -= time.Hour }, false},
		{"sleep that shows in the day alone", func() { day += time.Minute }, true},
		{"a short pause between two readings", func() { boot += time.Millisecond }, false},
	} {
		k.do()
		if got := s.slept(); got != k.want {
			t.Errorf("%s: %v", k.what, got)
		}
	}
}
