package stanza

import (
	"strconv"
	"time"
)

// nsRetention is the form in which sotto's own relay says how long it keeps
// messages: there is no XEP for that.
const nsRetention = "urn:sotto:retention:0"

// maxRetention bounds what is believed: 100 years, in seconds.
const maxRetention = 100 * 366 * 24 * 3600

// RetentionInfo is the form (XEP-0128) for a relay's disco#info answer that says
// after what time it deletes messages; 0 is that no time is set.
func RetentionInfo(keep time.Duration) *Element {
	return DataForm{Type: "result", FormType: nsRetention, Fields: []FormField{
		{Var: "messages", Values: []string{strconv.FormatInt(int64(keep/time.Second), 10)}}}}.Element()
}

// ReadRetention reads from a disco#info answer how long a relay says that it keeps
// messages, 0 for no limit; said is false where it does not say.
func ReadRetention(iq *Element) (keep time.Duration, said bool) {
	for e := range iq.Child(NSDiscoInfo, "query").Elements() {
		if f, err := ReadDataForm(e); err == nil && f.FormType == nsRetention {
			n, err := strconv.ParseUint(f.Value("messages"), 10, 32)
			if err != nil || n > maxRetention {
				return 0, false
			}
			return time.Duration(n) * time.Second, true
		}
	}
	return 0, false
}
