package tui

// Sizes at which the layout changes, in columns and rows.
const (
	minWidth, minHeight = 30, 8
	maxWidth, maxHeight = 1000, 500 // more is not used
	wideWidth           = 101       // from here the list stands beside the timeline
	roomyHeight         = 14        // from here there is a rule under the title, and a row kept for notices
)

// rect is an area of the screen. Its upper left corner is (0, 0).
type rect struct{ x, y, w, h int }

// areas is where each part of the screen stands. A part without height is not shown.
type areas struct {
	list     rect
	title    rect
	rule     rect // under the title
	timeline rect
	edge     rect // the rule above the composer
	composer rect
	notice   rect
	status   rect
}

// composerRows bounds the rows of the composer on a screen of h rows.
func composerRows(h int) int { return min(max((h-6)/3, 1), 8) }

// noticeRows bounds the rows of a notice on a screen of h rows, and says
// whether a row is kept for one where there is none.
func noticeRows(h int) (most int, kept bool) {
	if h >= roomyHeight {
		return 3, true
	}
	return min(h/5, 2), false
}

// arrange lays out a screen of w columns and h rows, for a composer and a
// notice of some rows. It reports false if the screen is too small.
func arrange(w, h, rows, words int) (areas, bool) {
	var a areas
	if w < minWidth || h < minHeight {
		return a, false
	}
	rows = min(max(rows, 1), composerRows(h))
	roomy := h >= roomyHeight
	x, bottom := 0, h-1
	a.status = rect{0, bottom, w, 1}
	most, kept := noticeRows(h)
	words = min(words, most)
	if kept {
		words = max(words, 1)
	}
	bottom -= words
	a.notice = rect{0, bottom, w, words}
	if w >= wideWidth {
		lw := min(max(w/5, 18), 28)
		a.list = rect{0, 0, lw, bottom}
		x = lw + 1 // a bar between
	}
	bottom -= rows
	a.composer = rect{x, bottom, w - x, rows}
	bottom--
	a.edge = rect{x, bottom, w - x, 1}
	top := 1
	a.title = rect{x, 0, w - x, 1}
	if roomy {
		a.rule = rect{x, 1, w - x, 1}
		top = 2
	}
	a.timeline = rect{x, top, w - x, bottom - top}
	return a, true
}
