package pack

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
)

// A record inside a syslog message goes to the pack, and proves the log
// sources, that it does in a file of its own.
func TestRecordsInsideSyslog(t *testing.T) {
	t.Parallel()
	set, err := Load(vfs.Default, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`{"timestamp":"2026-01-02T03:04:05.123456+0000","flow_id":1,"event_type":"dns","src_ip":"192.0.2.1","src_port":1,"dest_ip":"192.0.2.2","dest_port":53,"proto":"UDP","dns":{"type":"query","rrname":"example.net"}}`,
		`type=SYSCALL msg=audit(1767323045.123:77): arch=c000003e syscall=59 success=yes exit=0 ppid=10 pid=11 comm="cat" exe="/usr/bin/cat"`,
		`<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID><TimeCreated SystemTime='2026-01-02T03:04:05Z'/><Channel>Microsoft-Windows-Sysmon/Operational</Channel><Computer>h</Computer></System><EventData><Data Name='Image'>C:\a.exe</Data></EventData></Event>`,
	} {
		wantPack, wantViews := routedAs(t, set, "", line)
		if wantPack == "" || wantViews == "" {
			t.Errorf("no pack takes %.40s alone", line)
		}
		for _, header := range []string{"<13>Jan  2 03:04:05 relay app[7]: ", "<13>1 2026-01-02T03:04:05Z relay app 7 - - ", "<13>", ""} {
			if p, v := routedAs(t, set, "syslog", header+line); p != wantPack || v != wantViews {
				t.Errorf("%.60s: pack %s with %s, want %s with %s", header+line, p, v, wantPack, wantViews)
			}
		}
	}
}

// routedAs routes the record of a line; the format of that name reads it, or the
// one that is surest.
func routedAs(t *testing.T, set *Set, name, line string) (pack, views string) {
	t.Helper()
	kind, ok := formats.ByName(name)
	if !ok {
		if kind, ok = formats.Detect([]byte(line+"\n"), "x"); !ok {
			t.Fatalf("no format for %.40s", line)
		}
	}
	plan := event.NewPlan(Funcs())
	router := set.Router(plan, RouterOptions{})
	session, reader := router.Session(), plan.Reader()
	var b format.Block
	if err := kind.NewSplitter(strings.NewReader(line+"\n"), format.Options{}).Next(&b); err != nil {
		t.Fatal(err)
	}
	err := kind.NewParser(format.Options{}).Parse(&b, b.Frames[0], func(r *event.Record) {
		ids, p := session.Route(r, reader)
		if p != nil {
			pack = p.Name
		}
		for _, id := range ids {
			views += " " + string(rune('a'+id%26)) + strings.Repeat("'", id/26)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return pack, views
}
