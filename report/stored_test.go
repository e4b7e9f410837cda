package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/detection"
)

var anchor = time.Date(2026, 11, 22, 10, 0, 30, 0, time.UTC)

func example() *detection.Detection {
	return &detection.Detection{
		ID: "3b9c", Revision: "r", Phase: "final", Seq: 4,
		Rule:   detection.Rule{ID: "sigma-1", Title: "Many failed logons", Kind: "correlation", Level: "high", Description: "Guessing\n of passwords.\n", Tags: []string{"attack.t1110"}},
		Reason: "12 failed logons of admin on DC01 within 5 minutes.", Group: []detection.Field{{Field: "@host", Value: "DC01"}, {Field: "User", Value: ""}},
		FirstTime: anchor.Add(-time.Minute), LastTime: anchor, AnchorTime: anchor, Created: anchor, Updated: anchor.Add(time.Second),
		Count: 12, Value: 12, Values: []string{"a", "b"}, Truncated: true, Children: []string{"c1"},
		Evidence: []detection.Evidence{{
			EventID: "e1", RawHash: "ab", Source: "dc", Time: anchor, Received: anchor, Host: "DC01", Rules: []string{"r1"},
			Fields: []detection.Field{{Field: "EventID", Value: "4625"}, {Field: "", Value: "x"}}, Event: json.RawMessage(`{"EventID":4625}`),
		}},
	}
}

func TestStoredLine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := NewStored(&b, Options{}, false).Line(example()); err != nil {
		t.Fatal(err)
	}
	const want = `2026-11-22 10:00:30Z  high           Many failed logons
    12 failed logons of admin on DC01 within 5 minutes.
    host DC01
    12 events, final, the group was larger than its budget, detection 3b9c

`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStoredFull(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := NewStored(&b, Options{}, false).Full(example(), true); err != nil {
		t.Fatal(err)
	}
	const want = `2026-11-22 10:00:30Z  high           Many failed logons
    12 failed logons of admin on DC01 within 5 minutes.
    host DC01

    detection    3b9c
    phase        final
    events       12, from 2026-11-22 09:59:30Z to 2026-11-22 10:00:30Z
    measured     12 when it fired
    values       a; b
    note         the group was larger than its budget; count and evidence are lower bounds
    stored       2026-11-22 10:00:30Z, changed 2026-11-22 10:00:31Z
    rule         sigma-1 (correlation)
    about        Guessing of passwords.
    tags         attack.t1110
    rests on     c1

    evidence 1 of 1, 2026-11-22 10:00:30Z, on DC01
      EventID  4625
      (any)    x
      event e1, source dc, received 2026-11-22 10:00:30Z, met r1
      sha256 ab
      {
        "EventID": 4625
      }

`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

// unrulyText is text that a terminal would obey.
const unrulyText = "a\x1b[2Jb\x1b]0;title\x07c\u009b31md\re\nf\u202eg\u2028h\x00i\U000E0001j"

func TestStoredIsSafeOnATerminal(t *testing.T) {
	t.Parallel()
	d := example()
	d.ID, d.Phase, d.Reason, d.SupersededBy = unrulyText, unrulyText, unrulyText, unrulyText
	d.Rule = detection.Rule{ID: unrulyText, Title: unrulyText, Kind: unrulyText, Level: unrulyText, Description: unrulyText, Tags: []string{unrulyText}}
	d.Group, d.Values, d.Children = []detection.Field{{Field: unrulyText, Value: unrulyText}}, []string{unrulyText}, []string{unrulyText}
	text, err := json.Marshal(map[string]string{unrulyText: unrulyText})
	if err != nil {
		t.Fatal(err)
	}
	e := &d.Evidence[0]
	e.EventID, e.RawHash, e.Source, e.Host, e.Rules, e.Fields, e.Event = unrulyText, unrulyText, unrulyText, unrulyText, []string{unrulyText}, []detection.Field{{Field: unrulyText, Value: unrulyText}}, text
	var b bytes.Buffer
	for _, asJSON := range []bool{false, true} {
		s := NewStored(&b, Options{}, asJSON)
		if err := s.Line(d); err != nil {
			t.Fatal(err)
		}
		if err := s.Full(d, true); err != nil {
			t.Fatal(err)
		}
	}
	if !utf8.Valid(b.Bytes()) {
		t.Error("it is not UTF-8")
	}
	for line := range strings.Lines(b.String()) {
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unruly); i >= 0 {
			t.Fatalf("a character that a terminal obeys: %q", line[i:])
		}
	}
}

func TestJSONMeansTheSame(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain <&>", unrulyText, "\U0001F600 é \u00a0", "\x7f\u200b\ufeff"} {
		line, err := JSON(map[string]string{"v": text})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal(line, &back); err != nil || back["v"] != text {
			t.Errorf("%q became %q: %v", text, back["v"], err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(unrulyText)
	f.Fuzz(func(t *testing.T, text string) {
		line, err := JSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsFunc(bytes.TrimSuffix(line, []byte("\n")), unruly) {
			t.Errorf("%q has what a terminal obeys", line)
		}
		var back string
		if err := json.Unmarshal(line, &back); err != nil || back != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Errorf("%q became %q: %v", text, back, err)
		}
	})
}
