package detect_test

import (
	"fmt"
	"testing"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// BenchmarkLongList links and compiles a rule with a list of 100,000 entries
// (load), and asks it of an event that no entry fits (event).
func BenchmarkLongList(b *testing.B) {
	for _, key := range []string{"F|expand", "F|expand|endswith", "F|expand|contains", "F|cidr|expand"} {
		list := rule.ValueList{Literal: true}
		for i := range 100_000 {
			value := fmt.Sprintf("host-%06d.corp.example", i)
			if key == "F|cidr|expand" {
				value = fmt.Sprintf("%d.%d.%d.0/24", 11+i>>16, i>>8&255, i&255)
			}
			list.Values = append(list.Values, value)
		}
		docs, _ := rulefile.ParseBytes("x", []byte("title: x\nid: 11111111-1111-4111-8111-000000000001\nlevel: low\nlogsource: {category: test}\ndetection:\n  s: {G: a}\n  l: {'"+key+"': '%L%'}\n  condition: s and not l\n"))
		plan := event.NewPlan(nil)
		load := func() *detect.Engine {
			set, _ := rule.Link(docs, rule.Options{Values: map[string]rule.ValueList{"L": list}})
			e := detect.Compile(set.Rules, []event.View{anyView()}, plan)
			e.Prepare()
			return e
		}
		b.Run(key+"/load", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				load()
			}
		})
		engine := load()
		var tree event.Tree
		if err := tree.ParseJSON([]byte(`{"G":"a","F":"10.9.9.9"}`)); err != nil {
			b.Fatal(err)
		}
		reader, m := plan.Reader(), engine.Matcher()
		b.Run(key+"/event", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reader.Bind(&tree)
				if len(m.Match(reader, []int{0})) != 1 {
					b.Fatal("the event does not match")
				}
			}
		})
	}
}
