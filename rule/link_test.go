package rule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
)

const (
	idA = "11111111-1111-4111-8111-111111111111"
	idB = "22222222-2222-4222-8222-222222222222"
	idC = "33333333-3333-4333-8333-333333333333"
	idD = "44444444-4444-4444-8444-444444444444"
)

func ruleDoc(id, extra string) string {
	return fmt.Sprintf("title: rule %s\nid: %s\nstatus: test\nlevel: low\nlogsource: {category: test, product: p}\n%sdetection:\n  s: {F: a}\n  condition: s\n", id[:1], id, extra)
}

func join(docs ...string) string { return strings.Join(docs, "---\n") }

// correlationBase is a correlation over rule A that lacks its condition.
const correlationBase = "title: c\nid: " + idC + "\nstatus: test\ncorrelation:\n    type: event_count\n    rules: [" + idA + "]\n    group-by: [User]\n    timespan: 5m\n"

func correlation(body string) string {
	return "title: c\nid: " + idC + "\nstatus: test\ncorrelation:\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n"
}

func TestCorrelations(t *testing.T) {
	t.Parallel()
	rules := join(ruleDoc(idA, "name: rule_a\ntags: [attack.t1000]\n"), strings.Replace(ruleDoc(idB, "name: rule_b\ntags: [attack.t1001]\n"), "level: low", "level: high", 1))
	const event = "type: event_count\nrules: [rule_a]\ngroup-by: [User]\ntimespan: 5m\n"
	for _, c := range []struct{ name, body, codes string }{
		{"event_count", event + "condition: {gte: 3}", ""},
		{"range", event + "condition: {gte: 2, lte: 3}", ""},
		{"float", event + "condition: {gt: 2.5}", ""},
		{"no type", strings.Replace(event, "type: event_count", "", 1) + "condition: {gte: 3}", "CORRELATION-TYPE"},
		{"unknown type", strings.Replace(event, "event_count", "events_count", 1) + "condition: {gte: 3}", "CORRELATION-TYPE"},
		{"no rules", strings.Replace(event, "rules: [rule_a]", "", 1) + "condition: {gte: 3}", "CORRELATION-RULES"},
		{"empty rules", strings.Replace(event, "[rule_a]", "[]", 1) + "condition: {gte: 3}", "CORRELATION-RULES"},
		{"bare rule", strings.Replace(event, "[rule_a]", "rule_a", 1) + "condition: {gte: 3}", ""},
		{"twice", strings.Replace(event, "[rule_a]", "[rule_a, rule_a]", 1) + "condition: {gte: 3}", "CORRELATION-RULES"},
		{"twice by id and name", strings.Replace(event, "[rule_a]", "[rule_a, "+idA+"]", 1) + "condition: {gte: 3}", "CORRELATION-RULES"},
		{"unresolved", strings.Replace(event, "rule_a", "rule_z", 1) + "condition: {gte: 3}", "CORRELATION-REFERENCE"},
		{"title is no reference", strings.Replace(event, "[rule_a]", "['rule 1']", 1) + "condition: {gte: 3}", "CORRELATION-REFERENCE"},
		{"itself", strings.Replace(event, "rule_a", idC, 1) + "condition: {gte: 3}", "CORRELATION-CYCLE"},
		{"no group-by", strings.Replace(event, "group-by: [User]", "", 1) + "condition: {gte: 3}", "correlation-global"},
		{"no timespan", strings.Replace(event, "timespan: 5m", "", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan without unit", strings.Replace(event, "5m", "300", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan zero", strings.Replace(event, "5m", "0m", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan negative", strings.Replace(event, "5m", "-5m", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan fraction", strings.Replace(event, "5m", "1.5h", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan 30d", strings.Replace(event, "5m", "30d", 1) + "condition: {gte: 3}", ""},
		{"timespan 31d", strings.Replace(event, "5m", "31d", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan 2M", strings.Replace(event, "5m", "2M", 1) + "condition: {gte: 3}", "CORRELATION-TIMESPAN"},
		{"timespan 4w", strings.Replace(event, "5m", "4w", 1) + "condition: {gte: 3}", ""},
		{"no condition", event, "CORRELATION-CONDITION"},
		{"empty condition", event + "condition: {}", "CORRELATION-CONDITION"},
		{"unknown operator", event + "condition: {get: 3}", "CORRELATION-CONDITION"},
		{"threshold text", event + "condition: {gte: many}", "CORRELATION-CONDITION"},
		{"field on event_count", event + "condition: {gte: 3, field: User}", "CORRELATION-FIELD"},
		{"words on event_count", event + "condition: rule_a", "CORRELATION-CONDITION"},
		{"unknown key", event + "condition: {gte: 3}\ntimespam: 5m", "CORRELATION-INVALID"},
		{"value_count", strings.Replace(event, "event_count", "value_count", 1) + "condition: {gte: 3, field: [User, Host]}", ""},
		{"value_count without field", strings.Replace(event, "event_count", "value_count", 1) + "condition: {gte: 3}", "CORRELATION-FIELD"},
		{"value_sum with two fields", strings.Replace(event, "event_count", "value_sum", 1) + "condition: {gte: 3, field: [A, B]}", "CORRELATION-FIELD"},
		{"value_avg", strings.Replace(event, "event_count", "value_avg", 1) + "condition: {gt: 3, field: A}", ""},
		{"X21 percentile missing", strings.Replace(event, "event_count", "value_percentile", 1) + "condition: {gt: 3, field: A}", "CORRELATION-CONDITION"},
		{"percentile", strings.Replace(event, "event_count", "value_percentile", 1) + "condition: {gt: 3, field: A, percentile: 99.5}", ""},
		{"percentile range", strings.Replace(event, "event_count", "value_percentile", 1) + "condition: {gt: 3, field: A, percentile: 101}", "CORRELATION-CONDITION"},
		{"percentile on sum", strings.Replace(event, "event_count", "value_sum", 1) + "condition: {gt: 3, field: A, percentile: 50}", "CORRELATION-CONDITION"},
		{"median", strings.Replace(event, "event_count", "value_median", 1) + "condition: {gt: 3, field: A}", "CORRELATION-EXPERIMENTAL"},
		{"temporal", "type: temporal\nrules: [rule_a, rule_b]\ngroup-by: User\ntimespan: 5m", ""},
		{"temporal in words", "type: temporal\nrules: [rule_a, rule_b]\ngroup-by: User\ntimespan: 5m\ncondition: rule_a and not rule_b", "CORRELATION-EXPERIMENTAL"},
		{"temporal with a stranger", "type: temporal\nrules: [rule_a, rule_b]\ngroup-by: User\ntimespan: 5m\ncondition: rule_a and rule_z", "CONDITION-IDENTIFIER"},
		{"ordered", "type: temporal_ordered\nrules: [rule_a, rule_b]\ngroup-by: User\ntimespan: 5m\ncondition: {gte: 2}", ""},
		{"ordered below", "type: temporal_ordered\nrules: [rule_a, rule_b]\ngroup-by: User\ntimespan: 5m\ncondition: {gte: 1}", "CORRELATION-CONDITION"},
		{"alias", event + "aliases: {src: {rule_a: SourceIp}}\ncondition: {gte: 3}", ""},
		{"alias by id", event + "aliases: {src: {" + idA + ": SourceIp}}\ncondition: {gte: 3}", ""},
		{"alias of a stranger", event + "aliases: {src: {rule_b: SourceIp}}\ncondition: {gte: 3}", "CORRELATION-ALIAS"},
		{"alias without map", event + "aliases: {src: rule_a}\ncondition: {gte: 3}", "CORRELATION-ALIAS"},
		{"generate", event + "generate: true\ncondition: {gte: 3}", ""},
		{"generate text", event + "generate: maybe\ncondition: {gte: 3}", "CORRELATION-INVALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, diags := load(t, join(rules, correlation(c.body)), rule.Options{})
			if got := codes(diags); got != c.codes {
				t.Errorf("diagnostics %q, want %q: %v", got, c.codes, diags)
			}
			if refused := strings.ToUpper(c.codes) == c.codes && c.codes != ""; (len(set.Correlations) == 0) != refused {
				t.Errorf("%d correlations", len(set.Correlations))
			}
			if len(set.Rules) != 2 {
				t.Errorf("%d rules", len(set.Rules))
			}
		})
	}
}

func TestCorrelationContents(t *testing.T) {
	t.Parallel()
	rules := join(ruleDoc(idA, "name: rule_a\ntags: [attack.t1000]\n"), strings.Replace(ruleDoc(idB, "name: rule_b\ntags: [attack.t1000, attack.t1001]\n"), "level: low", "level: high", 1))
	text := join(
		// A parent before its child: the set puts children first.
		"title: parent\nid: "+idD+"\ngenerate: true\ncorrelation: {type: event_count, rules: child, group-by: User, timespan: 1h, condition: {gte: 2}}\n",
		"title: child\nid: "+idC+"\nname: child\ntags: [attack.t1002]\ncorrelation:\n  type: temporal\n  rules: [rule_b, rule_a]\n  group-by: [ip]\n  timespan: 2w\n  aliases: {ip: {rule_a: src, "+idB+": dst}}\n  condition: rule_a or not rule_b\n",
		rules)
	set, diags := load(t, text, rule.Options{Experimental: true})
	if rule.HasErrors(diags) || len(set.Correlations) != 2 {
		t.Fatal(diags)
	}
	child, parent := set.Correlations[0], set.Correlations[1]
	if child.Title != "child" || parent.Rules[0].Correlation != child {
		t.Error("children must come first and be linked")
	}
	if child.Level != rule.High || parent.Level != rule.High {
		t.Errorf("levels %v, %v; want the highest of the rules", child.Level, parent.Level)
	}
	if diff := cmp.Diff([]string{"attack.t1002", "attack.t1000", "attack.t1001"}, child.Tags); diff != "" {
		t.Error(diff)
	}
	if child.Timespan != 14*24*time.Hour {
		t.Errorf("timespan %s", child.Timespan)
	}
	if diff := cmp.Diff([]string{"dst", "src"}, child.Aliases[0].Fields); diff != "" {
		t.Error(diff)
	}
	if got := notation(child.Expr); got != "or(rule_a not(rule_b))" {
		t.Error(got)
	}
	if !set.Silent(idA) || !set.Silent(idB) || set.Silent(idC) || set.Silent(idD) {
		t.Error("generate of the parent frees the child; the rules stay silent")
	}
	if len(child.SemanticHash) != 64 || child.SemanticHash == parent.SemanticHash {
		t.Error("hashes")
	}
}

func TestCorrelationCycle(t *testing.T) {
	t.Parallel()
	one := func(title, id, ref string) string {
		return "title: " + title + "\nid: " + id + "\ncorrelation: {type: event_count, rules: " + ref + ", group-by: U, timespan: 1h, condition: {gte: 2}}\n"
	}
	set, diags := load(t, join(one("a", idA, idB), one("b", idB, idA), one("c", idC, idA)), rule.Options{})
	if len(set.Correlations) != 0 || !strings.Contains(codes(diags), "CORRELATION-CYCLE") {
		t.Error(diags)
	}
	if strings.Count(codes(diags), "CORRELATION") != 3 {
		t.Errorf("each must say why: %v", diags)
	}
}

func filterDoc(id, source, body string) string {
	return "title: f\nid: " + id + "\nlogsource: " + source + "\nfilter:\n  " + strings.ReplaceAll(body, "\n", "\n  ") + "\n"
}

func TestFilters(t *testing.T) {
	t.Parallel()
	const not = "\nsel: {G: x}\ncondition: not sel"
	base := "s:F['a']"
	filtered := "and(" + base + " not(sel:G['x']))"
	for _, c := range []struct{ name, filter, want, codes string }{
		{"by id", filterDoc(idC, "{product: p}", "rules: ["+idA+"]"+not), filtered, ""},
		{"by name", filterDoc(idC, "{product: P}", "rules: rule_a"+not), filtered, ""},
		{"any", filterDoc(idC, "{category: test}", "rules: any"+not), filtered, ""},
		{"any as empty list", filterDoc(idC, "{category: test}", "rules: []"+not), filtered, ""},
		{"any as a list", filterDoc(idC, "{category: test}", "rules: [any]"+not), filtered, ""},
		{"equal logsource", filterDoc(idC, "{category: test, product: p}", "rules: any"+not), filtered, ""},
		{"narrower logsource", filterDoc(idC, "{category: test, service: x}", "rules: any"+not), base, "filter-unused"},
		{"narrower logsource by id", filterDoc(idC, "{category: test, service: x}", "rules: "+idA+not), base, "filter-reference filter-unused"},
		{"unresolved", filterDoc(idC, "{category: test}", "rules: [rule_a, rule_z]"+not), filtered, "filter-reference"},
		{"without not", filterDoc(idC, "{category: test}", "rules: any\nsel: {G: x}\ncondition: sel"), "and(" + base + " sel:G['x'])", "filter-without-not"},
		{"no rules", filterDoc(idC, "{category: test}", "sel: {G: x}\ncondition: not sel"), base, "FILTER-INVALID"},
		{"no logsource", strings.Replace(filterDoc(idC, "{category: test}", "rules: any"+not), "logsource: {category: test}\n", "", 1), base, "LOGSOURCE-MISSING"},
		{"no condition", filterDoc(idC, "{category: test}", "rules: any\nsel: {G: x}"), base, "CONDITION-MISSING"},
		{"own namespace", filterDoc(idC, "{category: test}", "rules: any\nsel: {G: x}\ncondition: not s"), base, "CONDITION-IDENTIFIER"},
		{"them is its own", filterDoc(idC, "{category: test}", "rules: any\nsel: {G: x}\ncondition: not 1 of them"), filtered, ""},
		{"needs values", filterDoc(idC, "{category: test}", "rules: any\nsel: {G|expand: '%A%'}\ncondition: not sel"), base, "placeholder-missing"},
		{"deprecated", strings.Replace(filterDoc(idC, "{category: test}", "rules: any"+not), "title: f", "title: f\nstatus: deprecated", 1), base, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, diags := load(t, join(c.filter, ruleDoc(idA, "name: rule_a\n")), rule.Options{})
			if len(set.Rules) != 1 {
				t.Fatal(diags)
			}
			if got := notation(set.Rules[0].Conditions[0]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := codes(diags); got != c.codes {
				t.Errorf("diagnostics %q, want %q: %v", got, c.codes, diags)
			}
		})
	}
}

// Several filters are one conjunction, however many, in the order of the
// documents.
func TestManyFilters(t *testing.T) {
	t.Parallel()
	docs := []string{ruleDoc(idA, "")}
	want := "and(s:F['a']"
	for i := range 100 {
		id := fmt.Sprintf("33333333-3333-4333-8333-%012d", i)
		docs = append(docs, filterDoc(id, "{product: p}", fmt.Sprintf("rules: ["+idA+", "+idA+"]\nsel: {G: %d}\ncondition: not sel", i)))
		want += fmt.Sprintf(" not(sel:G[#%d/%d])", i, i)
	}
	set, diags := load(t, join(docs...), rule.Options{})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := notation(set.Rules[0].Conditions[0]); got != want+")" {
		t.Errorf("got %s", got)
	}
}

// Linking again, with other settings, starts from the documents as they were.
func TestLinkTwice(t *testing.T) {
	t.Parallel()
	text := join(ruleDoc(idA, ""), filterDoc(idC, "{product: p}", "rules: any\nsel: {G: x}\ncondition: not sel"))
	first, _ := load(t, text, rule.Options{})
	second, _ := load(t, text, rule.Options{})
	if a, b := notation(first.Rules[0].Conditions[0]), notation(second.Rules[0].Conditions[0]); a != b {
		t.Errorf("%s and %s", a, b)
	}
}

func TestSemanticHash(t *testing.T) {
	t.Parallel()
	hash := func(text string) string {
		set, diags := load(t, text, rule.Options{})
		if len(set.Rules) != 1 {
			t.Fatal(diags)
		}
		return set.Rules[0].SemanticHash
	}
	base := hash(ruleDoc(idA, ""))
	f1 := filterDoc(idC, "{product: p}", "rules: any\nsel: {G: x}\ncondition: not sel")
	f2 := filterDoc(idD, "{product: p}", "rules: any\nsel: {G: y}\ncondition: not sel")
	// Golden vectors, computed apart from this code by the encoding that the
	// comments of semanticHash and doctree.Node.Hash describe: a change of these gives every detection a new id.
	for text, want := range map[string]string{
		ruleDoc(idA, ""):           "8f90d2c56183e5b29c3cc097fb15612f2bb017b668465066ec2877326820bed8",
		join(ruleDoc(idA, ""), f1): "132ccfe2ae4b3dea35daec8832b1bb563e83de405867f9b23ee55398ba15d93a",
	} {
		if got := hash(text); got != want {
			t.Errorf("hash %s, want %s", got, want)
		}
	}
	same := map[string]string{
		"title and level":   strings.NewReplacer("title: rule 1", "title: other", "level: low", "level: high").Replace(ruleDoc(idA, "")),
		"id":                ruleDoc(idB, ""),
		"tags":              ruleDoc(idA, "tags: [attack.t1]\ndescription: d\n"),
		"case of logsource": strings.Replace(ruleDoc(idA, ""), "category: test", "category: TEST", 1),
		"definition":        strings.Replace(ruleDoc(idA, ""), "product: p", "product: p, definition: d", 1),
		"order and quotes":  strings.Replace(ruleDoc(idA, ""), "  s: {F: a}\n  condition: s", "  condition: \"s\"\n  s:\n    F: 'a' # a", 1),
	}
	for name, text := range same {
		if hash(text) != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	other := map[string]string{
		"value":     strings.Replace(ruleDoc(idA, ""), "F: a", "F: b", 1),
		"field":     strings.Replace(ruleDoc(idA, ""), "F: a", "G: a", 1),
		"type":      strings.Replace(ruleDoc(idA, ""), "F: a", "F: ~", 1),
		"condition": strings.Replace(ruleDoc(idA, ""), "condition: s", "condition: not s", 1),
		"logsource": strings.Replace(ruleDoc(idA, ""), "product: p", "service: p", 1),
		"filter":    join(ruleDoc(idA, ""), f1),
		"filters":   join(ruleDoc(idA, ""), f1, f2),
	}
	seen := map[string]string{base: "base"}
	for name, text := range other {
		h := hash(text)
		if seen[h] != "" {
			t.Errorf("%s has the hash of %s", name, seen[h])
		}
		seen[h] = name
	}
	if hash(join(ruleDoc(idA, ""), f1, f2)) != hash(join(f2, f1, ruleDoc(idA, ""))) {
		t.Error("the order of filters changes the hash")
	}
}
