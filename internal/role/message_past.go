package role

import "time"

// Happened is an event for the audit log (package client/audit) that came about
// while no desk was there to write it. What and Why are its names of a kind and of
// a reason; the desk leaves out what it does not know.
type Happened struct {
	What, Why string
	Count     int
	At        time.Time
}

// MaxPast bounds how many are handed to a desk.
const MaxPast = 64

func (c *coder) past(list *[]Happened) {
	n := len(*list)
	c.number(&n, MaxPast)
	if c.reading && c.err == nil && n > 0 {
		*list = make([]Happened, n)
	}
	for i := range *list {
		h := &(*list)[i]
		c.text(&h.What)
		c.text(&h.Why)
		c.number(&h.Count, maxCount)
		c.moment(&h.At)
	}
}

// AddPast adds an event to those that are kept for the next desk. Of what happens
// again and again the last stays, with the number that it has: a night of wrong PINs
// must not push out what happened before.
func AddPast(list []Happened, h Happened) []Happened {
	if n := len(list); n >= MaxPast/2 && list[n-1].What == h.What && list[n-1].Why == h.Why {
		list[n-1] = h
		return list
	}
	if len(list) == MaxPast {
		list = append(list[:MaxPast/2], list[MaxPast/2+1:]...)
	}
	return append(list, h)
}
