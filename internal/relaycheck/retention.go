package relaycheck

import (
	"context"
	"fmt"
	"time"

	"sotto/client/stanza"
)

// sweep is how much older than allowed a message may be: relays delete what has
// expired once a day.
const sweep = 25 * time.Hour

// kept is what is known of how long a relay keeps messages.
type kept struct {
	said bool          // it says so
	keep time.Duration // what it says; 0: without end

	messages bool          // an account has some
	age      time.Duration // of the oldest that was found
}

// retention compares how long the relay keeps messages with what the organisation's
// policy allows. No extension tells it, and only sotto relay serve does: elsewhere
// the messages of the accounts have to. One that is too old proves that messages
// are kept for too long. Nothing proves that the others will be deleted, nor that
// rooms and files are: the room that the check makes is too young to have anything
// old, and others it does not know. Where the relay does not say what it does, the
// finding says that.
func (s *scene) retention(ctx context.Context) {
	if s.Retention == 0 {
		s.set("archive.retention", skip("needs what is allowed: --policy or --retention"))
		return
	}
	k, now := s.relayKeeps, time.Now()
	for _, who := range []*session{s.one, s.other} {
		if who == nil {
			continue
		}
		// An archive need not be in the order of time: so what is too old is asked for.
		for _, q := range []stanza.MAMQuery{{Max: 1, End: now.Add(-s.Retention - sweep)}, {Max: 1}} {
			_, _, results, err := s.page(ctx, who, "", q)
			if err != nil {
				s.set("archive.retention", skip("the archive fails: %s", why(err)))
				return
			}
			if len(results) > 0 && !results[0].Time.IsZero() {
				k.messages, k.age = true, max(k.age, now.Sub(results[0].Time))
			}
		}
	}
	s.set("archive.retention", k.against(s.Retention))
}

// against judges by what is allowed.
func (k kept) against(allowed time.Duration) finding {
	tooLong := func(found string) finding {
		return bad(found+"; the policy allows "+span(allowed), "The relay cannot read the messages, but knows for longer than allowed who wrote to whom and when.",
			"Delete messages after "+span(allowed)+": archive_expires_after and muc_log_expires_after in Prosody, delete_old_mam_messages once a day with ejabberd, --keep with sotto relay serve.")
	}
	const elsewhere = "; rooms and files are not looked at"
	switch {
	case k.age > allowed+sweep:
		return tooLong("a message is " + span(k.age) + " old")
	case k.said && k.keep == 0:
		return tooLong("the relay says that it keeps messages without end")
	case k.said && k.keep > allowed:
		return tooLong("the relay says that it keeps messages for " + span(k.keep))
	case k.said:
		return good("the relay says that it keeps messages for %s; the policy allows %s", span(k.keep), span(allowed))
	case k.messages && k.age > allowed*9/10:
		return good("the oldest message in these accounts is %s old; the policy allows %s"+elsewhere, span(k.age), span(allowed))
	case k.messages:
		return skip("not known yet: the oldest message in these accounts is %s old, and only accounts older than %s show it"+elsewhere, span(k.age), span(allowed))
	default:
		return skip("not known: there are no messages in these accounts, and only accounts older than %s show it"+elsewhere, span(allowed))
	}
}

// span writes a length of time for people.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d < 2*oneDay:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return fmt.Sprintf("%d days", d/oneDay)
	}
}
