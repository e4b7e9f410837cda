package corpus

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
)

// TestSameMatchesFromEveryCarrier renders the records of the EVTX corpus as
// the event log's XML, as NXLog's flat JSON and as Winlogbeat's ECS documents,
// scans all four and compares the rules each record meets.
//
// NXLog and Winlogbeat have no faithful form for data items without a name, nor
// NXLog for nested user data: records with those are rendered as XML only.
func TestSameMatchesFromEveryCarrier(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root(t), "evtx")
	out := t.TempDir()
	c := rules(t)

	// names[carrier][file][position] is the record, in all carriers alike.
	positions := map[string]map[string]string{}
	all, flat := 0, 0
	inFlat := map[string]bool{}
	add := func(path, position, name string) {
		if positions[path] == nil {
			positions[path] = map[string]string{}
		}
		positions[path][position] = name
	}
	file := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".evtx" {
			return err
		}
		file++
		var xmlText, nxlog, winlogbeat bytes.Buffer
		xmlPath := filepath.Join(out, fmt.Sprintf("%d.xml", file))
		nxlogPath := filepath.Join(out, fmt.Sprintf("%d-nxlog.json", file))
		beatPath := filepath.Join(out, fmt.Sprintf("%d-winlogbeat.json", file))
		xmlText.WriteString("<Events>\n")
		line := 0
		return errors.Join(eachRecord(path, func(rec *event.Record) {
			name := fmt.Sprintf("%s@%d", path, rec.Offset)
			add(path, fmt.Sprint(rec.Offset), name)
			all++
			tree := newOrdered(rec.Tree.AppendJSON(nil, 0))
			ev := tree.get("Event")
			add(xmlPath, fmt.Sprint(xmlText.Len()), name)
			writeXML(&xmlText, "Event", ev)
			xmlText.WriteByte('\n')
			n, ok := asNXLog(ev)
			if !ok {
				return
			}
			flat++
			inFlat[name] = true
			line++
			add(nxlogPath, fmt.Sprint(line), name)
			add(beatPath, fmt.Sprint(line), name)
			writeLine(&nxlog, n)
			writeLine(&winlogbeat, asWinlogbeat(ev))
		}),
			func() error {
				xmlText.WriteString("</Events>\n")
				return os.WriteFile(xmlPath, xmlText.Bytes(), 0o600)
			}(),
			os.WriteFile(nxlogPath, nxlog.Bytes(), 0o600),
			os.WriteFile(beatPath, winlogbeat.Bytes(), 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}

	found := map[string]map[string][]string{} // carrier → record → rules
	for _, m := range scan(t, c, 2, dir, out) {
		carrier, position := "evtx", fmt.Sprint(m.Source.Offset)
		switch path := m.Source.Path; {
		case strings.HasSuffix(path, ".xml"):
			carrier = "xml"
		case strings.HasSuffix(path, "-nxlog.json"):
			carrier, position = "nxlog", fmt.Sprint(m.Source.Line)
		case strings.HasSuffix(path, "-winlogbeat.json"):
			carrier, position = "winlogbeat", fmt.Sprint(m.Source.Line)
		}
		name, ok := positions[m.Source.Path][position]
		if !ok {
			t.Fatalf("a match at an unknown place: %+v", m.Source)
		}
		if found[carrier] == nil {
			found[carrier] = map[string][]string{}
		}
		found[carrier][name] = append(found[carrier][name], m.Rule.Title+" ("+m.View+")")
	}
	differ := 0
	for _, carrier := range []string{"xml", "nxlog", "winlogbeat"} {
		matches := 0
		for name := range union(found["evtx"], found[carrier]) {
			if carrier != "xml" && !inFlat[name] {
				continue
			}
			want, got := found["evtx"][name], found[carrier][name]
			sort.Strings(want)
			sort.Strings(got)
			matches += len(got)
			if !slices.Equal(want, got) {
				if differ++; differ <= 20 {
					t.Errorf("%s: %s\n evtx:  %q\n there: %q", carrier, name, want, got)
				}
			}
		}
		t.Logf("%s: %d matches", carrier, matches)
	}
	t.Logf("%d records, %d of them in all four carriers", all, flat)
	if differ > 0 {
		t.Errorf("%d records differ", differ)
	}
}

func union(a, b map[string][]string) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

// eachRecord calls f with each record of an EVTX file.
func eachRecord(path string, f func(*event.Record)) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	x := evtx.Format()
	s, p := x.NewSplitter(in, format.Options{}), x.NewParser(format.Options{})
	var b format.Block
	for {
		if err := s.Next(&b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, f); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
}

// ordered is a JSON value that keeps the order of members: an []member, an
// []ordered, a string, json.Number, bool or nil.
type ordered struct{ v any }

type member struct {
	key   string
	value ordered
}

func newOrdered(raw []byte) ordered {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := readOrdered(d)
	if err != nil {
		panic(err)
	}
	return v
}

func readOrdered(d *json.Decoder) (ordered, error) {
	tok, err := d.Token()
	if err != nil {
		return ordered{}, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return ordered{tok}, nil
	}
	if delim == '[' {
		list := []ordered{}
		for d.More() {
			v, err := readOrdered(d)
			if err != nil {
				return ordered{}, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return ordered{list}, err
	}
	list := []member{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ordered{}, err
		}
		v, err := readOrdered(d)
		if err != nil {
			return ordered{}, err
		}
		list = append(list, member{key.(string), v})
	}
	_, err = d.Token()
	return ordered{list}, err
}

func (o ordered) members() []member {
	m, _ := o.v.([]member)
	return m
}

func (o ordered) get(keys ...string) ordered {
	for _, k := range keys {
		next := ordered{}
		for _, m := range o.members() {
			if m.key == k {
				next = m.value
				break
			}
		}
		o = next
	}
	return o
}

func (o ordered) text() string {
	switch v := o.v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(o.v)
}

// scalar returns the text of a value that may carry attributes.
func (o ordered) scalar() string {
	if o.members() != nil {
		return o.get("#text").text()
	}
	return o.text()
}

func writeXML(b *bytes.Buffer, name string, v ordered) {
	if list, ok := v.v.([]ordered); ok {
		for _, x := range list {
			writeXML(b, name, x)
		}
		return
	}
	b.WriteString("<" + name)
	for _, a := range v.get("#attributes").members() {
		b.WriteString(" " + a.key + `="`)
		_ = xml.EscapeText(b, []byte(a.value.text()))
		b.WriteString(`"`)
	}
	b.WriteString(">")
	if v.members() == nil {
		_ = xml.EscapeText(b, []byte(v.text()))
	}
	for _, m := range v.members() {
		switch {
		case m.key == "#attributes":
		case m.key == "#text":
			_ = xml.EscapeText(b, []byte(m.value.text()))
		case name == "EventData" && m.key != "Data" && m.key != "Binary":
			values := []ordered{m.value}
			if list, ok := m.value.v.([]ordered); ok {
				values = list
			}
			for _, x := range values {
				b.WriteString(`<Data Name="`)
				_ = xml.EscapeText(b, []byte(m.key))
				b.WriteString(`">`)
				_ = xml.EscapeText(b, []byte(x.text()))
				b.WriteString("</Data>")
			}
		default:
			writeXML(b, m.key, m.value)
		}
	}
	b.WriteString("</" + name + ">")
}

func writeLine(b *bytes.Buffer, v map[string]any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	b.Write(line)
	b.WriteByte('\n')
}

// eventData returns the named data items as text, or false when an item has no
// name, the record has user data, or an item has the name of a header field.
func eventData(ev ordered, header map[string]any) (map[string]any, bool) {
	out := map[string]any{}
	if ev.get("UserData").v != nil {
		return nil, false
	}
	for _, m := range ev.get("EventData").members() {
		switch {
		case m.key == "#attributes":
			continue
		case m.key == "Data", m.key == "Binary":
			return nil, false
		}
		if _, taken := header[m.key]; taken {
			return nil, false
		}
		if list, ok := m.value.v.([]ordered); ok || m.value.members() != nil {
			_ = list
			return nil, false
		}
		out[m.key] = m.value.text()
	}
	return out, true
}

// asNXLog is the record as NXLog's im_msvistalog writes it.
func asNXLog(ev ordered) (map[string]any, bool) {
	sys := ev.get("System")
	out := map[string]any{
		"EventTime":          sys.get("TimeCreated", "#attributes", "SystemTime").text(),
		"Hostname":           sys.get("Computer").scalar(),
		"EventID":            json.Number(sys.get("EventID").scalar()),
		"SourceName":         sys.get("Provider", "#attributes", "Name").text(),
		"ProviderGuid":       sys.get("Provider", "#attributes", "Guid").text(),
		"Version":            json.Number(sys.get("Version").scalar()),
		"OpcodeValue":        json.Number(sys.get("Opcode").scalar()),
		"RecordNumber":       json.Number(sys.get("EventRecordID").scalar()),
		"ExecutionProcessID": json.Number(sys.get("Execution", "#attributes", "ProcessID").text()),
		"ThreadID":           json.Number(sys.get("Execution", "#attributes", "ThreadID").text()),
		"Channel":            sys.get("Channel").scalar(),
		"SourceModuleName":   "eventlog",
		"SourceModuleType":   "im_msvistalog",
	}
	for k, v := range out {
		if n, ok := v.(json.Number); ok && n == "" {
			delete(out, k)
		}
	}
	data, ok := eventData(ev, out)
	if !ok {
		return nil, false
	}
	for k, v := range data {
		out[k] = v
	}
	return out, true
}

// asWinlogbeat is the record as Winlogbeat writes it.
func asWinlogbeat(ev ordered) map[string]any {
	sys := ev.get("System")
	data, _ := eventData(ev, nil)
	return map[string]any{
		"@timestamp": sys.get("TimeCreated", "#attributes", "SystemTime").text(),
		"event":      map[string]any{"code": sys.get("EventID").scalar(), "kind": "event", "provider": sys.get("Provider", "#attributes", "Name").text()},
		"host":       map[string]any{"name": sys.get("Computer").scalar()},
		"agent":      map[string]any{"type": "winlogbeat"},
		"winlog": map[string]any{
			"api":           "wineventlog",
			"channel":       sys.get("Channel").scalar(),
			"event_id":      sys.get("EventID").scalar(),
			"provider_name": sys.get("Provider", "#attributes", "Name").text(),
			"provider_guid": sys.get("Provider", "#attributes", "Guid").text(),
			"record_id":     sys.get("EventRecordID").scalar(),
			"computer_name": sys.get("Computer").scalar(),
			"event_data":    data,
			"process":       map[string]any{"pid": sys.get("Execution", "#attributes", "ProcessID").text()},
		},
	}
}
