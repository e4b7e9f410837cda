package sniff_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/format/sniff"
	"github.com/tiercel-io/tiercel/pack"
)

var options = format.Options{Reference: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}

const windowsEvent = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><TimeCreated SystemTime='2026-01-02T03:04:05.123Z'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>ws1.example.test</Computer></System><EventData><Data Name='Image'>C:\Windows\System32\whoami.exe</Data><Data Name='CommandLine'>whoami /all</Data></EventData></Event>`

// seen is what matters of a record to rules.
type seen struct {
	Format, Tree, Time, Pack string
	Views                    []string
}

// routes records as the engine would.
type routes struct {
	set     *pack.Set
	session *pack.Session
	reader  *event.Reader
}

func newRoutes(t testing.TB) *routes {
	t.Helper()
	set, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	plan := event.NewPlan(pack.Funcs())
	router := set.Router(plan, pack.RouterOptions{Reference: options.Reference})
	return &routes{set: set, session: router.Session(), reader: plan.Reader()}
}

func (r *routes) route(rec *event.Record) seen {
	ids, p := r.session.Route(rec, r.reader)
	s := seen{Format: rec.Format, Tree: string(rec.Tree.AppendJSON(nil, 0))}
	if p != nil {
		s.Pack = p.Name
	}
	if !rec.Time.IsZero() {
		s.Time = rec.Time.Format(time.RFC3339Nano)
	}
	for _, id := range ids {
		s.Views = append(s.Views, r.set.Views()[id].Name)
	}
	return s
}

// fromFile reads text as scan does a file of that format.
func fromFile(t *testing.T, r *routes, name, text string) (out []seen) {
	t.Helper()
	f, ok := formats.ByName(name)
	if !ok {
		t.Fatalf("no format %s", name)
	}
	split, parser := f.NewSplitter(strings.NewReader(text), options), f.NewParser(options)
	var b format.Block
	for split.Next(&b) == nil {
		for _, frame := range b.Frames {
			if err := parser.Parse(&b, frame, func(rec *event.Record) { out = append(out, r.route(rec)) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// An event that comes in an envelope is the event that comes from a file.
func TestSameAsFromFile(t *testing.T) {
	t.Parallel()
	r := newRoutes(t)
	tests := []struct{ name, format, text, pack string }{
		{"JSON", "json", `{"timestamp":"2026-01-02T03:04:05.000000+0000","flow_id":1,"event_type":"dns","src_ip":"192.0.2.1","dest_ip":"192.0.2.2","proto":"UDP","dns":{"type":"query","rrname":"example.test"}}`, "suricata"},
		{"Windows XML", "xml", windowsEvent, "windows"},
		{"Windows XML with declaration", "xml", "<?xml version=\"1.0\"?>\r\n" + windowsEvent + "\r\n", "windows"},
		{"several in Events", "xml", "<Events>" + windowsEvent + windowsEvent + "</Events>", "windows"},
		{"audit line", "auditd", `type=SYSCALL msg=audit(1767323045.123:42): arch=c000003e syscall=59 success=yes exe="/usr/bin/id"`, "linux-auditd"},
		{"audit event", "auditd", "type=SYSCALL msg=audit(1767323045.123:42): arch=c000003e syscall=59 exe=\"/usr/bin/id\"\ntype=EXECVE msg=audit(1767323045.123:42): argc=1 a0=\"id\"\n", "linux-auditd"},
		{"two audit events", "auditd", "type=CWD msg=audit(1767323045.123:42): cwd=\"/\"\ntype=CWD msg=audit(1767323045.123:43): cwd=\"/tmp\"", "linux-auditd"},
		{"syslog 3164", "syslog", "<38>Jan  2 03:04:05 web-1 sshd[812]: Failed password for root from 192.0.2.7 port 22 ssh2", "linux-syslog"},
		{"syslog without PRI", "syslog", "Jan  2 03:04:05 web-1 sshd[812]: Failed password for root from 192.0.2.7 port 22 ssh2", "linux-syslog"},
		{"syslog 5424", "syslog", `<165>1 2026-01-02T03:04:05Z web-1 sudo 7 - - ana : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/id`, "linux-syslog"},
		{"CEF in syslog", "syslog", `<13>Jan  2 03:04:05 gw CEF:0|V|P|1|1|n|1|src=192.0.2.1 dst=192.0.2.2 dpt=80 act=deny`, "cef"},
		{"CEF", "text", `CEF:0|V|P|1|1|n|1|src=192.0.2.1 dst=192.0.2.2 dpt=80 act=deny rt=1767323045000`, "cef"},
		{"LEEF", "text", "LEEF:1.0|V|P|1|1|src=192.0.2.1\tdst=192.0.2.2", "leef"},
		{"FortiGate", "text", `date=2026-01-02 time=03:04:05 devname="fw" devid="FGT1" logid="0000000013" type="traffic" subtype="forward" srcip=192.0.2.1 dstip=192.0.2.2`, "fortigate"},
		{"access log", "text", `192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 1 "-" "x"`, "access-log"},
		{"nothing known", "text", "hello", ""},
	}
	for _, tt := range tests {
		want := fromFile(t, r, tt.format, tt.text)
		if len(want) == 0 {
			t.Fatalf("%s: no record from the file", tt.name)
		}
		if tt.pack != "" && want[0].Pack != tt.pack {
			t.Errorf("%s: the test means pack %q, the file has %q", tt.name, tt.pack, want[0].Pack)
		}
		var got []seen
		// What the text stood in is the raw record and must change nothing.
		if err := sniff.New(options).Read([]byte(tt.text), func(rec *event.Record) {
			rec.Raw = []byte(`{"event":"an envelope"}`)
			got = append(got, r.route(rec))
		}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-file +text):\n%s", tt.name, diff)
		}
	}
}

func read(s string) (formats []string, trees []string, err error) {
	err = sniff.New(options).Read([]byte(s), func(rec *event.Record) {
		formats = append(formats, rec.Format)
		trees = append(trees, string(rec.Tree.AppendJSON(nil, 0)))
	})
	return formats, trees, err
}

func TestForms(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, format, tree string }{
		{"@cee: {\"a\":1}", "json", `{"a":1}`},
		{" \n{\"a\":1}\n", "json", `{"a":1}`},
		{"{broken", "text", `{"message":"{broken"}`},
		{"{\"a\":1} and more", "text", `{"message":"{\"a\":1} and more"}`},
		{"[1,2]", "text", `{"message":"[1,2]"}`},
		{"<Event><System></Event>", "text", `{"message":"<Event><System></Event>"}`},
		{"<Events>", "text", `{"message":"<Events>"}`},
		{"<b>bold</b>", "text", `{"message":"<b>bold</b>"}`},
		{"type=x", "text", `{"message":"type=x"}`},
		{"panic: x\n\tat y", "text", `{"message":"panic: x\n\tat y"}`},
		{"\xff", "text", "{\"message\":\"\uFFFD\"}"},
	}
	for _, tt := range tests {
		formats, trees, err := read(tt.in)
		if err != nil || !slices.Equal(formats, []string{tt.format}) || trees[0] != tt.tree {
			t.Errorf("%q: %q %q %v", tt.in, formats, trees, err)
		}
	}
	if _, trees, err := read(strings.Repeat(`{"a":`, event.DepthMax+1) + "1" + strings.Repeat("}", event.DepthMax+1)); err == nil || len(trees) > 0 {
		t.Errorf("too deep: %q", trees)
	}
}

// Any text gives a record or an error, records are within limits, and those of
// text hold all of it.
func FuzzRead(f *testing.F) {
	for _, s := range []string{windowsEvent, `{"a":1}`, "@cee:{}", "<13>x", "type=A msg=audit(1.1:2): a=b\ntype=B msg=audit(1.1:3): c=d", "hello"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := sniff.New(options)
		var first []string
		err := r.Read(data, func(rec *event.Record) {
			if err := rec.Tree.Err(); err != nil {
				t.Fatal(err)
			}
			if (rec.Format == "text" || rec.Format == "syslog") && string(rec.Text) != string(data) {
				t.Fatalf("text %q of %q", rec.Text, data)
			}
			first = append(first, string(rec.Tree.AppendJSON(nil, 0)))
		})
		if err == nil && len(first) == 0 && len(data) < event.RecordBytesMax {
			t.Fatal("neither a record nor an error")
		}
		var second []string
		err2 := r.Read(data, func(rec *event.Record) { second = append(second, string(rec.Tree.AppendJSON(nil, 0))) })
		if (err == nil) != (err2 == nil) || !slices.Equal(first, second) {
			t.Fatalf("read twice: %q, %q", first, second)
		}
	})
}
