package doctor

import (
	"context"
	"fmt"
	"time"

	"sotto/internal/inforce"
)

// organisation looks at what an organisation has signed for this device, as it stands
// beside the database: whose device it is, how old the policy is, how long it goes on
// without a word. What waits to be sent to the auditor is in the database only.
func (p place) organisation(context.Context) finding {
	copy, err := inforce.Read(p.Data)
	if err != nil {
		return finding{Weak, err.Error(), "Until then a policy that is missing here does not hold before the PIN is given.", "Unlock sotto once."}
	}
	return belongs(copy, time.Now())
}

// belongs says how that stands. The lease counts from the newest head of which all that
// it names is here, and only the database knows which that is: from the newest head
// counts how long the lease is at most.
func belongs(c *inforce.Copy, now time.Time) finding {
	if c == nil {
		return good("none, or not unlocked since joining one")
	}
	found := c.Anchor.Key.Name()
	if c.Policy == nil {
		found += ", no policy yet"
	} else {
		found += fmt.Sprintf(", policy %d (%s)", c.Policy.Serial, short(now.Sub(c.Policy.Issued)))
	}
	audit := ""
	if auditor := c.Policy.Value("auditor"); auditor.Set() {
		audit = "; the audit log goes to " + auditor.Text()
	}
	if c.Head.Issued.IsZero() {
		return good(found + audit)
	}
	heard, lease := now.Sub(c.Head.Issued), c.Policy.Lease()
	switch left := lease - heard; {
	case heard < -10*time.Minute:
		return finding{Bad, found + fmt.Sprintf("; its last word is %s in the future", roughly(-heard)) + audit,
			"The clock of this computer is behind, so sotto stays locked.", "Put the clock right."}
	case left <= 0:
		return finding{Bad, found + fmt.Sprintf("; not heard for %s", roughly(heard)) + audit,
			fmt.Sprintf("The policy lets sotto go on for %s without a word of the organisation; it stays locked until there is one.", roughly(lease)),
			"Go online. If that does not help, ask your administrator whether sotto org serve runs."}
	case left <= lease/4:
		return finding{Weak, found + fmt.Sprintf("; not heard for %s", roughly(heard)) + audit,
			fmt.Sprintf("If nothing is heard, sotto locks in %s at the latest.", roughly(up(left))),
			"Go online. If that does not help, ask your administrator whether sotto org serve runs."}
	default:
		return good(found + ", lease at most " + short(up(left)) + audit)
	}
}

// roughly writes a length of time, rounded down.
func roughly(d time.Duration) string {
	n, unit := measure(d)
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// short is roughly as policies write times: 12d, 5h, 3m.
func short(d time.Duration) string {
	n, unit := measure(d)
	return fmt.Sprintf("%d%c", n, unit[0])
}

func measure(d time.Duration) (int, string) {
	switch {
	case d >= 48*time.Hour:
		return int(d / (24 * time.Hour)), "day"
	case d >= time.Hour:
		return int(d / time.Hour), "hour"
	}
	return int(max(d, 0) / time.Minute), "minute"
}

// up rounds a length of time up to what roughly and short write, for what is at most.
func up(d time.Duration) time.Duration {
	unit := time.Minute
	switch {
	case d >= 48*time.Hour:
		unit = 24 * time.Hour
	case d >= time.Hour:
		unit = time.Hour
	}
	return (d + unit - 1).Truncate(unit)
}
