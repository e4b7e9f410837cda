package winxml

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// found is what was read of a record, copied.
type found struct {
	tree    string
	raw     string
	id      uint64
	line    int64
	offset  int64
	time    time.Time
	quality event.TimeQuality
}

func read(r io.Reader, o format.Options) (records []found, problems []format.Problem, err error) {
	f := Format()
	s, p := f.NewSplitter(r, o), f.NewParser(o)
	var b format.Block
	for {
		err := s.Next(&b)
		problems = append(problems, b.Problems...)
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, func(rec *event.Record) {
				records = append(records, found{
					tree: string(rec.Tree.AppendJSON(nil, 0)), raw: string(rec.Raw), id: rec.RecordID,
					line: rec.Line, offset: rec.Offset, time: rec.Time, quality: rec.TimeQuality,
				})
			}); err != nil {
				var at format.Problem
				if !errors.As(err, &at) {
					return nil, nil, fmt.Errorf("not a problem with a position: %w", err)
				}
				problems = append(problems, at)
			}
		}
		if errors.Is(err, io.EOF) {
			return records, problems, nil
		}
		if err != nil {
			return records, problems, err
		}
	}
}

const ns = ` xmlns="` + namespace + `"`

// logon is an invented event in the form that Event Viewer exports.
const logon = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Example-Auth' Guid='{11111111-2222-3333-4444-555555555555}'/><EventID Qualifiers='16384'>4624</EventID><Version>2</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2025-03-04T05:06:07.8912345Z'/><EventRecordID>77</EventRecordID><Correlation/><Execution ProcessID='640' ThreadID='7000'/><Channel>Security</Channel><Computer>host.example</Computer><Security/></System><EventData><Data Name='TargetUserName'>eve</Data><Data Name='LogonType'>3</Data><Data Name='Process'>C:\a &amp; b\&lt;x&gt;.exe</Data><Data Name='Empty'></Data><Data Name='None'/></EventData></Event>`

const logonTree = `{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":{"#attributes":{"Name":"Example-Auth","Guid":"{11111111-2222-3333-4444-555555555555}"}},"EventID":{"#attributes":{"Qualifiers":16384},"#text":4624},"Version":2,"Level":0,"Task":12544,"Opcode":0,"Keywords":"0x8020000000000000","TimeCreated":{"#attributes":{"SystemTime":"2025-03-04T05:06:07.8912345Z"}},"EventRecordID":77,"Correlation":"","Execution":{"#attributes":{"ProcessID":640,"ThreadID":7000}},"Channel":"Security","Computer":"host.example","Security":""},"EventData":{"TargetUserName":"eve","LogonType":"3","Process":"C:\\a & b\\<x>.exe","Empty":"","None":""}}}`

func TestEvent(t *testing.T) {
	t.Parallel()
	records, problems, err := read(strings.NewReader(logon), format.Options{})
	if err != nil || len(problems) != 0 || len(records) != 1 {
		t.Fatalf("%d records, %v, %v", len(records), problems, err)
	}
	r := records[0]
	if r.tree != logonTree {
		t.Errorf("tree\n%s, expected\n%s", r.tree, logonTree)
	}
	want := time.Date(2025, 3, 4, 5, 6, 7, 891234500, time.UTC)
	if r.id != 77 || r.line != 1 || r.offset != 0 || r.raw != logon || !r.time.Equal(want) || r.quality != event.TimeParsed {
		t.Errorf("record %+v", r)
	}
}

// TestTree gives the tree of what stands in <Event>.
func TestTree(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	attrs := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " a%d=''", i)
		}
		return "<x" + b.String() + "/>"
	}
	for _, c := range []struct{ name, in, want, problem string }{
		{name: "one unnamed Data", in: `<EventData><Data>x</Data></EventData>`, want: `{"EventData":{"Data":"x"}}`},
		{name: "several unnamed Data", in: `<EventData><Data>x</Data><Data/><Data>z</Data></EventData>`, want: `{"EventData":{"Data":["x","","z"]}}`},
		{name: "Data with an empty name", in: `<EventData><Data Name="">x</Data></EventData>`, want: `{"EventData":{"Data":"x"}}`},
		{name: "named Data twice", in: `<EventData><Data Name="a">1</Data><Data Name="b">2</Data><Data Name="a">3</Data></EventData>`, want: `{"EventData":{"a":["1","3"],"b":"2"}}`},
		{name: "Data of which another is named Data", in: `<EventData><Data Name="Data">1</Data><Data>2</Data></EventData>`, want: `{"EventData":{"Data":["1","2"]}}`},
		{name: "named Data with another attribute", in: `<EventData><Data Name="a" Type="t">1</Data></EventData>`, want: `{"EventData":{"a":{"#attributes":{"Type":"t"},"#text":"1"}}}`},
		{name: "Binary beside Data", in: `<EventData><Data>x</Data><Binary>00FF</Binary></EventData>`, want: `{"EventData":{"Data":"x","Binary":"00FF"}}`},
		{name: "user data", in: `<UserData><Cleared xmlns="urn:x"><Who>eve</Who></Cleared></UserData>`, want: `{"UserData":{"Cleared":{"#attributes":{"xmlns":"urn:x"},"Who":"eve"}}}`},
		{name: "repeated elements", in: `<UserData><A><B>1</B><C/><B q="2"/></A></UserData>`, want: `{"UserData":{"A":{"B":["1",{"#attributes":{"q":"2"}}],"C":""}}}`},
		{name: "rendering", in: `<RenderingInfo Culture="en-US"><Message>Done.</Message><Level>Information</Level><Keywords><Keyword>a</Keyword><Keyword>b</Keyword></Keywords></RenderingInfo>`, want: `{"RenderingInfo":{"#attributes":{"Culture":"en-US"},"Message":"Done.","Level":"Information","Keywords":{"Keyword":["a","b"]}}}`},
		{name: "layout", in: "\r\n  <EventData>\r\n  </EventData>\r\n", want: `{"EventData":""}`},
		{name: "text verbatim", in: "<EventData><Data Name='a'> x\r\ny\t</Data><Data Name='b'> </Data></EventData>", want: `{"EventData":{"a":" x\r\ny\t","b":" "}}`},
		{name: "references", in: `<EventData><Data Name="a&#x20;b">&#65;&#x42;&apos;&quot;&#xD83D;&#0;</Data></EventData>`, want: `{"EventData":{"a b":"AB'\"` + "\ufffd" + `\u0000"}}`},
		{name: "CDATA, comment and instruction", in: `<EventData><Data Name="a">x<![CDATA[<&]]>y<!-- </Event> -->z<?p </Event>?></Data></EventData>`, want: `{"EventData":{"a":"x<&yz"}}`},
		{name: "mixed content", in: `<UserData><A>x<B/>y</A></UserData>`, want: `{"UserData":{"A":{"B":"","#text":"xy"}}}`},
		{name: "greater than in an attribute", in: `<UserData><A b="x>y"/></UserData>`, want: `{"UserData":{"A":{"#attributes":{"b":"x>y"}}}}`},
		{name: "numbers in System alone", in: `<System><EventID>007</EventID><Level>4</Level></System><EventData><Data Name="Level">4</Data></EventData>`, want: `{"System":{"EventID":"007","Level":4},"EventData":{"Level":"4"}}`},
		{name: "invalid UTF-8", in: "<EventData><Data Name='a'>\xff</Data></EventData>", want: `{"EventData":{"a":"` + "\ufffd" + `"}}`},
		{name: "an event inside", in: `<UserData><Event>x</Event></UserData>`, want: `{"UserData":{"Event":"x"}}`},
		{name: "256 attributes", in: attrs(256)},
		{name: "257 attributes", in: attrs(257), problem: "more than 256 attributes"},
		{name: "depth 63 below Event", in: deep(62)},
		{name: "too deep", in: deep(64), problem: "deeper than 64"},
		{name: "far too deep", in: deep(6400), problem: "deeper than 64"},
		{name: "unknown entity", in: `<a>&nbsp;</a>`, problem: "unknown reference &nbsp;"},
		{name: "bare ampersand", in: `<a>x & y</a>`, problem: "a & that begins no reference"},
		{name: "character out of range", in: `<a>&#x110000;</a>`, problem: "unknown reference"},
		{name: "document type", in: `<!DOCTYPE x [<!ENTITY y "z">]>`, problem: "document types"},
		{name: "crossed tags", in: `<a><b></a></b>`, problem: "end tag </a> where </b> is due"},
		{name: "attribute twice", in: `<a x="1" x="2"/>`, problem: "given twice"},
		{name: "attribute without quotes", in: `<a x=1/>`, problem: "not in quotes"},
		{name: "attributes without a space", in: `<a x="1"y="2"/>`, problem: "a space is expected"},
		{name: "less than in a value", in: `<a x="<"/>`, problem: "a < in the value"},
		{name: "key too long", in: "<" + strings.Repeat("k", event.KeyBytesMax+1) + "/>", problem: "length of a key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records, problems, err := read(strings.NewReader("<Event"+ns+">"+c.in+"</Event>"), format.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.problem != "" {
				if len(records) != 0 || len(problems) != 1 || !strings.Contains(problems[0].Error(), c.problem) {
					t.Fatalf("%d records, problems %v; expected %q", len(records), problems, c.problem)
				}
				return
			}
			if len(records) != 1 || len(problems) != 0 {
				t.Fatalf("%d records, problems %v", len(records), problems)
			}
			if c.want == "" {
				return
			}
			want := `{"Event":{"#attributes":{"xmlns":"` + namespace + `"},` + c.want[1:] + "}"
			if records[0].tree != want {
				t.Errorf("tree\n%s, expected\n%s", records[0].tree, want)
			}
		})
	}
}

func small(id int) string {
	return fmt.Sprintf("<Event%s><System><EventRecordID>%d</EventRecordID></System></Event>", ns, id)
}

func wide(order binary.ByteOrder, mark bool, s string) string {
	var b []byte
	units := utf16.Encode([]rune(s))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return string(b)
}

// TestSplit gives the records and problems of files.
func TestSplit(t *testing.T) {
	t.Parallel()
	long := "<Event" + ns + "><EventData><Data>" + strings.Repeat("x", event.RecordBytesMax) + "</Data></EventData></Event>"
	exact := func(n int) string {
		const head, tail = "<Event><a>", "</a></Event>"
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	type at struct {
		id           uint64
		line, offset int64
	}
	for _, c := range []struct {
		name, in string
		want     []at
		problems []string
	}{
		{name: "empty"},
		{name: "blank", in: " \r\n"},
		{
			name: "export", in: "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n<Events>" + small(1) + "\n" + small(2) + "</Events>\n",
			want: []at{{1, 2, 68}, {2, 3, 69 + int64(len(small(1)))}},
		},
		{name: "a line each", in: small(1) + "\r\n" + small(2) + "\r\n", want: []at{{1, 1, 0}, {2, 2, int64(len(small(1))) + 2}}},
		{name: "run together", in: small(1) + small(2), want: []at{{1, 1, 0}, {2, 1, int64(len(small(1)))}}},
		{
			name: "several lines", in: "<!-- a\n -->\n" + strings.ReplaceAll(small(1), "><", ">\n<") + "\n" + small(2),
			want: []at{{1, 3, 12}, {2, 8, 13 + int64(len(small(1))) + 4}},
		},
		{name: "joined files", in: "\ufeff" + small(1) + "\ufeff" + small(2), want: []at{{1, 1, 3}, {2, 1, 6 + int64(len(small(1)))}}},
		{
			name: "text between", in: small(1) + " what <b>is</b> this " + small(2), want: []at{{1, 1, 0}, {2, 1, 21 + int64(len(small(1)))}},
			problems: []string{"bytes outside of events"},
		},
		{name: "document type", in: `<!DOCTYPE a [<!ENTITY b "c>">]>` + small(1), want: []at{{1, 1, 31}}, problems: []string{"line 1 (byte 0): a document type"}},
		{
			name: "without end before the next", in: "<Event" + ns + "><System>\n" + small(2), want: []at{{2, 2, int64(len("<Event"+ns+"><System>")) + 1}},
			problems: []string{"line 1 (byte 0): an event without end"},
		},
		{
			name: "without end at the end", in: small(1) + "\n<Event" + ns + "><System>", want: []at{{1, 1, 0}},
			problems: []string{"line 2 (byte 127): the file ends inside an event"},
		},
		{
			name: "a comment without end", in: "<Event" + ns + "><!-- " + small(2) + small(3), want: []at{{2, 1, int64(len("<Event" + ns + "><!-- "))}, {3, 1, int64(len("<Event" + ns + "><!-- " + small(2)))}},
			problems: []string{"<!-- has no end"},
		},
		{name: "as long as may be", in: exact(event.RecordBytesMax) + small(2), want: []at{{0, 1, 0}, {2, 1, event.RecordBytesMax}}},
		{
			name: "a byte too long", in: exact(event.RecordBytesMax+1) + small(2), want: []at{{2, 1, event.RecordBytesMax + 1}},
			problems: []string{"more than 1048576 bytes"},
		},
		{
			name: "too long", in: small(1) + "\n" + long + "\n" + small(3), want: []at{{1, 1, 0}, {3, 3, int64(len(small(1)+long)) + 2}},
			problems: []string{"line 2 (byte 127): an event of more than 1048576 bytes"},
		},
		{name: "empty event", in: "<Event/>" + small(2), want: []at{{0, 1, 0}, {2, 1, 8}}},
		{
			name: "bad event between", in: small(1) + "\n<Event>\n<a></b></Event>" + small(3), want: []at{{1, 1, 0}, {3, 3, int64(len(small(1))) + 24}},
			problems: []string{"line 3 (byte 127): end tag </b>"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			check := func(t *testing.T, r io.Reader, file func(text int64) int64) {
				t.Helper()
				records, problems, err := read(r, format.Options{})
				if err != nil {
					t.Fatal(err)
				}
				var got []at
				for _, r := range records {
					got = append(got, at{r.id, r.line, r.offset})
				}
				var want []at
				for _, w := range c.want {
					want = append(want, at{w.id, w.line, file(w.offset)})
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("records %v, expected %v", got, want)
				}
				if len(problems) != len(c.problems) {
					t.Fatalf("problems %v, expected %v", problems, c.problems)
				}
				for i, p := range problems {
					want := c.problems[i]
					if file(1) != 1 {
						_, want, _ = strings.Cut(want, ": ")
					}
					if !strings.Contains(p.Error(), want) {
						t.Errorf("problem %v, expected %q", p, c.problems[i])
					}
				}
			}
			check(t, strings.NewReader(c.in), func(n int64) int64 { return n })
			if len(c.in) < 1<<12 {
				check(t, iotest.OneByteReader(strings.NewReader(c.in)), func(n int64) int64 { return n })
			}
			// In UTF-16 a byte of ASCII is two, and the marks of the cases, three
			// bytes of UTF-8, are two.
			marks := func(n int64) int64 { return int64(strings.Count(c.in[:n], "\ufeff")) }
			text := strings.TrimPrefix(c.in, "\ufeff")
			head := int64(len(c.in) - len(text))
			file := func(n int64) int64 {
				if n == 1 {
					return 0
				}
				m := marks(n)
				if head == 0 {
					return 2 + 2*n - 4*m
				}
				return 2 * (n - 2*m)
			}
			check(t, strings.NewReader(wide(binary.LittleEndian, true, text)), file)
			check(t, strings.NewReader(wide(binary.BigEndian, true, text)), file)
		})
	}
}

func TestTextOfUTF16(t *testing.T) {
	t.Parallel()
	in := "<Event" + ns + "><EventData><Data Name='größe'>日本 😀</Data></EventData></Event>"
	want := `{"Event":{"#attributes":{"xmlns":"` + namespace + `"},"EventData":{"größe":"日本 😀"}}}`
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, mark := range []bool{true, false} {
			text := wide(order, mark, in+in)
			records, problems, err := read(iotest.HalfReader(strings.NewReader(text)), format.Options{})
			if err != nil || len(problems) > 0 || len(records) != 2 || records[0].tree != want || records[1].tree != want {
				t.Errorf("%v, mark %v: %+v %v %v", order, mark, records, problems, err)
				continue
			}
			if at := records[1].offset; at != int64(len(text)-len(wide(order, false, in))) {
				t.Errorf("%v, mark %v: second event at %d", order, mark, at)
			}
		}
	}
}

func TestTimeWithoutZone(t *testing.T) {
	t.Parallel()
	in := "<Event><System><TimeCreated SystemTime='2025-01-02T03:04:05'/></System></Event>"
	records, _, err := read(strings.NewReader(in), format.Options{Zone: time.FixedZone("", 3600)})
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	if want := time.Date(2025, 1, 2, 2, 4, 5, 0, time.UTC); !records[0].time.Equal(want) || records[0].quality != event.TimeAssumedZone {
		t.Errorf("%v, %v", records[0].time, records[0].quality)
	}
}

func TestReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader(small(1)), iotest.ErrReader(broken))
	records, _, err := read(r, format.Options{})
	if !errors.Is(err, broken) || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want int
	}{
		{small(1), 100},
		{"\ufeff<?xml version='1.0'?>\n<!-- x -->\n<Events>", 85},
		{wide(binary.LittleEndian, true, "<Events>"), 85},
		{wide(binary.BigEndian, false, small(1)), 100},
		{"<Event>", 60},
		{"<EventLog>", 0},
		{"<html>", 0},
		{`{"a":1}`, 0},
		{"", 0},
	} {
		if got := detect([]byte(c.in), ""); got != c.want {
			t.Errorf("%.40q: %d, expected %d", c.in, got, c.want)
		}
	}
}

// TestManyOpenings shows that sections without end do not cost a search each.
func TestManyOpenings(t *testing.T) {
	t.Parallel()
	one := "<Event" + ns + "><![CDATA[<!--"
	n := 4 << 20 / len(one)
	records, problems, err := read(strings.NewReader(strings.Repeat(one, n)), format.Options{})
	if err != nil || len(records) != 0 || len(problems) != n {
		t.Errorf("%d records, %d problems of %d, %v", len(records), len(problems), n, err)
	}
}

// FuzzRead holds that any bytes give records with sound positions, that a
// record's text alone gives the same tree again, and that how a reader cuts
// the file changes nothing.
func FuzzRead(f *testing.F) {
	f.Add([]byte(logon))
	f.Add([]byte("<Events>" + small(1) + "x" + small(2) + "</Events>"))
	f.Add([]byte(wide(binary.LittleEndian, true, logon)))
	f.Add([]byte("<Event><![CDATA[</Event>]]><!--" + small(3)))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]><Event a='>'>&#x41;&amp;</Event>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, problems, err := read(bytes.NewReader(data), format.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again, problemsAgain, err := read(iotest.HalfReader(bytes.NewReader(data)), format.Options{})
		if err != nil || fmt.Sprint(again) != fmt.Sprint(records) || fmt.Sprint(problemsAgain) != fmt.Sprint(problems) {
			t.Fatalf("read in halves: %v %v %v, whole: %v %v", again, problemsAgain, err, records, problems)
		}
		last := int64(-1)
		for _, r := range records {
			if r.offset <= last || r.offset >= int64(len(data)) || r.line < 1 {
				t.Fatalf("offset %d after %d, line %d", r.offset, last, r.line)
			}
			last = r.offset
			alone, p, err := read(strings.NewReader(r.raw), format.Options{})
			if err != nil || len(p) != 0 || len(alone) != 1 || alone[0].tree != r.tree {
				t.Fatalf("%q alone gives %v %v %v", r.raw, alone, p, err)
			}
		}
	})
}
