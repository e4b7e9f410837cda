package csv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
		problems   []string
	}{
		{"empty", "", nil, nil},
		{"header alone", "a,b\r\n", nil, nil},
		// RFC 4180 section 2.
		{"plain", "a,b,c\r\naaa,bbb,ccc\r\nzzz,yyy,xxx", []string{`{"a":"aaa","b":"bbb","c":"ccc"}`, `{"a":"zzz","b":"yyy","c":"xxx"}`}, nil},
		{"quotes", "\"a\",\"b\"\r\n\"b\r\nbb\",\"c\"\"c\"\r\n", []string{`{"a":"b\r\nbb","b":"c\"c"}`}, nil},
		{"blank line in quotes", "a,b\n\"x\n\ny\",z\n1,2\n", []string{`{"a":"x\n\ny","b":"z"}`, `{"a":"1","b":"2"}`}, nil},
		{"spaces are kept", "a,b\n 1 , 2\n", []string{`{"a":" 1 ","b":" 2"}`}, nil},
		{"empty values", "a,b,c\n,,\n\"\",\"\",\n", []string{`{"a":"","b":"","c":""}`, `{"a":"","b":"","c":""}`}, nil},
		{"mark, blank lines", "\xef\xbb\xbfa,b\n\n1,2\n\n", []string{`{"a":"1","b":"2"}`}, nil},
		{"semicolons", "a;b\n1,5;2\n", []string{`{"a":"1,5","b":"2"}`}, nil},
		{"tabs", "a\tb\n1,5\t\"2\t3\"\n", []string{`{"a":"1,5","b":"2\t3"}`}, nil},
		{"bars", "a|b|c\n1|2|3\n", []string{`{"a":"1","b":"2","c":"3"}`}, nil},
		{"divider in the header's quotes", "\"a;b;c\",d\n1,2\n", []string{`{"a;b;c":"1","d":"2"}`}, nil},
		{"header of two lines", "\"a\nb\",c\n1,2\n", []string{`{"a\nb":"1","c":"2"}`}, nil},
		{"names", "a,,a, b \n1,2,3,4\n", []string{`{"a":"1","column2":"2","a":"3","b":"4"}`}, nil},
		{"quote inside", "a,b\n5\" disk,x\n", []string{`{"a":"5\" disk","b":"x"}`}, nil},
		{"text behind a quote", "a,b\n\"x\"y,z\n", []string{`{"a":"x","b":"z"}`}, nil},
		{"one column", "a\n1\n", []string{`{"a":"1"}`}, nil},
		{
			"ragged", "a,b\n1\n1,2,3\n1,2\n",
			[]string{`{"a":"1"}`, `{"a":"1","b":"2"}`, `{"a":"1","b":"2"}`},
			[]string{"line 2 (byte 4): it has 1 values, and the header row 2", "line 3 (byte 6): it has 3 values, and the header row 2"},
		},
		{
			"quote not closed", "a,b\n1,\"2\n3,4\n",
			[]string{`{"a":"1","b":"2"}`, `{"a":"3","b":"4"}`},
			[]string{"line 2 (byte 4): a quoted value does not end"},
		},
		{"NUL and invalid UTF-8", "a,b\n\x00,\xff\n", []string{"{\"a\":\"\\u0000\",\"b\":\"\uFFFD\"}"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := formattest.Text(t, Format(), tt.text, format.Options{Name: "x.csv"})
			var got, problems []string
			for _, r := range res.Records {
				got = append(got, r.JSON)
			}
			for _, p := range res.Problems {
				problems = append(problems, p.Error())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			formattest.Verbatim(t, []byte(tt.text), res)
		})
	}
}

func TestManyBlocks(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("n,text\n")
	const n = 30_000
	for i := range n {
		fmt.Fprintf(&b, "%d,\"two\nlines, \"\"quoted\"\"\"\n", i)
	}
	res := formattest.Text(t, Format(), b.String(), format.Options{})
	if len(res.Records) != n || len(res.Problems) != 0 {
		t.Fatalf("%d records, %v", len(res.Records), res.Problems)
	}
	for i, r := range res.Records {
		if r.JSON != fmt.Sprintf(`{"n":"%d","text":"two\nlines, \"quoted\""}`, i) || r.Line != int64(2+2*i) {
			t.Fatalf("%+v", r)
		}
	}
}

// Quotes that never close cost their line each and no more, and then are taken
// as they come.
func TestBroken(t *testing.T) {
	t.Parallel()
	const n = 20
	res := formattest.Text(t, Format(), "a,b\n"+strings.Repeat("1,\"x\n"+strings.Repeat("2,y\n", linesMax+100), n), format.Options{})
	if len(res.Records) != n*(linesMax+101) || len(res.Problems) != n {
		t.Errorf("%d records, %d problems", len(res.Records), len(res.Problems))
	}
	wide := strings.Repeat("c,", event.ObjectKeysMax+1) + "\n"
	res = formattest.Text(t, Format(), wide+wide, format.Options{})
	if len(res.Records) != 0 || len(res.Problems) != 1 {
		t.Errorf("%d records, %v", len(res.Records), res.Problems)
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"a,b\n1,2\n":                             true,
		"a;b\n\"1\n2\";2\n":                      true,
		"a,b\n1,2,3\n":                           false,
		"a,a\n1,2\n":                             false,
		"1,2\n1,2\n":                             false,
		"a,b\n":                                  false,
		"a b\nc d\n":                             false,
		"{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2}\n": false,
		"":                                       false,
		"\n":                                     false,
		"k=v,l=w\nk=x,l=y\n":                     false,
	} {
		if got := Format().Detect([]byte(text), "x") > 0; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,\"2\n\"\"3\"\n4,5"))
	f.Add([]byte("\"a\n\";b\n\"\"\"\";\"\n;\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format(), data, format.Options{})
		Format().Detect(data, "x.csv")
	})
}
