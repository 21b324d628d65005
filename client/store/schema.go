package store

import (
	"context"
	"fmt"
	"strings"
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
	`
ALTER TABLE conversation ADD COLUMN lifespan INTEGER NOT NULL DEFAULT 0; -- of its messages, in µs; 0 for ever

ALTER TABLE message ADD COLUMN gone      INTEGER NOT NULL DEFAULT 0;     -- why its text is gone (type Gone)
ALTER TABLE message ADD COLUMN gone_at   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN gone_by   TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;     -- when, last; 0 never
ALTER TABLE message ADD COLUMN reply     TEXT;                           -- id of the message it answers
ALTER TABLE message ADD COLUMN reply_to  TEXT;                           -- and that one's author
ALTER TABLE message ADD COLUMN expires   INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_expires ON message (expires) WHERE expires > 0;
CREATE INDEX message_urgent ON message (conversation, outgoing, place) WHERE urgency > 0;

-- Full-text search. What is new waits in unindexed and is indexed many at a time.
CREATE VIRTUAL TABLE search USING fts5(body, tags, content='', columnsize=0, prefix='3 4', tokenize='sotto');
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search, rank) VALUES ('pgsz', 4000);                 -- so that a page of the index fits a page of the file
CREATE TABLE indexed (
	moment  INTEGER PRIMARY KEY,                                         -- rowid in search: time in 1/16 s, made unique
	message INTEGER NOT NULL UNIQUE
);
CREATE TABLE unindexed (message INTEGER PRIMARY KEY);
INSERT INTO unindexed SELECT id FROM message WHERE kind = 0 AND body <> '';

-- Who changes or removes a message need not know of the index.
CREATE TRIGGER message_changed AFTER UPDATE OF body, kind ON message WHEN old.body <> new.body OR old.kind <> new.kind BEGIN
	INSERT INTO search (search, rowid, body, tags)
		SELECT 'delete', moment, old.body, sotto_tags(old.conversation, old.sender) FROM indexed WHERE message = old.id;
	DELETE FROM indexed WHERE message = old.id;
	DELETE FROM unindexed WHERE message = old.id;
	INSERT INTO unindexed SELECT new.id WHERE new.kind = 0 AND new.body <> '';
	SELECT sotto_gone();
END;
CREATE TRIGGER message_removed BEFORE DELETE ON message BEGIN
	INSERT INTO search (search, rowid, body, tags)
		SELECT 'delete', moment, old.body, sotto_tags(old.conversation, old.sender) FROM indexed WHERE message = old.id;
	DELETE FROM indexed WHERE message = old.id;
	DELETE FROM unindexed WHERE message = old.id;
	SELECT sotto_gone();
END;

CREATE TABLE mark (                           -- #mrn:44120, @role/cardiology and the like in a text
	kind    INTEGER NOT NULL,
	value   TEXT NOT NULL,
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	PRIMARY KEY (kind, value, message)
) WITHOUT ROWID;
CREATE INDEX mark_message ON mark (message);

CREATE TABLE waiting (                        -- messages that may wait for this person
	message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
	urgency INTEGER NOT NULL
);
CREATE INDEX waiting_order ON waiting (urgency DESC, message);

CREATE TABLE acknowledgement (
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	sender  TEXT NOT NULL,
	time    INTEGER NOT NULL,
	PRIMARY KEY (message, sender)
) WITHOUT ROWID;

CREATE TABLE reaction (
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	sender  TEXT NOT NULL,
	set_    TEXT NOT NULL,                    -- separated by line ends
	time    INTEGER NOT NULL,
	PRIMARY KEY (message, sender)
) WITHOUT ROWID;

CREATE TABLE attachment (
	id       INTEGER PRIMARY KEY,
	message  INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	name     TEXT NOT NULL,
	type     TEXT NOT NULL,
	size     INTEGER NOT NULL,
	url      TEXT NOT NULL,
	key      BLOB,
	state    INTEGER NOT NULL,
	progress INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attachment_message ON attachment (message);
CREATE INDEX attachment_moving ON attachment (state) WHERE state IN (1, 2, 4);

CREATE TABLE recipient (                      -- how far a message has come with each who shall have it
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	address TEXT NOT NULL,
	state   INTEGER NOT NULL,
	time    INTEGER NOT NULL,
	PRIMARY KEY (message, address)
) WITHOUT ROWID;

CREATE TABLE recall (                         -- devices that are to carry out a recall
	message INTEGER NOT NULL REFERENCES message ON DELETE CASCADE,
	peer    TEXT NOT NULL,
	device  INTEGER NOT NULL,
	outcome INTEGER NOT NULL DEFAULT 0,
	time    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (message, peer, device)
) WITHOUT ROWID;

CREATE TABLE recalled_ahead (                 -- recalls of messages that are not here yet
	id           INTEGER PRIMARY KEY,
	conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
	origin       TEXT NOT NULL,
	sender       TEXT NOT NULL,
	time         INTEGER NOT NULL,
	UNIQUE (conversation, origin, sender)
);

CREATE TABLE spent (                          -- ciphertexts that led to no line of their own, as corrections
	conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
	cipher       BLOB NOT NULL,
	PRIMARY KEY (conversation, cipher)
) WITHOUT ROWID;

CREATE TABLE room (
	conversation INTEGER PRIMARY KEY REFERENCES conversation ON DELETE CASCADE,
	nick         TEXT NOT NULL,
	topic        TEXT NOT NULL DEFAULT '',
	joined       INTEGER NOT NULL DEFAULT 0   -- whether the person wants to be in it
);

CREATE TABLE member (
	conversation INTEGER NOT NULL REFERENCES room ON DELETE CASCADE,
	address      TEXT NOT NULL,               -- bare JID
	nick         TEXT NOT NULL,
	affiliation  TEXT NOT NULL,
	since        INTEGER NOT NULL,            -- when it was seen first
	PRIMARY KEY (conversation, address)
) WITHOUT ROWID;

CREATE TABLE reader (                         -- devices that the person was shown as able to read a conversation
	conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
	address      TEXT NOT NULL,
	device       INTEGER NOT NULL,
	shown        INTEGER NOT NULL,
	PRIMARY KEY (conversation, address, device)
) WITHOUT ROWID;

CREATE TABLE gap (                            -- what may be missing of an archive
	id      INTEGER PRIMARY KEY,
	archive TEXT NOT NULL,
	after   TEXT NOT NULL,                    -- archive ids of what is here on both sides; '' if nothing is
	before  TEXT NOT NULL,
	since   INTEGER NOT NULL,
	until   INTEGER NOT NULL
);
CREATE INDEX gap_archive ON gap (archive, since, id);
`,
	`
-- Who stands behind sender in a room, where nicknames change hands.
ALTER TABLE message ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE recalled_ahead ADD COLUMN author TEXT NOT NULL DEFAULT '';

-- Our own words in place of a message are no secret.
DROP TRIGGER message_changed;
CREATE TRIGGER message_changed AFTER UPDATE OF body, kind ON message WHEN old.body <> new.body OR old.kind <> new.kind BEGIN
	INSERT INTO search (search, rowid, body, tags)
		SELECT 'delete', moment, old.body, sotto_tags(old.conversation, old.sender) FROM indexed WHERE message = old.id;
	DELETE FROM indexed WHERE message = old.id;
	DELETE FROM unindexed WHERE message = old.id;
	INSERT INTO unindexed SELECT new.id WHERE new.kind = 0 AND new.body <> '';
	SELECT sotto_gone() WHERE old.kind = 0;
END;
`,
	`
-- The index in shards (see shard.go): a search for frequent words reads the newest.
DROP TRIGGER message_changed;
DROP TRIGGER message_removed;
DROP TABLE search;
DROP TABLE indexed;
CREATE VIRTUAL TABLE search USING fts5(body, tags, content='', columnsize=0, prefix='4 5', tokenize='sotto');
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search, rank) VALUES ('pgsz', 4000);
CREATE TABLE shard (
	id    INTEGER PRIMARY KEY,
	low   INTEGER NOT NULL,                   -- moments of the first and the last text that it has had
	high  INTEGER NOT NULL,
	texts INTEGER NOT NULL                    -- how many it has had
);
CREATE TABLE indexed (
	moment  INTEGER PRIMARY KEY,              -- rowid in search: time in 1/16 s, made unique
	message INTEGER NOT NULL UNIQUE,
	shard   INTEGER NOT NULL
);
INSERT INTO unindexed SELECT id FROM message WHERE kind = 0 AND body <> '' AND id NOT IN (SELECT message FROM unindexed);
CREATE TRIGGER message_changed AFTER UPDATE OF body, kind ON message WHEN old.body <> new.body OR old.kind <> new.kind BEGIN
	INSERT INTO search (search, rowid, body, tags)
		SELECT 'delete', moment, sotto_shard(shard, old.body), sotto_shard(shard, sotto_tags(old.conversation, old.sender)) FROM indexed WHERE message = old.id;
	DELETE FROM indexed WHERE message = old.id;
	DELETE FROM unindexed WHERE message = old.id;
	INSERT INTO unindexed SELECT new.id WHERE new.kind = 0 AND new.body <> '';
	SELECT sotto_gone() WHERE old.kind = 0;
END;
CREATE TRIGGER message_removed BEFORE DELETE ON message BEGIN
	INSERT INTO search (search, rowid, body, tags)
		SELECT 'delete', moment, sotto_shard(shard, old.body), sotto_shard(shard, sotto_tags(old.conversation, old.sender)) FROM indexed WHERE message = old.id;
	DELETE FROM indexed WHERE message = old.id;
	DELETE FROM unindexed WHERE message = old.id;
	SELECT sotto_gone();
END;

-- Own messages that could not be sent wait for this person, too, until they are.
CREATE TRIGGER message_failed AFTER UPDATE OF state ON message WHEN old.state <> new.state AND 5 IN (old.state, new.state) BEGIN
	DELETE FROM waiting WHERE message = new.id;
	INSERT INTO waiting SELECT new.id, 0 WHERE new.state = 5;
END;
INSERT INTO waiting SELECT id, 0 FROM message WHERE state = 5 ON CONFLICT DO NOTHING;
`,
	`
ALTER TABLE recalled_ahead ADD COLUMN digest BLOB; -- of the text that is to go (type Recalling); NULL if any

CREATE TABLE correction (                     -- messages that say another way what an earlier one said
	message      INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
	conversation INTEGER NOT NULL,
	sender       TEXT NOT NULL,               -- of both
	origin       TEXT NOT NULL                -- of the earlier one
);
CREATE INDEX correction_of ON correction (conversation, sender, origin);

CREATE TABLE recall_answer (                  -- what others still have to be told of what they took back
	id      TEXT PRIMARY KEY,                 -- of the stanza that tells
	peer    TEXT NOT NULL,
	device  INTEGER NOT NULL,
	origin  TEXT NOT NULL,
	outcome INTEGER NOT NULL
) WITHOUT ROWID;
`,
	`
ALTER TABLE conversation ADD COLUMN draft_message INTEGER NOT NULL DEFAULT 0;  -- type Draft; 0: about none
ALTER TABLE conversation ADD COLUMN draft_corrects INTEGER NOT NULL DEFAULT 0;
`,
	`
ALTER TABLE gap ADD COLUMN newest INTEGER NOT NULL DEFAULT 0; -- the message that was stored last before the gap was found
CREATE TABLE gap_edge (                       -- where a gap begins in conversations (see gapplace.go)
	gap          INTEGER NOT NULL REFERENCES gap ON DELETE CASCADE,
	conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
	message      INTEGER NOT NULL REFERENCES message ON DELETE CASCADE, -- the last before it
	PRIMARY KEY (gap, conversation)
) WITHOUT ROWID;
CREATE INDEX gap_edge_message ON gap_edge (message);
INSERT INTO gap_edge (gap, conversation, message)
	SELECT gap, conversation, message FROM (SELECT g.id AS gap, c.id AS conversation, (SELECT m.id FROM message m
			WHERE m.conversation = c.id AND m.settled AND m.time <= g.since ORDER BY m.place DESC LIMIT 1) AS message
		FROM gap g JOIN conversation c ON CASE WHEN EXISTS (SELECT 1 FROM conversation x JOIN room r ON r.conversation = x.id WHERE x.peer = g.archive)
			THEN c.peer = g.archive ELSE NOT EXISTS (SELECT 1 FROM room r WHERE r.conversation = c.id) END
		WHERE g.before <> '') WHERE message IS NOT NULL;
`,
	`
CREATE INDEX message_retraction ON message (conversation, reply, place) WHERE kind = 2; -- see shown.go
`,
	auditSchema,
	directorySchema,
	adminSchema,
	orderSchema,
	heldSchema,
}

// migrate brings the schema up to this version, in one transaction.
func (s *Store) migrate(ctx context.Context, version int) error {
	if version < 0 || version > len(migrations) {
		return fmt.Errorf("opening the message database: %w", ErrNewer)
	}
	if version == len(migrations) {
		return nil
	}
	err := s.conn.Exec("BEGIN IMMEDIATE; " + strings.Join(migrations[version:], "; "))
	if err == nil {
		tx := &Tx{s: s, ctx: ctx, write: true}
		if version == 1 {
			err = tx.readMarks()
		}
		if err == nil {
			err = tx.indexNew(1)
		}
	}
	if err == nil {
		err = s.conn.Exec(fmt.Sprintf("PRAGMA user_version=%d; COMMIT", len(migrations)))
	}
	if err != nil {
		s.rollback()
		return interrupted(ctx, err)
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
