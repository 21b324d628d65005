package relay

// schema makes the database, version by version: a new one runs all steps, an
// older one those it lacks, in one transaction. Steps are never changed, only
// added.
//
// Times are microseconds since 1970. An archive id is the time of archiving in
// microseconds, made unique by counting up, so that ids sort by time and tell a
// client nothing about other people's traffic. The archive's account is a
// person's, or, negative, a room's. A mailbox row either points into the archive
// or holds its own stanza.
var schema = []string{`
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE users(
	id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
	display TEXT NOT NULL, team TEXT NOT NULL,
	salt BLOB NOT NULL, stored BLOB NOT NULL, server BLOB NOT NULL, iterations INTEGER NOT NULL,
	changed INTEGER NOT NULL);
CREATE TABLE archive(
	id INTEGER PRIMARY KEY, account INTEGER NOT NULL, time INTEGER NOT NULL,
	peer TEXT NOT NULL, resource TEXT NOT NULL, stanza BLOB NOT NULL);
CREATE INDEX archive_account ON archive(account);
CREATE INDEX archive_peer ON archive(account, peer);
CREATE TABLE mailbox(
	id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, time INTEGER NOT NULL,
	archive INTEGER, stanza BLOB);
CREATE INDEX mailbox_account ON mailbox(account);
CREATE TABLE nodes(
	account INTEGER NOT NULL, node TEXT NOT NULL, access TEXT NOT NULL,
	max_items INTEGER NOT NULL, send_last INTEGER NOT NULL,
	PRIMARY KEY(account, node)) WITHOUT ROWID;
CREATE TABLE items(
	seq INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, node TEXT NOT NULL,
	item TEXT NOT NULL, payload BLOB NOT NULL, UNIQUE(account, node, item));
CREATE INDEX items_node ON items(node);
CREATE TABLE blocks(account INTEGER NOT NULL, address TEXT NOT NULL, PRIMARY KEY(account, address)) WITHOUT ROWID;
`,
	// archive_use says how much of an archive each conversation takes; the row
	// without a peer is the sum. garbage names archives whose room is gone.
	`
ALTER TABLE users ADD COLUMN admin INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN peer TEXT NOT NULL DEFAULT '';
CREATE INDEX mailbox_peer ON mailbox(account, peer);
CREATE TABLE archive_use(
	account INTEGER NOT NULL, peer TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
	PRIMARY KEY(account, peer)) WITHOUT ROWID;
INSERT INTO archive_use SELECT account, peer, count(*), sum(length(stanza)) FROM archive GROUP BY account, peer;
INSERT INTO archive_use SELECT account, '', count(*), sum(length(stanza)) FROM archive GROUP BY account;
CREATE TABLE garbage(account INTEGER PRIMARY KEY);
CREATE TABLE rooms(
	id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, creator INTEGER NOT NULL, created INTEGER NOT NULL,
	title TEXT NOT NULL, description TEXT NOT NULL, public INTEGER NOT NULL, invites INTEGER NOT NULL, topics INTEGER NOT NULL,
	subject TEXT NOT NULL, subject_from TEXT NOT NULL, subject_time INTEGER NOT NULL, secret BLOB NOT NULL);
CREATE INDEX rooms_creator ON rooms(creator);
CREATE TABLE affiliations(
	room INTEGER NOT NULL, account INTEGER NOT NULL, level INTEGER NOT NULL,
	PRIMARY KEY(room, account)) WITHOUT ROWID;
CREATE INDEX affiliations_account ON affiliations(account);
CREATE TABLE uploads(
	id TEXT PRIMARY KEY, account INTEGER NOT NULL, size INTEGER NOT NULL, token BLOB NOT NULL,
	created INTEGER NOT NULL, done INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX uploads_account ON uploads(account);
CREATE INDEX uploads_created ON uploads(created);
`}
