package detect_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// A long list matches what its entries match one by one, whatever it is asked
// for, whether it is the rule's only witness, one of two, or under a not.
func TestLongLists(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, 1+rng.IntN(3))
		for i := range b {
			b[i] = "abcABC"[rng.IntN(6)]
		}
		return string(b)
	}
	network := func() netip.Prefix {
		if rng.IntN(2) == 0 {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(8)), byte(rng.IntN(256))}), 18+rng.IntN(15)).Masked()
		}
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rng.IntN(256))}), 118+rng.IntN(11)).Masked()
	}
	folds := func(f func(text, value string) bool) func(text, value string) bool {
		return func(text, value string) bool { return f(strings.ToLower(text), strings.ToLower(value)) }
	}
	equal := func(a, b string) bool { return a == b }
	inside := func(text, value string) bool {
		a, err := netip.ParseAddr(text)
		return err == nil && netip.MustParsePrefix(value).Contains(a)
	}
	for _, c := range []struct {
		key string
		fit func(text, value string) bool
	}{
		{"F|expand", folds(equal)},
		{"F|expand|cased", equal},
		{"F|expand|startswith", folds(strings.HasPrefix)},
		{"F|expand|endswith", folds(strings.HasSuffix)},
		{"F|expand|contains", folds(strings.Contains)},
		{"F|expand|contains|cased", strings.Contains},
		{"|expand", folds(strings.Contains)},
		{"F|cidr|expand", inside},
	} {
		cidr := strings.Contains(c.key, "cidr")
		for _, size := range []int{3, 255, 256, 600} {
			list := rule.ValueList{Literal: true}
			for range size {
				if cidr {
					list.Values = append(list.Values, network().String())
				} else {
					// Long words keep most texts from fitting.
					list.Values = append(list.Values, word()+fmt.Sprint(rng.IntN(200)))
				}
			}
			if !cidr && size == 600 {
				// Entries that are patterns stay questions of their own.
				list.Literal = false
				list.Values = append(list.Values, "z?z")
			}
			for _, condition := range []string{"l", "s and l", "s and not l", "not l"} {
				text := "title: x\nid: 11111111-1111-4111-8111-000000000001\nlevel: low\nlogsource: {category: test}\ndetection:\n  s: {G: g}\n  l: {'" + c.key + "': '%L%'}\n  condition: " + condition + "\n"
				docs, diags := rulefile.ParseBytes("x", []byte(text))
				set, more := rule.Link(docs, rule.Options{Values: map[string]rule.ValueList{"L": list}})
				if len(set.Rules) != 1 {
					t.Fatal(c.key, diags, more)
				}
				plan := event.NewPlan(nil)
				engine := detect.Compile(set.Rules, []event.View{anyView()}, plan)
				reader, m := plan.Reader(), engine.Matcher()
				for range 60 {
					values := []string{word() + fmt.Sprint(rng.IntN(200)) + word(), word() + fmt.Sprint(rng.IntN(200))}[:1+rng.IntN(2)]
					if cidr {
						values[0] = network().Addr().String()
					}
					g := []string{"g", "h"}[rng.IntN(2)]
					hit := false
					for _, v := range values {
						for _, x := range list.Values {
							if x != "z?z" && c.fit(v, x) {
								hit = true
							}
						}
					}
					want := hit != strings.Contains(condition, "not") && (g == "g" || !strings.Contains(condition, "s and"))
					var tree event.Tree
					if err := tree.ParseJSON([]byte(`{"G":"` + g + `","F":["` + strings.Join(values, `","`) + `"]}`)); err != nil {
						t.Fatal(err)
					}
					reader.Bind(&tree)
					matches := m.Match(reader, []int{0})
					if got := len(matches) == 1; got != want {
						t.Fatalf("%s, %d values, %s: match %v, want %v of %v", c.key, size, condition, got, want, values)
					}
					if want && !strings.Contains(condition, "not") && len(m.Decided(matches[0])) == 0 {
						t.Fatalf("%s: no field decided", c.key)
					}
				}
			}
		}
	}
}
