package role

import "strings"

// Environment returns what a role may see of the environment env, which has the
// form of os.Environ: how the terminal draws, language and time zone, and
// nothing that could hold a secret or change how a program behaves. The link
// also sees where certificate authorities are kept.
func Environment(n Name, env []string) []string {
	var kept []string
	for _, kv := range env {
		if key, _, ok := strings.Cut(kv, "="); ok && allowed(n, key) {
			kept = append(kept, kv)
		}
	}
	// A crash prints stacks, and stacks hold memory.
	return append(kept, "GOTRACEBACK=none")
}

func allowed(n Name, key string) bool {
	switch key {
	// Not all that begins with LC_: servers for SSH let through what does, and
	// people send other things that way.
	case "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TZ":
		return true
	case "TERM", "COLORTERM", "COLORFGBG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE",
		"TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "STY", "SSH_TTY", "WT_SESSION", "VTE_VERSION":
		return n == Gate || n == Desk
	case "SSL_CERT_FILE", "SSL_CERT_DIR":
		return n == Link
	}
	return false
}
