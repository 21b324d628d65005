package relay

import (
	"bytes"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// item is one published item. lastItems sets the first two fields as well.
type item struct {
	account int64
	access  string
	id      string
	payload *stanza.Element
}

// node returns a node of an account, or nil.
func (s *store) node(account int64, name string) (n *node) {
	s.each(`SELECT access, max_items, send_last FROM nodes WHERE account=? AND node=?`, func(st *sqlite3.Stmt) bool {
		n = &node{account, name, st.ColumnText(0), st.ColumnInt(1), st.ColumnBool(2)}
		return false
	}, account, name)
	return n
}

// nodes returns all nodes of an account.
func (s *store) nodes(account int64) (all []*node) {
	s.each(`SELECT node, access, max_items, send_last FROM nodes WHERE account=? ORDER BY node`, func(st *sqlite3.Stmt) bool {
		all = append(all, &node{account, st.ColumnText(0), st.ColumnText(1), st.ColumnInt(2), st.ColumnBool(3)})
		return true
	}, account)
	return all
}

func (s *store) putNode(n *node) {
	last := 0
	if n.sendLast {
		last = 1
	}
	s.exec(`INSERT INTO nodes VALUES(?,?,?,?,?) ON CONFLICT DO UPDATE
		SET access=excluded.access, max_items=excluded.max_items, send_last=excluded.send_last`,
		n.account, n.name, n.access, n.maxItems, last)
}

func (s *store) deleteNode(n *node) {
	s.deleteItems(n)
	s.exec(`DELETE FROM nodes WHERE account=? AND node=?`, n.account, n.name)
}

// items returns the items of a node, oldest first.
func (s *store) items(account int64, name string) (all []item) {
	s.each(`SELECT item, payload FROM items WHERE account=? AND node=? ORDER BY seq`, func(st *sqlite3.Stmt) bool {
		if payload, err := stanza.Parse(bytes.Clone(st.ColumnRawBlob(1))); err == nil { // always: we wrote it
			all = append(all, item{id: st.ColumnText(0), payload: payload})
		}
		return true
	}, account, name)
	return all
}

// lastItems returns the newest item of each account's node of that name, where
// the node lets it be sent unasked.
func (s *store) lastItems(name string) (all []item) {
	s.each(`SELECT i.account, n.access, i.item, i.payload FROM items i JOIN nodes n ON n.account=i.account AND n.node=i.node
		WHERE i.node=?1 AND n.send_last<>0 AND i.seq=(SELECT max(seq) FROM items j WHERE j.account=i.account AND j.node=?1)`,
		func(st *sqlite3.Stmt) bool {
			if payload, err := stanza.Parse(bytes.Clone(st.ColumnRawBlob(3))); err == nil {
				all = append(all, item{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), payload})
			}
			return true
		}, name)
	return all
}

// itemIDs returns the ids of a node's items, the newest last.
func (s *store) itemIDs(account int64, node string) (ids []string) {
	s.each(`SELECT item FROM items WHERE account=? AND node=? ORDER BY seq`, func(st *sqlite3.Stmt) bool {
		ids = append(ids, st.ColumnText(0))
		return true
	}, account, node)
	return ids
}

func (s *store) hasItem(n *node, id string) bool {
	return s.number(`SELECT count(*) FROM items WHERE account=? AND node=? AND item=?`, n.account, n.name, id) > 0
}

// putItem adds an item as the newest one, in the place of one with its id, and
// drops the oldest beyond what the node holds.
func (s *store) putItem(n *node, id string, payload []byte) {
	s.deleteItem(n, id)
	s.exec(`INSERT INTO items(account, node, item, payload) VALUES(?,?,?,?)`, n.account, n.name, id, payload)
	s.trimItems(n)
}

func (s *store) trimItems(n *node) {
	s.exec(`DELETE FROM items WHERE seq IN (SELECT seq FROM items WHERE account=? AND node=? ORDER BY seq DESC LIMIT -1 OFFSET ?)`,
		n.account, n.name, n.maxItems)
}

func (s *store) deleteItem(n *node, id string) {
	s.exec(`DELETE FROM items WHERE account=? AND node=? AND item=?`, n.account, n.name, id)
}

func (s *store) deleteItems(n *node) {
	s.exec(`DELETE FROM items WHERE account=? AND node=?`, n.account, n.name)
}
