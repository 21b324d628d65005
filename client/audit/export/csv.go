package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"sotto/client/audit"
)

// columns of a CSV file.
var columns = []string{"time", "owner", "device", "seq", "kind", "outcome", "who", "peer", "room", "other_device", "message", "ref", "reason", "count", "serial"}

// CSV writes entries as lines of RFC 4180, in UTF-8, with a heading. It is not safe
// for concurrent use.
type CSV struct {
	w      *csv.Writer
	headed bool
}

// NewCSV returns a writer of CSV to w.
func NewCSV(w io.Writer) *CSV {
	c := &CSV{w: csv.NewWriter(w)}
	c.w.UseCRLF = true
	return c
}

// Write writes an entry. What a spreadsheet could take for a formula gets an
// apostrophe in front, which spreadsheets take for "this is text".
func (c *CSV) Write(e audit.Entry) error {
	if err := c.heading(); err != nil {
		return err
	}
	outcome := "success"
	if e.Kind.Failed() {
		outcome = "failure"
	}
	row := []string{timestamp(&e), e.Device.Owner.String(), strconv.FormatUint(uint64(e.Device.ID), 10), strconv.FormatInt(e.Seq, 10), e.Kind.String(), outcome,
		who(&e).String(), e.Peer.String(), e.Room.String(), number(uint64(e.Event.Device)), e.Message.String(), e.Ref.String(), reason(&e), number(uint64(e.Count)), number(e.Serial)}
	for i := range row {
		row[i] = harmless(row[i])
	}
	if err := c.w.Write(row); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

func (c *CSV) heading() error {
	if c.headed {
		return nil
	}
	c.headed = true
	if err := c.w.Write(columns); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// Flush writes what is left, and the heading if there was no entry.
func (c *CSV) Flush() error {
	if err := c.heading(); err != nil {
		return err
	}
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// harmless keeps a spreadsheet from calculating a cell
// (https://owasp.org/www-community/attacks/CSV_Injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsAny(cell[:1], "=+-@|%\t\r\n") || strings.HasPrefix(cell, "＝") || strings.HasPrefix(cell, "＋") || strings.HasPrefix(cell, "－") || strings.HasPrefix(cell, "＠") {
		return "'" + cell
	}
	return cell
}
