// Package yamltree reads YAML into a [doctree.Node] tree, with the hygiene
// that files from strangers need: duplicate keys are errors, aliases are
// expanded under a budget, and size, depth and the length of values are
// bounded.
//
// Scalars resolve by the YAML 1.2 core schema: yes, 0777, 1_000, 0b1 and dates
// are text, numbers or text as that schema says and not as YAML 1.1 had it.
// Each keeps its source spelling. CRLF and a byte order mark are accepted.
// Merge keys (an unquoted << as key) are expanded, since rule files in the
// field use them and other readers of Sigma do: keys of the map itself win
// over merged ones, and of several merged maps the first. Tags other than
// those of the core schema are errors, as are anchors of another document.
//
// Functions are pure and safe for concurrent use.
package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/doctree"
)

// Limits of one file. The largest rule in public use has 60 KiB and about
// 1,000 values; the rest is what keeps a hostile file cheap.
const (
	// FileBytesMax bounds a file.
	FileBytesMax = 1 << 20
	// ValueBytesMax bounds one scalar.
	ValueBytesMax = 64 << 10
	// DepthMax bounds nesting.
	DepthMax = 64
	// ExpansionMax is how many times larger than the source, in nodes, the
	// tree may become through aliases.
	ExpansionMax = 10
	// DocumentsMax bounds the documents of one file.
	DocumentsMax = 10_000
	// refineBytesMax bounds the files for which the exact line of a syntax
	// error is searched, which parses the file about 20 times.
	refineBytesMax = 64 << 10
)

// Error is a fault in a file, with its place.
type Error struct {
	// Line and Column count from 1; a Column of 0 is unknown.
	Line, Column int
	// Msg says what is wrong and Hint what to write instead, if known.
	Msg, Hint string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d", e.Line)
	if e.Column > 0 {
		fmt.Fprintf(&b, ", column %d", e.Column)
	}
	b.WriteString(": ")
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

func fault(n *yaml.Node, hint, format string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

// Parse returns the documents of a file in order; those that are empty are
// left out. On a fault it returns the documents before it and an *Error.
func Parse(data []byte) (docs []*doctree.Node, err error) {
	if len(data) > FileBytesMax {
		return nil, &Error{
			Line: 1, Msg: fmt.Sprintf("the file has %d bytes, more than the limit of %d", len(data), FileBytesMax),
			Hint: "split it into several files",
		}
	}
	if bad := invalidUTF8(data); bad >= 0 {
		return nil, &Error{Line: 1 + bytes.Count(data[:bad], []byte{'\n'}), Msg: "the file is not UTF-8 text", Hint: "save it as UTF-8"}
	}
	syntax := each(data, func(n *yaml.Node) *Error {
		if len(docs) == DocumentsMax {
			return fault(n, "split it into several files", "the file has more than %d documents", DocumentsMax)
		}
		root, fault := convert(n)
		if fault != nil {
			return fault
		}
		if root != nil {
			docs = append(docs, root)
		}
		return nil
	})
	if syntax == nil {
		return docs, nil
	}
	var e *Error
	if errors.As(syntax, &e) {
		return docs, e
	}
	return docs, syntaxError(data, syntax)
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// each calls visit for every document. The library reports some of its own
// faults by panic; they become errors here, so that no input can end the
// process.
func each(data []byte, visit func(*yaml.Node) *Error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if e := visit(&n); e != nil {
			return e
		}
	}
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(.*)$`)

// syntaxError turns an error of the library into one with a line. The library
// names the line where the construct that failed began, so the line of the
// fault is searched: it is the shortest run of lines from the start of the
// file that fails in the same words.
func syntaxError(data []byte, err error) *Error {
	e := &Error{Line: 1, Msg: err.Error()}
	m := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if m == nil {
		return e
	}
	e.Msg = "this is not YAML: " + m[2]
	if n, convErr := strconv.Atoi(m[1]); convErr == nil && n > 0 {
		e.Line = n
	}
	if strings.Contains(m[2], "\t") || strings.Contains(m[2], "cannot start any token") {
		e.Hint = "indent with spaces, and quote values that begin with a special character"
	}
	if len(data) > refineBytesMax {
		return e
	}
	ends := lineEnds(data)
	fails := func(lines int) bool {
		got := each(data[:ends[lines-1]], func(*yaml.Node) *Error { return nil })
		return got != nil && got.Error() == err.Error()
	}
	low, high := 1, len(ends)
	for low < high {
		mid := (low + high) / 2
		if fails(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low > e.Line {
		e.Line = low
	}
	return e
}

func lineEnds(data []byte) []int {
	var ends []int
	for i, c := range data {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	if len(ends) == 0 || ends[len(ends)-1] < len(data) {
		ends = append(ends, len(data))
	}
	return ends
}
