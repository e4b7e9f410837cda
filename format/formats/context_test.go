package formats

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
)

// Texts whose contexts change within a file, or whose records have several
// lines.
var changing = []struct{ name, format, text string }{
	{"conn.log", "zeek", "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\ttags\n#types\ttime\tstring\tset[count]\n1.5\tC\\x41\t1,2\n2.5\t-\t(empty)\n" +
		"#fields\tuid\n3\n#types\tbool\nT\n#separator \\x7c\n#fields|a|b\n1|2\n3|4|5\n"},
	{"ex.log", "w3c", "#Fields: date time a\n2026-01-02 03:04:05 -\n#Date: 2026-01-03\n#Fields: time b\n03:04:05 x\n03:04:06 \"y z\"\n03:04:06\n"},
	{"x.csv", "csv", "a;b;c\n1;\"two\nlines\";3\n4;5;6\n7;\"open\n8;9;10\n"},
	{"x.log", "text", "2026-01-02 03:04:05 a\n  b\nc\n2026-01-02 03:04:06 d\n\n\te\n2026-01-02 03:04:07 f\n"},
	{"y.log", "text", "one\n two\nthree\nfour\n  five\n"},
	{"audit.log", "auditd", "type=A msg=audit(1.000:1): a=1\ntype=B msg=audit(1.000:2): a=2\nwhat\ntype=C msg=audit(1.000:1): a=3\ntype=G msg=audit(1.000:7): a=7\ntype=EOE msg=audit(1.000:2): \ntype=D msg=audit(2.000:3): a=4\ntype=E msg=audit(3.500:4): a=5\ntype=F msg=audit(2.000:3): a=6\n"},
	{"x.json", "json", "{\"a\":1}\n\n{\"a\":2} {\"b\":3}\r\n{\"a\":\n{\"a\":4}\n"},
	{"messages", "syslog", "Jan  2 03:04:05 h a: x\n<13>1 - - - - - - y\n\nJan  2 03:04:06 h b[1]: {\"z\":1}\n"},
}

// copied is what a parser made of one frame.
type copied struct {
	JSON, Raw, Time, Err string
	Line, Offset         int64
	Group                uint64
}

func parsed(t testing.TB, p format.Parser, b *format.Block, f format.Frame) []copied {
	t.Helper()
	var out []copied
	err := p.Parse(b, f, func(r *event.Record) {
		out = append(out, copied{
			JSON: string(r.Tree.AppendJSON(nil, 0)), Raw: string(r.Raw), Time: r.Time.Format(time.RFC3339Nano) + r.TimeQuality.String(),
			Line: r.Line, Offset: r.Offset, Group: r.Group,
		})
	})
	if err != nil {
		out = append(out, copied{Err: err.Error()})
	}
	return out
}

// roundTrip reads a stream twice: as it is cut, and with each block written and
// read again by another process, as it were.
func roundTrip(t testing.TB, f format.Format, r io.Reader, o format.Options) {
	t.Helper()
	s, direct, later := f.NewSplitter(r, o), f.NewParser(o), f.NewParser(o)
	var b format.Block
	for {
		err := s.Next(&b)
		again := format.Block{Data: bytes.Clone(b.Data), Frames: append([]format.Frame(nil), b.Frames...), Offset: b.Offset}
		if f.AppendContext != nil {
			var failed error
			if again.Context, failed = f.ParseContext(f.AppendContext(nil, b.Context)); failed != nil {
				t.Fatalf("%s: %v", f.Name, failed)
			}
		} else if b.Context != nil {
			t.Fatalf("%s has a context that cannot be kept", f.Name)
		}
		for i, fr := range b.Frames {
			if diff := cmp.Diff(parsed(t, direct, &b, fr), parsed(t, later, &again, again.Frames[i])); diff != "" {
				t.Fatalf("%s at %d: %s", f.Name, fr.Offset, diff)
			}
		}
		if err != nil {
			return
		}
	}
}

func TestContextsCanBeKept(t *testing.T) {
	t.Parallel()
	for _, f := range All() {
		if (f.AppendContext == nil) != (f.ParseContext == nil) {
			t.Errorf("%s: one half of the encoding is missing", f.Name)
		}
	}
	o := format.Options{Reference: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}
	for _, s := range changing {
		f, _ := ByName(s.format)
		roundTrip(t, f, strings.NewReader(s.text), o)
		roundTrip(t, f, strings.NewReader(s.text+strings.Repeat(s.text[strings.IndexByte(s.text, '\n')+1:], 3000)), o)
	}
	for _, s := range samples {
		if f, ok := ByName(s.want); ok {
			roundTrip(t, f, strings.NewReader(s.text), o)
		}
	}
	// The samples of the packs.
	files, err := filepath.Glob("../../pack/packs/*/samples/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, name := range files {
		roundTripFile(t, name)
	}
}

func roundTripFile(t *testing.T, name string) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	err = container.Walk(container.Input{Name: name, Reader: file, At: file, Size: info.Size()}, func(e container.Entry) error {
		head, _ := e.Reader.Peek(container.HeadBytes)
		if f, ok := Detect(head, filepath.Base(e.Name)); ok {
			roundTrip(t, f, e.Reader, format.Options{Name: filepath.Base(e.Name), Reference: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)})
		}
		return nil
	}, func(string, format.Problem) {})
	if err != nil {
		t.Fatal(err)
	}
}

func TestContextsOfTheCorpusCanBeKept(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	kinds := map[string]int{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		// Enough of each kind of file; the larger ones hold more of the same.
		if ext := filepath.Ext(name); err == nil && info.Size() < 4<<20 && kinds[ext] < 60 {
			kinds[ext]++
			roundTripFile(t, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A stream that is read as it grows, and taken up anew each time, gives the
// frames that it gives at once.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, s := range changing {
		f, _ := ByName(s.format)
		if f.Resume == nil {
			t.Errorf("%s cannot be resumed", s.format)
			continue
		}
		for _, step := range []int{1, 2, 3, 1000} {
			want, problems := atOnce(t, f, s.text)
			got, found := growing(t, f, s.text, step)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s by %d lines (-at once +growing):\n%s", s.name, step, diff)
			}
			if found != problems {
				t.Errorf("%s by %d lines: %d problems, want %d", s.name, step, found, problems)
			}
		}
	}
}

func atOnce(t *testing.T, f format.Format, text string) (out map[int64][]copied, problems int) {
	t.Helper()
	out = map[int64][]copied{}
	s, p := f.Resume(strings.NewReader(text), format.Options{}, format.Place{}), f.NewParser(format.Options{})
	for {
		var b format.Block
		err := s.Next(&b)
		if err != nil {
			return out, problems
		}
		problems += len(b.Problems)
		for _, fr := range b.Frames {
			out[fr.Offset] = parsed(t, p, &b, fr)
		}
	}
}

func growing(t *testing.T, f format.Format, text string, step int) (out map[int64][]copied, problems int) {
	t.Helper()
	out = map[int64][]copied{}
	known := map[int64]bool{}
	var at format.Place
	end := 0
	for n := 1; end < len(text); n++ {
		more := text[end:]
		for range step {
			_, rest, _ := strings.Cut(more, "\n")
			more = rest
		}
		end = len(text) - len(more)
		last := error(format.ErrMore)
		if end == len(text) {
			last = io.EOF
		}
		s := f.Resume(io.MultiReader(strings.NewReader(text[at.Offset:end]), ended{last}), format.Options{}, at)
		p := f.NewParser(format.Options{})
		for {
			var b format.Block
			err := s.Next(&b)
			if err != nil {
				if !errors.Is(err, last) {
					t.Fatal(err)
				}
				break
			}
			for _, fr := range b.Frames {
				if out[fr.Offset] == nil {
					out[fr.Offset] = parsed(t, p, &b, fr)
				} else {
					t.Fatalf("%s: the frame at %d came twice", f.Name, fr.Offset)
				}
			}
			for _, problem := range b.Problems {
				if known[problem.Offset] {
					t.Fatalf("%s: the problem at %d came twice", f.Name, problem.Offset)
				}
				known[problem.Offset] = true
				problems++
			}
		}
		if at = s.Rest(); int(at.Offset) > end || end < len(text) && at.Line != int64(strings.Count(text[:at.Offset], "\n")) {
			t.Fatalf("%s: rest %+v behind %d", f.Name, at, end)
		}
		if f.AppendContext != nil {
			var err error
			if at.Context, err = f.ParseContext(f.AppendContext(nil, at.Context)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out, problems
}

// The same for any text, where nothing is decided by how a stream begins, and
// nothing is given up after a number of faults.
func FuzzResume(f *testing.F) {
	for _, s := range changing {
		f.Add(s.text, 1)
		f.Add(s.text, 2)
	}
	f.Fuzz(func(t *testing.T, text string, step int) {
		if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") || strings.HasPrefix(text, "\xef\xbb\xbf") || len(text) > 1<<16 {
			return // transcoded, or its positions moved
		}
		for _, name := range []string{"json", "syslog", "zeek", "w3c", "auditd"} {
			kind, _ := ByName(name)
			want, problems := atOnce(t, kind, text)
			got, found := growing(t, kind, text, 1+step&7)
			if diff := cmp.Diff(want, got); diff != "" || problems != found {
				t.Fatalf("%s (-at once +growing), %d and %d problems:\n%s", name, problems, found, diff)
			}
		}
	})
}

// ended gives no bytes and an error.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

// Foreign bytes are no context, or one with which a parser gets on, and what is
// read is what was written.
func FuzzContext(f *testing.F) {
	for i, kind := range All() {
		for _, s := range changing {
			if s.format != kind.Name || kind.AppendContext == nil {
				continue
			}
			var b format.Block
			if err := kind.NewSplitter(strings.NewReader(s.text), format.Options{}).Next(&b); err == nil {
				f.Add(kind.AppendContext(nil, b.Context), i, s.text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, n int, text string) {
		kinds := All()
		kind := kinds[(n%len(kinds)+len(kinds))%len(kinds)]
		if kind.ParseContext == nil {
			return
		}
		c, err := kind.ParseContext(data)
		if err != nil {
			return
		}
		once := kind.AppendContext(nil, c)
		again, err := kind.ParseContext(once)
		if err != nil || !bytes.Equal(once, kind.AppendContext(nil, again)) {
			t.Fatalf("%s: %v", kind.Name, err)
		}
		b := format.Block{Data: []byte(text), Context: c}
		p := kind.NewParser(format.Options{})
		_ = p.Parse(&b, format.Frame{End: len(text)}, func(*event.Record) {}) // any error will do
	})
}
