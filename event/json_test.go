package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/event"
)

func TestParseJSON(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{`{}`, `{}`},
		{" \t\r\n[ ] ", `[]`},
		{`{"a":1,"b":[true,false,null,"x",{"c":{}}]}`, `{"a":1,"b":[true,false,null,"x",{"c":{}}]}`},
		{`{"a":1,"a":2,"A":3}`, `{"a":1,"a":2,"A":3}`},
		{`"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"`, `"\"\\/` + "\\u0008\\u000c" + `\n\r\tAé😀"`},
		{`"\ud83d"`, `"` + "\uFFFD" + `"`},
		{`"\ud83dx\ude00"`, `"` + "\uFFFDx\uFFFD" + `"`},
		{"\"\xff\xc3\xa9\xc3\"", "\"\uFFFDé\uFFFD\""},
		{"\"a\tb\nc\x00\"", `"a\tb\nc\u0000"`},
		{`{"\u0061\n":1}`, `{"a\n":1}`},
		{`-0.5e+10`, `-0.5e+10`},
	}
	for _, tt := range tests {
		var tree event.Tree
		if err := tree.ParseJSON([]byte(tt.in)); err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := string(tree.AppendJSON(nil, 0)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestParseJSONErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in     string
		offset int
	}{
		{``, 0},
		{`  `, 2},
		{`{`, 1},
		{`{"a"`, 4},
		{`{"a":`, 5},
		{`{"a":1`, 6},
		{`{"a":1,`, 7},
		{`{"a":1,}`, 7},
		{`{a:1}`, 1},
		{`{"a" 1}`, 5},
		{`[1,]`, 3},
		{`[1 2]`, 3},
		{`[1}`, 2},
		{`01`, 1},
		{`1.`, 0},
		{`.5`, 0},
		{`+1`, 0},
		{`1e`, 0},
		{`-`, 0},
		{`tru`, 0},
		{`nul`, 0},
		{`falsy`, 0},
		{`NaN`, 0},
		{`"abc`, 4},
		{`"abc\`, 5},
		{`"\x41"`, 1},
		{`"\u12g4"`, 1},
		{`"\u12`, 5},
		{`{} {}`, 3},
		{`{"long enough to be looked at in words":"` + strings.Repeat("x", 100) + `\q` + strings.Repeat("y", 100) + `"}`, 141},
	}
	for _, tt := range tests {
		var tree event.Tree
		err := tree.ParseJSON([]byte(tt.in))
		var syntax *event.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if syntax.Offset != tt.offset {
			t.Errorf("%s: at %d, want %d (%v)", tt.in, syntax.Offset, tt.offset, err)
		}
	}
}

// An escape may fall on any place in the blocks in which strings are read.
func TestParseJSONEscapeAlignment(t *testing.T) {
	t.Parallel()
	var tree event.Tree
	for _, tail := range []int{0, 1, 7, 70, 200} {
		for n := range 140 {
			for _, esc := range []struct{ in, want string }{
				{`\\`, `\`}, {`\"`, `"`}, {`\\\"\\`, `\"\`}, {`\n\n`, "\n\n"}, {`\u00e9`, "é"}, {`\ud83d\ude00`, "😀"}, {"é\xffé", "é\uFFFDé"},
			} {
				in := `{"` + strings.Repeat("a", n) + esc.in + `":"` + strings.Repeat("b", n) + esc.in + strings.Repeat("c", tail) + `"}`
				if err := tree.ParseJSON([]byte(in)); err != nil {
					t.Fatalf("%s: %v", in, err)
				}
				key := strings.Repeat("a", n) + esc.want
				if got := tree.Text(1); got != strings.Repeat("b", n)+esc.want+strings.Repeat("c", tail) {
					t.Fatalf("%s: value %q", in, got)
				}
				if got := string(tree.Key(1)); got != key {
					t.Fatalf("%s: key %q, want %q", in, got, key)
				}
			}
		}
	}
}

func TestParseJSONLimits(t *testing.T) {
	t.Parallel()
	object := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",\"%d\":0", i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	array := func(n int, item string) string {
		return "[" + strings.TrimPrefix(strings.Repeat(","+item, n), ",") + "]"
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	key := func(n int) string { return `{"` + strings.Repeat("k", n) + `":1}` }
	tests := []struct {
		what string
		text func(n int) string
		n    int
	}{
		{"nesting depth", nested, event.DepthMax},
		{"number of keys in one object", object, event.ObjectKeysMax},
		{"number of items in one array", func(n int) string { return array(n, "0") }, event.ArrayItemsMax},
		{"length of a key in bytes", key, event.KeyBytesMax},
		// One array of n arrays of 63 items, and one of what is left over.
		{"number of values in one record", func(n int) string {
			return "[" + strings.Repeat(array(63, "0")+",", n/64-1) + array(62+n%64, "0") + "]"
		}, event.NodesMax},
	}
	for _, tt := range tests {
		var tree event.Tree
		if err := tree.ParseJSON([]byte(tt.text(tt.n))); err != nil {
			t.Errorf("%s at the limit: %v", tt.what, err)
		}
		for _, n := range []int{tt.n + 1, 100 * tt.n} {
			err := tree.ParseJSON([]byte(tt.text(n)))
			var limit *event.LimitError
			if !errors.As(err, &limit) {
				t.Errorf("%s with %d: %v", tt.what, n, err)
				continue
			}
			if n == tt.n+1 && (limit.What != tt.what || limit.Limit != tt.n) {
				t.Errorf("%s: %v", tt.what, limit)
			}
		}
	}
}

// A key grows when it is printed if it is not UTF-8; the limit is that of what is
// printed, so that every tree can be read again.
func TestKeyFits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key  string
		want bool
	}{
		{"", true},
		{strings.Repeat("k", event.KeyBytesMax), true},
		{strings.Repeat("k", event.KeyBytesMax+1), false},
		{strings.Repeat("é", event.KeyBytesMax/2), true},
		{strings.Repeat("\xff", event.KeyBytesMax/3), true},
		{strings.Repeat("\xff", event.KeyBytesMax/3+1), false},
		{strings.Repeat("k", event.KeyBytesMax-3) + "\xff", true},
		{strings.Repeat("k", event.KeyBytesMax-2) + "\xff", false},
	} {
		if got := event.KeyFits([]byte(tt.key)); got != tt.want {
			t.Errorf("key of %d bytes %.4q…: %v", len(tt.key), tt.key, got)
		}
		var tree, again event.Tree
		if err := tree.ParseJSON([]byte(`{"` + tt.key + `":1}`)); (err == nil) != tt.want {
			t.Errorf("tree with a key of %d bytes %.4q…: %v", len(tt.key), tt.key, err)
		} else if err == nil {
			if err := again.ParseJSON(tree.AppendJSON(nil, 0)); err != nil {
				t.Errorf("read again: %v", err)
			}
		}
	}
}

func TestCanonicalNumber(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"0", "0"},
		{"-0", "0"},
		{"-0.0", "0"},
		{"0e99999999999999999999", "0"},
		{"0.000", "0"},
		{"1", "1"},
		{"1.0", "1"},
		{"1e0", "1"},
		{"10e-1", "1"},
		{"0.1e1", "1"},
		{"100", "100"},
		{"1E2", "100"},
		{"-1.50e1", "-15"},
		{"9007199254740993", "9007199254740993"},
		{"9007199254740993.0", "9007199254740993"},
		{"90071992547409930e-1", "9007199254740993"},
		{"18446744073709551615", "18446744073709551615"},
		{"1e21", "1000000000000000000000"},
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		{"123456789012345678901234567890.000", "123456789012345678901234567890"},
		{"0.5", "0.5"},
		{"0.50", "0.5"},
		{"5e-1", "0.5"},
		{"-12.25", "-12.25"},
		{"0.1", "0.1"},
		{"0.1000000000000000055511151231257827", "0.1"},
		{"1e-6", "0.000001"},
		{"1e-7", "1e-07"},
		{"0.00000010", "1e-07"},
		{"1e400", "1e400"},
		{"-1e400", "-1e400"},
		{"1e99999999999999999999", "1e99999999999999999999"},
		{"1e-400", "0"},
		{"1e308", "1" + strings.Repeat("0", 308)},
	}
	for _, tt := range tests {
		if got := string(event.AppendCanonicalNumber([]byte("x"), []byte(tt.in))); got != "x"+tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got[1:], tt.want)
		}
	}
}

// FuzzParseJSON compares the parser with encoding/json: the same texts are
// valid, but for raw control characters in strings, and mean the same.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5e3,"x\n\ud83d\ude00\ud800",null,true,false,{}],"a":{"b":[]}}`, "[\"\xff\t\"]", `{"":""}`, `-0e-1`, `"\u0000"`, `[[[[]]]]x`,
		`{"` + strings.Repeat(`a\\`, 40) + `":"` + strings.Repeat(`\r\n`, 40) + `é"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree event.Tree
		err := tree.ParseJSON(data)
		var limit *event.LimitError
		if errors.As(err, &limit) {
			return
		}
		std := bytes.Clone(data)
		for i, c := range std {
			if c < 0x20 && c != '\n' && c != '\t' && c != '\r' {
				std[i] = '?' // invalid outside strings, fine inside
			}
		}
		std = controlToText(std)
		if valid := json.Valid(std); valid != (err == nil) {
			t.Fatalf("valid for encoding/json: %v, here: %v\n%q", valid, err, data)
		}
		if err != nil {
			var syntax *event.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data) {
				t.Fatalf("%v", err)
			}
			return
		}
		// Bytes that are not UTF-8 can stand in texts and keys only. In what is UTF-8
		// only an escape can be no character.
		if valid := utf8.Valid(data); !valid && !tree.Repaired() || valid && tree.Repaired() && !bytes.Contains(data, []byte(`\u`)) {
			t.Fatalf("repaired: %v: %q", tree.Repaired(), data)
		}
		want := standardJSON(t, data)
		if got := string(tree.AppendJSON(nil, 0)); want != "" && got != want {
			t.Fatalf("%q:\n got %q\nwant %q", data, got, want)
		}
		var again event.Tree
		if err := again.ParseJSON(tree.AppendJSON(nil, 0)); err != nil {
			t.Fatalf("its own output: %v", err)
		}
		if !bytes.Equal(again.Shape(), tree.Shape()) {
			t.Fatalf("the shape of its own output differs")
		}
		if again.Repaired() {
			t.Fatalf("its own output is broken: %q", data)
		}
	})
}

// controlToText replaces tabs and line ends inside strings by a question mark.
func controlToText(b []byte) []byte {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case quoted && b[i] == '\\':
			i++
		case quoted && b[i] < 0x20:
			b[i] = '?'
		}
	}
	return b
}

// standardJSON decodes data with encoding/json, token by token so that
// duplicate keys stay, and prints it; empty for text with control characters.
func standardJSON(t *testing.T, data []byte) string {
	t.Helper()
	if !json.Valid(data) {
		return ""
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var (
		out   []byte
		stack []byte // of { and [
		n     []int  // tokens so far in each
	)
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return string(out)
		}
		if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		d, isDelim := tok.(json.Delim)
		if isDelim && (d == '}' || d == ']') {
			out = append(out, byte(d))
			stack, n = stack[:len(stack)-1], n[:len(n)-1]
			continue
		}
		if last := len(n) - 1; last >= 0 {
			switch {
			case stack[last] == '{' && n[last]%2 == 1:
				out = append(out, ':')
			case n[last] > 0:
				out = append(out, ',')
			}
			n[last]++
		}
		switch v := tok.(type) {
		case json.Delim:
			out = append(out, byte(v))
			stack, n = append(stack, byte(v)), append(n, 0)
		case string:
			out = event.AppendQuoted(out, []byte(v))
		case json.Number:
			out = append(out, v...)
		case bool:
			out = fmt.Append(out, v)
		case nil:
			out = append(out, "null"...)
		}
	}
}

// FuzzCanonicalNumber checks that the canonical spelling is a fixed point,
// names the same double, and that integers keep their value.
func FuzzCanonicalNumber(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "1e21", "9007199254740993.0", "12.50e-1", "1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) || strings.Trim(s, "-+.eE0123456789") != "" {
			return
		}
		one := event.AppendCanonicalNumber(nil, []byte(s))
		two := event.AppendCanonicalNumber(nil, one)
		if !bytes.Equal(one, two) {
			t.Fatalf("%s: %s, then %s", s, one, two)
		}
		var a, b float64
		errA := json.Unmarshal([]byte(s), &a)
		errB := json.Unmarshal(one, &b)
		if (errA == nil) != (errB == nil) || a != b {
			t.Fatalf("%s: %v, %s: %v", s, a, one, b)
		}
	})
}
