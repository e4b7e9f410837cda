package lookup

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/rule"
)

// Parse reads a list from the contents of a file. The file's name says what it
// is: NAME.TYPE.EXT or NAME.EXT, where EXT is csv, txt (one value a line) or
// cidr (networks, one a line) and TYPE is the plural of a type.
//
// A CSV file has a header. Its column value, or one called by a type's
// singular, which then is the list's type, holds the values; without either it
// is the first column. A column expires holds when an entry ends to count; all
// other columns are comments. In the other files # begins a comment at the
// start of a line or behind a blank.
//
// A bad row is left out and reported with its line; the list is nil only when
// the file as a whole cannot be used, which is a diagnostic of severity Error.
func Parse(file string, data []byte) (*List, []rule.Diagnostic) {
	p := parser{list: &List{File: file}, seen: map[string]int{}}
	if err := p.name(file); err != nil {
		return nil, append(p.diags, p.fatal(0, err.Error(), "call it NAME.csv, NAME.txt, NAME.cidr, or NAME.TYPE.csv with a type such as hosts"))
	}
	if len(data) > FileBytesMax {
		return nil, []rule.Diagnostic{p.fatal(0, fmt.Sprintf("the list has %d bytes, more than %d", len(data), FileBytesMax), "split it")}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var stop *rule.Diagnostic
	if p.csv {
		stop = p.rows(data)
	} else {
		stop = p.lines(data)
	}
	if hidden := p.faults - FaultsMax; hidden > 0 {
		p.diags = append(p.diags, p.diagnostic(rule.CodeLookupRow, 0, fmt.Sprintf("%d more rows are bad or doubtful", hidden), ""))
	}
	if stop != nil {
		return nil, append(p.diags, *stop)
	}
	p.list.Hash = p.list.hash()
	return p.list, p.diags
}

// FileName reports whether a file's name is that of a list, whatever is in it.
func FileName(file string) bool {
	_, ext, ok := cutLast(base(file), ".")
	ext = strings.ToLower(ext)
	return ok && (ext == "csv" || ext == "txt" || ext == "cidr")
}

type parser struct {
	list   *List
	csv    bool
	typed  bool // the file's name says the type
	seen   map[string]int
	diags  []rule.Diagnostic
	faults int
}

func base(file string) string {
	return file[strings.LastIndexAny(file, `/\`)+1:]
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (p *parser) name(file string) error {
	name, ext, _ := cutLast(base(file), ".")
	switch strings.ToLower(ext) {
	case "csv":
		p.csv = true
	case "txt":
	case "cidr":
		p.list.Type, p.typed = Networks, true
	default:
		return fmt.Errorf("%q is not the name of a list", base(file))
	}
	if before, last, ok := cutLast(name, "."); ok && slices.Contains(typeNames[:], last) {
		t, _ := ParseType(last)
		if p.typed && t != p.list.Type {
			return fmt.Errorf("the name %q says %s and %s", base(file), t, p.list.Type)
		}
		name, p.list.Type, p.typed = before, t, true
	}
	if !rule.IsPlaceholderName(name) {
		return fmt.Errorf("the list's name %q cannot stand between percent signs: it begins with a letter and has letters, digits, underscores, hyphens and dots", name)
	}
	p.list.Name = name
	return nil
}

func (p *parser) diagnostic(code rule.Code, line int, msg, hint string) rule.Diagnostic {
	d := rule.Diagnostic{Position: rule.Position{File: p.list.File, Line: line}, Code: code, Message: msg, Hint: hint}
	if code == rule.CodeLookupFile {
		d.Severity = rule.Error
	}
	return d
}

func (p *parser) fatal(line int, msg, hint string) rule.Diagnostic {
	return p.diagnostic(rule.CodeLookupFile, line, msg, hint)
}

func (p *parser) fault(line int, msg, hint string) {
	if p.faults++; p.faults <= FaultsMax {
		p.diags = append(p.diags, p.diagnostic(rule.CodeLookupRow, line, msg, hint))
	}
}

// add keeps a row, or reports why it is left out. It fails when the list is
// full.
func (p *parser) add(line int, raw, expires string) *rule.Diagnostic {
	p.list.Rows++
	value, warn, err := p.list.Type.normal(raw)
	if err != nil {
		p.list.Refused++
		p.fault(line, "the row is left out: "+err.Error(), "correct or remove it")
		return nil
	}
	end, err := expiry(expires)
	if err != nil {
		p.list.Refused++
		p.fault(line, "the row is left out: "+err.Error(), "correct or remove it")
		return nil
	}
	if warn != "" {
		p.fault(line, warn, "")
	}
	if !end.IsZero() {
		p.list.Expiring = true
	}
	if at, ok := p.seen[value]; ok {
		// The later end counts, wherever it stands.
		if old := &p.list.Entries[at]; !old.Expires.IsZero() && (end.IsZero() || end.After(old.Expires)) {
			old.Expires = end
		}
		return nil
	}
	if len(p.list.Entries) == EntriesMax {
		d := p.fatal(line, fmt.Sprintf("the list has more than %d entries", EntriesMax), "split it")
		return &d
	}
	p.seen[value] = len(p.list.Entries)
	p.list.Entries = append(p.list.Entries, Entry{Value: value, Expires: end, Line: line})
	return nil
}

func (p *parser) lines(data []byte) *rule.Diagnostic {
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		text := string(bytes.TrimSpace(line))
		if text == "" || text[0] == '#' {
			continue
		}
		for _, mark := range []string{" #", "\t#"} {
			text, _, _ = strings.Cut(text, mark)
		}
		if stop := p.add(n, text, ""); stop != nil {
			return stop
		}
	}
	return nil
}

func (p *parser) rows(data []byte) *rule.Diagnostic {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		d := p.fatal(1, "the list has no header", "begin the file with the names of its columns, such as value,expires,comment")
		return &d
	}
	columns := slices.Clone(header)
	value, expires, stop := p.columns(columns)
	if stop != nil {
		return stop
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			// A lone quote makes the rest of the file one field, so what
			// stands behind it cannot be trusted to be rows.
			d := p.fatal(bad.StartLine, "this is not CSV: "+bad.Err.Error(), "quote the field and double the quotes inside it")
			return &d
		}
		if err != nil {
			d := p.fatal(0, "the list cannot be read: "+err.Error(), "")
			return &d
		}
		line, _ := r.FieldPos(0)
		if len(row) == 1 && strings.TrimSpace(row[0]) == "" || strings.HasPrefix(row[0], "#") {
			continue
		}
		if len(row) != len(columns) {
			p.list.Rows++
			p.list.Refused++
			p.fault(line, fmt.Sprintf("the row is left out: it has %d fields, the header %d", len(row), len(columns)), "quote fields that hold a comma")
			continue
		}
		end := ""
		if expires >= 0 {
			end = row[expires]
		}
		// The record is used again, and its fields share one text.
		if stop := p.add(line, strings.Clone(row[value]), end); stop != nil {
			return stop
		}
	}
}

// columns finds the columns of the values and of their ends.
func (p *parser) columns(header []string) (value, expires int, stop *rule.Diagnostic) {
	value, expires = -1, -1
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "expires" && expires < 0 {
			expires = i
			continue
		}
		t, isType := ParseType(name)
		if name != "value" && !isType || value >= 0 {
			continue
		}
		value = i
		if !isType {
			continue
		}
		if p.typed && t != p.list.Type {
			d := p.fatal(1, fmt.Sprintf("the file's name says %s, its column %s", p.list.Type, t), "let both say the same, or call the column value")
			return 0, 0, &d
		}
		p.list.Type = t
	}
	if value < 0 {
		value = 0
		if expires == 0 {
			d := p.fatal(1, "the header names no column of values", "call it value")
			return 0, 0, &d
		}
	}
	return value, expires, nil
}

// AsOf reads a time given by a person: RFC 3339, or a date, which is its first
// instant in UTC.
func AsOf(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write 2026-03-01 or 2026-03-01T09:30:00Z", s)
}
