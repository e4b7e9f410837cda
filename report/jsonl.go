package report

import (
	"io"
	"slices"
	"strconv"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
)

type jsonl struct {
	w   io.Writer
	buf []byte
}

func newJSONL(w io.Writer, _ Options) Writer { return &jsonl{w: w} }

func (j *jsonl) Match(m *pipeline.Match) error {
	j.buf = appendMatch(j.buf[:0], m)
	j.buf = append(j.buf, '\n')
	_, err := j.w.Write(j.buf)
	return err
}

func (j *jsonl) Close(*pipeline.Stats) error { return nil }

func appendText(b []byte, s string) []byte { return event.AppendQuoted(b, []byte(s)) }

func appendKey(b []byte, key string) []byte {
	if last := b[len(b)-1]; last != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, key...)
	return append(b, '"', ':')
}

func appendTextMember(b []byte, key, value string) []byte {
	return appendText(appendKey(b, key), value)
}

func appendIntMember(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(appendKey(b, key), n, 10)
}

func appendTexts(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

func appendMatch(b []byte, m *pipeline.Match) []byte {
	b = append(b, '{')
	b = appendKey(b, "time")
	if at := timeText(m); at != "" {
		b = appendText(b, at)
	} else {
		b = append(b, "null"...)
	}
	b = appendTextMember(b, "time_quality", m.TimeQuality.String())
	b = appendRule(appendKey(b, "rule"), m)
	b = appendSource(appendKey(b, "source"), m.Source)
	b = appendFields(appendKey(b, "fields"), m.Fields)
	b = append(appendKey(b, "event"), m.Event...)
	return append(b, '}')
}

func appendRule(b []byte, m *pipeline.Match) []byte {
	r := m.Rule
	b = append(b, '{')
	b = appendTextMember(b, "id", r.ID)
	b = appendTextMember(b, "title", r.Title)
	b = appendTextMember(b, "level", r.Level.String())
	b = appendTexts(appendKey(b, "tags"), r.Tags)
	b = appendTextMember(b, "author", r.Author)
	b = appendTextMember(b, "license", r.License)
	b = appendTextMember(b, "file", r.File)
	return append(b, '}')
}

func appendSource(b []byte, s pipeline.Source) []byte {
	b = append(b, '{')
	b = appendTextMember(b, "path", s.Path)
	b = appendTextMember(b, "format", s.Format)
	if s.Record > 0 {
		b = strconv.AppendUint(appendKey(b, "record"), s.Record, 10)
	}
	if s.Line > 0 {
		b = appendIntMember(b, "line", s.Line)
	}
	b = appendIntMember(b, "offset", s.Offset)
	return append(b, '}')
}

// appendFields writes an object: a field with one value as text, one with
// several as an array. Keywords, which have no field, stand under "".
func appendFields(b []byte, fields []pipeline.Field) []byte {
	b = append(b, '{')
	for i, f := range fields {
		same := func(g pipeline.Field) bool { return g.Name == f.Name }
		if slices.ContainsFunc(fields[:i], same) {
			continue
		}
		if len(b) > 0 && b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(appendText(b, f.Name), ':')
		if !slices.ContainsFunc(fields[i+1:], same) {
			b = appendText(b, f.Value)
			continue
		}
		var values []string
		for _, g := range fields[i:] {
			if g.Name == f.Name {
				values = append(values, g.Value)
			}
		}
		b = appendTexts(b, values)
	}
	return append(b, '}')
}
