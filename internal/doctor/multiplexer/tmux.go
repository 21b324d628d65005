package multiplexer

import (
	"context"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// question is what tmux is asked; formats know its options by name.
const question = "#{alternate-screen}|#{set-clipboard}|#{focus-events}|#{history_limit}|#{session_attached}|#{pane_pipe}"

// maxAnswer bounds what is read of it.
const maxAnswer = 256

// ask asks the tmux that $TMUX names about the pane that $TMUX_PANE names; nil
// if it does not answer.
func ask(ctx context.Context, getenv func(string) string) *Tmux {
	args := []string{"display-message", "-p"}
	if pane := getenv("TMUX_PANE"); validPane(pane) {
		args = append(args, "-t", pane)
	}
	cmd := exec.CommandContext(ctx, "tmux", append(args, question)...)
	cmd.WaitDelay = 100 * time.Millisecond
	cmd.Env = []string{"LANG=C"}
	for _, name := range []string{"TMUX", "TMUX_PANE", "PATH", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+getenv(name))
	}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(out, maxAnswer))
	if cmd.Wait() != nil {
		return nil
	}
	return parseTmux(string(b))
}

// validPane keeps a variable from becoming another argument.
func validPane(s string) bool {
	n, ok := strings.CutPrefix(s, "%")
	_, err := strconv.ParseUint(n, 10, 32)
	return ok && err == nil
}

// parseTmux reads the answer; nil if it is none.
func parseTmux(s string) *Tmux {
	f := strings.Split(strings.TrimSpace(s), "|")
	if len(f) != 6 {
		return nil
	}
	t := &Tmux{
		// An older tmux does not know the option by this name; on is the default.
		Alternate: f[0] != "off" && f[0] != "0",
		Focus:     f[2] == "on" || f[2] == "1",
		Piped:     f[5] == "1",
		History:   count(f[3]), Attached: count(f[4]),
	}
	switch f[1] {
	case "on", "external", "off":
		t.Clipboard = f[1]
	}
	return t
}

func count(s string) int {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}
