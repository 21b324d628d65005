package quote

import "strings"

// forwardMark begins the line that says of a text that it is somebody else's.
const forwardMark = "[forwarded] "

// Forward returns the text that passes on what somebody else has written: a comment,
// if there is one, a line that says whose words they are and when they were written,
// and the words themselves as a quote. Whoever gets it has only the sender's word for
// that.
func Forward(author, when, body, comment string) string {
	var b strings.Builder
	if comment = strings.TrimRight(comment, " \t\r\n"); comment != "" {
		b.WriteString(comment + "\n")
	}
	b.WriteString(forwardMark + strings.Join(strings.Fields(author+", "+when), " ") + ":")
	for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
		b.WriteString("\n>")
		if line != "" {
			b.WriteString(" " + line)
		}
	}
	return b.String()
}

// IsForward reports whether a text passes on somebody else's words.
func IsForward(body string) bool {
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, forwardMark) {
			return true
		}
	}
	return false
}
