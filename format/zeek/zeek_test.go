package zeek

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

const head = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tweird_one\n#open\t2026-01-02-03-04-05\n" +
	"#fields\tts\tuid\tid.orig_h\tid.orig_p\tok\ttags\tsizes\tnote\n#types\ttime\tstring\taddr\tport\tbool\tset[string]\tvector[count]\tstring\n"

func TestRecords(t *testing.T) {
	t.Parallel()
	text := head +
		"1767323045.123456\tC1\t192.0.2.1\t443\tT\ta,b\t1,2\tx\\x09y \\\\x\n" +
		"1767323046.000000\tC2\t2001:db8::1\t-\tF\t(empty)\t-\t(empty)\r\n" +
		"\n#close\t2026-01-02-04-00-00\n" +
		"nonsense\tC3\t192.0.2.1\tmany\tX\ta\t1\tshort\textra\n" +
		"1767323046\tC4\n" +
		"#separator ;\n#path;two\n#fields;ts;a\n#types;time;count\n1767323047;7\n"
	res := formattest.Text(t, Format(), text, format.Options{Name: "x.log"})
	var got []string
	for _, r := range res.Records {
		got = append(got, r.Hint+" "+r.Time+" "+r.JSON)
	}
	want := []string{
		`weird_one 2026-01-02T03:04:05.123456Z {"_path":"weird_one","ts":1767323045.123456,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":443,"ok":true,"tags":["a","b"],"sizes":[1,2],"note":"x\ty \\\\x"}`,
		`weird_one 2026-01-02T03:04:06Z {"_path":"weird_one","ts":1767323046.000000,"uid":"C2","id.orig_h":"2001:db8::1","id.orig_p":null,"ok":false,"tags":[],"sizes":null,"note":""}`,
		`weird_one  {"_path":"weird_one","ts":"nonsense","uid":"C3","id.orig_h":"192.0.2.1","id.orig_p":"many","ok":"X","tags":["a"],"sizes":[1],"note":"short"}`,
		`weird_one 2026-01-02T03:04:06Z {"_path":"weird_one","ts":1767323046,"uid":"C4"}`,
		`two 2026-01-02T03:04:07Z {"_path":"two","ts":1767323047,"a":7}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var problems []string
	for _, p := range res.Problems {
		problems = append(problems, p.Error())
	}
	wantProblems := []string{
		"line 13 (byte 418): it has 9 values, and the header names 8 columns",
		"line 14 (byte 467): it has 2 values, and the header names 8 columns",
	}
	for i, w := range wantProblems {
		if i >= len(problems) || !strings.HasPrefix(problems[i], w[:8]) || !strings.HasSuffix(problems[i], w[strings.Index(w, "it has"):]) {
			t.Errorf("problems %q", problems)
		}
	}
	formattest.Verbatim(t, []byte(text), res)
}

func TestNoHeader(t *testing.T) {
	t.Parallel()
	res := formattest.Text(t, Format(), "a\tb\n#fields\tx\n1\n", format.Options{Name: "conn.log"})
	if len(res.Records) != 1 || res.Records[0].JSON != `{"x":"1"}` || res.Records[0].Hint != "conn" || len(res.Problems) != 1 {
		t.Errorf("%+v", res)
	}
}

func FuzzZeek(f *testing.F) {
	f.Add([]byte(head + "1767323045.1\tC1\t192.0.2.1\t443\tT\ta,b\t1,2\tx\n"))
	f.Add([]byte("#separator \\x2c\n#fields,a,b\n#types,set[count],bool\n1,T\n#types,count\nx"))
	f.Add([]byte("#set_separator\t\n#fields\ta\n#types\tvector[set[string]]\na"))
	f.Fuzz(func(t *testing.T, data []byte) {
		formattest.Fuzz(t, Format(), data, format.Options{})
	})
}
