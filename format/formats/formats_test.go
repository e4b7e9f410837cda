package formats

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
	"unicode/utf16"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
)

// One small file of each kind, and the format it has.
var samples = []struct{ kind, name, want, text string }{
	{"NDJSON", "x.log", "json", "{\"a\":1}\n{\"a\":2}\n"},
	{"a JSON array", "x", "json", " [\n {\"a\":1}]"},
	{"pretty JSON", "x.json", "json", "{\n  \"a\": 1\n}\n"},
	{"CloudTrail", "x.json", "json", `{"Records":[{"eventVersion":"1.09","eventName":"x"}]}`},
	{"Zeek JSON", "conn.log", "json", `{"ts":1.5,"id.orig_h":"192.0.2.1"}`},
	{"broken NDJSON", "x.json", "json", "{\"a\":\n{\"a\":2}\n"},
	{"Zeek", "conn.log", "zeek", "#separator \\x09\n#set_separator\t,\n#fields\tts\tuid\n#types\ttime\tstring\n1.5\tC\n"},
	{"IIS", "u_ex260101.log", "w3c", "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Fields: date time c-ip\r\n2026-01-01 00:00:00 192.0.2.1\r\n"},
	{"audit", "audit.log", "auditd", "type=SYSCALL msg=audit(1767323045.123:7): arch=c000003e syscall=59\n"},
	{"audit with node", "audit.log", "auditd", "node=h type=CWD msg=audit(1767323045.123:7): cwd=\"/\"\n"},
	{"syslog 5424", "x.log", "syslog", "<165>1 2026-01-01T00:00:00Z h a - - - x\n"},
	{"syslog 3164", "messages", "syslog", "Jan  1 00:00:00 h kernel: x\nJan  1 00:00:01 h sshd[7]: y\n"},
	{"syslog, RFC 3339", "auth.log", "syslog", "2026-01-01T00:00:00.123456+00:00 h sshd[7]: y\n"},
	{"CSV", "x.csv", "csv", "time,user,action\n2026-01-01T00:00:00Z,jo,login\n"},
	{"TSV", "x", "csv", "time\tuser\n1\tjo\n"},
	{"semicolons", "x.csv", "csv", "time;user\n1;jo\n"},
	{"application log", "app.log", "text", "2026-01-01 00:00:00,123 INFO [main] a.b.C - x\n\tat y\n"},
	{"access log", "access.log", "text", "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 5 \"-\" \"a, b\"\n"},
	{"Apache error log", "error.log", "text", "[Sun Mar 01 00:00:00.123456 2026] [core:error] [pid 7] x\n"},
	{"words", "x", "text", "hello\n"},
	{"Windows XML", "x.xml", "xml", "<Events><Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID></System></Event></Events>"},
	{"EVTX", "x.evtx", "evtx", "ElfFile\x00" + string(make([]byte, 5000))},
	{"nothing", "x", "", ""},
	{"binary", "x.bin", "", "\x01\x02\x03\x04\x00\x05\x06\x07"},
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		t.Run(s.kind, func(t *testing.T) {
			t.Parallel()
			check(t, "as it is", s.want, s.name, container.Input{Name: s.name, Reader: bytes.NewReader([]byte(s.text))})
			check(t, "gzip", s.want, s.name, container.Input{Name: s.name + ".gz", Reader: bytes.NewReader(gzipped(t, s.text))})
			z := zipped(t, s.name, s.text)
			check(t, "zip", s.want, "a.zip!/"+s.name, container.Input{Name: "a.zip", Reader: bytes.NewReader(z), At: bytes.NewReader(z), Size: int64(len(z))})
			check(t, "tar.gz", s.want, "a.tgz!/"+s.name, container.Input{Name: "a.tgz", Reader: bytes.NewReader(gzipped(t, tarred(t, s.name, s.text)))})
		})
	}
}

func check(t *testing.T, how, want, name string, in container.Input) {
	t.Helper()
	found := 0
	err := container.Walk(in, func(e container.Entry) error {
		found++
		if how != "gzip" && e.Name != name {
			t.Errorf("%s: named %q", how, e.Name)
		}
		head, err := e.Reader.Peek(container.HeadBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", how, err)
		}
		f, ok := Detect(head, e.Name)
		if f.Name != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", how, f.Name, want)
		}
		return nil
	}, func(name string, p format.Problem) { t.Errorf("%s: %s: %v", how, name, p) })
	if err != nil || found != 1 {
		t.Errorf("%s: %d entries, %v", how, found, err)
	}
}

// A byte order mark and UTF-16 change nothing.
func TestDetectMarks(t *testing.T) {
	t.Parallel()
	for _, s := range samples {
		if s.want == "evtx" || s.want == "" {
			continue
		}
		if f, _ := Detect([]byte("\xef\xbb\xbf"+s.text), s.name); f.Name != s.want {
			t.Errorf("%s with a mark: %q", s.kind, f.Name)
		}
		if s.want == "auditd" || s.want == "zeek" {
			continue // written by programs that know no UTF-16
		}
		wide := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(s.text)) {
			wide = append(wide, byte(u), byte(u>>8))
		}
		if f, _ := Detect(wide, s.name); f.Name != s.want {
			t.Errorf("%s in UTF-16: %q", s.kind, f.Name)
		}
	}
}

func TestByName(t *testing.T) {
	t.Parallel()
	for _, f := range All() {
		got, ok := ByName(f.Name)
		if !ok || got.Name != f.Name || f.About == "" || f.Detect == nil || f.NewSplitter == nil || f.NewParser == nil {
			t.Errorf("%q: %+v", f.Name, f)
		}
	}
	if _, ok := ByName("nonsense"); ok {
		t.Error("nonsense is a format")
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	w, err := zw.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarred(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	if err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(text)), Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(tw, text); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
