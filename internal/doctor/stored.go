package doctor

import (
	"fmt"
	"strings"

	"sotto/internal/role"
)

// Looked is the report on a message database that was looked into.
func Looked(c role.Checked) Report {
	return report([]Check{judgeStore(c).as("profile", "store")})
}

func judgeStore(c role.Checked) finding {
	found := fmt.Sprintf("%d messages in %s", c.Messages, size(int64(c.Kilobytes)<<10))
	if c.Messages == 1 {
		found = strings.Replace(found, "messages", "message", 1)
	}
	if c.Problems == 0 {
		return good(found + ", all of it sound")
	}
	number := fmt.Sprint(c.Problems)
	if c.Problems >= 10 {
		number = "10 or more"
	}
	return finding{Bad, fmt.Sprintf("%s, %s problems: %s", found, number, c.First),
		"Some messages may be missing or unreadable.", "Check the disk; put the data folder back from a backup, or join anew: sotto wipe, then sotto join"}
}
