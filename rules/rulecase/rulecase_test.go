package rulecase

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const valid = `
rule: 8c9bd7a4-0000-4000-8000-000000000001
cases:
  - name: One of two matches
    events:
      - event: {b: 1, a: [true, null, 'x"y', 2.5], 'id.orig_h': 192.0.2.1}
      - format: auditd
        text: |
          type=EXECVE msg=audit(1.000:1): argc=1 a0="id"
    matches: 1
`

func TestLoad(t *testing.T) {
	t.Parallel()
	s, err := Load(fstest.MapFS{"x/cases.yml": {Data: []byte(valid)}}, "x/cases.yml")
	if err != nil {
		t.Fatal(err)
	}
	one := 1
	want := &Suite{Rule: "8c9bd7a4-0000-4000-8000-000000000001", Cases: []Case{{
		Name: "One of two matches",
		Events: []Event{
			{JSON: []byte(`{"b":1,"a":[true,null,"x\"y",2.5],"id.orig_h":"192.0.2.1"}`)},
			{Format: "auditd", Text: "type=EXECVE msg=audit(1.000:1): argc=1 a0=\"id\"\n"},
		},
		Matches: &one,
	}}}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("suite (-want +got):\n%s", d)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	for _, fsys := range []fstest.MapFS{{}, {"c.yml": {Data: []byte("rule: [")}}} {
		if _, err := Load(fsys, "c.yml"); err == nil || !strings.Contains(err.Error(), "c.yml") {
			t.Errorf("error %v does not name the file", err)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	event := func(e string) string {
		return "rule: r\ncases:\n  - name: n\n    matches: 0\n    events:\n      - " + e + "\n"
	}
	for name, c := range map[string]struct{ in, want string }{
		"empty":             {"", "empty"},
		"unknown key":       {"rule: r\ncase: []\n", "case"},
		"no rule":           {"cases: []\n", "`rule`"},
		"no cases":          {"rule: r\n", "no cases"},
		"no name":           {"rule: r\ncases: [{events: [{event: {}}], matches: 0}]\n", "no name"},
		"same name":         {"rule: r\ncases: [{name: n, events: [{event: {}}], matches: 0}, {name: n, events: [{event: {}}], matches: 0}]\n", "rename"},
		"no events":         {"rule: r\ncases: [{name: n, matches: 0}]\n", "no events"},
		"no matches":        {"rule: r\ncases: [{name: n, events: [{event: {}}]}]\n", "`matches`"},
		"too many matches":  {"rule: r\ncases: [{name: n, events: [{event: {}}], matches: 2}]\n", "0 to 1"},
		"two documents":     {valid + "---\nrule: r\n", "more than one"},
		"event of text":     {event("just text"), "line 6"},
		"event and text":    {event("{event: {}, text: x, format: text}"), "either"},
		"text, no format":   {event("{text: x}"), "either"},
		"neither":           {event("{}"), "either"},
		"event twice":       {event("{event: {}, event: {}}"), "twice"},
		"unknown in event":  {event("{events: {}}"), "`events` is unknown"},
		"event is a list":   {event("{event: []}"), "is a map"},
		"unknown format":    {event("{text: x, format: evtx}"), `"evtx"`},
		"empty text":        {event("{text: '', format: text}"), "not empty"},
		"hexadecimal":       {event("{event: {a: 0x10}}"), "quotes"},
		"not a number":      {event("{event: {a: .nan}}"), "quotes"},
		"date":              {event("{event: {a: 2026-11-18}}"), "quotes"},
		"alias":             {event("{event: {a: &x 1, b: *x}}"), "aliases"},
		"key twice inside":  {event("{event: {a: {b: 1, b: 2}}}"), "twice"},
		"key is a list":     {event("{event: {[a]: 1}}"), "plain text"},
		"merge":             {event("{event: {<<: {a: 1}}}"), "plain text"},
		"nested too deeply": {event("{event: {a: " + strings.Repeat("[", DepthMax) + strings.Repeat("]", DepthMax) + "}}"), "deeper"},
		"too large":         {strings.Repeat("#", FileBytesMax+1), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzParse holds that no input panics, and that every event of an accepted
// file is either valid JSON or text in a known format.
func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(stepped))
	f.Add([]byte(generated))
	f.Add([]byte("rule: r\ncases: [{name: n, events: [{event: {a: 1e5}}], matches: 0}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			return
		}
		for _, c := range s.Cases {
			events := c.Events
			for _, step := range c.Steps {
				for _, d := range step.Deliveries {
					events = append(events, d.Event)
				}
			}
			for _, e := range events {
				if e.JSON != nil && !json.Valid(e.JSON) {
					t.Errorf("not JSON: %q", e.JSON)
				}
				if (e.JSON == nil) != formats[e.Format] {
					t.Errorf("event %+v is neither JSON nor text", e)
				}
			}
		}
	})
}
