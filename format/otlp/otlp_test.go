package otlp_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/pack"
)

var options = format.Options{Reference: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}

type record struct{ Format, Tree, Hint, Time, Sent, Raw string }

// collect walks a request as the receiver does and reads what it finds.
type collect struct {
	otlp.Writer
	frames []format.Frame
}

func (c *collect) Resource(b []byte) error { c.Writer.Resource(b); return nil }
func (c *collect) Scope(b []byte) error    { c.Writer.Scope(b); return nil }
func (c *collect) Record(b []byte) error {
	c.frames = append(c.frames, c.Writer.Record(b))
	return nil
}

func read(enc otlp.Encoding, body []byte) (out []record, errs []error, err error) {
	var c collect
	c.Begin(enc)
	if err := otlp.Walk(enc, body, &c); err != nil {
		return nil, nil, err
	}
	p := otlp.Format().NewParser(options)
	for _, f := range c.frames {
		recs, err := parse(p, c.Data, f)
		out, errs = append(out, recs...), append(errs, err)
	}
	return out, errs, nil
}

func parse(p format.Parser, data []byte, f format.Frame) (out []record, err error) {
	err = p.Parse(&format.Block{Data: data}, f, func(rec *event.Record) {
		r := record{Format: rec.Format, Tree: string(rec.Tree.AppendJSON(nil, 0)), Hint: rec.Hint, Raw: string(rec.Raw)}
		if !rec.Time.IsZero() {
			r.Time = rec.Time.Format(time.RFC3339Nano)
		}
		if !rec.Sent.IsZero() {
			r.Sent = rec.Sent.Format(time.RFC3339Nano)
		}
		out = append(out, r)
	})
	return out, err
}

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func kv(key string, v *commonpb.AnyValue) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: v}
}

func request(t testing.TB, r *resourcepb.Resource, s *commonpb.InstrumentationScope, recs ...*logspb.LogRecord) []byte {
	t.Helper()
	// The request has the wire form of LogsData.
	b, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: r, SchemaUrl: "https://example.test/1", ScopeLogs: []*logspb.ScopeLogs{{Scope: s, LogRecords: recs}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const rich = `{"EventID":1,"list":["a",true,null],"attributes":{"log.file.name":"web.access.log","n":-5,"f":1.5,"b":"AQI="},"resource":{"service.name":"web","host":{"id":7}},"scope":{"name":"lib","version":"1","attributes":{"x":"y"}},"severity_number":9,"severity_text":"INFO","event_name":"login","flags":1,"dropped_attributes_count":2,"trace_id":"0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","time_unix_nano":1795302590865000001,"observed_time_unix_nano":1795302591000000000}`

var (
	richResource = &resourcepb.Resource{Attributes: []*commonpb.KeyValue{kv("service.name", str("web")), kv("host", &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{kv("id", &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 7}})}}}})}}
	richScope    = &commonpb.InstrumentationScope{Name: "lib", Version: "1", Attributes: []*commonpb.KeyValue{kv("x", str("y"))}}
	richRecord   = &logspb.LogRecord{
		TimeUnixNano: 1795302590865000001, ObservedTimeUnixNano: 1795302591000000000, SeverityNumber: 9, SeverityText: "INFO", EventName: "login", Flags: 1, DroppedAttributesCount: 2,
		TraceId: []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, SpanId: []byte{1, 2, 3, 4, 5, 6, 7, 8},
		Body: &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{
			kv("EventID", &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 1}}),
			kv("list", &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{str("a"), {Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}, {}}}}}),
		}}}},
		Attributes: []*commonpb.KeyValue{
			kv("log.file.name", str("web.access.log")), kv("n", &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -5}}),
			kv("f", &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 1.5}}), kv("b", &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1, 2}}}),
		},
	}
)

const richJSON = `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}},{"key":"host","value":{"kvlistValue":{"values":[{"key":"id","value":{"intValue":7}}]}}}]},"schemaUrl":"x","unknown":[{}],
 "scopeLogs":[{"logRecords":[ {"timeUnixNano":"1795302590865000001","observedTimeUnixNano":1795302591000000000,"severityNumber":9,"severityText":"INFO","eventName":"login","flags":1,"droppedAttributesCount":2,
 "traceId":"0102030405060708090A0b0c0d0e0f10","spanId":"0102030405060708","future":{"a":1},
 "body":{"kvlistValue":{"values":[{"key":"EventID","value":{"intValue":"1"}},{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"a"},{"boolValue":true},{}]}}}]}},
 "attributes":[{"key":"log.file.name","value":{"stringValue":"web.access.log"}},{"key":"n","value":{"intValue":"-5"}},{"key":"f","value":{"doubleValue":1.5}},{"key":"b","value":{"bytesValue":"AQI="}}]} ],
 "scope":{"name":"lib","version":"1","attributes":[{"key":"x","value":{"stringValue":"y"}}]}}]}]}`

func TestRichRecord(t *testing.T) {
	t.Parallel()
	wire, err := proto.Marshal(richRecord)
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Index(richJSON, `{"timeUnixNano"`)
	end := strings.Index(richJSON, " ],\n \"scope\"")
	for _, tt := range []struct {
		enc  otlp.Encoding
		body []byte
		raw  string
	}{{otlp.Protobuf, request(t, richResource, richScope, richRecord), string(wire)}, {otlp.JSON, []byte(richJSON), richJSON[start:end]}} {
		got, errs, err := read(tt.enc, tt.body)
		if err != nil || len(errs) != 1 || errs[0] != nil {
			t.Fatalf("%c: %v %v", tt.enc, errs, err)
		}
		want := []record{{"json", rich, "web", "2026-11-21T23:09:50.865000001Z", "2026-11-21T23:09:51Z", tt.raw}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%c (-want +got):\n%s", tt.enc, diff)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value, format, tree string
		body                      *commonpb.AnyValue
	}{
		{"text", `{"stringValue":"hel\"lo"}`, "text", `{"message":"hel\"lo"}`, str(`hel"lo`)},
		{"JSON in text", `{"stringValue":"{\"a\":1}"}`, "json", `{"a":1}`, str(`{"a":1}`)},
		{"syslog in text", `{"stringValue":"<34>1 2026-01-02T03:04:05Z h su - - - x"}`, "syslog", `{"message":"x","timestamp":"2026-01-02T03:04:05Z","host":"h","program":"su","pri":34,"facility":4,"severity":2}`, str("<34>1 2026-01-02T03:04:05Z h su - - - x")},
		{"nothing", `null`, "json", `{}`, nil},
		{"empty", `{}`, "json", `{}`, &commonpb.AnyValue{}},
		{"blank text", `{"stringValue":""}`, "text", `{"message":""}`, str("")},
		{"number", `{"intValue":"-9223372036854775808"}`, "json", `{"body":-9223372036854775808}`, &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -1 << 63}}},
		{"array", `{"arrayValue":{"values":[{"intValue":1}]}}`, "json", `{"body":[1]}`, &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{{Value: &commonpb.AnyValue_IntValue{IntValue: 1}}}}}}},
		{"bytes", `{"bytesValue":"AQI="}`, "json", `{"body":"AQI="}`, &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1, 2}}}},
		{"empty map", `{"kvlistValue":{"values":[]}}`, "json", `{}`, &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{}}}},
	}
	for _, tt := range tests {
		want := []record{{Format: tt.format, Tree: tt.tree}}
		for enc, body := range map[otlp.Encoding][]byte{
			otlp.Protobuf: request(t, nil, nil, &logspb.LogRecord{Body: tt.body}),
			otlp.JSON:     []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":` + tt.value + `}]}]}]}`),
		} {
			got, errs, err := read(enc, body)
			if err != nil || len(errs) != 1 || errs[0] != nil {
				t.Fatalf("%s %c: %v %v", tt.name, enc, errs, err)
			}
			for i := range got {
				got[i].Raw = ""
				if tt.format == "syslog" {
					got[i].Time = ""
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %c (-want +got):\n%s", tt.name, enc, diff)
			}
		}
	}
}

// The record's own time, else the one in the text, else when it was observed.
func TestTimes(t *testing.T) {
	t.Parallel()
	set, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	plan := event.NewPlan(pack.Funcs())
	session, reader := set.Router(plan, pack.RouterOptions{Reference: options.Reference}).Session(), plan.Reader()
	const line = "<38>Jan  2 03:04:05 web-1 sshd[812]: Failed password for root from 192.0.2.7 port 22 ssh2"
	for _, tt := range []struct {
		rec  *logspb.LogRecord
		want string
	}{
		{&logspb.LogRecord{Body: str(line), TimeUnixNano: 1e18, ObservedTimeUnixNano: 2e18}, "2001-09-09T01:46:40Z"},
		{&logspb.LogRecord{Body: str(line), ObservedTimeUnixNano: 1.2e18}, "2026-01-02T03:04:05Z"},
		{&logspb.LogRecord{Body: str("hello"), ObservedTimeUnixNano: 1.2e18}, "2008-01-10T21:20:00Z"},
		{&logspb.LogRecord{Body: str("hello")}, ""},
	} {
		var c collect
		c.Begin(otlp.Protobuf)
		if err := otlp.Walk(otlp.Protobuf, request(t, nil, nil, tt.rec), &c); err != nil {
			t.Fatal(err)
		}
		err := otlp.Format().NewParser(options).Parse(&format.Block{Data: c.Data}, c.frames[0], func(rec *event.Record) {
			_, p := session.Route(rec, reader)
			if strings.HasPrefix(string(rec.Text), "<38>") && (p == nil || p.Name != "linux-syslog") {
				t.Errorf("pack %v", p)
			}
			got := ""
			if !rec.Time.IsZero() {
				got = rec.Time.UTC().Format(time.RFC3339Nano)
			}
			if got != tt.want {
				t.Errorf("time %s, want %s", got, tt.want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// What a collector reads from a Windows channel as XML, and other bodies of
// text, meet the rules that a file of them would.
func TestRoutedAsFromFile(t *testing.T) {
	t.Parallel()
	set, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	plan := event.NewPlan(pack.Funcs())
	session, reader := set.Router(plan, pack.RouterOptions{Reference: options.Reference}).Session(), plan.Reader()
	p := otlp.Format().NewParser(options)
	for _, tt := range []struct{ body, pack, view string }{
		{`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><Channel>Microsoft-Windows-Sysmon/Operational</Channel></System><EventData><Data Name='Image'>C:\x.exe</Data></EventData></Event>`, "windows", "windows/process_creation#sysmon"},
		{`type=SYSCALL msg=audit(1767323045.123:42): arch=c000003e syscall=59`, "linux-auditd", "linux/auditd"},
		{`{"eventVersion":"1.08","eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1","eventTime":"2026-01-02T03:04:05Z","userIdentity":{"type":"Root"}}`, "aws-cloudtrail", "aws/cloudtrail"},
	} {
		var c collect
		c.Begin(otlp.Protobuf)
		if err := otlp.Walk(otlp.Protobuf, request(t, richResource, richScope, &logspb.LogRecord{Body: str(tt.body)}), &c); err != nil {
			t.Fatal(err)
		}
		err := p.Parse(&format.Block{Data: c.Data}, c.frames[0], func(rec *event.Record) {
			ids, chosen := session.Route(rec, reader)
			var views []string
			for _, id := range ids {
				views = append(views, set.Views()[id].Name)
			}
			if chosen == nil || chosen.Name != tt.pack || !slices.Contains(views, tt.view) {
				t.Errorf("%s: %v %q", tt.pack, chosen, views)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) *commonpb.AnyValue {
		v := str("x")
		for range n {
			v = &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{v}}}}
		}
		return v
	}
	many := func(n int) (out []*commonpb.KeyValue) {
		for i := range n {
			out = append(out, kv("k"+strconv.Itoa(i), str("v")))
		}
		return out
	}
	manyJSON := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"key":"k%d","value":{"stringValue":"v"}}`, i)
		}
		return `{"attributes":[` + b.String() + `]}`
	}
	wire := func(r *logspb.LogRecord) []byte {
		b, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	p := otlp.Format().NewParser(options)
	for _, tt := range []struct {
		name string
		raw  []byte
		fine bool
	}{
		{"attributes", wire(&logspb.LogRecord{Attributes: many(event.ObjectKeysMax)}), true},
		{"attributes+1", wire(&logspb.LogRecord{Attributes: many(event.ObjectKeysMax + 1)}), false},
		{"attributes×100", wire(&logspb.LogRecord{Attributes: many(100 * event.ObjectKeysMax)}), false},
		{"attributes in JSON", []byte(manyJSON(event.ObjectKeysMax)), true},
		{"attributes+1 in JSON", []byte(manyJSON(event.ObjectKeysMax + 1)), false},
		{"depth", wire(&logspb.LogRecord{Body: nested(event.DepthMax - 1)}), true}, // the record itself is one
		{"depth+1", wire(&logspb.LogRecord{Body: nested(event.DepthMax)}), false},
		{"depth×100", wire(&logspb.LogRecord{Body: nested(100 * event.DepthMax)}), false},
		{"depth of an attribute", wire(&logspb.LogRecord{Attributes: []*commonpb.KeyValue{kv("a", nested(event.DepthMax-2))}}), true},
		{"depth+1 of an attribute", wire(&logspb.LogRecord{Attributes: []*commonpb.KeyValue{kv("a", nested(event.DepthMax-1))}}), false},
		{"depth in JSON", []byte(`{"future":` + strings.Repeat("[", event.DepthMax-1) + strings.Repeat("]", event.DepthMax-1) + `}`), true},
		{"depth+1 in JSON", []byte(`{"future":` + strings.Repeat("[", event.DepthMax) + strings.Repeat("]", event.DepthMax) + `}`), false},
		{"long key", wire(&logspb.LogRecord{Attributes: []*commonpb.KeyValue{kv(strings.Repeat("k", event.KeyBytesMax+1), str("v"))}}), false},
		{"not protobuf", []byte{0x0a, 0xff}, false},
		{"a group", []byte{0x0b, 0x0c}, false},
		{"not an object", []byte(`{"a":1}]`), false},
		{"empty", nil, true},
	} {
		recs, err := parse(p, tt.raw, format.Frame{End: len(tt.raw)})
		if (err == nil) != tt.fine || tt.fine != (len(recs) == 1) {
			t.Errorf("%s: %d records, %v", tt.name, len(recs), err)
		}
	}
}

func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	whole := request(t, richResource, richScope, richRecord)
	var c collect
	for _, body := range [][]byte{whole[:len(whole)-1], {0xff}, {0x0a, 0x05, 1}, {0x0a, 0x03, 0x12, 0x05, 0}, {0x03}, {0x00}} {
		if err := otlp.Walk(otlp.Protobuf, body, &c); err == nil {
			t.Errorf("%x is a request", body)
		}
	}
	for _, body := range []string{``, `[]`, `{`, `{"resourceLogs":{}}`, `{"resourceLogs":[1]}`, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}}]}]}`, `{} x`, `{"resourceLogs":[{}]`} {
		if err := otlp.Walk(otlp.JSON, []byte(body), &c); err == nil {
			t.Errorf("%s is a request", body)
		}
	}
	for _, body := range []string{`{}`, ` {"resourceLogs":[]} `, `{"resourceLogs":null,"x":1}`, `{"resourceLogs":[{"scopeLogs":null}]}`} {
		if err := otlp.Walk(otlp.JSON, []byte(body), &c); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := otlp.Walk(otlp.Protobuf, nil, &c); err != nil || len(c.frames) != 0 {
		t.Errorf("an empty request: %v, %d records", err, len(c.frames))
	}
	stop := errors.New("stop")
	if err := otlp.Walk(otlp.Protobuf, whole, stopping{stop}); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

type stopping struct{ err error }

func (s stopping) Resource([]byte) error { return nil }
func (s stopping) Scope([]byte) error    { return nil }
func (s stopping) Record([]byte) error   { return s.err }

// A record whose reference was damaged or cut off is read alone.
func TestReferences(t *testing.T) {
	t.Parallel()
	var c collect
	c.Begin(otlp.Protobuf)
	if err := otlp.Walk(otlp.Protobuf, request(t, richResource, richScope, &logspb.LogRecord{Body: str("a")}, &logspb.LogRecord{Body: str("b")}), &c); err != nil {
		t.Fatal(err)
	}
	p := otlp.Format().NewParser(options)
	all, _ := parse(p, c.Data, c.frames[1])
	if len(all) != 1 || !strings.Contains(all[0].Tree, `"service.name":"web"`) {
		t.Fatalf("%+v", all)
	}
	f := c.frames[1]
	alone, err := parse(p, c.Data[f.Start:f.End], format.Frame{End: f.End - f.Start})
	if err != nil || len(alone) != 1 || alone[0].Tree != `{"message":"b"}` {
		t.Errorf("%+v %v", alone, err)
	}
	// Data moved as a whole keeps its meaning.
	moved := append([]byte("something else"), c.Data...)
	again, _ := parse(p, moved, format.Frame{Start: f.Start + 14, End: f.End + 14})
	if !slices.Equal(again, all) {
		t.Errorf("%+v", again)
	}
	for i := f.Start - 16; i < f.Start; i++ {
		broken := bytes.Clone(c.Data)
		broken[i] ^= 0xff
		_, _ = parse(p, broken, f) // whatever it gives, it stays within the data
	}
}

// value makes an AnyValue and the same in JSON.
func value(t *rapid.T, depth int) (*commonpb.AnyValue, any) {
	kinds := 5
	if depth > 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return &commonpb.AnyValue{}, map[string]any{}
	case 1:
		s := rapid.String().Draw(t, "text")
		return str(s), map[string]any{"stringValue": s}
	case 2:
		b := rapid.Bool().Draw(t, "bool")
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}}, map[string]any{"boolValue": b}
	case 3:
		n := rapid.Int64().Draw(t, "int")
		var v any = n
		if rapid.Bool().Draw(t, "as text") {
			v = strconv.FormatInt(n, 10)
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}, map[string]any{"intValue": v}
	case 4:
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: b}}, map[string]any{"bytesValue": b}
	case 5:
		list := []*commonpb.AnyValue{}
		texts := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			v, j := value(t, depth-1)
			list, texts = append(list, v), append(texts, j)
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: list}}}, map[string]any{"arrayValue": map[string]any{"values": texts}}
	}
	pairs, texts := attributes(t, depth-1)
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: pairs}}}, map[string]any{"kvlistValue": map[string]any{"values": texts}}
}

func attributes(t *rapid.T, depth int) (list []*commonpb.KeyValue, texts []any) {
	texts = []any{}
	for range rapid.IntRange(0, 3).Draw(t, "n") {
		key := rapid.SampledFrom([]string{"a", "b.c", "é", "", "log.file.name", "service.name"}).Draw(t, "key")
		v, j := value(t, depth)
		list, texts = append(list, kv(key, v)), append(texts, map[string]any{"key": key, "value": j})
	}
	return list, texts
}

// Both encodings of a request give the same records.
func TestEncodingsAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "trace")
		at := rapid.Uint64().Draw(t, "time")
		name := rapid.String().Draw(t, "name")
		body, bodyJSON := value(t, 3)
		attrs, attrsJSON := attributes(t, 3)
		of, ofJSON := attributes(t, 2)
		wire, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
			Resource: &resourcepb.Resource{Attributes: of},
			ScopeLogs: []*logspb.ScopeLogs{{Scope: &commonpb.InstrumentationScope{Name: name}, LogRecords: []*logspb.LogRecord{
				{Body: body, Attributes: attrs, TimeUnixNano: at, TraceId: id, SeverityText: name}, {},
			}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
			"resource": map[string]any{"attributes": ofJSON},
			"scopeLogs": []any{map[string]any{"scope": map[string]any{"name": name}, "logRecords": []any{
				map[string]any{"body": bodyJSON, "attributes": attrsJSON, "timeUnixNano": strconv.FormatUint(at, 10), "traceId": hex.EncodeToString(id), "severityText": name}, map[string]any{},
			}}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		a, errsA, err := read(otlp.Protobuf, wire)
		if err != nil {
			t.Fatal(err)
		}
		b, errsB, err := read(otlp.JSON, text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a {
			a[i].Raw = ""
		}
		for i := range b {
			b[i].Raw = ""
		}
		if diff := cmp.Diff(a, b); diff != "" || (errsA[0] == nil) != (errsB[0] == nil) {
			t.Fatalf("(-protobuf +JSON):\n%s\n%v %v", diff, errsA, errsB)
		}
	})
}

// Whatever comes: no record beyond limits, the same twice, and raw bytes that
// stand in the request.
func fuzz(f *testing.F, enc otlp.Encoding) {
	p := otlp.Format().NewParser(options)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		var c collect
		c.Begin(enc)
		if err := otlp.Walk(enc, body, &c); err == nil {
			end := 0
			for _, fr := range c.frames {
				if fr.Start < end || fr.End > len(c.Data) || !bytes.Contains(body, c.Data[fr.Start:fr.End]) {
					t.Fatalf("frame %+v", fr)
				}
				end = fr.End
				a, err1 := parse(p, c.Data, fr)
				b, err2 := parse(p, c.Data, fr)
				if !slices.Equal(a, b) || (err1 == nil) != (err2 == nil) || err1 == nil && len(a) == 0 {
					t.Fatalf("%v %v, %v %v", a, err1, b, err2)
				}
				for _, r := range a {
					var tree event.Tree
					if err := tree.ParseJSON([]byte(r.Tree)); err != nil {
						t.Fatalf("%s: %v", r.Tree, err)
					}
					if r.Raw != string(c.Data[fr.Start:fr.End]) {
						t.Fatal("raw is not the record")
					}
				}
			}
		}
		// As a record with anything before it.
		_, _ = parse(p, body, format.Frame{Start: len(body) / 2, End: len(body)})
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
	})
}

func FuzzProtobuf(f *testing.F) {
	f.Add(request(f, richResource, richScope, richRecord, &logspb.LogRecord{Body: str("<13>x")}))
	f.Add([]byte{0x0a, 0x04, 0x12, 0x02, 0x12, 0x00})
	fuzz(f, otlp.Protobuf)
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(richJSON))
	f.Add([]byte(`{"resource_logs":[{"scope_logs":[{"log_records":[{"body":{"string_value":"{}"}},5]}]}]}`))
	fuzz(f, otlp.JSON)
}

func BenchmarkParse(b *testing.B) {
	for name, in := range map[string]struct {
		enc  otlp.Encoding
		body []byte
	}{"protobuf": {otlp.Protobuf, request(b, richResource, richScope, richRecord)}, "json": {otlp.JSON, []byte(richJSON)}} {
		b.Run(name, func(b *testing.B) {
			var c collect
			c.Begin(in.enc)
			if err := otlp.Walk(in.enc, in.body, &c); err != nil {
				b.Fatal(err)
			}
			p := otlp.Format().NewParser(options)
			block := format.Block{Data: c.Data}
			b.SetBytes(int64(c.frames[0].End - c.frames[0].Start))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Parse(&block, c.frames[0], func(*event.Record) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
