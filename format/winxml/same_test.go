package winxml_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
	"github.com/tiercel-io/tiercel/format/winxml"
)

// render writes a tree back as the XML that Windows would export: members as
// elements, those of EventData as <Data> with a name.
func render(w *bytes.Buffer, t *event.Tree, i int, key string, inData bool) {
	if t.Kind(i) == event.Array {
		for c := i + 1; c < t.End(i); c = t.End(c) {
			render(w, t, c, key, inData)
		}
		return
	}
	tag := key
	w.WriteByte('<')
	if inData && key != "Data" && key != "Binary" {
		tag = "Data"
		w.WriteString(`Data Name="`)
		_ = xml.EscapeText(w, []byte(key))
		w.WriteByte('"')
	} else {
		w.WriteString(key)
	}
	if t.Kind(i) != event.Object {
		w.WriteByte('>')
		escape(w, t.AppendText(nil, i))
		w.WriteString("</" + tag + ">")
		return
	}
	if a := t.Find(i, "#attributes"); a >= 0 {
		for c := a + 1; c < t.End(a); c = t.End(c) {
			w.WriteString(" " + string(t.Key(c)) + `="`)
			escape(w, t.AppendText(nil, c))
			w.WriteByte('"')
		}
	}
	w.WriteByte('>')
	for c := i + 1; c < t.End(i); c = t.End(c) {
		switch k := string(t.Key(c)); k {
		case "#attributes":
		case "#text":
			escape(w, t.AppendText(nil, c))
		default:
			render(w, t, c, k, key == "EventData")
		}
	}
	w.WriteString("</" + tag + ">")
}

// escape writes text as Windows does: references for what has a meaning in
// XML, all else as it is.
func escape(w *bytes.Buffer, b []byte) {
	_, _ = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").WriteString(w, string(b))
}

// flat is a tree as JSON with every number and boolean outside of System as
// text.
func flat(dst []byte, t *event.Tree, i int, system bool) []byte {
	switch t.Kind(i) {
	case event.Object, event.Array:
		dst = append(dst, '[')
		for c := i + 1; c < t.End(i); c = t.End(c) {
			key := t.Key(c)
			dst = event.AppendQuoted(dst, key)
			dst = flat(dst, t, c, system || string(key) == "System")
		}
		return append(dst, ']')
	case event.Number:
		if system {
			return append(dst, t.NumberText(i)...)
		}
	}
	return event.AppendQuoted(dst, t.AppendText(nil, i))
}

// each reads r and calls emit for every record.
func each(t *testing.T, f format.Format, r io.Reader, emit func(*event.Record)) {
	t.Helper()
	s, p := f.NewSplitter(r, format.Options{}), f.NewParser(format.Options{})
	var b format.Block
	for {
		err := s.Next(&b)
		for _, problem := range b.Problems {
			t.Error(problem)
		}
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, emit); err != nil {
				t.Error(err)
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSameTree shows that an event has the same tree, number and time from EVTX
// and from XML: every log of the corpus is written as XML and read back.
func TestSameTree(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	records := 0
	err := filepath.WalkDir(filepath.Join(dir, "evtx"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".evtx") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		type record struct {
			flat string
			id   uint64
			time int64
		}
		var want []record
		var text bytes.Buffer
		text.WriteString("<Events>")
		each(t, evtx.Format(), bytes.NewReader(data), func(r *event.Record) {
			id := r.RecordID
			if r.Tree.Path("Event", "System", "EventRecordID") < 0 {
				id = 0 // the number in the record's header, which XML has not
			}
			want = append(want, record{string(flat(nil, &r.Tree, 0, false)), id, r.Time.UnixNano()})
			render(&text, &r.Tree, 1, string(r.Tree.Key(1)), false)
			text.WriteByte('\n')
		})
		text.WriteString("</Events>")
		n := 0
		each(t, winxml.Format(), &text, func(r *event.Record) {
			if n >= len(want) {
				t.Fatalf("%s: more than %d records in XML", path, len(want))
			}
			got := record{string(flat(nil, &r.Tree, 0, false)), r.RecordID, r.Time.UnixNano()}
			if got != want[n] {
				t.Errorf("%s: record %d\n%+v from XML,\n%+v from EVTX", path, r.RecordID, got, want[n])
			}
			n++
		})
		if n != len(want) {
			t.Errorf("%s: %d records in XML, %d in EVTX", path, n, len(want))
		}
		records += n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records", records)
}
