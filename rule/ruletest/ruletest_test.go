package ruletest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/rule/ruletest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	cases, err := ruletest.Parse(`# a comment
== A1 the trap
view windows - security
event {"F":1}
list L a b
selection x {F: 1}
condition not x
filter
    title: f
    id: i
want miss
lint one two

== A2
event {}
s {F: 1}
want refused some-code
`)
	if err != nil || len(cases) != 2 {
		t.Fatal(cases, err)
	}
	c := cases[0]
	if c.ID != "A1" || c.Trap != "the trap" || c.Line != 2 || string(c.Event) != `{"F":1}` || *c.View != (ruletest.View{Product: "windows", Service: "security"}) ||
		strings.Join(c.Lists["L"], ",") != "a,b" || c.Want != ruletest.Miss || len(c.Lints) != 2 {
		t.Errorf("%+v", c)
	}
	if !strings.HasSuffix(string(c.YAML), "    x: {F: 1}\n    condition: not x\n---\ntitle: f\nid: i\n") {
		t.Errorf("%s", c.YAML)
	}
	if d := cases[1]; d.Want != ruletest.Refused || d.Detail != "some-code" || d.View != nil {
		t.Errorf("%+v", d)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"event {}":                              "line 1: text before the first case",
		"== A\nevent {}\nwant match":            "line 1: the case A lacks",
		"== A\n== B":                            "line 1: the case A lacks",
		"==":                                    "line 1: the case has no id",
		"== A\nevent {}\ns x\nwant":             "line 4: no outcome",
		"== A\nwant refused":                    "line 2: the outcome refused takes 1 details",
		"== A\nwant maybe":                      "line 2: unknown outcome",
		"== A\nhelp":                            "line 2: unknown directive",
		"== A\nview x":                          "line 2: a view has",
		"== A\nlist":                            "line 2: a list has a name",
		"== A\nevent 1\ns 1\nwant miss\n== A\n": "line 5: the case has no id, or that of another",
	} {
		if _, err := ruletest.Parse(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParseCorrelations(t *testing.T) {
	t.Parallel()
	cases, err := ruletest.ParseCorrelations("== X1 trap\nlateness 2m\ngroups 3\ncorrelation c {type: temporal}\nat 01:30.5 a,b id=7 g= k=v\nrestart\nwatermark 05:00\nwant fires 01:30.5 c\nwant none\n")
	if err != nil {
		t.Fatal(err)
	}
	c := cases[0]
	if c.Lateness != 2*time.Minute || c.Groups != 3 || len(c.Steps) != 3 || c.Steps[0].At != 90_500*time.Millisecond || c.Steps[0].EventID != "7" ||
		string(c.Steps[0].Event) != `{"k":"v","rule":["a","b"]}` || c.Steps[1].Kind != ruletest.Restart || c.Steps[2].At != 5*time.Minute {
		t.Errorf("%+v", c)
	}
	if len(c.Want) != 2 || c.Want[0] != (ruletest.Expectation{What: "fires", At: 90_500 * time.Millisecond, Subject: "c"}) {
		t.Errorf("%+v", c.Want)
	}
	for text, want := range map[string]string{
		"at 00:00 a":             "line 1: text before the first case",
		"== A":                   "line 1: the case A wants nothing",
		"== A\nat 00 a":          `line 2: "00" is not a time`,
		"== A\nat 00:00 a x":     `line 2: "x" is not key=value`,
		"== A\nwant win":         "line 2: unknown outcome",
		"== A\nwant fires 00:00": "line 2: the outcome fires takes other words",
		"== A\nhelp me":          "line 2: unknown directive",
		"== A\nhelp":             `line 2: "help" takes one word`,
		"==":                     "line 1: the case has no id",
	} {
		if _, err := ruletest.ParseCorrelations(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
