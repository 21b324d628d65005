package relay

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// File transfer (XEP-0363): who may put a file, and for how long it stays. The
// files themselves are the business of files.go and shelf.go.

const (
	slotTime  = time.Hour           // to put a file after a slot was given
	keepFiles = 14 * 24 * time.Hour // unless configured otherwise
)

// upload is a slot, or the file in it.
type upload struct {
	id    string
	size  int64
	token [sha256.Size]byte // hash of what allows to put it
	done  bool              // it is there
}

// isUploadID reports whether s can be the id of a slot.
func isUploadID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 48 && s == strings.ToLower(s)
}

// uploadIQ answers a request to the upload service.
func (c *core) uploadIQ(q *request, to address) {
	p := q.payload
	switch {
	case to.local != "" || to.resource != "" || q.set && !p.Is(nsPing, "ping"):
		c.no(q, "cancel", "service-unavailable", "")
	case p.Is(nsDiscoItems, "query"):
		c.yes(q, stanza.New(nsDiscoItems, "query"))
	case p.Is(nsDiscoInfo, "query") && p.Get("node") == "":
		c.yes(q, stanza.New(nsDiscoInfo, "query", identity("store", "file", "Files"),
			feature(nsDiscoInfo), feature(nsDiscoItems), feature(stanza.NSUpload), stanza.UploadInfo(int64(c.limits.FileBytes))))
	case p.Is(nsPing, "ping"):
		c.yes(q)
	case p.Is(stanza.NSUpload, "request"):
		c.giveSlot(q)
	default:
		c.no(q, "cancel", "service-unavailable", "")
	}
}

// giveSlot answers with a place for a file, if there is room.
func (c *core) giveSlot(q *request) {
	r, ok := stanza.ReadUploadRequest(q.payload)
	a := q.s.account
	if !ok {
		c.no(q, "modify", "bad-request", "a file needs a name and a size")
		return
	}
	if r.Size > int64(c.limits.FileBytes) {
		c.no(q, "modify", "not-acceptable", "this file is larger than the relay accepts", stanza.UploadTooLarge(int64(c.limits.FileBytes)))
		return
	}
	if q.s.conn == nil || q.s.conn.base == "" {
		c.no(q, "wait", "resource-constraint", "the relay does not know its own address")
		return
	}
	var files, bytes, oldest int64
	c.store.each(`SELECT count(*), coalesce(sum(size), 0), coalesce(min(created), 0) FROM uploads WHERE account=?`, func(st *sqlite3.Stmt) bool {
		files, bytes, oldest = st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)
		return false
	}, a.id)
	switch {
	case files >= int64(c.limits.Files) || bytes+r.Size > int64(c.limits.FilesBytes):
		retry := stanza.New(stanza.NSUpload, "retry").With("stamp", stamp(time.UnixMicro(oldest).Add(c.keepFiles())))
		c.no(q, "wait", "resource-constraint", "you have as many files on the relay as it allows; the oldest goes first", retry)
		return
	case c.shelved+r.Size > c.limits.ShelfBytes:
		c.no(q, "wait", "resource-constraint", "the relay has no room for files at the moment")
		return
	}
	id, token := make([]byte, 24), make([]byte, 24)
	rand.Read(id)
	rand.Read(token)
	u := hex.EncodeToString(id)
	secret := hex.EncodeToString(token)
	sum := sha256.Sum256([]byte(secret))
	c.store.exec(`INSERT INTO uploads VALUES(?,?,?,?,?,0)`, u, a.id, r.Size, sum[:], micros(c.now()))
	c.shelved += r.Size
	where := q.s.conn.base + "/upload/" + u + "/" + fileName(r.Name)
	c.yes(q, stanza.Slot{Put: where, Get: where, Headers: []stanza.Header{{Name: "Authorization", Value: "Bearer " + secret}}}.Element())
}

// fileName is the end of a file's URL: for people only, the relay does not look at it.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if len(name) > 128 {
		ext := path.Ext(name)
		if len(ext) > 16 {
			ext = ""
		}
		name = clip(name, 96) + ext
	}
	switch name {
	case "", ".", "..", "/":
		name = "file"
	}
	return url.PathEscape(name)
}

// keepFiles is how long a file stays.
func (c *core) keepFiles() time.Duration {
	d := keepFiles
	if c.cfg.KeepFiles > 0 {
		d = c.cfg.KeepFiles
	}
	if c.cfg.Keep > 0 {
		d = min(d, c.cfg.Keep)
	}
	return d
}

// findUpload returns a slot.
func (c *core) findUpload(id string) (u upload, ok bool) {
	c.store.each(`SELECT size, token, done FROM uploads WHERE id=? AND created>=?`, func(st *sqlite3.Stmt) bool {
		u = upload{id: id, size: st.ColumnInt64(0), done: st.ColumnBool(2)}
		ok = copy(u.token[:], st.ColumnRawBlob(1)) == len(u.token)
		return false
	}, id, micros(c.now().Add(-c.keepFiles())))
	return u, ok
}

// allows reports whether a bearer may put the file. It takes the same time
// whether or not there is such a slot.
func (u upload) allows(bearer string) bool {
	sum := sha256.Sum256([]byte(bearer))
	return subtle.ConstantTimeCompare(sum[:], u.token[:]) == 1
}

// uploaded notes that a file is there. It reports false if its time was up.
func (c *core) uploaded(id string) bool {
	if c.store.number(`SELECT count(*) FROM uploads WHERE id=?`, id) == 0 {
		return false
	}
	c.store.exec(`UPDATE uploads SET done=1, created=? WHERE id=?`, micros(c.now()), id)
	return true
}

// sweepFiles forgets files whose time is up. They are deleted once that is stored.
func (c *core) sweepFiles(now time.Time) {
	type row struct {
		id   string
		size int64
	}
	var rows []row
	for _, w := range []struct {
		done   int
		before time.Time
	}{{1, now.Add(-c.keepFiles())}, {0, now.Add(-slotTime)}} {
		c.store.each(`SELECT id, size FROM uploads WHERE created<? AND done=? LIMIT 100`, func(st *sqlite3.Stmt) bool {
			rows = append(rows, row{st.ColumnText(0), st.ColumnInt64(1)})
			return true
		}, micros(w.before), w.done)
	}
	for _, r := range rows {
		c.store.exec(`DELETE FROM uploads WHERE id=?`, r.id)
		c.shelved -= r.size
		c.removed = append(c.removed, r.id)
	}
}

// countFiles works out anew how much room files take or may come to take.
func (c *core) countFiles() {
	c.shelved = c.store.number(`SELECT coalesce(sum(size), 0) FROM uploads`)
	c.removed = nil
}

// knownUploads returns the ids of all slots.
func (c *core) knownUploads() map[string]bool {
	all := map[string]bool{}
	c.store.each(`SELECT id FROM uploads`, func(st *sqlite3.Stmt) bool { all[st.ColumnText(0)] = true; return true })
	return all
}
