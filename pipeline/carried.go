package pipeline

import (
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/sniff"
	"github.com/tiercel-io/tiercel/timestamp"
)

// carrierField is the member that holds what stood around a line that was
// taken out of its carrier.
const carrierField = "carrier"

var (
	// lineFields are where programs that carry the lines of files put the line:
	// Beats, Vector and Logstash; Fluent Bit and container runtimes.
	lineFields = []string{"message", "log"}
	// fileFields are where they say which file it was: Beats; Vector; Fluent Bit.
	fileFields = [][]string{{"log", "file", "path"}, {"file"}, {"filename"}, {"filepath"}}
)

// carried reads the line that a record of JSON carries, for records that no
// pack knows: an agent that follows a file sends an object with the line as one
// of its members, and rules ask of the line. It belongs to one goroutine.
type carried struct {
	options format.Options
	reader  *sniff.Reader
	day     int64 // of the reference that reader has
	zone    *time.Location
	line    []byte
	buf     []byte
	outer   event.Tree
}

// open makes rec the record that its line is, as it would be from a file of its
// own, with the rest of the carrier beside it, and reports whether there is a
// line that is exactly one record. Raw stays what was sent.
func (c *carried) open(rec *event.Record) bool {
	if rec.Format != "json" || rec.Tree.Err() != nil || rec.Tree.Len() == 0 || rec.Tree.Kind(0) != event.Object {
		return false
	}
	at, name := -1, ""
	for _, name = range lineFields {
		if at = rec.Tree.Find(0, name); at >= 0 && rec.Tree.Kind(at) == event.String {
			break
		}
		at = -1
	}
	if at < 0 {
		return false
	}
	c.line = rec.Tree.AppendText(c.line[:0], at)
	c.outer.Reset(nil)
	c.outer.Graft(&rec.Tree, 0)
	if c.outer.Err() != nil {
		return false
	}
	records := 0
	err := c.sniffer().Read(c.line, func(inner *event.Record) {
		if records++; records > 1 {
			return
		}
		rec.Tree.Reset(nil)
		rec.Tree.Graft(&inner.Tree, 0)
		rec.Format, rec.Text, rec.RecordID, rec.Group = inner.Format, inner.Text, inner.RecordID, inner.Group
		rec.Time, rec.TimeQuality = inner.Time, inner.TimeQuality
	})
	if err != nil || records != 1 || rec.Tree.Err() != nil {
		rec.Tree.Reset(nil)
		rec.Tree.Graft(&c.outer, 0)
		rec.Format, rec.Text = "json", nil
		return false
	}
	c.beside(rec, name)
	return true
}

// beside adds what stood around the line, and takes the file's name and the
// time of reading from it.
func (c *carried) beside(rec *event.Record, line string) {
	for _, path := range fileFields {
		node := c.outer.Path(path...)
		if node < 0 || c.outer.Kind(node) != event.String {
			continue
		}
		c.buf = c.outer.AppendText(c.buf[:0], node)
		if stem := format.Stem(string(c.buf)); len(stem) <= event.KeyBytesMax {
			rec.Hint = stem
		}
		break
	}
	if node := c.outer.Find(0, "@timestamp"); node > 0 && c.outer.Kind(node) == event.String {
		c.buf = c.outer.AppendText(c.buf[:0], node)
		if t, _, ok := timestamp.Parse(c.buf, timestamp.Options{}); ok {
			rec.Sent = t
		}
	}
	t := &rec.Tree
	if !t.Reopen() {
		return
	}
	t.PutKeyText(carrierField)
	t.BeginObject()
	for node := 1; node < c.outer.End(0); node = c.outer.End(node) {
		if string(c.outer.Key(node)) == line {
			continue
		}
		t.PutKey(c.outer.Key(node))
		t.Graft(&c.outer, node)
	}
	t.EndContainer()
	t.EndContainer()
}

// sniffer returns the reader for the source's options.
func (c *carried) sniffer() *sniff.Reader {
	day := c.options.Reference.Unix() / 86400
	if c.reader == nil || c.day != day || c.zone != c.options.Zone {
		c.reader, c.day, c.zone = sniff.New(c.options), day, c.options.Zone
	}
	return c.reader
}
