package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

func hostile() *pipeline.Match {
	r := &rule.Rule{
		Title: "</script><script>alert(1)</script>", ID: "r1", Level: rule.Critical, Author: "=cmd()", License: "DRL 1.1",
		Tags: []string{"attack.t1059", "attack.credential_access", "attack.g0001", "cve.2026-1"}, SemanticHash: "h",
	}
	r.File = "rules/x.yml"
	return &pipeline.Match{
		Rule: r, View: "v", Time: time.Date(2026, 3, 1, 9, 0, 0, 5000, time.UTC), Host: "<img src=x onerror=alert(1)>",
		Source: pipeline.Source{Path: "a\x1b[31m.log", Format: "json", Line: 3, Offset: 40},
		Fields: []pipeline.Field{{Name: "A", Value: "x\x1b]0;title\x07\r\ny"}, {Name: "B", Value: "</script>"}, {Name: "A", Value: "z"}, {Name: "", Value: "key"}},
		Event:  []byte(`{"A":["x","z"],"B":"</script><!--","n":12345678901234567890}`),
	}
}

func write(t *testing.T, name string, o Options, ms ...*pipeline.Match) string {
	t.Helper()
	var b bytes.Buffer
	w, err := New(name, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	var s pipeline.Stats
	for _, m := range ms {
		s.Matches[m.Rule.Level]++
		if err := w.Match(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(&s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnknownOutput(t *testing.T) {
	t.Parallel()
	if _, err := New("pdf", &bytes.Buffer{}, Options{}); err == nil || !strings.Contains(err.Error(), "table, jsonl, csv, html, ocsf") {
		t.Errorf("error %v", err)
	}
}

func TestJSONL(t *testing.T) {
	t.Parallel()
	got := write(t, "jsonl", Options{}, hostile())
	want := `{"time":"2026-03-01T09:00:00.000005Z","time_quality":"parsed",` +
		`"rule":{"id":"r1","title":"</script><script>alert(1)</script>","level":"critical","tags":["attack.t1059","attack.credential_access","attack.g0001","cve.2026-1"],"author":"=cmd()","license":"DRL 1.1","file":"rules/x.yml"},` +
		`"source":{"path":"a\u001b[31m.log","format":"json","line":3,"offset":40},` +
		`"fields":{"A":["x\u001b]0;title\u0007\r\ny","z"],"B":"</script>","":"key"},` +
		`"event":{"A":["x","z"],"B":"</script><!--","n":12345678901234567890}}` + "\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTableShowsNoControlCharacters(t *testing.T) {
	t.Parallel()
	m := hostile()
	m.TimeQuality = event.TimeAssumedYear
	got := write(t, "table", Options{}, m)
	want := `2026-03-01 09:00:00Z (assumed-year)  critical       </script><script>alert(1)</script>
    on <img src=x onerror=alert(1)>, a␛[31m.log, line 3
    A      x␛]0;title�  y
    B      </script>
    A      z
    (any)  key
    rule r1, by =cmd(), DRL 1.1

1 match: 1 critical
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if colored := write(t, "table", Options{Color: true}, m); !strings.Contains(colored, "\x1b[1;35mcritical") {
		t.Errorf("no colour in %q", colored)
	}
	if got := write(t, "table", Options{}); got != "no matches\n" {
		t.Errorf("got %q", got)
	}
}

func TestCSVQuotesFormulas(t *testing.T) {
	t.Parallel()
	m := hostile()
	m.Rule.Title, m.Host, m.Source.Path = "+1", "@x", "-a,\"b\"\n"
	rows, err := csv.NewReader(strings.NewReader(write(t, "csv", Options{}, m))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || len(rows[0]) != len(rows[1]) {
		t.Fatalf("rows %q", rows)
	}
	cells := make(map[string]string)
	for i, name := range rows[0] {
		cells[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"rule_title": "'+1", "host": "'@x", "path": "'-a,\"b\"\n", "author": "'=cmd()", "line": "3", "record": "", "offset": "40", "level": "critical",
	} {
		if cells[name] != want {
			t.Errorf("%s is %q, want %q", name, cells[name], want)
		}
	}
	for _, first := range "=+-@\t\r" {
		if got := cell(string(first) + "x"); got[0] != '\'' {
			t.Errorf("%q stays %q", first, got)
		}
	}
	if rows, err := csv.NewReader(strings.NewReader(write(t, "csv", Options{}))).ReadAll(); err != nil || len(rows) != 1 {
		t.Errorf("without matches: %q, %v", rows, err)
	}
}

var (
	scriptBlock = regexp.MustCompile(`(?s)<script type="application/json" id="(\w+)">(.*?)</script>`)
	policy      = regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`)
)

func TestHTMLHoldsDataOnlyAsJSON(t *testing.T) {
	t.Parallel()
	for _, ms := range [][]*pipeline.Match{nil, {hostile()}, {hostile(), hostile()}} {
		page := write(t, "html", Options{}, ms...)
		blocks := make(map[string][]any)
		for _, b := range scriptBlock.FindAllStringSubmatch(page, -1) {
			var list []any
			if err := json.Unmarshal([]byte(b[2]), &list); err != nil {
				t.Fatalf("block %s: %v", b[1], err)
			}
			blocks[b[1]] = list
		}
		if len(blocks["matches"]) != len(ms) {
			t.Errorf("%d matches in the page, want %d", len(blocks["matches"]), len(ms))
		}
		if strings.Count(page, "<script") != 3 || strings.Count(page, "</script>") != 3 {
			t.Errorf("the data changed the page's scripts")
		}
		for _, bad := range []string{"<img", "alert(1)</script>", "http-equiv=\"refresh\"", "src=\"", "href=\"", "innerHTML", "insertAdjacent", "document.write", "eval("} {
			if strings.Contains(page, bad) {
				t.Errorf("the page holds %q", bad)
			}
		}
		csp := policy.FindStringSubmatch(page)
		if csp == nil || !strings.HasPrefix(csp[1], "default-src 'none';") || strings.Contains(csp[1], "unsafe") {
			t.Fatalf("policy %q", csp)
		}
		for _, text := range []string{pageCSS, pageJS} {
			if !strings.Contains(csp[1], hashSource(text)) || !strings.Contains(page, ">"+text+"</") {
				t.Error("the policy does not name the page's own script and style")
			}
		}
	}
	row := write(t, "html", Options{}, hostile())
	if !strings.Contains(row, `12345678901234567890`) {
		t.Error("a large number was changed")
	}
}

// Evidence is known again by event and bytes, of every part of an event in
// parts once.
func TestOCSFEvidence(t *testing.T) {
	t.Parallel()
	m := hostile()
	proof := func(n byte) (e pipeline.Evidence) {
		e.ID[15], e.RawHash[31] = n, n
		return e
	}
	m.Evidence, m.Parts = proof(2), []pipeline.Evidence{proof(1), proof(2), proof(3)}
	var got struct {
		Evidences []struct {
			Data struct {
				EventID string `json:"event_id"`
				RawHash string `json:"raw_hash"`
				Event   any
			}
		}
	}
	if err := json.Unmarshal([]byte(write(t, "ocsf", Options{}, m)), &got); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i, e := range got.Evidences {
		n := e.Data.EventID[30:]
		if e.Data.EventID != strings.Repeat("0", 30)+n || e.Data.RawHash != "sha256:"+strings.Repeat("0", 62)+n {
			t.Errorf("evidence %+v", e.Data)
		}
		if (e.Data.Event != nil) != (i == 0) {
			t.Errorf("evidence %d: event %v", i, e.Data.Event)
		}
		ids = append(ids, n)
	}
	if want := []string{"02", "01", "03"}; !slices.Equal(ids, want) {
		t.Errorf("evidence of %v, want %v", ids, want)
	}
}

func TestOCSF(t *testing.T) {
	t.Parallel()
	m := hostile()
	line := write(t, "ocsf", Options{Version: "1.2.3"}, m)
	if strings.Count(line, "\n") != 1 {
		t.Errorf("not one line: %q", line)
	}
	var got struct {
		ClassUID   int   `json:"class_uid"`
		TypeUID    int   `json:"type_uid"`
		SeverityID int   `json:"severity_id"`
		Time       int64 `json:"time"`
		Metadata   struct {
			Version string
			Product struct{ Version string }
		}
		FindingInfo struct {
			UID      string
			Analytic struct {
				UID    string
				TypeID int `json:"type_id"`
			}
			Attacks []struct {
				Technique struct{ UID string }
				Tactics   []struct{ UID, Name string }
			}
		} `json:"finding_info"`
		Evidences []struct {
			Data struct{ Event map[string]any }
		}
		Unmapped map[string]string
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if got.ClassUID != 2004 || got.TypeUID != 200401 || got.SeverityID != 5 || got.Time != 1772355600000 || got.Metadata.Version != "1.8.0" || got.Metadata.Product.Version != "1.2.3" {
		t.Errorf("got %+v", got)
	}
	if a := got.FindingInfo.Attacks; len(a) != 1 || a[0].Technique.UID != "T1059" || len(a[0].Tactics) != 1 || a[0].Tactics[0].UID != "TA0006" {
		t.Errorf("attacks %+v", a)
	}
	if got.FindingInfo.Analytic.UID != "sigma:r1" || got.FindingInfo.Analytic.TypeID != 1 || len(got.Evidences) != 1 || got.Unmapped["rule_license"] != "DRL 1.1" {
		t.Errorf("got %+v", got)
	}
	again := hostile()
	if findingUID(again) != got.FindingInfo.UID {
		t.Error("the same match has two uids")
	}
	again.Source.Offset++
	if findingUID(again) == got.FindingInfo.UID {
		t.Error("two matches have one uid")
	}
	missing := hostile()
	missing.Time, missing.TimeQuality, missing.Rule.Tags = time.Time{}, event.TimeMissing, []string{"attack.impact"}
	if line := write(t, "ocsf", Options{}, missing); !strings.Contains(line, `"time":0`) || !strings.Contains(line, `"time_quality":"missing"`) ||
		!strings.Contains(line, `"attacks":[{"tactics":[{"uid":"TA0040","name":"Impact"}]}]`) {
		t.Errorf("got %s", line)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                        "plain",
		"a\nb\tc\r":                    "a b c ",
		"\x1b[1;31mred\x1b[0m":         "␛[1;31mred␛[0m",
		"\x1b]8;;http://x\x1b\\link":   "␛]8;;http://x␛\\link",
		"\x1b]0;title":                 "␛]0;title",
		"\x1bPdata\x1b\\x":             "␛Pdata␛\\x",
		"\u009b31mx":                   "\uFFFD31mx",
		"\x1b":                         "␛",
		"\x1bé":                        "␛é",
		"a\x00b\x7fc":                  "a\uFFFDb\uFFFDc",
		"left\u202eright\u2066":        "left\uFFFDright\uFFFD",
		"zero\u200bwidth":              "zero\uFFFDwidth",
		"\xff":                         "\uFFFD",
		"0123456789012345678901234567": "01234567890123456789…",
	} {
		if got := Clean(in, 20); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// Whatever the text, nothing that a terminal acts on is left, and nothing that
// can be read is lost.
func TestCleanIsCleanForAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\x1b[", "\x1b]", "\x1b\\", "\u009b", "\x07", "31m", "\xff"}))
		in := strings.Join(rapid.SliceOf(piece).Draw(t, "text"), "")
		out := Clean(in, 50)
		if strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Fatalf("%q becomes %q", in, out)
		}
		if n := len([]rune(out)); n > 51 {
			t.Fatalf("%d characters", n)
		}
		whole, given := []rune(Clean(in, len(in))), []rune(in)
		if len(whole) != len(given) {
			t.Fatalf("%q becomes %q", in, string(whole))
		}
		for i, r := range given {
			if unicode.IsGraphic(r) && whole[i] != r {
				t.Fatalf("%q becomes %q", in, string(whole))
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mx\x1b]0;t\x07")
	f.Fuzz(func(t *testing.T, in string) {
		if strings.ContainsFunc(Clean(in, 1000), unicode.IsControl) {
			t.Fatalf("%q keeps a control character", in)
		}
	})
}
