package job

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"sotto/client"
	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/store"
)

// CollectFolder is the folder in a profile's data in which its audit logs are.
const CollectFolder = "audit"

// Collecting says how to collect audit logs.
type Collecting struct {
	Dir     string        // the folder with the logs
	Address string        // own bare JID
	Silence time.Duration // a device of which nothing was heard for so long is told of; 0: none is
	JSON    bool
	Out     io.Writer // gets a line for each finding
}

// How often the folder is sealed, and devices are looked for that are silent.
const (
	sealEvery    = 24 * time.Hour
	silenceEvery = time.Minute
)

// Collector keeps the audit logs of an organisation's devices.
type Collector struct {
	with   Collecting
	folder *collect.Collector

	mu     sync.Mutex
	client *client.Client
	silent map[audit.Device]bool // told of
	broken error                 // of writing findings
	failed chan struct{}
	first  []collect.Finding
	counts tally
}

// OpenCollector opens the folder. The key lies in the database.
func OpenCollector(ctx context.Context, db *store.Store, with Collecting) (*Collector, error) {
	k := &Collector{with: with, silent: make(map[audit.Device]bool), failed: make(chan struct{}, 1)}
	err := db.Update(ctx, func(tx *store.Tx) error {
		public, key, err := client.CollectorKey(tx, with.Address)
		if err == nil {
			k.folder, k.first, err = collect.Open(with.Dir, public, key, k.lookup, time.Now())
		}
		return err
	})
	return k, err
}

// lookup asks the directory.
func (k *Collector) lookup(d audit.Device) (ed25519.PublicKey, bool) {
	k.mu.Lock()
	c := k.client
	k.mu.Unlock()
	if c == nil {
		return nil, false
	}
	return c.SigningKey(d)
}

// Serve says for whom it collects, before that one runs.
func (k *Collector) Serve(c *client.Client) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.client = c
}

// Take takes what a device has sent; see client.Config.
func (k *Collector) Take(from audit.Device, batch []byte) (answer []byte, err error) {
	answer, findings, err := k.folder.Take(from, batch, time.Now())
	k.mu.Lock()
	if answer != nil {
		delete(k.silent, from)
	}
	k.mu.Unlock()
	k.tell(findings)
	return answer, err
}

// Work seals the folder daily and looks for silent devices, until ctx ends or what
// reads the findings is gone.
func (k *Collector) Work(ctx context.Context, c *client.Client) error {
	k.tell(k.first)
	k.line(map[string]any{"type": "collecting", "time": stamp(time.Now()), "devices": len(c.Logging())},
		fmt.Sprintf("%s collecting", time.Now().UTC().Format(time.DateTime)))
	tick := time.NewTicker(silenceEvery)
	defer tick.Stop()
	seal := time.Time{}
	for {
		select {
		case <-ctx.Done():
			k.summarise(time.Now(), true)
			if err := k.seal(); err != nil {
				return err
			}
			return k.folder.Close()
		case <-k.failed:
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.broken
		case <-c.Events(): // nobody looks
		case now := <-tick.C:
			if now.Sub(seal) >= sealEvery {
				if err := k.seal(); err != nil {
					return err
				}
				seal = now
			}
			k.summarise(now, false)
			if err := k.listen(now, c.Logging()); err != nil {
				return err
			}
		}
	}
}

func (k *Collector) seal() error {
	_, err := k.folder.Seal(time.Now())
	return err
}

// listen tells of devices that are silent, once until they are heard again.
func (k *Collector) listen(now time.Time, expected map[audit.Device]time.Time) error {
	if k.with.Silence <= 0 {
		return nil
	}
	list, err := k.folder.Silent(now, k.with.Silence, expected)
	if err != nil {
		return err
	}
	k.mu.Lock()
	list = slices.DeleteFunc(list, func(f collect.Finding) bool {
		known := k.silent[f.Device]
		k.silent[f.Device] = true
		return known
	})
	k.mu.Unlock()
	k.tell(list)
	return nil
}

// tell writes a line for each finding, up to a bound.
func (k *Collector) tell(list []collect.Finding) {
	k.mu.Lock()
	list = k.counts.take(list)
	k.mu.Unlock()
	k.write(list)
}

// summarise writes how many findings there were that tell has not written.
func (k *Collector) summarise(now time.Time, all bool) {
	k.mu.Lock()
	list, rest := k.counts.due(now, all)
	k.mu.Unlock()
	k.write(list)
	if rest > 0 {
		words := fmt.Sprintf("%d findings of further devices are not listed", rest)
		k.line(map[string]any{"type": "findings", "count": rest, "time": stamp(now), "what": words}, now.UTC().Format(time.DateTime)+" "+words)
	}
}

func (k *Collector) write(list []collect.Finding) {
	for _, f := range list {
		k.line(map[string]any{
			"type": "finding", "kind": f.Kind.String(), "harmless": f.Kind.Harmless(), "device": f.Device.String(),
			"time": stamp(f.At), "what": f.What,
		}, f.At.UTC().Format(time.DateTime)+" "+f.Kind.String()+" "+f.Device.String()+": "+f.What)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// line writes one thing, as JSON or in words.
func (k *Collector) line(what map[string]any, words string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken != nil {
		return
	}
	b := []byte(words)
	if k.with.JSON {
		b, k.broken = json.Marshal(what)
	}
	if k.broken == nil {
		_, k.broken = k.with.Out.Write(append(b, '\n'))
	}
	if k.broken != nil {
		k.failed <- struct{}{}
	}
}
