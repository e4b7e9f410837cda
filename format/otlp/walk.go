package otlp

import (
	"bytes"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format/json"
)

// Visitor receives the parts of a request in order: a resource, its scopes,
// their records. The bytes are valid until the call returns; an error ends the
// walk.
type Visitor interface {
	// Resource gets a ResourceLogs without its scope_logs, Scope a ScopeLogs
	// without its log_records.
	Resource(block []byte) error
	Scope(block []byte) error
	// Record gets a LogRecord exactly as sent.
	Record(raw []byte) error
}

// Walk takes an ExportLogsServiceRequest apart without reading its records. An
// error says where the frame of the request is broken, or is the visitor's.
func Walk(enc Encoding, body []byte, v Visitor) error {
	if enc == JSON {
		return walkJSON(body, v)
	}
	w := wireWalk{v: v}
	return each(body, func(f field) error {
		if f.number != 1 || f.wire != wireBytes {
			return nil
		}
		if err := w.split(f.bytes, v.Resource); err != nil {
			return err
		}
		return each(f.bytes, func(f field) error {
			if f.number != 2 || f.wire != wireBytes {
				return nil
			}
			if err := w.split(f.bytes, v.Scope); err != nil {
				return err
			}
			return each(f.bytes, func(f field) error {
				if f.number != 2 || f.wire != wireBytes {
					return nil
				}
				return v.Record(f.bytes)
			})
		})
	})
}

type wireWalk struct {
	v    Visitor
	rest []byte
}

// split gives visit what of a message is not field 2, which in both messages
// holds the children. Fields may come in any order.
func (w *wireWalk) split(b []byte, visit func([]byte) error) error {
	w.rest = w.rest[:0]
	for i := 0; i < len(b); {
		f, end, err := next(b, i)
		if err != nil {
			return err
		}
		if f.number != 2 {
			w.rest = append(w.rest, b[i:end]...)
		}
		i = end
	}
	return visit(w.rest)
}

// walkJSON walks the text. Field names may be in camel case, as the protocol
// has it, or as in the schema.
func walkJSON(b []byte, v Visitor) error {
	var rest []byte
	// children walks the children of the objects of one level.
	children := func(at int, names [2]string, visit func(at int) (int, error)) (int, error) {
		return json.Members(b, at, func(key []byte, at int) (int, error) {
			if string(key) != names[0] && string(key) != names[1] || null(b, at) {
				return json.ValueEnd(b, at)
			}
			return json.Items(b, at, visit)
		})
	}
	// split gives visit the members of an object that are kept of it.
	split := func(at int, own string, visit func([]byte) error) error {
		rest = append(rest[:0], '{')
		_, err := json.Members(b, at, func(key []byte, at int) (int, error) {
			end, err := json.ValueEnd(b, at)
			if err != nil {
				return end, err
			}
			name := string(key)
			if name == "schema_url" {
				name = "schemaUrl"
			}
			if name == own || name == "schemaUrl" {
				if len(rest) > 1 {
					rest = append(rest, ',')
				}
				rest = append(rest, '"')
				rest = append(rest, name...)
				rest = append(rest, `":`...)
				rest = append(rest, b[at:end]...)
			}
			return end, nil
		})
		if err != nil {
			return err
		}
		if len(rest) == 1 {
			return visit(nil)
		}
		rest = append(rest, '}')
		return visit(rest)
	}
	end, err := children(0, [2]string{"resourceLogs", "resource_logs"}, func(at int) (int, error) {
		if err := split(at, "resource", v.Resource); err != nil {
			return at, err
		}
		return children(at, [2]string{"scopeLogs", "scope_logs"}, func(at int) (int, error) {
			if err := split(at, "scope", v.Scope); err != nil {
				return at, err
			}
			return children(at, [2]string{"logRecords", "log_records"}, func(at int) (int, error) {
				end, err := json.ValueEnd(b, at)
				if err != nil {
					return end, err
				}
				return end, v.Record(b[at:end])
			})
		})
	})
	if err != nil {
		return err
	}
	for ; end < len(b); end++ {
		switch b[end] {
		case ' ', '\t', '\r', '\n':
		default:
			return &event.SyntaxError{Offset: end, Reason: fmt.Sprintf("expected the end, found %q", rune(b[end]))}
		}
	}
	return nil
}

func null(b []byte, at int) bool { return bytes.HasPrefix(b[at:], []byte("null")) }
