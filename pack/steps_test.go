package pack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
)

// parsed runs one parser and returns its fields as "key=value", or nil when the
// text is not of its form.
func parsed(p parser, text string) []string {
	var f fields
	f.reset()
	if !p.parse([]byte(text), &f) {
		return nil
	}
	out := []string{}
	for _, x := range f.list {
		name := x.name
		if name == "" {
			name = string(x.key)
		}
		out = append(out, name+"="+string(x.value))
	}
	if f.json {
		out = append(out, string(f.tree.AppendJSON(nil, 0)))
	}
	return out
}

func mustParser(tb testing.TB, p parser, err error) parser {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestParsers(t *testing.T) {
	t.Parallel()
	regex, err := newRegexParser(`^(?P<a>\w+)(?: (?P<b>\d+))?$`)
	regex = mustParser(t, regex, err)
	cut, err := newDissect(`[%{time}] %{level->} %{?skip}: %{rest}`)
	cut = mustParser(t, cut, err)
	kv := newKV(kvDoc{})
	tests := []struct {
		name   string
		parser parser
		text   string
		want   []string
	}{
		{"regex: groups that took part", regex, "x 1", []string{"a=x", "b=1"}},
		{"regex: group left out", regex, "x", []string{"a=x"}},
		{"regex: no match", regex, "!", nil},
		{"dissect", cut, "[10:20] WARN    core: it: broke", []string{"time=10:20", "level=WARN", "rest=it: broke"}},
		{"dissect: no delimiter", cut, "[10:20 WARN", nil},
		{"dissect: wrong beginning", cut, "10:20] a b: c", nil},
		{"kv", kv, `a=1 b="two words" c= d=4`, []string{"a=1", "b=two words", "c=", "d=4"}},
		{"kv: escapes", kv, `a="say \"hi\" \\ \n" b=2`, []string{`a=say "hi" \ \n`, "b=2"}},
		{"kv: words without equals", kv, `note that a=1`, []string{"a=1"}},
		{"kv: quote never closed", kv, `a=1 b="x y`, []string{"a=1", "b=x y"}},
		{"kv: key twice", kv, `a=1 a=2`, []string{"a=1", "a=2"}},
		{"kv: nothing", kv, "no pairs here", nil},
		{"kv: separators of one's own", newKV(kvDoc{Pairs: "; ", Equals: ": ", Quote: "''"}), "a: 1; b: 'x; y'", []string{"a=1", "b=x; y"}},
		{
			"cef: values hold blanks, = and \\ are escaped",
			cefParser{},
			`CEF:0|Example|Wall\|2|1.0|100|Name \\ x|5|src=10.0.0.1 msg=two words a\=b c:\\d\nend dst=10.0.0.2`,
			[]string{"cefVersion=0", "deviceVendor=Example", "deviceProduct=Wall|2", "deviceVersion=1.0", "deviceEventClassId=100", `name=Name \ x`, "severity=5", "src=10.0.0.1", "msg=two words a=b c:\\d\nend", "dst=10.0.0.2"},
		},
		{
			"cef: behind a header, labels",
			cefParser{},
			`host CEF:0|a|b|c|d|e|f|cs1Label=Policy cs1=web rule`,
			[]string{"cefVersion=0", "deviceVendor=a", "deviceProduct=b", "deviceVersion=c", "deviceEventClassId=d", "name=e", "severity=f", "cs1Label=Policy", "cs1=web rule", "Policy=web rule"},
		},
		{"cef: no extension", cefParser{}, `CEF:0|a|b|c|d|e|f`, []string{"cefVersion=0", "deviceVendor=a", "deviceProduct=b", "deviceVersion=c", "deviceEventClassId=d", "name=e", "severity=f"}},
		{"cef: header too short", cefParser{}, `CEF:0|a|b`, nil},
		{"leef 1: tabs", leefParser{}, "LEEF:1.0|V|P|1|id|src=10.0.0.1\tmsg=a b", []string{"leefVersion=1.0", "vendor=V", "product=P", "version=1", "eventId=id", "src=10.0.0.1", "msg=a b"}},
		{"leef 2: delimiter as a character", leefParser{}, "LEEF:2.0|V|P|1|id|^|src=1^dst=2", []string{"leefVersion=2.0", "vendor=V", "product=P", "version=1", "eventId=id", "src=1", "dst=2"}},
		{"leef 2: delimiter as a code", leefParser{}, "LEEF:2.0|V|P|1|id|0x7C|a=1|b=2", []string{"leefVersion=2.0", "vendor=V", "product=P", "version=1", "eventId=id", "a=1", "b=2"}},
		{"leef 2: delimiter x5E", leefParser{}, "LEEF:2.0|V|P|1|id|x5E|a=1^b=2", []string{"leefVersion=2.0", "vendor=V", "product=P", "version=1", "eventId=id", "a=1", "b=2"}},
		{"leef: too short", leefParser{}, "LEEF:1.0|V|P", nil},
		{
			"combined log",
			accessLogParser{},
			`203.0.113.7 - ana [01/Mar/2026:10:20:30 +0000] "GET /a?b=%41 HTTP/1.1" 200 512 "https://example.org/" "agent \"x\""`,
			[]string{"remote_addr=203.0.113.7", "remote_user=ana", "time=01/Mar/2026:10:20:30 +0000", "request=GET /a?b=%41 HTTP/1.1", "method=GET", "protocol=HTTP/1.1", "target=/a?b=%41", "uri_query=b=%41", "uri_path=/a", "status=200", "bytes=512", "referer=https://example.org/", `user_agent=agent "x"`},
		},
		{
			"common log, nothing known",
			accessLogParser{},
			`203.0.113.7 - - [01/Mar/2026:10:20:30 +0000] "-" 408 -`,
			[]string{"remote_addr=203.0.113.7", "time=01/Mar/2026:10:20:30 +0000", "request=-", "status=408"},
		},
		{
			"with the host in front",
			accessLogParser{},
			`www.example.org:443 203.0.113.7 - - [01/Mar/2026:10:20:30 +0000] "GET / HTTP/2.0" 200 1`,
			[]string{"host=www.example.org:443", "remote_addr=203.0.113.7", "time=01/Mar/2026:10:20:30 +0000", "request=GET / HTTP/2.0", "method=GET", "protocol=HTTP/2.0", "target=/", "uri_path=/", "status=200", "bytes=1"},
		},
		{"no access log", accessLogParser{}, `hello [x] world`, nil},
		{"csv", newCSV(&csvDoc{Columns: []string{"a", "", "c", "d"}}), `1,2,"x, ""y""",,5`, []string{"a=1", `c=x, "y"`}},
		{"csv: fewer cells", newCSV(&csvDoc{Columns: []string{"a", "b", "c"}, Comma: ";"}), `1;2`, []string{"a=1", "b=2"}},
		{"json in text", jsonParser{}, ` @cee: {"a":{"b":1}}`, []string{`{"a":{"b":1}}`}},
		{"json: broken", jsonParser{}, `{"a":`, nil},
		{"json: no object", jsonParser{}, `[1]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, parsed(tt.parser, tt.text)); diff != "" {
				t.Errorf("%s\n-want +got\n%s", tt.text, diff)
			}
		})
	}
}

func TestStepsNeverReplace(t *testing.T) {
	t.Parallel()
	var tree event.Tree
	if err := tree.ParseJSON([]byte(`{"message":"a=new b=2","a":"old"}`)); err != nil {
		t.Fatal(err)
	}
	var p textParser
	steps := []step{
		{from: []string{"message"}, parser: newKV(kvDoc{})},
		{from: []string{"message"}, parser: newKV(kvDoc{}), into: "kv"},
		{from: []string{"absent"}, parser: cefParser{}},
	}
	changed, ok := p.run(steps, &tree)
	if got, want := string(tree.AppendJSON(nil, 0)), `{"message":"a=new b=2","a":"old","b":"2","kv":{"a":"new","b":"2"}}`; got != want || !changed || !ok {
		t.Errorf("%s, changed %v, parsed %v; want %s", got, changed, ok, want)
	}
	if _, ok := p.run([]step{{from: []string{"message"}, parser: cefParser{}}}, &tree); ok {
		t.Error("a step that does not fit must leave the record unparsed")
	}
	if _, ok := p.run([]step{{from: []string{"message"}, parser: cefParser{}, optional: true}}, &tree); !ok {
		t.Error("an optional step may fail")
	}
}

// checkParsed asserts what holds for any text: bounds, and that a value is no
// longer than the text it came from.
func checkParsed(t *testing.T, p parser, text string) {
	t.Helper()
	if len(text) > parsedTextMax {
		text = text[:parsedTextMax]
	}
	var f fields
	f.reset()
	raw := []byte(text)
	ok := p.parse(raw, &f)
	if string(raw) != text {
		t.Fatal("the text was changed")
	}
	if len(f.list) > parsedFieldsMax {
		t.Fatalf("%d fields", len(f.list))
	}
	for _, x := range f.list {
		if len(x.value) > len(text) || len(x.key) > event.KeyBytesMax || x.name == "" && len(x.key) == 0 {
			t.Fatalf("field %q %q = %q", x.name, x.key, x.value)
		}
	}
	if !ok {
		return
	}
	var tree event.Tree
	tree.BeginObject()
	tree.EndContainer()
	var tp textParser
	tp.found = f
	tp.store("", &tree)
	if err := tree.Err(); err == nil {
		var again event.Tree
		if err := again.ParseJSON(tree.AppendJSON(nil, 0)); err != nil {
			t.Fatalf("the tree is broken: %v", err)
		}
	}
}

func fuzzParser(f *testing.F, p parser, seeds ...string) {
	f.Helper()
	for _, s := range seeds {
		f.Add(s)
		f.Add(strings.Repeat(s, 3))
	}
	f.Fuzz(func(t *testing.T, text string) { checkParsed(t, p, text) })
}

func FuzzKV(f *testing.F) {
	fuzzParser(f, newKV(kvDoc{}), `a=1 b="x \" y" c=`, `= = "`, `a="\`, strings.Repeat("\xff", event.KeyBytesMax/2)+"=1")
}

func FuzzCEF(f *testing.F) {
	fuzzParser(f, cefParser{}, `CEF:0|a|b\||c|d|e|5|src=1 cs1Label=x cs1=a\=b`, `CEF:0|||||||=`)
}

func FuzzLEEF(f *testing.F) {
	fuzzParser(f, leefParser{}, "LEEF:2.0|V|P|1|id|x5E|a=1^b=2", "LEEF:1.0|V|P|1|id|a=1\tb=2")
}

func FuzzAccessLog(f *testing.F) {
	fuzzParser(f, accessLogParser{}, `h 1.2.3.4 - u [t] "GET / HTTP/1.1" 200 1 "r" "a\"b"`, `- - - [] "" 0`)
}

func FuzzCSV(f *testing.F) {
	fuzzParser(f, newCSV(&csvDoc{Columns: []string{"a", "b", "c"}}), `1,"2""",3`, `"`)
}

func FuzzXML(f *testing.F) {
	fuzzParser(f, xmlParser{}, `sysmon: <Event><System><EventID>1</EventID></System><EventData><Data Name="a">b</Data></EventData></Event>`, `<Event`)
}

func FuzzJSONText(f *testing.F) {
	fuzzParser(f, jsonParser{}, `@cee: {"a":[1,{"b":null}],"a":true}`, `{"":""}`)
}

func FuzzRegex(f *testing.F) {
	p, err := newRegexParser(`^(?P<a>[^ ]*) (?:(?P<b>\d+)|"(?P<c>.*?)")`)
	fuzzParser(f, mustParser(f, p, err), `x 1`, "\xff \"y\"")
}

func FuzzDissect(f *testing.F) {
	f.Add(`%{a} %{b->},%{?c}x`, "1 2,,3x")
	f.Add("%{"+strings.Repeat("n", event.KeyBytesMax+1)+"}", "1")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if p, err := newDissect(pattern); err == nil {
			checkParsed(t, p, text)
		}
	})
}

// FuzzFunctions: any function on any values neither panics nor changes them.
func FuzzFunctions(f *testing.F) {
	f.Add(`\REGISTRY\MACHINE\SYSTEM\ControlSet001\x`, "0x1a4", "a=b")
	f.Add("%41%", "-", `\device\harddiskvolume3\x`)
	f.Fuzz(func(t *testing.T, a, b, param string) {
		for name, fn := range functions {
			in := [][][]byte{}
			for range fn.ArgsMin {
				in = append(in, [][]byte{[]byte(a), []byte(b)})
			}
			var params []string
			for range fn.ParamsMin {
				params = append(params, param)
			}
			if fn.check != nil && fn.check(params) != nil {
				continue
			}
			fn.fn(in, params, func([]byte) {})
			for _, arg := range in {
				if string(arg[0]) != a || string(arg[1]) != b {
					t.Fatalf("%s changed its input", name)
				}
			}
		}
	})
}

// FuzzPackFile: any file is a pack or an error with a place in it.
func FuzzPackFile(f *testing.F) {
	f.Add("pack: a\nabout: b\nshape: c\nmatch: [{has: a}]\nviews: [{logsource: {product: x}, fields: {a: {func: first, args: [b]}}}]\n")
	f.Add("a: &a [*a]\n")
	f.Add("pack: x\npack: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, errs := compileFile([]byte(text), true); (p == nil) != (len(errs) > 0) && len(errs) == 0 {
			t.Fatal("no pack and no error")
		}
	})
}

// FuzzRoute: any record is routed or not, and its tree stays whole.
func FuzzRoute(f *testing.F) {
	set := embeddedForTest(f)
	plan := event.NewPlan(Funcs())
	router := set.Router(plan, RouterOptions{})
	f.Add(process4688, "json", "")
	f.Add(`{"message":"CEF:0|a|b|c|d|e|f|x=1"}`, "syslog", "auth")
	f.Add(`{"message":"{}","program":"sshd"}`, "text", "dns")
	session, reader := router.Session(), plan.Reader()
	f.Fuzz(func(t *testing.T, text, format, hint string) {
		var rec event.Record
		rec.Reset([]byte(text))
		rec.Format, rec.Hint = format, hint
		if rec.Tree.ParseJSON([]byte(text)) != nil {
			return
		}
		views, p := session.Route(&rec, reader)
		if p == nil && views != nil {
			t.Fatal("views without a pack")
		}
		var again event.Tree
		if rec.Tree.Err() == nil {
			if err := again.ParseJSON(rec.Tree.AppendJSON(nil, 0)); err != nil {
				t.Fatalf("the tree is broken: %v", err)
			}
		}
		for _, id := range views {
			set.OCSF(&rec, id)
		}
	})
}
