package hec_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/hec"
	"github.com/tiercel-io/tiercel/pack"
)

var options = format.Options{Reference: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}

type record struct{ Format, Tree, Hint, Sent string }

func parse(p format.Parser, frame string) (out []record, err error) {
	b := format.Block{Data: []byte("x" + frame + "y")}
	err = p.Parse(&b, format.Frame{Start: 1, End: len(frame) + 1}, func(rec *event.Record) {
		r := record{Format: rec.Format, Tree: string(rec.Tree.AppendJSON(nil, 0)), Hint: rec.Hint}
		if !rec.Sent.IsZero() {
			r.Sent = rec.Sent.Format(time.RFC3339Nano)
		}
		if string(rec.Raw) != frame {
			r.Tree = fmt.Sprintf("raw is %q", rec.Raw)
		}
		out = append(out, r)
	})
	return out, err
}

func TestRecords(t *testing.T) {
	t.Parallel()
	const at = "2026-11-21T23:09:50.86Z"
	tests := []struct {
		name, in string
		want     []record
	}{
		{
			"object", `{"time":1795302590.86,"host":"h","source":"s","sourcetype":"t","index":"i","fields":{"k":["a",1]},"event":{"EventID":1,"x":"\u00e9"}}`,
			[]record{{"json", `{"EventID":1,"x":"é","hec":{"time":1795302590.86,"host":"h","source":"s","sourcetype":"t","index":"i","fields":{"k":["a",1]}}}`, "t", at}},
		},
		{"event first", `{"event":{"a":1},"sourcetype":"t"}`, []record{{"json", `{"a":1,"hec":{"sourcetype":"t"}}`, "t", ""}}},
		{"event alone", ` {"event" : "hello"} `, []record{{"text", `{"message":"hello"}`, "", ""}}},
		{"JSON in text", `{"event":"{\"a\":1}","host":"h"}`, []record{{"json", `{"a":1,"hec":{"host":"h"}}`, "", ""}}},
		{"time as text", `{"time":"1795302590.860","event":"x"}`, []record{{"text", `{"message":"x","hec":{"time":"1795302590.860"}}`, "", at}}},
		{"milliseconds", `{"time":1795302590860,"event":"x"}`, []record{{"text", `{"message":"x","hec":{"time":1795302590860}}`, "", at}}},
		{"time of a dead clock", `{"time":0,"event":"x"}`, []record{{"text", `{"message":"x","hec":{"time":0}}`, "", ""}}},
		{"time is no time", `{"time":{"a":1},"event":"x"}`, []record{{"text", `{"message":"x","hec":{"time":{"a":1}}}`, "", ""}}},
		{"syslog", `{"event":"<34>1 2026-01-02T03:04:05Z h su - - - x","host":"relay"}`, []record{{"syslog", `{"message":"x","timestamp":"2026-01-02T03:04:05Z","host":"h","program":"su","pri":34,"facility":4,"severity":2,"hec":{"host":"relay"}}`, "", ""}}},
		{"number", `{"event":5}`, []record{{"json", `{"event":5}`, "", ""}}},
		{"false", `{"event":false,"host":"h"}`, []record{{"json", `{"event":false,"hec":{"host":"h"}}`, "", ""}}},
		{"array", `{"event":[{"a":1},2]}`, []record{{"json", `{"event":[{"a":1},2]}`, "", ""}}},
		{"empty object", `{"event":{}}`, []record{{"json", `{}`, "", ""}}},
		{"member twice", `{"host":"a","host":"b","event":{"x":1}}`, []record{{"json", `{"x":1,"hec":{"host":"a","host":"b"}}`, "", ""}}},
		{"two events", `{"event":{"x":1},"host":"h","event":"two"}`, []record{{"json", `{"x":1,"hec":{"host":"h"}}`, "", ""}, {"text", `{"message":"two","hec":{"host":"h"}}`, "", ""}}},
		{"escaped key", `{"\u0065vent":"x"}`, []record{{"text", `{"message":"x"}`, "", ""}}},
		{"unknown member", `{"event":"x","more":null}`, []record{{"text", `{"message":"x","hec":{"more":null}}`, "", ""}}},
	}
	p := hec.Format().NewParser(options)
	for _, tt := range tests {
		got, err := parse(p, tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	p := hec.Format().NewParser(options)
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":1`, i)
		}
		return `{"event":"x"` + b.String() + `}`
	}
	for name, tt := range map[string]struct {
		in   string
		fine bool
	}{
		"no object":       {`"event"`, false},
		"no event":        {`{"host":"h"}`, false},
		"null":            {`{"event":null}`, false},
		"blank":           {`{"event":"  "}`, false},
		"broken event":    {`{"event":{"a":}}`, false},
		"broken number":   {`{"event":01}`, false},
		"broken beside":   {`{"event":{"a":1},"host":h}`, false},
		"bytes behind":    {`{"event":{"a":1}} x`, false},
		"cut":             {`{"event":{"a":1}`, false},
		"depth":           {`{"event":` + deep(event.DepthMax) + `}`, true},
		"too deep":        {`{"event":` + deep(event.DepthMax+1) + `}`, false},
		"far too deep":    {`{"event":` + deep(100*event.DepthMax) + `}`, false},
		"members":         {keys(event.ObjectKeysMax), true},
		"too many":        {keys(event.ObjectKeysMax + 1), false},
		"far too many":    {keys(100 * event.ObjectKeysMax), false},
		"events":          {`{` + strings.Repeat(`"event":1,`, hec.EventsMax-1) + `"event":1}`, true},
		"too many events": {`{` + strings.Repeat(`"event":1,`, hec.EventsMax) + `"event":1}`, false},
	} {
		got, err := parse(p, tt.in)
		if (err == nil) != tt.fine || tt.fine != (len(got) > 0) {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
	}
}

// An envelope changes neither pack nor views, and its time counts only where
// the event holds none.
func TestRoutedAsFromFile(t *testing.T) {
	t.Parallel()
	set, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	plan := event.NewPlan(pack.Funcs())
	router := set.Router(plan, pack.RouterOptions{Reference: options.Reference})
	session, reader := router.Session(), plan.Reader()
	const windowsEvent = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><TimeCreated SystemTime='2026-01-02T03:04:05.123Z'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>ws1.example.test</Computer></System><EventData><Data Name='Image'>C:\Windows\System32\whoami.exe</Data></EventData></Event>`
	const sent = "2026-11-21T23:09:50Z"
	tests := []struct{ name, event, pack, view, time string }{
		{"Windows XML", quote(windowsEvent), "windows", "windows/process_creation#sysmon", "2026-01-02T03:04:05.123Z"},
		{"Windows ECS", `{"@timestamp":"2026-01-02T03:04:05.123Z","winlog":{"channel":"Security","event_id":4688,"provider_name":"Microsoft-Windows-Security-Auditing","event_data":{"NewProcessName":"C:\\x.exe"}}}`, "windows", "windows/security", "2026-01-02T03:04:05.123Z"},
		{"audit", quote(`type=SYSCALL msg=audit(1767323045.123:42): arch=c000003e syscall=59`), "linux-auditd", "linux/auditd", "2026-01-02T03:04:05.123Z"},
		{"sshd", quote("<38>Jan  2 03:04:05 web-1 sshd[812]: Failed password for root from 192.0.2.7 port 22 ssh2"), "linux-syslog", "linux/sshd", "2026-01-02T03:04:05Z"},
		{"CEF without a time", quote(`CEF:0|V|P|1|1|n|1|src=192.0.2.1 dst=192.0.2.2 dpt=80 act=deny`), "cef", "firewall", sent},
		{"CEF with a time", quote(`CEF:0|V|P|1|1|n|1|src=192.0.2.1 dst=192.0.2.2 dpt=80 act=deny rt=1767323045000`), "cef", "firewall", "2026-01-02T03:04:05Z"},
		{"nothing known", quote("hello"), "", "", sent},
	}
	p := hec.Format().NewParser(options)
	for _, tt := range tests {
		data := []byte(`{"time":1795302590,"host":"relay","sourcetype":"t","event":` + tt.event + `}`)
		b := format.Block{Data: data}
		n := 0
		err := p.Parse(&b, format.Frame{End: len(data)}, func(rec *event.Record) {
			n++
			ids, chosen := session.Route(rec, reader)
			name := ""
			if chosen != nil {
				name = chosen.Name
			}
			var views []string
			for _, id := range ids {
				views = append(views, set.Views()[id].Name)
			}
			if name != tt.pack || tt.view != "" && !slices.Contains(views, tt.view) {
				t.Errorf("%s: pack %q, views %q", tt.name, name, views)
			}
			if got := rec.Time.Format(time.RFC3339Nano); got != tt.time {
				t.Errorf("%s: time %s, want %s", tt.name, got, tt.time)
			}
			if line := rec.Tree.Find(0, "_line"); line > 0 && strings.Contains(rec.Tree.Text(line), `"event"`) {
				t.Errorf("%s: the line is the envelope", tt.name)
			}
		})
		if err != nil || n != 1 {
			t.Errorf("%s: %d records, %v", tt.name, n, err)
		}
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestDetectsNoFile(t *testing.T) {
	t.Parallel()
	if f := hec.Format(); f.Name != "hec" || f.Detect([]byte(`{"event":1}`), "x.json") != 0 {
		t.Error("a file was claimed")
	}
}

// Any frame gives records within limits or an error, twice the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"time":1,"event":{"a":1},"fields":{"a":"b"}}`, `{"event":"<13>x"}`, `{"event":"{\"a\":\"\\n\"}"}`, `{"event":[1],"event":null}`, `{"event":"type=A msg=audit(1.1:2): a=b\ntype=B msg=audit(1.1:3): c=d"}`} {
		f.Add([]byte(s))
	}
	p := hec.Format().NewParser(options)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		first, err := parse(p, before)
		second, err2 := parse(p, before)
		if !slices.Equal(first, second) || (err == nil) != (err2 == nil) {
			t.Fatalf("parsed twice: %q %v, %q %v", first, err, second, err2)
		}
		if err == nil && len(first) == 0 {
			t.Fatal("neither a record nor an error")
		}
		for _, r := range first {
			var tree event.Tree
			if err := tree.ParseJSON([]byte(r.Tree)); err != nil {
				t.Fatalf("%s: %v", r.Tree, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	data := []byte(`{"time":1795302590.86,"host":"web-1","source":"eve","sourcetype":"suricata","event":{"timestamp":"2026-01-02T03:04:05.000000+0000","flow_id":123456789,"event_type":"http","src_ip":"192.0.2.1","src_port":34567,"dest_ip":"192.0.2.2","dest_port":80,"proto":"TCP","http":{"hostname":"example.test","url":"/index.html?a=b","http_user_agent":"curl/8.5.0","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":1024}}}`)
	p := hec.Format().NewParser(options)
	block := format.Block{Data: data}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Parse(&block, format.Frame{End: len(data)}, func(*event.Record) {}); err != nil {
			b.Fatal(err)
		}
	}
}
