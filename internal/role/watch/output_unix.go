//go:build unix

package watch

import "time"

// outputTime is how long the watch waits until the terminal has taken something.
const outputTime = 100 * time.Millisecond

// maxOutput is how much waits for a terminal that takes nothing; more is dropped.
const maxOutput = 16

// output does things with the terminal, one after the other, for a watch that
// must not wait for ever: a terminal behind a broken line takes nothing, and
// desk and link have to end all the same.
type output struct {
	todo chan func()
	late chan struct{} // something was done that was no longer waited for
}

func newOutput() *output {
	o := &output{todo: make(chan func(), maxOutput), late: make(chan struct{}, 1)}
	go func() {
		for f := range o.todo {
			f()
		}
	}()
	return o
}

// do does it, after all that was to be done before, and reports whether that
// is so. If not, it happens as soon as the terminal lets it, and late tells:
// what was drawn meanwhile may be gone.
func (o *output) do(f func()) bool {
	done, given := make(chan struct{}), make(chan struct{})
	timer := time.NewTimer(outputTime)
	defer timer.Stop()
	select {
	case o.todo <- func() {
		f()
		close(done)
		select {
		case <-given:
			select {
			case o.late <- struct{}{}:
			default:
			}
		default:
		}
	}:
	default:
		return false
	}
	select {
	case <-done:
		return true
	case <-timer.C:
		close(given)
	}
	select {
	case <-done: // just now
		return true
	default:
		return false
	}
}
