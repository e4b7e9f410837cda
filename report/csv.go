package report

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/pipeline"
)

type csvWriter struct {
	w     *csv.Writer
	begun bool
}

func newCSV(w io.Writer, _ Options) Writer { return &csvWriter{w: csv.NewWriter(w)} }

// csvColumns are the columns in order; new ones join at the end.
var csvColumns = []string{
	"time", "time_quality", "level", "rule_id", "rule_title", "tags", "author", "license", "rule_file",
	"host", "path", "format", "record", "line", "offset", "fields", "event",
}

func (c *csvWriter) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.w.Write(csvColumns)
}

func (c *csvWriter) Match(m *pipeline.Match) error {
	if err := c.begin(); err != nil {
		return err
	}
	row := []string{
		timeText(m), m.TimeQuality.String(), m.Rule.Level.String(), m.Rule.ID, m.Rule.Title, strings.Join(m.Rule.Tags, " "),
		m.Rule.Author, m.Rule.License, m.Rule.File, m.Host, m.Source.Path, m.Source.Format,
		count(m.Source.Record), count(uint64(m.Source.Line)), strconv.FormatInt(m.Source.Offset, 10),
		string(appendFields(nil, m.Fields)), string(m.Event),
	}
	for i := range row {
		row[i] = cell(row[i])
	}
	if err := c.w.Write(row); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

func (c *csvWriter) Close(*pipeline.Stats) error {
	if err := c.begin(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// count is a number from 1, or nothing for 0.
func count(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// cell quotes with ' what a spreadsheet would run as a formula (OWASP, "CSV
// Injection": cells that begin with = + - @, tab or carriage return).
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
