package store

import (
	"context"
	"fmt"
)

// migrations bring a database from version i to i+1. A released one is never
// changed; what is to be different gets a new one at the end.
var migrations = [...]string{
	`
CREATE TABLE value (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE conversation (
	id           INTEGER PRIMARY KEY,
	peer         TEXT NOT NULL UNIQUE,        -- bare JID
	contact      INTEGER NOT NULL DEFAULT 0,  -- whether it is in the roster
	name         TEXT NOT NULL DEFAULT '',
	grp          TEXT NOT NULL DEFAULT '',
	subscription TEXT NOT NULL DEFAULT '',
	draft        TEXT NOT NULL DEFAULT '',
	last         INTEGER REFERENCES message,  -- the message that stands last
	anchor       INTEGER REFERENCES message   -- the last of those that the archive has settled
);

CREATE TABLE message (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	conversation INTEGER NOT NULL REFERENCES conversation,
	outgoing     INTEGER NOT NULL,
	sender       TEXT NOT NULL,
	device       INTEGER NOT NULL,
	origin       TEXT,
	archive      TEXT,
	cipher       BLOB,                        -- hash of the key that it came with
	place        INTEGER NOT NULL,            -- where it stands in its conversation; no two are the same there
	settled      INTEGER NOT NULL DEFAULT 0,  -- whether the archive has confirmed its place
	strand       BLOB,                        -- the OMEMO session it came in; within it, (epoch, counter)
	epoch        INTEGER,                     -- is the order in which its device encrypted
	counter      INTEGER,
	time         INTEGER NOT NULL,            -- µs since 1970; for people to read, and nothing else
	stored       INTEGER NOT NULL,
	body         TEXT NOT NULL,
	state        INTEGER NOT NULL,
	encrypted    INTEGER NOT NULL,
	fingerprint  BLOB,
	kind         INTEGER NOT NULL,
	urgency      INTEGER NOT NULL,
	read         INTEGER NOT NULL
);
CREATE INDEX message_order ON message (conversation, place);
CREATE UNIQUE INDEX message_origin ON message (conversation, origin, sender) WHERE origin IS NOT NULL;
CREATE UNIQUE INDEX message_archive ON message (conversation, archive) WHERE archive IS NOT NULL;
CREATE INDEX message_cipher ON message (conversation, cipher) WHERE cipher IS NOT NULL;
CREATE INDEX message_strand ON message (conversation, strand, epoch, counter, place) WHERE strand IS NOT NULL;
CREATE INDEX message_unread ON message (conversation, place, urgency) WHERE read = 0;

CREATE TABLE outbox (
	message INTEGER PRIMARY KEY REFERENCES message,
	stanza  BLOB,
	sent    INTEGER NOT NULL DEFAULT 0,       -- when the relay had it last; 0 if it has not
	tries   INTEGER NOT NULL DEFAULT 0        -- how often it has had it
);

CREATE TABLE epoch (
	strand BLOB NOT NULL,
	chain  BLOB NOT NULL,
	epoch  INTEGER NOT NULL,
	PRIMARY KEY (strand, chain)
) WITHOUT ROWID;

CREATE TABLE device (
	peer        TEXT NOT NULL,
	id          INTEGER NOT NULL,
	fingerprint BLOB,
	trust       INTEGER NOT NULL,
	active      INTEGER NOT NULL,
	first_seen  INTEGER NOT NULL,
	PRIMARY KEY (peer, id)
) WITHOUT ROWID;

CREATE TABLE archive (
	name     TEXT PRIMARY KEY,
	position TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE identity (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	state BLOB NOT NULL
);

CREATE TABLE session (
	peer   TEXT NOT NULL,
	device INTEGER NOT NULL,
	state  BLOB NOT NULL,
	PRIMARY KEY (peer, device)
);

CREATE TABLE prekey (
	id  INTEGER PRIMARY KEY,
	key BLOB NOT NULL
);

CREATE TABLE signed_prekey (
	id        INTEGER PRIMARY KEY,
	key       BLOB NOT NULL,
	signature BLOB NOT NULL,
	created   INTEGER NOT NULL
);
`,
}

// migrate brings the schema up to this version, one transaction a step.
func (s *Store) migrate(ctx context.Context, version int) error {
	if version < 0 || version > len(migrations) {
		return fmt.Errorf("opening the message database: %w", ErrNewer)
	}
	for ; version < len(migrations); version++ {
		err := s.conn.Exec(fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version=%d; COMMIT", migrations[version], version+1))
		if err != nil {
			s.rollback()
			return interrupted(ctx, err)
		}
	}
	return nil
}

func (s *Store) version() (int, error) {
	st, _, err := s.conn.Prepare("PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	defer st.Close()
	var version int
	if st.Step() {
		version = st.ColumnInt(0)
	}
	return version, st.Err()
}
