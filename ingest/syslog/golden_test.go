package syslog

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
)

// Messages as senders form them, and what becomes of them.
var golden = []struct{ name, message, time, want string }{
	{
		"rsyslog omfwd", `<13>1 2026-01-02T03:04:05.023316+00:00 web-1 root - - [timeQuality tzKnown="1" isSynced="0"] hello there`, "2026-01-02T03:04:05.023316Z",
		`{"message":"hello there","timestamp":"2026-01-02T03:04:05.023316+00:00","host":"web-1","program":"root","pri":13,"facility":1,"severity":5,"structured_data":{"timeQuality":{"tzKnown":"1","isSynced":"0"}}}`,
	},
	{
		"syslog-ng network() around RFC 5424", `<38>Jan  2 03:04:05 relay 1 2026-01-02T03:04:01+01:00 web-1 sshd 812 - - Accepted publickey for root`, "2026-01-02T02:04:01Z",
		`{"message":"Accepted publickey for root","timestamp":"2026-01-02T03:04:01+01:00","host":"web-1","program":"sshd","pid":"812","pri":38,"facility":4,"severity":6}`,
	},
	{
		"Cisco ASA", `<166>Jan 02 2026 03:04:05 fw1 : %ASA-6-302013: Built inbound TCP connection`, "2026-01-02T03:04:05Z",
		`{"message":"Built inbound TCP connection","timestamp":"Jan 02 2026 03:04:05","host":"fw1","program":"%ASA-6-302013","pri":166,"facility":20,"severity":6}`,
	},
	{
		"Cisco IOS", `<189>29: *Jan  2 03:04:05.123: %SYS-5-CONFIG_I: Configured from console`, "2026-01-02T03:04:05.123Z",
		`{"message":"Configured from console","timestamp":"*Jan  2 03:04:05.123","program":"%SYS-5-CONFIG_I","pri":189,"facility":23,"severity":5}`,
	},
	{
		"FortiGate", `<189>date=2026-01-02 time=03:04:05 devname="fw" devid="FG100" logid="0000000013" type="traffic"`, "",
		`{"message":"date=2026-01-02 time=03:04:05 devname=\"fw\" devid=\"FG100\" logid=\"0000000013\" type=\"traffic\"","pri":189,"facility":23,"severity":5}`,
	},
	{
		"CEF", `<134>Jan  2 03:04:05 gw CEF:0|Vendor|Product|1.0|100|a name|5|src=192.0.2.1 act=blocked`, "2026-01-02T03:04:05Z",
		`{"message":"CEF:0|Vendor|Product|1.0|100|a name|5|src=192.0.2.1 act=blocked","timestamp":"Jan  2 03:04:05","host":"gw","pri":134,"facility":16,"severity":6}`,
	},
	{
		"LEEF", "<134>1 2026-01-02T03:04:05Z gw app - - - LEEF:1.0|Vendor|Product|1.0|100|src=192.0.2.1\tact=blocked", "2026-01-02T03:04:05Z",
		`{"message":"LEEF:1.0|Vendor|Product|1.0|100|src=192.0.2.1\tact=blocked","timestamp":"2026-01-02T03:04:05Z","host":"gw","program":"app","pri":134,"facility":16,"severity":6}`,
	},
	{
		"JSON", `<14>Jan  2 03:04:05 ids suricata[9]: {"timestamp":"2026-01-02T03:04:04.5+0000","event_type":"alert"}`, "2026-01-02T03:04:04.5Z",
		`{"timestamp":"2026-01-02T03:04:04.5+0000","event_type":"alert","message":"{\"timestamp\":\"2026-01-02T03:04:04.5+0000\",\"event_type\":\"alert\"}","host":"ids","program":"suricata","pid":"9","pri":14,"facility":1,"severity":6}`,
	},
	{"no header", `something else`, "", `{"message":"something else","raw":"something else"}`},
}

func TestGoldenMessages(t *testing.T) {
	t.Parallel()
	lines := func(m string) string { return m + "\n" }
	counted := func(m string) string { return fmt.Sprintf("%d %s", len(m), m) }
	zero := func(m string) string { return m + "\x00" }
	for _, frame := range []func(string) string{lines, counted, zero} {
		f := stream(t, options(t, newSink()))
		c := f.dial(t)
		for i, g := range golden {
			write(t, c, frame(g.message))
			f.until(func() bool { return f.records() == i+1 })
		}
		f.stop()
		f.check(t)
	}
	f, c := datagram(t, options(t, newSink()))
	for i, g := range golden {
		write(t, c, g.message)
		f.until(func() bool { return f.records() == i+1 })
	}
	f.stop()
	f.check(t)
}

// check reads the batches as evaluation does.
func (f *fixture) check(t *testing.T) {
	t.Helper()
	n := 0
	for _, b := range f.batches {
		kind, ok := formats.ByName(b.Format)
		if !ok {
			t.Fatalf("format %q", b.Format)
		}
		block, err := b.Block(&kind)
		if err != nil {
			t.Fatal(err)
		}
		p := kind.NewParser(format.Options{Reference: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
		for _, fr := range block.Frames {
			err := p.Parse(&block, fr, func(r *event.Record) {
				at := ""
				if !r.Time.IsZero() {
					at = r.Time.UTC().Format(time.RFC3339Nano)
				}
				if diff := cmp.Diff(golden[n].want, string(r.Tree.AppendJSON(nil, 0))); diff != "" || at != golden[n].time || string(r.Raw) != golden[n].message {
					t.Errorf("%s at %s: %s", golden[n].name, at, diff)
				}
			})
			if err != nil {
				t.Errorf("%s: %v", golden[n].name, err)
			}
			n++
		}
	}
}
