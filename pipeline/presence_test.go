package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

func TestPresence(t *testing.T) {
	t.Parallel()
	res := &rulefile.Result{}
	res.Add("a.yml", []byte(`
title: A
id: 11111111-1111-4111-8111-111111111111
status: test
level: low
logsource: {product: windows, category: process_creation}
detection:
  a: {Image: x, Nowhere|contains: y}
  b: {Image: z}
  condition: a or not b
`))
	res.Link(rulefile.Options{Link: rule.Options{}})
	set, err := pack.Embedded()
	if err != nil || len(res.Set.Rules) != 1 {
		t.Fatal(err, res.Diagnostics)
	}
	s := NewSigma(res.Set.Rules, set, nil)
	e := s.NewEvaluator()
	var rec event.Record
	text := []byte(`{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Image":"q"}`)
	rec.Reset(text)
	rec.Format = "json"
	if err := rec.Tree.ParseJSON(text); err != nil {
		t.Fatal(err)
	}
	e.Route(&rec)
	got := map[string]bool{}
	e.Presence(func(_, field string, present bool) { got[field] = present })
	if diff := cmp.Diff(map[string]bool{"Image": true, "Nowhere": false}, got); diff != "" {
		t.Error(diff)
	}
	views := map[string]bool{}
	for _, v := range e.Views() {
		views[s.ViewName(v)] = true
	}
	if fed := s.Fed(views); len(fed) != 1 {
		t.Errorf("fed %v, want the one rule", fed)
	}
	if fed := s.Fed(map[string]bool{"windows/security": true}); len(fed) != 0 {
		t.Errorf("fed %v by a view that it does not ask for", fed)
	}
}
