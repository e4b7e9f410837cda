package auditd

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

func hexOf(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }

func read(t *testing.T, text string) formattest.Result {
	t.Helper()
	return formattest.Text(t, Format(), text, format.Options{Name: "audit.log"})
}

func TestEvent(t *testing.T) {
	t.Parallel()
	lines := []string{
		`type=SYSCALL msg=audit(1767323045.123:77): arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=0 a3=8 items=2 ppid=10 pid=11 auid=1000 uid=0 ses=3 tty=pts0 comm="cat" exe="/usr/bin/cat" key=` + hexOf("a\x01b") + "\x1d" + `ARCH=x86_64 SYSCALL=execve AUID="jo" UID="root"`,
		`type=EXECVE msg=audit(1767323045.123:77): argc=3 a0="cat" a1=` + hexOf("my file") + ` a2_len=8 a2[0]=` + hexOf("/etc") + ` a2[1]="/pwd"`,
		`type=CWD msg=audit(1767323045.123:77): cwd="/root"`,
		`type=PATH msg=audit(1767323045.123:77): item=0 name="/usr/bin/cat" inode=5 nametype=NORMAL`,
		`type=PATH msg=audit(1767323045.123:77): item=1 name=(null) nametype=UNKNOWN`,
		`type=PROCTITLE msg=audit(1767323045.123:77): proctitle=` + hexOf("cat\x00my file"),
		`type=EOE msg=audit(1767323045.123:77): `,
	}
	text := strings.Join(lines, "\n") + "\n"
	res := read(t, text)
	if len(res.Problems) != 0 || len(res.Records) != 8 {
		t.Fatalf("%+v", res)
	}
	want := []string{
		`{"type":"SYSCALL","timestamp":"1767323045.123","serial":"77","arch":"c000003e","syscall":"59","success":"yes","exit":"0","a0":"55d0","a1":"55d1","a2":"0","a3":"8","items":"2","ppid":"10","pid":"11","auid":"1000","uid":"0","ses":"3","tty":"pts0","comm":"cat","exe":"/usr/bin/cat","key":"a\u0001b","ARCH":"x86_64","SYSCALL":"execve","AUID":"jo","UID":"root"}`,
		`{"type":"EXECVE","timestamp":"1767323045.123","serial":"77","argc":"3","a0":"cat","a1":"my file","a2_len":"8","a2[0]":"/etc","a2[1]":"/pwd"}`,
		`{"type":"CWD","timestamp":"1767323045.123","serial":"77","cwd":"/root"}`,
		`{"type":"PATH","timestamp":"1767323045.123","serial":"77","item":"0","name":"/usr/bin/cat","inode":"5","nametype":"NORMAL"}`,
		`{"type":"PATH","timestamp":"1767323045.123","serial":"77","item":"1","name":"(null)","nametype":"UNKNOWN"}`,
		`{"type":"PROCTITLE","timestamp":"1767323045.123","serial":"77","proctitle":"cat my file"}`,
		`{"type":"EOE","timestamp":"1767323045.123","serial":"77"}`,
		`{"joined":true,"type":["SYSCALL","EXECVE","CWD","PATH","PATH","PROCTITLE"],"timestamp":"1767323045.123","serial":"77","arch":"c000003e","syscall":"59","success":"yes","exit":"0","items":"2","ppid":"10","pid":"11","auid":"1000","uid":"0","ses":"3","tty":"pts0","comm":"cat","exe":"/usr/bin/cat","key":"a\u0001b","ARCH":"x86_64","SYSCALL":"execve","AUID":"jo","UID":"root","argc":"3","a0":"cat","a1":"my file","a2_len":"8","a2[0]":"/etc","a2[1]":"/pwd","cwd":"/root","item":["0","1"],"name":["/usr/bin/cat","(null)"],"inode":"5","nametype":["NORMAL","UNKNOWN"],"proctitle":"cat my file","argv":["cat","my file","/etc/pwd"],"cmdline":"cat my file /etc/pwd","paths":[{"item":"0","name":"/usr/bin/cat","inode":"5","nametype":"NORMAL"},{"item":"1","name":"(null)","nametype":"UNKNOWN"}]}`,
	}
	group := res.Records[0].Group
	offset := int64(0)
	for i, r := range res.Records {
		if diff := cmp.Diff(want[i], r.JSON); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i, diff)
		}
		if r.Group != group || group == 0 || r.Time != "2026-01-02T03:04:05.123Z" || r.Quality != event.TimeParsed {
			t.Errorf("record %d: group %d, time %s", i, r.Group, r.Time)
		}
		if i < len(lines) {
			if r.Raw != lines[i] || r.Offset != offset || r.Line != int64(i+1) {
				t.Errorf("record %d: %+v", i, r)
			}
			offset += int64(len(lines[i])) + 1
		}
	}
	if last := res.Records[7]; last.Raw != strings.TrimSuffix(text, "\n") || last.Offset != 0 || last.Line != 1 {
		t.Errorf("joined: %+v", last)
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, line, want string }{
		{
			"user space", `node=h1 type=USER_LOGIN msg=audit(1767323045.123:7): pid=9 uid=0 msg='op=login acct=` + hexOf("(bad user)") + ` exe="/usr/sbin/sshd" hostname=? addr=192.0.2.1 terminal=ssh res=failed'` + "\x1d" + `UID="root"`,
			`{"type":"USER_LOGIN","node":"h1","timestamp":"1767323045.123","serial":"7","pid":"9","uid":"0","op":"login","acct":"(bad user)","exe":"/usr/sbin/sshd","hostname":"?","addr":"192.0.2.1","terminal":"ssh","res":"failed","UID":"root"}`,
		},
		{
			"words in msg", `type=USER msg=audit(1767323045.123:7): msg='hello there'`,
			`{"type":"USER","timestamp":"1767323045.123","serial":"7","msg":"hello there"}`,
		},
		{
			"AVC", `type=AVC msg=audit(1767323045.123:7): avc:  denied  { read write } for  pid=9 comm="x y" name="f" tclass=file`,
			`{"type":"AVC","timestamp":"1767323045.123","serial":"7","pid":"9","comm":"x y","name":"f","tclass":"file","text":"avc: denied { read write } for"}`,
		},
		{
			"not hexadecimal", `type=SYSCALL msg=audit(1767323045.123:7): a0=CAFE comm="CAFE" exe=abcd key=(null) tty=CAFE`,
			`{"type":"SYSCALL","timestamp":"1767323045.123","serial":"7","a0":"CAFE","comm":"CAFE","exe":"abcd","key":"(null)","tty":"CAFE"}`,
		},
		{
			"odd", `type=PATH msg=audit(1767323045.123:7): name=CAF name= =x "y`,
			`{"type":"PATH","timestamp":"1767323045.123","serial":"7","name":"CAF","name":"","text":"=x \"y"}`,
		},
		{"quote not closed", `type=PATH msg=audit(1767323045.123:7): name="a b`, `{"type":"PATH","timestamp":"1767323045.123","serial":"7","name":"a b"}`},
		{"invalid UTF-8", `type=PATH msg=audit(1767323045.123:7): name=FF41`, "{\"type\":\"PATH\",\"timestamp\":\"1767323045.123\",\"serial\":\"7\",\"name\":\"\uFFFDA\"}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := read(t, tt.line+"\n")
			if len(res.Records) != 1 || len(res.Problems) != 0 {
				t.Fatalf("%+v", res)
			}
			if diff := cmp.Diff(tt.want, res.Records[0].JSON); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// frames returns the serials of the lines of each event.
func frames(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	last := uint64(0)
	for _, r := range read(t, text).Records {
		if strings.HasPrefix(r.JSON, `{"joined"`) {
			continue
		}
		_, rest, _ := strings.Cut(r.Raw, "x=")
		if r.Group == last {
			out[len(out)-1] += rest
		} else {
			out = append(out, rest)
		}
		last = r.Group
	}
	return out
}

func line(seconds, serial int, x string) string {
	return fmt.Sprintf("type=PATH msg=audit(%d.000:%d): x=%s\n", seconds, serial, x)
}

func TestGrouping(t *testing.T) {
	t.Parallel()
	eoe := "type=EOE msg=audit(1.000:1): x=e\n"
	tests := []struct {
		name, text string
		want       []string
	}{
		{"interleaved", line(1, 1, "a") + line(1, 2, "b") + line(1, 1, "c") + line(1, 2, "d"), []string{"ac", "bd"}},
		{"EOE", line(1, 2, "b") + line(1, 1, "a") + eoe + line(1, 2, "c"), []string{"ae", "bc"}},
		{"EOE of the oldest", line(1, 1, "a") + line(1, 2, "b") + eoe + line(1, 2, "c"), []string{"ae", "bc"}},
		// 2.000:1 is another event than 1.000:1, which 3.000 closes.
		{"late", line(1, 1, "a") + line(2, 2, "b") + line(2, 1, "x") + line(3, 3, "c") + line(1, 1, "d"), []string{"a", "b", "x", "c", "d"}},
		{"one serial, two nodes", "node=h " + line(1, 1, "a") + "node=i " + line(1, 1, "b") + "node=h " + line(1, 1, "c"), []string{"ac", "b"}},
		{"clock back", line(9, 1, "a") + line(1, 2, "b") + line(9, 1, "c"), []string{"ac", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := frames(t, tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	// 1,001 events are open at once: the first is closed, and its second line
	// is an event of its own.
	var b strings.Builder
	for i := range openMax + 1 {
		b.WriteString(line(1, i+1, "a"))
	}
	b.WriteString(line(1, 1, "b") + line(1, 3, "b"))
	got := frames(t, b.String())
	if len(got) != openMax+2 || got[0] != "a" {
		t.Errorf("%d events", len(got))
	}
	// An event of 1,001 lines is two.
	if got := frames(t, strings.Repeat(line(1, 1, "a"), linesMax+1)); len(got) != 1 || len(got[0]) != linesMax+1 {
		t.Errorf("%d groups", len(got)) // two frames, one group
	}
	// Long lines that never end are closed before they fill the memory.
	long := strings.Repeat("a", 500_000)
	b.Reset()
	for i := range 100 {
		b.WriteString(line(1, i, long))
	}
	if got := frames(t, b.String()); len(got) != 100 {
		t.Errorf("%d events", len(got))
	}
	// Many finished events behind one that stays open.
	b.Reset()
	b.WriteString(line(1, 0, "a"))
	for i := range 20_000 {
		fmt.Fprintf(&b, "type=EOE msg=audit(1.000:%d): x=e\n", i+1)
	}
	if got := frames(t, b.String()); len(got) != 20_001 {
		t.Errorf("%d events", len(got))
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	res := read(t, line(1, 1, "a")+"hello\ntype=X msg=audit(x:1): \n\x00\ntype=X msg=audit(1.5:99999999999999999999): \n"+line(1, 1, "b"))
	if len(res.Records) != 3 || len(res.Problems) != 4 || res.Problems[0].Line != 2 {
		t.Errorf("%+v", res)
	}
}

func FuzzAuditd(f *testing.F) {
	f.Add([]byte(line(1, 1, "a") + line(1, 2, "b") + line(1, 1, "c") + line(5, 3, "d")))
	f.Add([]byte("node=h type=EXECVE msg=audit(1.000:1): argc=2 a0=\"x\" a1[0]=4142 a1[1]=\"y\"\ntype=PATH msg=audit(1.000:1): name=4142\x1dX=y msg='a=b'\n"))
	f.Add([]byte("type=AVC msg=audit(1.0:1): avc: { a } =b msg='\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format(), data, format.Options{})
		if len(data) > 1 && (data[0] == 0xff || data[0] == 0xfe) {
			return // transcoded
		}
		// Every line is in exactly one record of its own.
		at := map[int64]bool{}
		for _, r := range formattest.Text(t, Format(), string(data), format.Options{}).Records {
			if strings.HasPrefix(r.JSON, `{"joined":true,"type"`) {
				continue
			}
			if at[r.Offset] {
				t.Fatalf("two records at %d", r.Offset)
			}
			at[r.Offset] = true
			if string(data[r.Offset:r.Offset+int64(len(r.Raw))]) != r.Raw {
				t.Fatalf("record not at its offset: %q", r.Raw)
			}
		}
	})
}
