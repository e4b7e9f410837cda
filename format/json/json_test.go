package json

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	long := `{"a":"` + strings.Repeat("x", event.RecordBytesMax) + `"}`
	tests := []struct {
		name, text string
		want       []string // raw bytes
		problems   []string
	}{
		{"empty", "", nil, nil},
		{"blank", " \r\n\t\n", nil, nil},
		{"ndjson", "{\"a\":1}\n{\"a\":2}\n", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"no last line end", "{\"a\":1}\n{\"a\":2}", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"mark, CRLF, blank lines", "\xef\xbb\xbf{\"a\":1}\r\n\r\n \r\n{\"a\":2}\r\n", []string{`{"a":1}`, `{"a":2}`}, nil},
		{
			"broken line", "{\"a\":1}\n{\"a\":\n{\"a\":3}\n",
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 2 (byte 8): invalid JSON at byte 5: the text ends inside a value"},
		},
		{
			"broken first line", "{\"a\":\n{\"a\":2}\n",
			[]string{`{"a":2}`},
			[]string{"line 1 (byte 0): invalid JSON at byte 5: the text ends inside a value"},
		},
		{
			"text between", "{\"a\":1}\nhello\n{\"a\":3}\n",
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 2 (byte 8): invalid JSON at byte 0: expected a value, found 'h'"},
		},
		{
			"zeros", "\x00\x00{\"a\":1}\n\x00\x00 \x00\n{\"a\":3}\x00{\"a\":4}\n",
			[]string{`{"a":1}`, `{"a":3}`, `{"a":4}`},
			[]string{
				"line 1 (byte 0): 2 zero bytes stand where JSON should and are skipped",
				"line 2 (byte 10): 3 zero bytes stand where JSON should and are skipped",
				"line 3 (byte 15): 1 zero bytes stand where JSON should and are skipped",
			},
		},
		{
			"scalar", "{\"a\":1}\n[1]\n\"s\"\n",
			[]string{`{"a":1}`},
			[]string{"line 2 (byte 8): a record must be a JSON object, found an array", "line 3 (byte 12): a record must be a JSON object, found a string"},
		},
		{"invalid UTF-8 stays", "{\"a\":\"\xff\"}\n", []string{"{\"a\":\"\xff\"}"}, nil},
		{"duplicate keys stay", `{"a":1,"a":2,"A":3}`, []string{`{"a":1,"a":2,"A":3}`}, nil},
		{"side by side", `{"a":1}{"a":2} {"a":3}`, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}, nil},
		{
			"side by side, broken", "{\"a\":1}{\"a\":x}\n{\"a\":3}",
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 1 (byte 0): invalid JSON at byte 12: expected a value, found 'x'"},
		},
		{
			"pretty", "{\n  \"a\": 1\n}\n{\n  \"a\": {\n    \"b\": \"}\\\"\"\n  }\n}\n",
			[]string{"{\n  \"a\": 1\n}", "{\n  \"a\": {\n    \"b\": \"}\\\"\"\n  }\n}"},
			nil,
		},
		{
			"pretty, one broken", "{\n  \"a\": 1\n}\n{\n  \"a\": {\n    \"b\": [1}\n  }\n}\n{\n  \"a\": 3\n}\n",
			[]string{"{\n  \"a\": 1\n}", "{\n  \"a\": 3\n}"},
			[]string{"line 4 (byte 13): a bracket closes another one than was opened"},
		},
		{"array", ` [{"a":1}, {"a":[2,{"b":"]"}]} ,{"a":3}] `, []string{`{"a":1}`, `{"a":[2,{"b":"]"}]}`, `{"a":3}`}, nil},
		{"arrays", "[{\"a\":1}]\n[{\"a\":2},{\"a\":3}]\n", []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}, nil},
		{"empty array", "[]", nil, nil},
		{"array of lines", "[\n{\"a\":1},\n{\"a\":2}\n]\n", []string{`{"a":1}`, `{"a":2}`}, nil},
		{
			"array, invalid element", `[{"a":1},{"a":tru},{"a":3}]`,
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 1 (byte 9): invalid JSON at byte 5: expected true"},
		},
		{
			"array, quote missing", `[{"a":1},{"a":"x},{"a":3},{"a":4}]`,
			[]string{`{"a":1}`, `{"a":3}`, `{"a":4}`},
			[]string{"line 1 (byte 9): the text ends inside a value"},
		},
		{
			"array cut off", `[{"a":1},{"a":2},{"a"`,
			[]string{`{"a":1}`, `{"a":2}`},
			[]string{"line 1 (byte 17): the text ends inside a value"},
		},
		{
			"array not closed", `[{"a":1},`,
			[]string{`{"a":1}`},
			[]string{"line 1 (byte 9): the text ends inside an array"},
		},
		{
			"array with a number", `[{"a":1},7,{"a":3}]`,
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 1 (byte 9): expected an object, found '7'"},
		},
		{
			"array, too long", `[{"a":1},` + long + `,{"a":3}]`,
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 1 (byte 9): size of one record in bytes exceeds the limit of 1048576"},
		},
		{
			"line too long", "{\"a\":1}\n" + long + "\n{\"a\":3}",
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 2 (byte 8): size of one record in bytes exceeds the limit of 1048576"},
		},
		{
			"CloudTrail", `{"Records":[{"eventVersion":"1.08"},{"eventVersion":"1.09"}]}`,
			[]string{`{"eventVersion":"1.08"}`, `{"eventVersion":"1.09"}`},
			nil,
		},
		{"CloudTrail digest", `{"awsAccountId":"1","digestStartTime":"t","digestS3Object":"o","logFiles":[{"a":1}]}`, nil, nil},
		{"Azure", "{ \"records\": [\n{\"time\":1}\n,{\"time\":2}]}\n", []string{`{"time":1}`, `{"time":2}`}, nil},
		{"Azure, a batch a line", "{\"records\":[{\"a\":1}]}\n{\"records\":[{\"a\":2}]}", []string{`{"a":1}`, `{"a":2}`}, nil},
		{
			"Graph", `{"@odata.context":"https://c","@odata.count":2,"value":[{"id":1},{"id":2}],"@odata.nextLink":"https://n"}`,
			[]string{`{"id":1}`, `{"id":2}`},
			nil,
		},
		{"Graph, none", `{"@odata.context":"https://c","value":[]}`, nil, nil},
		{"not an envelope", `{"value":[1,2],"x":1}`, []string{`{"value":[1,2],"x":1}`}, nil},
		{"not an envelope either", `{"records":"all"}`, []string{`{"records":"all"}`}, nil},
		{"Kibana export", `{"_index":"i","_source":{"a":1}}`, []string{`{"_index":"i","_source":{"a":1}}`}, nil},
		{
			"deep", "{\"a\":1}\n" + strings.Repeat("[", 10_000) + "\n{\"a\":3}",
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 2 (byte 8): nesting depth exceeds the limit of 64"},
		},
		{
			"deep in an array", `[{"a":1},{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `},{"a":3}]`,
			[]string{`{"a":1}`, `{"a":3}`},
			[]string{"line 1 (byte 9): nesting depth exceeds the limit of 64"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := formattest.Text(t, Format(), tt.text, format.Options{Name: "x.json"})
			var raws, problems []string
			for _, r := range res.Records {
				raws = append(raws, r.Raw)
			}
			for _, p := range res.Problems {
				problems = append(problems, p.Error())
			}
			if diff := cmp.Diff(tt.want, raws); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			formattest.Verbatim(t, []byte(tt.text), res)
		})
	}
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	const text = "\ufeff{\"a\":\"é😀\"}\r\n{\"a\":2}\r\n"
	for _, big := range []bool{false, true} {
		var enc []byte
		for _, u := range utf16.Encode([]rune(text)) {
			if big {
				enc = append(enc, byte(u>>8), byte(u))
			} else {
				enc = append(enc, byte(u), byte(u>>8))
			}
		}
		if got := Format().Detect(enc, "x"); got < 80 {
			t.Errorf("detected with %d", got)
		}
		res := formattest.Text(t, Format(), string(enc), format.Options{})
		if len(res.Records) != 2 || len(res.Problems) != 0 || res.Records[0].JSON != `{"a":"é😀"}` || res.Records[1].Line != 2 {
			t.Errorf("big %v: %+v", big, res)
		}
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	res := formattest.Text(t, Format(), "[\n {\n  \"a\":1},\n\n {\"a\":2}]", format.Options{Name: "dir/eve.2026.json.gz"})
	if len(res.Records) != 2 {
		t.Fatalf("%+v", res)
	}
	a, b := res.Records[0], res.Records[1]
	if a.Line != 2 || a.Offset != 3 || b.Line != 5 || b.Offset != 17 || a.Hint != "eve" || a.Time != "" {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// A line of 100 MB, or an element of 25, is reported and costs no memory to
// speak of.
func TestHugeLine(t *testing.T) {
	t.Parallel()
	for begin, size := range map[string]int64{"{\"a\":0}\n{\"a\":\"": 100 << 20, "[{\"a\":0},{\"a\":\"": 25 << 20} {
		r := io.MultiReader(strings.NewReader(begin), formattest.Repeat("x", size), strings.NewReader("\"}\n{\"a\":2}\n"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := formattest.Read(t, Format(), r, format.Options{})
		runtime.ReadMemStats(&after)
		if len(res.Records) != 2 || len(res.Problems) == 0 || res.Problems[0].Line == 0 {
			t.Errorf("%d records, %v", len(res.Records), res.Problems)
		}
		// Other tests run beside this one, so the bound is a wide one.
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
	}
}

func TestManyBlocks(t *testing.T) {
	t.Parallel()
	var nd, arr strings.Builder
	arr.WriteString("[")
	const n = 40_000
	for i := range n {
		fmt.Fprintf(&nd, "{\"i\":%d,\"pad\":\"%s\"}\n", i, strings.Repeat("p", i%50))
		fmt.Fprintf(&arr, "{\"i\":%d,\"pad\":\"%s\"},\n", i, strings.Repeat("p", i%50))
	}
	arr.WriteString("]")
	for _, text := range []string{nd.String(), arr.String()} {
		res := formattest.Text(t, Format(), text, format.Options{})
		formattest.Verbatim(t, []byte(text), res)
		if len(res.Records) != n || len(res.Problems) != 0 {
			t.Fatalf("%d records, %v", len(res.Records), res.Problems)
		}
		for i, r := range res.Records {
			if !strings.HasPrefix(r.Raw, fmt.Sprintf(`{"i":%d,`, i)) || r.Line != int64(i+1) {
				t.Fatalf("record %d: %+v", i, r)
			}
		}
	}
}

// Text that breaks at every turn is read in time that grows with its size
// alone.
func TestBrokenBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a" `, `{"a":[`, "\n{\"a\"", `{"a":1},{"a":"`} {
		r := io.MultiReader(strings.NewReader("[\n"), formattest.Repeat(text, 2<<20))
		res := formattest.Read(t, Format(), r, format.Options{})
		if len(res.Problems) == 0 {
			t.Errorf("%q: no problem", text)
		}
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"a":1}`: true, "\x00\x00{\"a\"": true, " \n[ {\"a\"": true, "{}": true, "[]": true, "": false, "{": false,
		"[2026-01-01 00:00:00] x": false, "[Sun Mar 01 00:00:00 2026] [error] x": false, "<13>x": false, "{x}": false,
	} {
		if got := Format().Detect([]byte(text), "x") > 0; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"{\"a\":1}\n{\"a\":2}", "[{\"a\":1},{\"a\":2}]", "{\"Records\":[{\"a\":1}],\"x\":[1]}", "{\n\"a\":1}\n{\n\"a\":\"\\\"}",
		"\xff\xfe{\x00}\x00", "\xef\xbb\xbf[{\"a\":[{}]}", "{\"@odata.context\":\"x\",\"value\":[{}]}", "[\n {\"a\":1]},\n {\"a\":2}\n]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format(), data, format.Options{})
		if len(data) > 1 && (data[0] == 0xff || data[0] == 0xfe) {
			return // transcoded
		}
		formattest.Verbatim(t, data, formattest.Text(t, Format(), string(data), format.Options{}))
	})
}
