package syslog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
	"github.com/tiercel-io/tiercel/timestamp"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	o := format.Options{Name: "auth.log.1", Reference: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}
	tests := []struct{ name, line, time, want string }{
		// RFC 5424 section 6.5.
		{
			"example 1", "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8", "2003-10-11T22:14:15.003Z",
			`{"message":"'su root' failed for lonvick on /dev/pts/8","timestamp":"2003-10-11T22:14:15.003Z","host":"mymachine.example.com","program":"su","msgid":"ID47","pri":34,"facility":4,"severity":2}`,
		},
		{
			"example 2", "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.", "2003-08-24T12:14:15.000003Z",
			`{"message":"%% It's time to make the do-nuts.","timestamp":"2003-08-24T05:14:15.000003-07:00","host":"192.0.2.1","program":"myproc","pid":"8710","pri":165,"facility":20,"severity":5}`,
		},
		{
			"example 4", `<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application"][examplePriority@32473 class="high"]`, "2003-10-11T22:14:15.003Z",
			`{"message":"","timestamp":"2003-10-11T22:14:15.003Z","host":"mymachine.example.com","program":"evntslog","msgid":"ID47","pri":165,"facility":20,"severity":5,"structured_data":{"exampleSDID@32473":{"iut":"3","eventSource":"Application"},"examplePriority@32473":{"class":"high"}}}`,
		},
		{
			"escapes", `<13>1 - - - - - [a b="x\"y\]z\\ \n" c=""] text`, "",
			`{"message":"text","pri":13,"facility":1,"severity":5,"structured_data":{"a":{"b":"x\"y]z\\ \\n","c":""}}}`,
		},
		{
			"not quite 5424", `<13>1 2026-01-02T03:04:05Z h app 1 - [broken text`, "2026-01-02T03:04:05Z",
			`{"message":"app 1 - [broken text","timestamp":"2026-01-02T03:04:05Z","host":"h","pri":13,"facility":1,"severity":5}`,
		},
		// RFC 3164 section 5.4.
		{
			"3164", "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8", "2025-10-11T22:14:15Z",
			`{"message":"'su root' failed for lonvick on /dev/pts/8","timestamp":"Oct 11 22:14:15","host":"mymachine","program":"su","pri":34,"facility":4,"severity":2}`,
		},
		{
			"file of it", "Jan  2 03:04:05 web-1 sshd[812]: Accepted publickey for root", "2026-01-02T03:04:05Z",
			`{"message":"Accepted publickey for root","timestamp":"Jan  2 03:04:05","host":"web-1","program":"sshd","pid":"812"}`,
		},
		{
			"RFC 3339 in a file", "2026-01-02T03:04:05.123456+01:00 web-1 CRON[9]: (root) CMD (x)", "2026-01-02T02:04:05.123456Z",
			`{"message":"(root) CMD (x)","timestamp":"2026-01-02T03:04:05.123456+01:00","host":"web-1","program":"CRON","pid":"9"}`,
		},
		{"no host", "Jan  2 03:04:05 su: hi", "2026-01-02T03:04:05Z", `{"message":"hi","timestamp":"Jan  2 03:04:05","program":"su"}`},
		{
			"no tag", "<13>Jan  2 03:04:05 web-1 hello there", "2026-01-02T03:04:05Z",
			`{"message":"hello there","timestamp":"Jan  2 03:04:05","host":"web-1","pri":13,"facility":1,"severity":5}`,
		},
		{
			"kernel", "Jan  2 03:04:05 web-1 kernel: [12.5] x: y", "2026-01-02T03:04:05Z",
			`{"message":"[12.5] x: y","timestamp":"Jan  2 03:04:05","host":"web-1","program":"kernel"}`,
		},
		{
			"path in the tag", "Jan  2 03:04:05 web-1 postfix/smtpd[7]: x", "2026-01-02T03:04:05Z",
			`{"message":"x","timestamp":"Jan  2 03:04:05","host":"web-1","program":"postfix/smtpd","pid":"7"}`,
		},
		// Devices.
		{
			"Cisco ASA", "<166>Oct 11 2024 22:14:15 fw1 : %ASA-6-302013: Built inbound", "2024-10-11T22:14:15Z",
			`{"message":"Built inbound","timestamp":"Oct 11 2024 22:14:15","host":"fw1","program":"%ASA-6-302013","pri":166,"facility":20,"severity":6}`,
		},
		{
			"Cisco IOS", "<189>29: *Jan  1 18:46:11.123: %SYS-5-CONFIG_I: Configured", "2026-01-01T18:46:11.123Z",
			`{"message":"Configured","timestamp":"*Jan  1 18:46:11.123","program":"%SYS-5-CONFIG_I","pri":189,"facility":23,"severity":5}`,
		},
		{
			"Cisco IOS with host", "<189>000029: Jan  1 18:46:11 UTC: router1: %SYS-5-CONFIG_I: Configured", "2026-01-01T18:46:11Z",
			`{"message":"Configured","timestamp":"Jan  1 18:46:11 UTC","host":"router1","program":"%SYS-5-CONFIG_I","pri":189,"facility":23,"severity":5}`,
		},
		{
			"FortiGate", `<189>date=2026-01-02 time=03:04:05 devname="f"`, "",
			`{"message":"date=2026-01-02 time=03:04:05 devname=\"f\"","pri":189,"facility":23,"severity":5}`,
		},
		{
			"Meraki", "<134>1 1767323045.774247467 mx flows src=192.0.2.1 dst=192.0.2.2", "2026-01-02T03:04:05.774247467Z",
			`{"message":"flows src=192.0.2.1 dst=192.0.2.2","timestamp":"1767323045.774247467","host":"mx","pri":134,"facility":16,"severity":6}`,
		},
		{
			"CEF", "<13>Jan  2 03:04:05 gw CEF:0|V|P|1|1|n: m|1|a=b", "2026-01-02T03:04:05Z",
			`{"message":"CEF:0|V|P|1|1|n: m|1|a=b","timestamp":"Jan  2 03:04:05","host":"gw","pri":13,"facility":1,"severity":5}`,
		},
		{"CEF alone", "CEF:0|V|P|1|1|n|1|a=b", "", `{"message":"CEF:0|V|P|1|1|n|1|a=b","raw":"CEF:0|V|P|1|1|n|1|a=b"}`},
		{"JSON", `<13>{"a": 1}`, "", `{"a":1,"message":"{\"a\": 1}","pri":13,"facility":1,"severity":5}`},
		{
			"cee", `<13>Jan  2 03:04:05 h @cee: {"a":1}`, "2026-01-02T03:04:05Z",
			`{"a":1,"message":"@cee: {\"a\":1}","timestamp":"Jan  2 03:04:05","host":"h","pri":13,"facility":1,"severity":5}`,
		},
		{
			"audit", "<13>Jan  2 03:04:05 h type=SYSCALL msg=audit(1767323044.5:3): a=b pid=7", "2026-01-02T03:04:04.005Z",
			`{"type":"SYSCALL","timestamp":"1767323044.5","serial":"3","a":"b","pid":"7","message":"type=SYSCALL msg=audit(1767323044.5:3): a=b pid=7","host":"h","pri":13,"facility":1,"severity":5}`,
		},
		{
			"audit with a plug-in's tag", "Jan  2 03:04:05 h audisp-syslog[7]: node=n type=CWD msg=audit(1767323044.005:3): cwd=2F61", "2026-01-02T03:04:04.005Z",
			`{"type":"CWD","node":"n","timestamp":"1767323044.005","serial":"3","cwd":"/a","message":"node=n type=CWD msg=audit(1767323044.005:3): cwd=2F61","host":"h","program":"audisp-syslog","pid":"7"}`,
		},
		{"nearly audit", "<13>Jan  2 03:04:05 h type=login user=jo", "2026-01-02T03:04:05Z", `{"message":"type=login user=jo","timestamp":"Jan  2 03:04:05","host":"h","pri":13,"facility":1,"severity":5}`},
		{
			"JSON with its own names and time", `<13>Jan  2 03:04:05 relay app[1]: {"host":{"name":"h"},"Message":"m","@timestamp":"2026-01-02T03:04:04.25+0100"}`, "2026-01-02T02:04:04.25Z",
			`{"host":{"name":"h"},"Message":"m","@timestamp":"2026-01-02T03:04:04.25+0100","timestamp":"Jan  2 03:04:05","program":"app","pid":"1","pri":13,"facility":1,"severity":5}`,
		},
		{"JSON cut short", `<13>{"a": 1`, "", `{"message":"{\"a\": 1","pri":13,"facility":1,"severity":5}`},
		{"JSON alone", `{"a":1}`, "", `{"a":1,"message":"{\"a\":1}","raw":"{\"a\":1}"}`},
		{"JSON and more", `<13>{"a":1} x`, "", `{"message":"{\"a\":1} x","pri":13,"facility":1,"severity":5}`},
		{
			"Windows XML", `<13>Jan  2 03:04:05 dc1 evt: <Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID><TimeCreated SystemTime='2026-01-02T03:04:03Z'/></System></Event>`, "2026-01-02T03:04:03Z",
			`{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"EventID":1,"TimeCreated":{"#attributes":{"SystemTime":"2026-01-02T03:04:03Z"}}}},"message":"<Event`,
		},
		{
			"5424 in 3164", `<13>Jan  2 03:04:05 relay 1 2026-01-02T03:04:01Z h app 7 - [a@1 b="c"] x`, "2026-01-02T03:04:01Z",
			`{"message":"x","timestamp":"2026-01-02T03:04:01Z","host":"h","program":"app","pid":"7","pri":13,"facility":1,"severity":5,"structured_data":{"a@1":{"b":"c"}}}`,
		},
		// Broken.
		{"PRI too large", "<192>x", "", `{"message":"<192>x","raw":"<192>x"}`},
		{"PRI alone", "<13>", "", `{"message":"","pri":13,"facility":1,"severity":5}`},
		{"garbage", "\x00\xff", "", "{\"message\":\"\uFFFD\",\"raw\":\"\\u0000\uFFFD\"}"},
		{"time alone", "Jan  2 03:04:05", "2026-01-02T03:04:05Z", `{"message":"","timestamp":"Jan  2 03:04:05"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := formattest.Text(t, Format(), tt.line+"\n", o)
			if len(res.Records) != 1 || len(res.Problems) != 0 {
				t.Fatalf("%+v", res)
			}
			r := res.Records[0]
			if tt.name == "Windows XML" { // its message, which is the same again, is left out above
				r.JSON, _, _ = strings.Cut(r.JSON, ` xmlns='`)
			}
			if diff := cmp.Diff(tt.want, r.JSON); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Time != tt.time || r.Hint != "auth" || r.Raw != tt.line {
				t.Errorf("time %q, hint %q, raw %q", r.Time, r.Hint, r.Raw)
			}
		})
	}
}

func TestQuality(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]event.TimeQuality{
		"<13>1 2026-01-02T03:04:05Z h a - - - x": event.TimeParsed,
		"Jan  2 03:04:05 h a: x":                 event.TimeAssumedYear,
		"Jan  2 2026 03:04:05 h a: x":            event.TimeAssumedZone,
		"x":                                      event.TimeMissing,
	} {
		res := formattest.Text(t, Format(), line, format.Options{Reference: someTime.Add(72 * time.Hour)})
		if got := res.Records[0].Quality; got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
	// Without a reference the header is read and the time is not.
	res := formattest.Text(t, Format(), "Jan  2 03:04:05 h a: x", format.Options{})
	if r := res.Records[0]; r.Time != "" || !strings.Contains(r.JSON, `"host":"h","program":"a"`) {
		t.Errorf("%+v", r)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"Jan  2 03:04:05 h a: x\nJan  2 03:04:05 h kernel: y\n": true,
		"<13>x\n<14>y\n": true,
		"2026-01-02T03:04:05.1+00:00 h sshd[1]: x\n":                            true,
		"2026-01-02 03:04:05 INFO main: x\n":                                    false,
		"2026-01-02T03:04:05Z WARN main: x\n":                                   false,
		"192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1\n": false,
		"hello\n": false, "": false, "<Event>\n": false,
	} {
		if got := Format().Detect([]byte(text), "x") > 0; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzSyslog(f *testing.F) {
	for _, s := range []string{
		`<165>1 2003-10-11T22:14:15.003Z m e - I [a@1 b="\"c"][d] x`, "<34>Oct 11 22:14:15 m su: x", "<189>29: *Mar  1 18:46:11.123: %S: x",
		"<13>Jan  2 03:04:05 relay 1 2026-01-02T03:04:01Z h app 7 - - x", "<13>1 - - - - - -",
		`<13>x: {"message":1,"ts":"2026-01-02T03:04:05Z"}`, "type=CWD msg=audit(1.2:3): a=b", "<13><Event><System/></Event>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := format.Options{Reference: someTime}
		formattest.Fuzz(t, Format(), data, o)
		if len(data) > 1 && (data[0] == 0xff || data[0] == 0xfe) {
			return // transcoded
		}
		res := formattest.Text(t, Format(), string(data), o)
		formattest.Verbatim(t, data, res)
		if len(res.Problems) > 0 && len(data) < event.RecordBytesMax {
			for _, p := range res.Problems {
				if _, ok := p.Err.(*event.LimitError); !ok {
					t.Fatalf("a line was refused: %v", p)
				}
			}
		}
	})
}

// Looking for a payload costs a plain message nothing.
func TestParseAllocatesNothing(t *testing.T) {
	line := []byte("<13>Jan  2 03:04:05 web-1 sshd[812]: Accepted publickey for root")
	p := Format().NewParser(format.Options{Reference: someTime})
	b := format.Block{Data: line}
	emit := func(*event.Record) {}
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Parse(&b, format.Frame{End: len(line)}, emit); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A sender may begin each message with a byte order mark; at the beginning of a
// file it is not the line's.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	o := timestamp.Options{Reference: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}
	for line, want := range map[string]string{
		"\xef\xbb\xbf<34>Oct 11 22:14:15 h su: x":                             "h su x 34",
		"\xef\xbb\xbf<34>1 2003-10-11T22:14:15.003Z h su - - - \xef\xbb\xbfx": "h su x 34",
		"\xef\xbb\xbfOct 11 22:14:15 h su: \xef\xbb\xbfx":                     "h su \xef\xbb\xbfx 0",
	} {
		var m Message
		m.Scan([]byte(line), o)
		if got := fmt.Sprintf("%s %s %s %d", m.Host, m.Program, m.Text, m.Pri); got != want || m.Time.IsZero() || string(m.Line) != line {
			t.Errorf("%q: %q", line, got)
		}
	}
}
