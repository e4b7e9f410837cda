package file

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/ingest"
)

func TestFollowsAFileThatGrows(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 3)))
	b.look()
	b.has(lines(0, 3)...)
	b.look()
	b.grow("/log/a.json", "{\"n\":3}\r\n\n{\"n\":")
	b.look()
	b.has(lines(0, 4)...)
	b.grow("/log/a.json", "4}")
	for range 4 {
		b.look()
	}
	b.has(lines(0, 4)...) // a last line without its end is waited for
	b.settle()
	b.has(lines(0, 5)...)
	b.grow("/log/a.json", "\n{\"n\":5}\n")
	b.look()
	b.has(lines(0, 6)...)
	first := b.sink.batches[0]
	if first.Source != "files" || first.Protocol != "file" || first.Format != "json" || first.Dataset != "a" || first.File.Path != "/log/a.json" || first.File.Name != "a.json" || first.File.Base != 0 || first.File.Last {
		t.Errorf("%+v %+v", first, first.File)
	}
	for _, x := range b.sink.batches {
		if x.File.Fingerprint != first.File.Fingerprint || x.Shard != first.Shard {
			t.Error("the file changed its identity")
		}
	}
}

func TestAppearsAndDisappears(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log/*.json", "/other/x.json")
	b.look()
	b.look()
	if len(b.told) != 2 { // the folder of the pattern, and the file
		t.Errorf("told %q", b.told)
	}
	b.write("/log/a.json", text(lines(0, 2)))
	b.write("/log/a.txt", "no\n")
	b.look()
	b.write("/other/x.json", text(lines(2, 4)))
	b.look()
	b.remove("/log/a.json")
	b.look()
	b.write("/log/a.json", text(lines(4, 6)))
	b.look()
	b.has(lines(0, 6)...)
}

func TestRotation(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	big := lines(0, 2000) // more than a fingerprint covers
	b.write("/log/a.json", text(big))
	b.look()
	// Renamed, written to once more, and a new one in its place.
	b.rename("/log/a.json", "/log/a.json.1")
	b.grow("/log/a.json.1", text(lines(2000, 2003)))
	b.write("/log/a.json", text(lines(2003, 2005)))
	b.look()
	b.has(lines(0, 2005)...)
	b.rename("/log/a.json.1", "/log/a.json.2")
	b.rename("/log/a.json", "/log/a.json.1")
	b.look()
	b.restart()
	b.write("/log/a.json", text(lines(2005, 2006)))
	b.grow("/log/a.json.1", text(lines(2006, 2007)))
	b.look()
	b.settle()
	want := append(lines(0, 2005), lines(2005, 2007)...)
	b.hasAll(want...)
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	for name, next := range map[string][]string{"shorter": lines(100, 101), "longer": lines(100, 400)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "/log/a.json")
			b.write("/log/a.json", text(lines(0, 50)))
			b.look()
			b.write("/log/a.json", text(next))
			b.look()
			b.has(append(lines(0, 50), next...)...)
		})
	}
}

// The copy of a file that is then cut short gives what was not read before.
func TestCopyTruncate(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{false, true} {
		b := newBench(t, "/log")
		b.write("/log/a.json", text(lines(0, 500)))
		b.look()
		b.grow("/log/a.json", text(lines(500, 510)))
		b.write("/log/a.json.1", b.content("/log/a.json"))
		if early {
			b.look() // while both are there
		}
		b.write("/log/a.json", text(lines(510, 512)))
		b.look()
		b.settle()
		b.has(lines(0, 512)...)
	}
}

// A copy that goes its own way is a file of its own.
func TestCopyGoesItsOwnWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 2)))
	b.look()
	b.write("/log/b.json", text(lines(0, 1)))
	b.look()
	b.has(lines(0, 2)...)
	b.grow("/log/b.json", text(lines(7, 9)))
	b.look()
	b.hasAll(`{"n":0}`, `{"n":1}`, `{"n":0}`, `{"n":7}`, `{"n":8}`)
}

func zipText(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedAfterRotation(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 2000)))
	b.look()
	b.grow("/log/a.json", text(lines(2000, 2010)))
	all := b.content("/log/a.json")
	b.remove("/log/a.json")
	b.write("/log/a.json.1.gz", zipText(t, all))
	b.look()
	b.restart()
	b.settle()
	b.has(lines(0, 2010)...)
	// The same again under another name, and one that was never seen.
	b.rename("/log/a.json.1.gz", "/log/a.json.2.gz")
	b.write("/log/old.json.gz", zipText(t, text(lines(3000, 3005))))
	b.settle()
	b.has(append(lines(0, 2010), lines(3000, 3005)...)...)
}

// What stands compressed beside the file that it was made of is not read twice.
func TestCompressedCopy(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 20)))
	b.look()
	b.write("/log/a.json.gz", zipText(t, text(lines(0, 20))))
	b.settle()
	b.has(lines(0, 20)...)
}

// A file that is read whole is read when it has been left alone.
func TestWholeFilesAreStable(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	all := zipText(t, text(lines(0, 10)))
	b.write("/log/a.json.gz", all[:20])
	b.look()
	b.look()
	b.grow("/log/a.json.gz", all[20:])
	for range 4 {
		b.look()
	}
	b.has()
	b.settle()
	b.has(lines(0, 10)...)
	b.write("/log/pretty.json", "{\n \"a\": 1\n}\n{\n \"a\": 2\n}\n")
	b.settle()
	b.has(append(lines(0, 10), "{\n \"a\": 1\n}", "{\n \"a\": 2\n}")...)
	saves := b.mem.saves
	b.settle()
	if b.mem.saves != saves {
		t.Error("it saves though nothing happens")
	}
}

func TestLongLines(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 1)))
	b.look()
	long := strings.Repeat("x", ingest.EventBytesMax)
	b.grow("/log/a.json", long)
	b.look()
	b.grow("/log/a.json", long)
	b.look()
	b.grow("/log/a.json", long)
	b.restart()
	b.look()
	b.grow("/log/a.json", "yy\n"+text(lines(1, 3)))
	b.look()
	b.has(lines(0, 3)...)
	if got := b.sink.refused(); len(got) != 1 || got[0] != ingest.ReasonTooLarge+": "+long[:ingest.RefusedBytesMax] {
		t.Errorf("%d refused, %.100q", len(got), got)
	}
	if last := b.sink.batches[len(b.sink.batches)-1].Frames; last[0].Line != 3 {
		t.Errorf("line %d", last[0].Line)
	}
}

func TestAuditEventsAreNotCut(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	line := func(kind, stamp, rest string) string {
		return "type=" + kind + " msg=audit(" + stamp + "): " + rest + "\n"
	}
	b.write("/log/audit.log", line("A", "100.000:1", "a=1")+line("B", "100.000:2", "a=2"))
	b.look()
	b.has()
	b.grow("/log/audit.log", "nonsense\n"+line("C", "100.000:1", "a=3")+line("EOE", "100.000:2", ""))
	b.look()
	b.restart()
	second := strings.TrimSuffix(line("B", "100.000:2", "a=2")+line("EOE", "100.000:2", ""), "\n")
	b.has(second)
	b.look()
	b.look()
	b.look()
	first := strings.TrimSuffix(line("A", "100.000:1", "a=1")+line("C", "100.000:1", "a=3"), "\n")
	b.has(second, first)
	if got := b.sink.refused(); len(got) != 1 || got[0] != "unparsed: nonsense" {
		t.Errorf("%q", got)
	}
	b.grow("/log/audit.log", line("D", "107.000:3", "a=4")+line("E", "110.000:4", "a=5"))
	b.look()
	b.settle()
	if n := len(b.sink.frames(t)); n != 4 {
		t.Errorf("%d events", n)
	}
}

func TestContinuationLines(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/app.log", "2026-01-02 03:04:05 a\n  at b\n2026-01-02 03:04:06 c\n")
	b.look()
	b.look()
	b.look()
	b.grow("/log/app.log", "  at d\n")
	b.settle()
	b.has("2026-01-02 03:04:05 a\n  at b", "2026-01-02 03:04:06 c", "  at d")
	b.grow("/log/app.log", "2026-01-02 03:04:07 e\n")
	b.look()
	b.grow("/log/app.log", "  at f\n2026-01-02 03:04:08 g\n")
	b.restart()
	b.settle()
	b.has("2026-01-02 03:04:05 a\n  at b", "2026-01-02 03:04:06 c", "  at d", "2026-01-02 03:04:07 e\n  at f", "2026-01-02 03:04:08 g")
}

// Header lines hold for what comes after a restart.
func TestHeadersAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/x.csv", "user;action\njo;login\n")
	b.write("/log/conn.log", "#separator \\x09\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring\n1.5\tC1\n")
	b.settle()
	b.restart()
	b.grow("/log/x.csv", "al;logout\n")
	b.grow("/log/conn.log", "2.5\tC2\n")
	b.look()
	want := []string{
		`zeek 5 61 {"_path":"conn","ts":1.5,"uid":"C1"}`, `csv 2 12 {"user":"jo","action":"login"}`,
		`zeek 6 68 {"_path":"conn","ts":2.5,"uid":"C2"}`, `csv 3 21 {"user":"al","action":"logout"}`,
	}
	if got := b.sink.parsed(t); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var errCrash = errors.New("the power failed")

// Whenever it crashes, between taking a batch and saving that it was taken, no
// record is lost and none becomes two.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for every := 1; every <= 5; every++ {
		b := newBench(t, "/log")
		b.write("/log/audit.log", "")
		var want []string
		n, taken := 0, 0
		for round := range 30 {
			b.grow2("/log/a.json", text(lines(n, n+round*200)))
			want = append(want, lines(n, n+round*200)...)
			n += round * 200
			switch round {
			case 10, 20:
				b.rename("/log/a.json", "/log/a.json."+string(rune('0'+round/10)))
			}
			b.sink.crash = func() error {
				if taken++; taken%every == 0 {
					b.mem.fail = errCrash // nothing is saved any more
				}
				return nil
			}
			b.clock.pass(time.Second)
			if err := b.s.look(context.Background()); err != nil && !errors.Is(err, errSave) {
				t.Fatal(err)
			}
			b.mem.fail = nil
			b.restart()
		}
		b.sink.crash = nil
		b.restart()
		b.settle()
		b.hasAll(want...)
		if b.sink.again == 0 {
			t.Error("nothing was ever sent again")
		}
	}
}

// grow2 makes the file when it is not there.
func (b *bench) grow2(path, text string) {
	if _, err := b.fs.Stat(path); err != nil {
		b.write(path, text)
		return
	}
	b.grow(path, text)
}

func TestBusySinkIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 3)))
	b.sink.busy = 5
	b.look()
	b.has(lines(0, 3)...)
}

func TestNoLogIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.bin", "\x01\x02\x03\x04\x05\x06\x07\x08\n")
	b.settle()
	b.settle()
	if len(b.told) != 1 || !strings.Contains(b.told[0], "not a log") {
		t.Errorf("%q", b.told)
	}
}

// denied is a file system that refuses to open a file.
type denied struct {
	vfs.FS
	path string
}

func (d *denied) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if name == d.path {
		return nil, fs.ErrPermission
	}
	return d.FS.Open(name, opts...)
}

func TestUnreadableIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	d := &denied{FS: b.fs, path: "/log/a.json"}
	b.o.Env.FS = d
	b.restart()
	b.write("/log/a.json", text(lines(0, 2)))
	b.write("/log/b.json", text(lines(2, 4)))
	b.settle()
	b.grow("/log/a.json", text(lines(4, 5)))
	b.settle()
	if len(b.told) != 1 || !strings.Contains(b.told[0], "/log/a.json") {
		t.Errorf("%q", b.told)
	}
	b.has(lines(2, 4)...)
	d.path = ""
	b.settle()
	b.hasAll(lines(0, 5)...)
	d.path = "/log/a.json"
	b.grow("/log/a.json", text(lines(5, 6)))
	b.settle()
	if len(b.told) != 2 {
		t.Errorf("%q", b.told)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	for _, change := range []func(*Options){
		func(o *Options) { o.Paths = nil },
		func(o *Options) { o.Format = "nonsense" },
		func(o *Options) { o.Checkpoints = &memory{saved: []byte{9}} },
		func(o *Options) { o.Checkpoints = &memory{saved: []byte{1, 2, 3}} },
	} {
		o := b.o
		change(&o)
		if _, err := New(o); err == nil {
			t.Error("no error")
		}
	}
}

// Run ends with its context.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/log")
	b.write("/log/a.json", text(lines(0, 3)))
	ctx, cancel := context.WithCancel(context.Background())
	b.sink.crash = func() error { cancel(); return nil }
	if err := b.s.Run(ctx); err != nil {
		t.Error(err)
	}
	b.has(lines(0, 3)...)
}

func FuzzCheckpoint(f *testing.F) {
	s := &Source{tracked: []*tracked{{path: "a", offset: 3, format: "json", context: []byte("x")}}, set: progress{path: "b", batches: 3}}
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Source{}
		if s.parse(data) != nil {
			return
		}
		again := &Source{}
		if err := again.parse(s.append(nil)); err != nil || !bytes.Equal(s.append(nil), again.append(nil)) {
			t.Fatal(err)
		}
	})
}
