package evtx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// sound returns a file of two chunks with records 1 to 4 and 5 to 8, and the
// offset of each record in the file. Each chunk's first record defines the
// template of the others.
func sound() (data []byte, offsets map[uint64]int) {
	var w fileWriter
	offsets = map[uint64]int{}
	for n := range 2 {
		c := w.chunk(uint64(4*n + 1))
		def := 0
		for i := range 4 {
			id := c.next
			root := el("Event", el("System", el("EventRecordID", sub(0))), el("EventData", el("Data", sub(1)).with(at("Name", text("A")))))
			offsets[id] = fileHeaderBytes + n*chunkBytes + c.record(aTick, func() {
				def = c.instance(def, func() { c.write(root, true) },
					value{typeUint64, le(8, id)}, value{typeString, utf16Bytes(fmt.Sprintf("value %d", i))})
			})
		}
	}
	return w.bytes(), offsets
}

// TestDamage breaks a sound file and says which records are still read and
// which problems are reported.
func TestDamage(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	const second = fileHeaderBytes + chunkBytes
	for _, c := range []struct {
		name     string
		damage   func(d []byte, at map[uint64]int) []byte
		ids      string
		problems []string
	}{
		{"none", func(d []byte, _ map[uint64]int) []byte { return d }, "1 2 3 4 5 6 7 8", nil},
		{"dirty", func(d []byte, _ map[uint64]int) []byte { d[120] = 1; return d }, "1 2 3 4 5 6 7 8", nil},
		{
			"header counts", func(d []byte, _ map[uint64]int) []byte { le.PutUint16(d[42:], 1); return d[:second+chunkBytes] }, "1 2 3 4 5 6 7 8",
			[]string{"byte 0: file header checksum: expected "},
		},
		{"file header magic", func(d []byte, _ map[uint64]int) []byte { d[0] = 'X'; return d }, "1 2 3 4 5 6 7 8", []string{"byte 0: the file header has no ElfFile magic"}},
		{"file header missing", func(d []byte, _ map[uint64]int) []byte { return d[fileHeaderBytes:] }, "1 2 3 4 5 6 7 8", []string{"byte 0: the file header is missing"}},
		{"file header cut", func(d []byte, _ map[uint64]int) []byte { return d[:100] }, "", []string{"byte 0: the file ends inside its header, after 100 of 4096 bytes"}},
		{"empty file", func(d []byte, _ map[uint64]int) []byte { return nil }, "", []string{"byte 0: the file is empty"}},
		{"header alone", func(d []byte, _ map[uint64]int) []byte { return d[:fileHeaderBytes] }, "", nil},
		{"empty slot between", func(d []byte, _ map[uint64]int) []byte {
			return append(append(append([]byte(nil), d[:second]...), make([]byte, chunkBytes)...), d[second:]...)
		}, "1 2 3 4 5 6 7 8", nil},
		{
			"chunk magic", func(d []byte, _ map[uint64]int) []byte { d[second] = 0; return d }, "1 2 3 4 5 6 7 8",
			[]string{"byte 69632: chunk has no ElfChnk magic", "byte 69632: 512 bytes are no record"},
		},
		{
			"chunk header", func(d []byte, _ map[uint64]int) []byte { d[second+130]++; return d }, "1 2 3 4 5 6 7 8",
			[]string{"byte 69632: chunk header checksum: expected "},
		},
		{
			"chunk header alone", func(d []byte, _ map[uint64]int) []byte { return d[:second+100] }, "1 2 3 4",
			[]string{"byte 69632: the file ends inside a chunk header, after 100 of 512 bytes"},
		},
		{"free space outside", func(d []byte, _ map[uint64]int) []byte {
			le.PutUint32(d[second+48:], 1<<20)
			le.PutUint32(d[second+124:], checksum(d[second:]))
			return d
		}, "1 2 3 4 5 6 7 8", []string{"byte 69632: chunk header puts free space at 1048576"}},
		{"free space before the last records", func(d []byte, at map[uint64]int) []byte {
			// The header of a log that was copied while in use.
			le.PutUint32(d[second+48:], uint32(at[7]-second))
			sum(d[second:])
			return d
		}, "1 2 3 4 5 6 7 8", nil},
		{"records of a former use behind free space", func(d []byte, at map[uint64]int) []byte {
			le.PutUint32(d[second+48:], uint32(at[7]-second))
			le.PutUint64(d[at[7]+8:], 1234)
			sum(d[second:])
			return d
		}, "1 2 3 4 5 6", nil},
		{
			"a flipped bit in a value", func(d []byte, at map[uint64]int) []byte { d[at[7]-10] ^= 1; return d }, "1 2 3 4 5 6 7 8",
			[]string{"byte 69632: chunk records checksum: expected "},
		},
		{
			"a record's magic", func(d []byte, at map[uint64]int) []byte { d[at[6]] = 0; return d }, "1 2 3 4 5 7 8",
			[]string{"byte 69632: chunk records checksum", "bytes are no record"},
		},
		{
			"a record's size too large", func(d []byte, at map[uint64]int) []byte { le.PutUint32(d[at[6]+4:], 70_000); return d }, "1 2 3 4 5 7 8",
			[]string{"byte 69632: chunk records checksum", "record 6 (byte "},
		},
		{
			"a record's size over the next", func(d []byte, at map[uint64]int) []byte { le.PutUint32(d[at[6]+4:], uint32(at[8]-at[6]-8)); return d }, "1 2 3 4 5 7 8",
			[]string{"byte 69632: chunk records checksum", "record 6 (byte "},
		},
		{
			"a record's size of zero", func(d []byte, at map[uint64]int) []byte { le.PutUint32(d[at[6]+4:], 0); return d }, "1 2 3 4 5 7 8",
			[]string{"byte 69632: chunk records checksum", "record 6 (byte "},
		},
		{
			"a record's size copy", func(d []byte, at map[uint64]int) []byte { d[at[7]-4]++; return d }, "1 2 3 4 5 7 8",
			[]string{"byte 69632: chunk records checksum", "record 6 (byte "},
		},
		{"broken records under a right checksum", func(d []byte, at map[uint64]int) []byte {
			le.PutUint32(d[at[6]+4:], 0)
			sum(d[second:])
			return d
		}, "1 2 3 4 5 7 8", []string{"record 6 (byte "}},
		{"a record lost to zeros", func(d []byte, at map[uint64]int) []byte {
			clear(d[at[6]:at[7]])
			sum(d[second:])
			return d
		}, "1 2 3 4 5 7 8", []string{"bytes of zeros where records should be"}},
		{"the template overwritten", func(d []byte, at map[uint64]int) []byte {
			clear(d[at[5]+24 : at[6]-4])
			return d
		}, "1 2 3 4", []string{"chunk records checksum", "record 5 (byte ", "record 6 (byte ", "record 7 (byte ", "record 8 (byte "}},
		{
			"cut in the last record", func(d []byte, at map[uint64]int) []byte { return d[:at[8]+50] }, "1 2 3 4 5 6 7",
			[]string{"byte 69632: the file ends inside a chunk, after ", "record 8 (byte "},
		},
		{"cut in free space", func(d []byte, at map[uint64]int) []byte { return d[:second+chunkBytes-1000] }, "1 2 3 4 5 6 7 8", nil},
		{"garbage for a chunk", func(d []byte, at map[uint64]int) []byte {
			for i := range chunkBytes {
				d[fileHeaderBytes+i] = byte(i*7 + 1)
			}
			return d
		}, "5 6 7 8", []string{"byte 4096: chunk has no ElfChnk magic", "65536 bytes are no record"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data, at := sound()
			data = c.damage(data, at)
			records, problems := readAll(t, data)
			var ids []string
			for _, r := range records {
				ids = append(ids, fmt.Sprint(r.id))
			}
			if got := strings.Join(ids, " "); got != c.ids {
				t.Errorf("records %s, expected %s", got, c.ids)
			}
			if len(problems) != len(c.problems) {
				t.Fatalf("problems %q, expected %q", problems, c.problems)
			}
			for i, p := range problems {
				if !strings.Contains(p, c.problems[i]) {
					t.Errorf("problem %q, expected %q", p, c.problems[i])
				}
			}
		})
	}
}

// TestHostile builds records that a naive parser loops, multiplies or reads
// out of bounds on.
func TestHostile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, problem string
		write         func(c *chunkWriter)
	}{
		{"no content", "the record holds no element", func(c *chunkWriter) { c.record(0, func() {}) }},
		{"unknown token", "token 3f", func(c *chunkWriter) { c.record(0, func() { c.u8(0x3f) }) }},
		{"template at itself", "in the chunk", func(c *chunkWriter) {
			// The definition of the instance is the instance.
			c.record(0, func() { at := len(c.buf); c.u8(tokTemplate, 1); c.u32(7); c.u32(uint32(at)); c.u32(0) })
		}},
		{"template outside the chunk", "outside the chunk", func(c *chunkWriter) {
			c.record(0, func() { c.u8(tokTemplate, 1); c.u32(7); c.u32(0xfffffff0); c.u32(0) })
		}},
		{"template of another id", "it was overwritten", func(c *chunkWriter) {
			def := 0
			c.record(0, func() { def = c.instance(0, func() { c.write(el("E"), true) }) })
			c.record(0, func() { c.u8(tokTemplate, 1); c.u32(7); c.u32(uint32(def)); c.u32(0) })
		}},
		{"too many arguments", "more than 10240 values", func(c *chunkWriter) {
			def := 0
			c.record(0, func() { def = c.instance(0, func() { c.write(el("E"), true) }) })
			c.record(0, func() { c.u8(tokTemplate, 1); c.u32(0x1badd00d); c.u32(uint32(def)); c.u32(10_241) })
		}},
		{"values outside the record", "end outside the record", func(c *chunkWriter) {
			c.record(0, func() {
				c.instance(0, func() { c.write(el("E", sub(0)), true) }, value{typeString, nil})
				c.buf[len(c.buf)-4] = 0xff // the value's size
			})
		}},
		{"fewer values than asked for", "more values than the record has", func(c *chunkWriter) {
			c.event(el("E", sub(3)), value{typeString, nil})
		}},
		{"elements too deep", "deeper than 64", func(c *chunkWriter) {
			n := el("a")
			for range 64 {
				n = el("a", n)
			}
			c.event(n)
		}},
		{"name of 513 characters", "a name of 513 characters", func(c *chunkWriter) { c.event(el(strings.Repeat("n", 513))) }},
		{"empty name", "an empty name", func(c *chunkWriter) { c.event(el("")) }},
		{"unknown entity", `unknown entity "nbsp"`, func(c *chunkWriter) { c.event(el("E", other(tokEntityRef, "nbsp"))) }},
		{"257 attributes", "more than 256 attributes", func(c *chunkWriter) {
			c.event(el("E").with(make257()...))
		}},
		{"binary XML in an attribute", "only text can", func(c *chunkWriter) { c.event(el("E").with(at("a", sub(0))), value{typeBinXML, []byte{0}}) }},
		{"a value written too often", "bytes of text", func(c *chunkWriter) {
			var parts []node
			for range 1000 {
				parts = append(parts, el("v", sub(0)))
			}
			c.event(el("E", parts...), value{typeString, make([]byte, 20_000)[:0:0]}, value{})
			c.event(el("E", parts...), value{typeString, bytes.Repeat([]byte{'x', 0}, 10_000)})
		}},
		{"fragments that double", "takes more than", func(c *chunkWriter) {
			double := el("a", el("b", sub(0)), el("c", sub(0)))
			def := 0
			c.record(0, func() { def = c.instance(0, func() { c.write(double, true) }, value{}) })
			v := value{typeBinXML, []byte{tokEnd}}
			for range 40 {
				from := len(c.buf)
				c.instance(def, nil, v)
				v = value{typeBinXML, append([]byte(nil), c.buf[from:]...)}
				c.buf = c.buf[:from]
			}
			c.record(0, func() { c.instance(def, nil, v) })
		}},
		{"fragments too deep", "", func(c *chunkWriter) {
			def := 0
			c.record(0, func() { def = c.instance(0, func() { c.write(el("a", sub(0)), true) }, value{}) })
			v := value{typeBinXML, []byte{tokEnd}}
			for range 100 {
				from := len(c.buf)
				c.instance(def, nil, v)
				v = value{typeBinXML, append([]byte(nil), c.buf[from:]...)}
				c.buf = c.buf[:from]
			}
			c.record(0, func() { c.instance(def, nil, v) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var w fileWriter
			c.write(w.chunk(1))
			_, problems := readAll(t, w.bytes())
			if len(problems) != 1 || !strings.Contains(problems[0], c.problem) {
				t.Errorf("problems %q, expected one with %q", problems, c.problem)
			}
		})
	}
}

func make257() (attrs []node) {
	for i := range 257 {
		attrs = append(attrs, at(fmt.Sprintf("a%d", i), text("x")))
	}
	return attrs
}

// TestOverlappingTemplates shows that definitions which overlap cost no more
// than compiledBytesMax.
func TestOverlappingTemplates(t *testing.T) {
	t.Parallel()
	var w fileWriter
	c := w.chunk(1)
	// Every four bytes of this value could be a definition that goes on to its
	// end.
	long := bytes.Repeat([]byte{tokText, typeString, 0, 0}, 10_000)
	at := c.event(el("E", sub(0)), value{typeBinary, long}) + 200
	for i := range 300 {
		c.record(0, func() { c.u8(tokTemplate, 1); c.u32(0x00000105); c.u32(uint32(at + 4*i)); c.u32(0) })
	}
	_, problems := readAll(t, w.bytes())
	if len(problems) != 300 {
		t.Errorf("%d problems, expected one for each of 300 records", len(problems))
	}
}

// TestBlocksReused shows that a parser keeps nothing of another chunk, even
// when its bytes stand at the same place of the same block.
func TestBlocksReused(t *testing.T) {
	t.Parallel()
	var one, two fileWriter
	one.chunk(1).event(el("E", el("a", text("1"))))
	two.chunk(1).event(el("E", el("b", text("2"))))
	f := Format()
	p := f.NewParser(format.Options{})
	var b format.Block
	var got []string
	for _, w := range []fileWriter{one, two, one} {
		if err := f.NewSplitter(bytes.NewReader(w.bytes()), format.Options{}).Next(&b); err != nil {
			t.Fatal(err)
		}
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, func(r *event.Record) { got = append(got, string(r.Tree.AppendJSON(nil, 0))) }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := strings.Join(got, " "); s != `{"E":{"a":"1"}} {"E":{"b":"2"}} {"E":{"a":"1"}}` {
		t.Error(s)
	}
}

func TestReadError(t *testing.T) {
	t.Parallel()
	data, _ := sound()
	broken := errors.New("broken")
	n := 0
	_, err := read(io.MultiReader(bytes.NewReader(data[:fileHeaderBytes+chunkBytes+100]), iotest.ErrReader(broken)), func(*event.Record) { n++ })
	if !errors.Is(err, broken) || n != 4 {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	data, _ := sound()
	damaged := append([]byte("X"), data[1:]...)
	for name, c := range map[string]struct {
		head []byte
		want int
	}{
		"sound": {data, 100}, "chunk": {data[fileHeaderBytes:], 100}, "bad header": {damaged, 95},
		"empty": {nil, 0}, "text": {[]byte("<Event/>"), 0}, "short": {[]byte("ElfFil"), 0},
	} {
		if got := detect(c.head[:min(len(c.head), 64<<10)], ""); got != c.want {
			t.Errorf("%s: %d, expected %d", name, got, c.want)
		}
	}
}

// TestAllocations shows that a record costs none once its template is known.
func TestAllocations(t *testing.T) {
	data, _ := sound()
	f := Format()
	p := f.NewParser(format.Options{})
	var b format.Block
	if err := f.NewSplitter(bytes.NewReader(data), format.Options{}).Next(&b); err != nil {
		t.Fatal(err)
	}
	emit := func(*event.Record) {}
	if n := testing.AllocsPerRun(100, func() {
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, emit); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(b.Frames))
	}
}

// FuzzRead holds that any bytes give records and problems with positions in
// the file, records in order, the same ones each time, and frames that hold
// whole records.
func FuzzRead(f *testing.F) {
	data, at := sound()
	f.Add(data[fileHeaderBytes : fileHeaderBytes+2048])
	f.Add(data[:at[4]+200])
	var w fileWriter
	w.chunk(1).event(el("Event", el("System", el("EventRecordID", sub(0))), el("Data", sub(1)).with(at2("Name", sub(2)))),
		value{typeUint64, le(8, 1)}, value{typeArray | typeString, utf16Bytes("a\x00b\x00")}, value{typeSID, le(8, 1, 2)})
	f.Add(w.bytes()[fileHeaderBytes : fileHeaderBytes+2048])
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4*chunkBytes {
			return
		}
		// A chunk whose checksums are right is read more strictly.
		if fixed := append([]byte(nil), data...); len(fixed) >= chunkHeaderBytes && bytes.HasPrefix(fixed, chunkMagic) {
			if free := binary.LittleEndian.Uint32(fixed[48:]); free >= chunkHeaderBytes && int(free) <= len(fixed) {
				sum(fixed)
				checkRead(t, fixed)
			}
		}
		checkRead(t, data)
	})
}

func at2(name string, parts ...node) node { return at(name, parts...) }

func checkRead(t *testing.T, data []byte) {
	t.Helper()
	first, problems := readAll(t, data)
	again, problemsAgain := readAll(t, data)
	if fmt.Sprint(first, problems) != fmt.Sprint(again, problemsAgain) {
		t.Fatal("two reads of the same bytes differ")
	}
	last := int64(-1)
	for _, r := range first {
		if r.offset <= last || r.offset+int64(len(r.raw)) > int64(len(data)) || r.raw != string(data[r.offset:r.offset+int64(len(r.raw))]) {
			t.Fatalf("record at %d after %d", r.offset, last)
		}
		last = r.offset
	}
}
