package tui

// action is something a key does outside the composer.
type action int

// The actions.
const (
	none action = iota
	lockNow
	stopNow
	quit
	interrupt
	help
	showList
	showDevices
	switchTo
	search
	showInbox
	nextUnread
	pageUp
	pageDown
	lineUp
	lineDown
	chooseAbove
	chooseBelow
	acknowledge
	replyTo
	correct
	takeBack
	showFate
	showPolicy
	forwardTo
	toStart
	toEnd
	submit
	complete
	back
	copyKey
	pasteKey
)

// binding gives an action its keys, as Bubble Tea names them, and its line in the help.
type binding struct {
	action action
	keys   []string
	label  string // what is printed on the keys; "" to leave it out of the help
	words  string
}

// bindings are the keys outside the composer, in the order of the help. Alt
// stands beside Ctrl for those who work under tmux or screen. Ctrl+L right
// behind Esc, as a slow line may bring it, is Ctrl+Alt+L to who reads it.
func bindings(reveal bool) []binding {
	list := []binding{
		{lockNow, []string{"ctrl+l", "ctrl+alt+l"}, "Ctrl+L", "lock now"},
		{switchTo, []string{"ctrl+k", "alt+g"}, "Ctrl+K, Alt+G", "go to a conversation"},
		{search, []string{"ctrl+f", "alt+s"}, "Ctrl+F, Alt+S", "search all messages"},
		{showInbox, []string{"f4", "alt+n"}, "F4, Alt+N", "inbox: what waits for you"},
		{nextUnread, []string{"alt+a"}, "Alt+A", "next unread, the urgent first"},
		{chooseAbove, []string{"alt+up"}, "Alt+Up, Alt+Down", "choose a message, and act on it"},
		{chooseBelow, []string{"alt+down"}, "", ""},
		{acknowledge, []string{"alt+enter", "alt+kpenter"}, "Alt+Enter", "acknowledge the chosen or the newest STAT"},
		{replyTo, []string{"alt+r"}, "Alt+R, Alt+E", "answer a message, correct your own"},
		{correct, []string{"alt+e"}, "", ""},
		{takeBack, []string{"alt+t"}, "Alt+T", "take your message back, everywhere"},
		{showFate, []string{"alt+w"}, "Alt+W", "who has the message, and since when"},
		{forwardTo, []string{"alt+p"}, "Alt+P", "pass a message on to somebody else"},
		{showList, []string{"f2", "alt+l"}, "F2, Alt+L", "conversation list"},
		{showDevices, []string{"f3"}, "F3", "who can read, and compare devices"},
		{showPolicy, []string{"f5"}, "F5", "what holds here, and who decides it"},
		{help, []string{"f1", "alt+h"}, "F1, Alt+H", "this help"},
		{pageUp, []string{"pgup", "alt+v", "shift+pgup"}, "PgUp", "read further up"},
		{pageDown, []string{"pgdown", "shift+pgdown"}, "PgDn", "read further down"},
		{lineUp, []string{"shift+up"}, "Shift+Up, Down", "the same by a line"},
		{lineDown, []string{"shift+down"}, "", ""},
		{toStart, []string{"ctrl+home", "alt+<"}, "Home, Ctrl+Home", "first loaded message"},
		{toEnd, []string{"ctrl+end", "alt+>"}, "End, Ctrl+End", "newest message"},
		{submit, []string{"enter", "kpenter"}, "Enter", "send"},
		{complete, []string{"tab"}, "Tab", "complete a / command"},
		{back, []string{"esc"}, "Esc", "back"},
		{interrupt, []string{"ctrl+c"}, "Ctrl+C", "clear what is written; nothing is copied"},
		{quit, []string{"ctrl+q", "ctrl+alt+q"}, "Ctrl+Q", "quit"},
		{stopNow, []string{"ctrl+z", "ctrl+alt+z"}, "Ctrl+Z", "lock, and back to the shell"},
		{copyKey, []string{"ctrl+shift+c", "ctrl+insert", "super+c", "ctrl+x", "ctrl+shift+x"}, "", ""},
		{pasteKey, []string{"ctrl+v", "shift+insert", "super+v", "ctrl+shift+v"}, "", ""},
	}
	return chooseLabels(list, reveal)
}

// writing are the composer's keys, for the help. They are those of readline.
func writing(reveal bool) [][2]string {
	history := "Up, Down"
	if reveal {
		history = "Ctrl+P, Ctrl+N"
	}
	return [][2]string{
		{"Ctrl+J, Shift+Enter", "new line"},
		{history, "what was sent before"},
		{"Ctrl+A, Ctrl+E", "start, end of the line"},
		{"Alt+B, Alt+F", "a word back, forward"},
		{"Ctrl+W, Alt+D", "delete the word before, after"},
		{"Ctrl+U, Alt+K", "delete to the start, the end"},
		{"Ctrl+Y", "put back what was deleted"},
		{"Ctrl+T", "swap two characters"},
	}
}

// keymap finds the action of a key.
type keymap map[string]action

func keysFor(list []binding) keymap {
	m := keymap{}
	for _, b := range list {
		for _, k := range b.keys {
			m[k] = b.action
		}
	}
	return m
}
