package evtx

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

type made struct {
	tree   string
	id     uint64
	offset int64
	time   time.Time
	raw    string
}

// readAll reads a file of the test's making.
func readAll(t testing.TB, data []byte) (records []made, problems []string) {
	t.Helper()
	found, err := read(bytes.NewReader(data), func(rec *event.Record) {
		if rec.Format != "evtx" || rec.Line != 0 || rec.TimeQuality != event.TimeParsed {
			t.Errorf("record %+v", rec)
		}
		records = append(records, made{string(rec.Tree.AppendJSON(nil, 0)), rec.RecordID, rec.Offset, rec.Time, string(rec.Raw)})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found {
		problems = append(problems, p.Error())
	}
	return records, problems
}

// TestValues gives the member that <v>%1</v> becomes for each type of value.
func TestValues(t *testing.T) {
	t.Parallel()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sid := unhex("010500000000000515000000" + "01000000" + "02000000" + "03000000" + "f4010000")
	system := unhex("01010000000000051200" + "0000")
	bigSID := unhex("0101" + "ffffffffffff" + "01000000")
	guid := unhex("78563412bc9af0de0123456789abcdef")
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name string
		typ  byte
		data []byte
		want string // "" when the element is not there
		err  string
	}{
		{"null", typeNull, nil, `""`, ""},
		{"null of a size", typeNull, []byte{1, 2}, `""`, ""},
		{"string", typeString, utf16Bytes("C:\\größe 日本 😀"), `"C:\\größe 日本 😀"`, ""},
		{"empty string", typeString, nil, `""`, ""},
		{"string with its NUL", typeString, utf16Bytes("abc\x00"), `"abc"`, ""},
		{"string with a NUL inside", typeString, utf16Bytes("a\x00b"), `"a\u0000b"`, ""},
		{"string with lone surrogates", typeString, le(2, 0xd83d, 'x', 0xde00, 0xd83d), `"` + "\ufffdx\ufffd\ufffd" + `"`, ""},
		{"string of odd size", typeString, append(utf16Bytes("ab"), 'c'), `"ab"`, ""},
		{"string of three-byte characters", typeString, utf16Bytes(strings.Repeat("本", 99)), `"` + strings.Repeat("本", 99) + `"`, ""},
		{"ANSI", typeAnsi, []byte("a\x80\xe4\x00"), `"a€ä"`, ""},
		{"int8", typeInt8, le(1, 0xff), `-1`, ""},
		{"uint8", typeUint8, le(1, 0xff), `255`, ""},
		{"int16", typeInt16, le(2, 0x8000), `-32768`, ""},
		{"uint16", typeUint16, le(2, 0xffff), `65535`, ""},
		{"int32", typeInt32, le(4, 0xfffffffe), `-2`, ""},
		{"uint32", typeUint32, le(4, 0xfffffffe), `4294967294`, ""},
		{"int64", typeInt64, le(8, 1<<63), `-9223372036854775808`, ""},
		{"uint64", typeUint64, le(8, math.MaxUint64), `18446744073709551615`, ""},
		{"float32", typeFloat32, le(4, uint64(math.Float32bits(0.1))), `0.1`, ""},
		{"float64", typeFloat64, le(8, math.Float64bits(-1.5e300)), `-1.5e+300`, ""},
		{"not a number", typeFloat64, le(8, math.Float64bits(math.NaN())), `"NaN"`, ""},
		{"infinity", typeFloat32, le(4, uint64(math.Float32bits(float32(math.Inf(-1))))), `"-INF"`, ""},
		{"true in 4 bytes", typeBool, le(4, 1), `true`, ""},
		{"false in 4 bytes", typeBool, le(4, 0), `false`, ""},
		{"true in 1 byte", typeBool, le(1, 1), `true`, ""},
		{"true in 2 bytes", typeBool, le(2, 0x100), `true`, ""},
		{"false in 8 bytes", typeBool, le(8, 0), `false`, ""},
		{"binary", typeBinary, []byte{0x00, 0xab, 0xff}, `"00ABFF"`, ""},
		{"empty binary", typeBinary, nil, `""`, ""},
		{"GUID", typeGUID, guid, `"{12345678-9abc-def0-0123-456789abcdef}"`, ""},
		{"size_t of 32 bits", typeSizeT, le(4, 0xfffe), `"0xfffe"`, ""},
		{"size_t of 64 bits", typeSizeT, le(8, 1<<40), `"0x10000000000"`, ""},
		{"FILETIME", typeFileTime, le(8, aTick), `"2025-03-04T05:06:07.8912345Z"`, ""},
		{"first FILETIME", typeFileTime, le(8, 0), `"1601-01-01T00:00:00.0000000Z"`, ""},
		{"FILETIME of a leap day", typeFileTime, le(8, (951_782_400+unixEpochSecond)*ticksPerSecond), `"2000-02-29T00:00:00.0000000Z"`, ""},
		{"FILETIME of never", typeFileTime, le(8, math.MaxInt64), `"30828-09-14T02:48:05.4775807Z"`, ""},
		{"SYSTEMTIME", typeSystemTime, le(2, 2025, 3, 2, 4, 5, 6, 7, 89), `"2025-03-04T05:06:07.089Z"`, ""},
		{"SID", typeSID, sid, `"S-1-5-21-1-2-3-500"`, ""},
		{"SID of the system", typeSID, system, `"S-1-5-18"`, ""},
		{"SID of a large authority", typeSID, bigSID, `"S-1-0xffffffffffff-1"`, ""},
		{"hex32", typeHex32, le(4, 0xABCD), `"0xabcd"`, ""},
		{"hex32 of zero", typeHex32, le(4, 0), `"0x0"`, ""},
		{"hex64", typeHex64, le(8, 0x8020000000000000), `"0x8020000000000000"`, ""},
		{"handle", typeHandle, le(8, 0x1f), `"0x1f"`, ""},
		{"strings", typeArray | typeString, utf16Bytes("a\x00\x00ccc\x00"), `["a","","ccc"]`, ""},
		{"strings, the last without NUL", typeArray | typeString, utf16Bytes("a\x00bb"), `["a","bb"]`, ""},
		{"one string", typeArray | typeString, utf16Bytes("a\x00"), `"a"`, ""},
		{"no strings", typeArray | typeString, nil, ``, ""},
		{"ANSI strings", typeArray | typeAnsi, []byte("a\x00b\x00"), `["a","b"]`, ""},
		{"int8s", typeArray | typeInt8, le(1, 1, 0xff), `[1,-1]`, ""},
		{"uint16s", typeArray | typeUint16, le(2, 1, 2, 3), `[1,2,3]`, ""},
		{"uint32s", typeArray | typeUint32, le(4, 1, 2), `[1,2]`, ""},
		{"int64s", typeArray | typeInt64, le(8, 1, math.MaxUint64), `[1,-1]`, ""},
		{"float64s", typeArray | typeFloat64, le(8, math.Float64bits(1), math.Float64bits(2.5)), `[1,2.5]`, ""},
		{"bools", typeArray | typeBool, le(4, 1, 0), `[true,false]`, ""},
		{"GUIDs", typeArray | typeGUID, join(guid, guid), `["{12345678-9abc-def0-0123-456789abcdef}","{12345678-9abc-def0-0123-456789abcdef}"]`, ""},
		{"size_ts of 64 bits", typeArray | typeSizeT, le(8, 1, 2), `["0x1","0x2"]`, ""},
		{"size_ts of 32 bits", typeArray | typeSizeT, le(4, 1, 2, 3), `["0x1","0x2","0x3"]`, ""},
		{"FILETIMEs", typeArray | typeFileTime, le(8, 0, aTick), `["1601-01-01T00:00:00.0000000Z","2025-03-04T05:06:07.8912345Z"]`, ""},
		{"SYSTEMTIMEs", typeArray | typeSystemTime, le(2, 2025, 3, 2, 4, 5, 6, 7, 89), `"2025-03-04T05:06:07.089Z"`, ""},
		{"SIDs", typeArray | typeSID, join(system, sid), `["S-1-5-18","S-1-5-21-1-2-3-500"]`, ""},
		{"hex32s", typeArray | typeHex32, le(4, 10, 11), `["0xa","0xb"]`, ""},
		{"hex64s", typeArray | typeHex64, le(8, 10, 11), `["0xa","0xb"]`, ""},

		{"int32 of 2 bytes", typeInt32, le(2, 1), "", "a value of type 07 cannot have 2 bytes"},
		{"bool of 3 bytes", typeBool, []byte{1, 2, 3}, "", "a value of type 0d cannot have 3 bytes"},
		{"GUID cut short", typeGUID, guid[:15], "", "a value of type 0f cannot have 15 bytes"},
		{"SID cut short", typeSID, sid[:27], "", "a value of type 13 cannot have 27 bytes"},
		{"SIDs cut short", typeArray | typeSID, sid[:27], "", "a value of type 13 cannot have 27 bytes"},
		{"SYSTEMTIME cut short", typeSystemTime, sid[:14], "", "a value of type 12 cannot have 14 bytes"},
		{"uint32s of 7 bytes", typeArray | typeUint32, sid[:7], "", "a value of type 88 cannot have 7 bytes"},
		{"unknown type", 0x30, nil, "", "unknown type 30"},
		{"array of binary", typeArray | typeBinary, []byte{1}, "", "an array of type 0e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var w fileWriter
			w.chunk(9).event(el("E", el("v", sub(0)), el("w", text("x"))), value{c.typ, c.data})
			records, problems := readAll(t, w.bytes())
			if c.err != "" {
				if len(records) != 0 || len(problems) != 1 || !strings.Contains(problems[0], c.err) ||
					!strings.HasPrefix(problems[0], "record 9 (byte 4608)") {
					t.Fatalf("%v, problems %v", records, problems)
				}
				return
			}
			want := `{"E":{"v":` + c.want + `,"w":"x"}}`
			if c.want == "" {
				want = `{"E":{"w":"x"}}`
			}
			if len(records) != 1 || len(problems) != 0 || records[0].tree != want {
				t.Errorf("%v, problems %v; expected %s", records, problems, want)
			}
		})
	}
}

// TestTrees gives the tree of elements with given values.
func TestTrees(t *testing.T) {
	t.Parallel()
	str := func(s string) value { return value{typeString, utf16Bytes(s)} }
	null := value{typeNull, nil}
	num := func(n uint64) value { return value{typeUint32, le(4, n)} }
	list := value{typeArray | typeString, utf16Bytes("x\x00y\x00")}
	none := value{typeArray | typeString, nil}
	data := func(name string, n node) node { return el("Data", n).with(at("Name", text(name))) }
	for _, c := range []struct {
		name   string
		root   node
		values []value
		want   string
	}{
		{"optional attribute that is null", el("E").with(at("a", opt(0)), at("b", opt(1))), []value{null, num(1)}, `{"E":{"#attributes":{"b":1}}}`},
		{"all attributes null", el("E", el("C").with(at("a", opt(0)))), []value{null}, `{"E":{"C":""}}`},
		{"attribute that is null", el("E").with(at("a", sub(0))), []value{null}, `{"E":{"#attributes":{"a":""}}}`},
		{"optional element that is null", el("E", el("a", opt(0)), el("b", sub(0))), []value{null}, `{"E":{"b":""}}`},
		{"all elements null", el("E", el("D", el("a", opt(0)))), []value{null}, `{"E":{"D":""}}`},
		{"attributes and text", el("E", sub(0)).with(at("Qualifiers", sub(1))), []value{num(4624), num(0)}, `{"E":{"#attributes":{"Qualifiers":0},"#text":4624}}`},
		{"attributes and no text", el("E", sub(0)).with(at("q", text("1"))), []value{str("")}, `{"E":{"#attributes":{"q":"1"}}}`},
		{"named data", el("EventData", data("A", sub(0)), data("B", sub(1))), []value{str("x"), num(7)}, `{"EventData":{"A":"x","B":7}}`},
		{"named data twice", el("EventData", data("A", sub(0)), data("B", text("m")), data("A", sub(1))), []value{str("x"), num(7)}, `{"EventData":{"A":["x",7],"B":"m"}}`},
		{"named data twice, once null", el("EventData", data("A", opt(0)), data("A", sub(1))), []value{null, num(7)}, `{"EventData":{"A":7}}`},
		{"name made of a value", el("EventData", el("Data", sub(1)).with(at("Name", text("p-"), sub(0))), data("B", text("m"))), []value{str("x"), num(7)}, `{"EventData":{"p-x":7,"B":"m"}}`},
		{"name that is null", el("EventData", el("Data", sub(1)).with(at("Name", opt(0)))), []value{null, num(7)}, `{"EventData":{"Data":7}}`},
		{"named data with another attribute", el("EventData", el("Data", sub(0)).with(at("Name", text("A")), at("Type", text("t")))), []value{num(7)}, `{"EventData":{"A":{"#attributes":{"Type":"t"},"#text":7}}}`},
		{"unnamed data", el("EventData", el("Data", sub(0)), el("Data"), el("Data", sub(1))), []value{str("x"), num(7)}, `{"EventData":{"Data":["x","",7]}}`},
		{"list in unnamed data", el("EventData", el("Data", sub(0)), el("Binary", sub(1))), []value{list, {typeBinary, []byte{1}}}, `{"EventData":{"Data":["x","y"],"Binary":"01"}}`},
		{"list and more data", el("EventData", el("Data", sub(0)), el("Data", text("z"))), []value{list}, `{"EventData":{"Data":["x","y","z"]}}`},
		{"list in an element with attributes", el("E", el("v", sub(0)).with(at("a", text("1")))), []value{list}, `{"E":{"v":[{"#attributes":{"a":"1"},"#text":"x"},{"#attributes":{"a":"1"},"#text":"y"}]}}`},
		{"empty list and more", el("E", el("v", sub(0)), el("v", text("z"))), []value{none}, `{"E":{"v":"z"}}`},
		{"empty list alone", el("E", el("D", el("v", sub(0)))), []value{none}, `{"E":{"D":""}}`},
		{"list in an attribute", el("E").with(at("a", sub(0))), []value{list}, `{"E":{"#attributes":{"a":"x,y"}}}`},
		{"text of several parts", el("E", text("a "), sub(0), text("&"), sub(1)), []value{num(1), list}, `{"E":"a 1&x,y"}`},
		{"attribute of several parts", el("E").with(at("a", text("p"), sub(0))), []value{num(1)}, `{"E":{"#attributes":{"a":"p1"}}}`},
		{"references", el("E", text("a"), other(tokEntityRef, "amp"), other(tokCharRef, "ß"), other(tokCDATA, "<x>")), nil, `{"E":"a&ß<x>"}`},
		{"instructions", el("E", other(tokPITarget, "p"), other(tokPIData, "q"), text("x")), nil, `{"E":"x"}`},
		{"layout", el("E", text("\r\n  "), el("v", text(" ")), text("\r\n")), nil, `{"E":{"v":" "}}`},
		{"mixed content", el("E", text("x"), el("v"), sub(0)), []value{num(1)}, `{"E":{"v":"","#text":"x1"}}`},
		{"user data", el("UserData", el("Cleared", el("Who", sub(0))).with(at("xmlns", text("urn:x")))), []value{str("eve")}, `{"UserData":{"Cleared":{"#attributes":{"xmlns":"urn:x"},"Who":"eve"}}}`},
		{
			"numbers of System as text", el("Event", el("System", el("EventID", text("1")).with(at("Qualifiers", text("0"))), el("Level", sub(0)), el("Execution").with(at("ProcessID", sub(0)), at("x", sub(0))), el("Task", text("01"))), el("EventData", data("Level", text("4")))),
			[]value{str("12")},
			`{"Event":{"System":{"EventID":{"#attributes":{"Qualifiers":0},"#text":1},"Level":12,"Execution":{"#attributes":{"ProcessID":12,"x":"12"}},"Task":"01"},"EventData":{"Level":"4"}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var w fileWriter
			w.chunk(1).event(c.root, c.values...)
			records, problems := readAll(t, w.bytes())
			if len(records) != 1 || len(problems) != 0 || records[0].tree != c.want {
				t.Errorf("%v, problems %v; expected %s", records, problems, c.want)
			}
		})
	}
}

// TestNested reads binary XML as a value: with a template of its own, and
// written out.
func TestNested(t *testing.T) {
	t.Parallel()
	var w fileWriter
	c := w.chunk(1)
	outer := el("Event", el("System", el("EventRecordID", sub(0)), el("TimeCreated").with(at("SystemTime", sub(1)))), opt(2))
	fragment := func(write func()) value {
		// Everything the value names stands in earlier records, so that its bytes
		// are the same wherever they go.
		start := len(c.buf)
		c.u8(tokFragment, 1, 1, 0)
		write()
		c.u8(tokEnd)
		b := append([]byte(nil), c.buf[start:]...)
		c.buf = c.buf[:start]
		return value{typeBinXML, b}
	}
	head := []value{{typeUint64, le(8, 4711)}, {typeFileTime, le(8, aTick)}}
	// The names stand in a first record, which defines the outer template too.
	def := 0
	c.record(aTick, func() {
		def = c.instance(0, func() { c.write(outer, true) }, append(head, value{typeNull, nil})...)
	})
	inner := 0
	c.record(aTick, func() {
		inner = c.instance(0, func() { c.write(el("EventData", el("Data", sub(0)).with(at("Name", text("A")))), true) }, value{typeUint32, le(4, 5)})
	})
	c.record(aTick, func() {
		c.instance(def, nil, append(head, fragment(func() { c.instance(inner, nil, value{typeUint32, le(4, 6)}) }))...)
	})
	c.record(aTick, func() {
		c.instance(def, nil, append(head, fragment(func() { c.write(el("EventData", el("Data", text("z"))), false) }))...)
	})
	// A record written out, with and without dependency ids.
	c.record(0, func() { c.write(el("Event", el("System", el("EventRecordID", text("12")))), false) })
	c.record(0, func() { c.write(el("Event", el("System", el("EventRecordID", text("13")))), true) })
	records, problems := readAll(t, w.bytes())
	if len(problems) > 0 || len(records) != 6 {
		t.Fatalf("%v, problems %v", records, problems)
	}
	system := `{"Event":{"System":{"EventRecordID":4711,"TimeCreated":{"#attributes":{"SystemTime":"2025-03-04T05:06:07.8912345Z"}}}`
	for i, want := range []string{
		system + `}}`,
		`{"EventData":{"A":5}}`,
		system + `,"EventData":{"A":6}}}`,
		system + `,"EventData":{"Data":"z"}}}`,
		`{"Event":{"System":{"EventRecordID":12}}}`,
		`{"Event":{"System":{"EventRecordID":13}}}`,
	} {
		if records[i].tree != want {
			t.Errorf("record %d:\n%s, expected\n%s", i, records[i].tree, want)
		}
	}
	if want := time.Date(2025, 3, 4, 5, 6, 7, 891234500, time.UTC); !records[2].time.Equal(want) || !records[1].time.Equal(want) {
		t.Errorf("times %v, %v", records[2].time, records[1].time)
	}
	for i, want := range []uint64{4711, 2, 4711, 4711, 12, 13} {
		if records[i].id != want {
			t.Errorf("record %d has id %d, expected %d", i, records[i].id, want)
		}
	}
}
