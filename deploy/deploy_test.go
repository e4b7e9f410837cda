package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/metric"
)

// known is a metric as a server would offer it.
type known struct {
	kind   string
	labels []string
}

// offered makes every metric of the process appear once and returns them by
// name, with the series that a histogram has besides its own.
func offered(t *testing.T) map[string]known {
	t.Helper()
	set := metric.New()
	v := reflect.ValueOf(set).Elem()
	for i := range v.NumField() {
		switch m := v.Field(i).Interface().(type) {
		case *prometheus.CounterVec:
			m.WithLabelValues(values(t, m)...).Inc()
		case *prometheus.GaugeVec:
			m.WithLabelValues(values(t, m)...).Set(1)
		case *prometheus.HistogramVec:
			m.WithLabelValues(values(t, m)...).Observe(1)
		}
	}
	families, err := set.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]known)
	for _, f := range families {
		m := f.GetMetric()[0]
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName())
		}
		k := known{strings.ToLower(f.GetType().String()), labels}
		all[f.GetName()] = k
		if h := m.GetHistogram(); h != nil {
			all[f.GetName()+"_sum"] = known{"counter", labels}
			all[f.GetName()+"_count"] = known{"counter", labels}
			// A native histogram has no classic buckets to calculate with.
			if len(h.GetBucket()) > 0 {
				all[f.GetName()+"_bucket"] = known{"counter", append([]string{"le"}, labels...)}
			}
		}
	}
	return all
}

var variableLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)

// values is one value for each label of a metric.
func values(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	described := make(chan *prometheus.Desc, 1)
	c.Describe(described)
	desc := (<-described).String()
	names := variableLabels.FindStringSubmatch(desc)
	if names == nil {
		t.Fatalf("no labels in %s", desc)
	}
	return strings.Split(names[1], ",")
}

var (
	nameInQuery    = regexp.MustCompile(`tiercel_[a-z0-9_]*`)
	selector       = regexp.MustCompile(`(tiercel_[a-z0-9_]*)\{([^}]*)\}`)
	matcherLabel   = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping       = regexp.MustCompile(`\b(?:by|without)\s*\(([^)]*)\)`)
	legendLabel    = regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)
	template       = regexp.MustCompile(`\$labels\.([a-z_]+)`)
	scraped        = []string{"instance", "job"} // added by the one who scrapes
	overCounter    = regexp.MustCompile(`(?:rate|increase)\((tiercel_[a-z0-9_]*)`)
	inQuantile     = regexp.MustCompile(`histogram_quantile\([0-9.]+, sum(?: by \([a-z_, ]*\))? ?\(rate\((tiercel_[a-z0-9_]*)`)
	quantileOpened = regexp.MustCompile(`histogram_quantile\(`)
)

// faults says what is wrong with a query, given the metrics there are. shown
// are the labels that text around it uses.
func faults(query string, shown []string, all map[string]known) []string {
	var bad []string
	add := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	names := nameInQuery.FindAllString(query, -1)
	if len(names) == 0 {
		add("names no metric")
	}
	if strings.Count(query, "(") != strings.Count(query, ")") || strings.Count(query, "[") != strings.Count(query, "]") || strings.Count(query, "{") != strings.Count(query, "}") {
		add("has unbalanced brackets")
	}
	labels := slices.Clone(scraped)
	for _, n := range names {
		if k, ok := all[n]; !ok {
			add("names %s, which is no metric", n)
		} else {
			labels = append(labels, k.labels...)
		}
	}
	for _, s := range selector.FindAllStringSubmatch(query, -1) {
		for _, l := range matcherLabel.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(all[s[1]].labels, l[1]) && !slices.Contains(scraped, l[1]) {
				add("selects %s by %s, which it has not", s[1], l[1])
			}
		}
	}
	var grouped []string
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			grouped = append(grouped, strings.TrimSpace(l))
		}
	}
	for _, l := range append(slices.Clone(grouped), shown...) {
		if !slices.Contains(labels, l) {
			add("uses label %s, which no metric of it has", l)
		}
	}
	aggregated := regexp.MustCompile(`\b(sum|min|max)\b`).MatchString(query)
	for _, l := range shown {
		if aggregated && !slices.Contains(grouped, l) {
			add("shows label %s, which the sum takes away", l)
		}
	}
	for _, m := range overCounter.FindAllStringSubmatch(query, -1) {
		if k := all[m[1]].kind; k != "counter" && k != "histogram" {
			add("takes the rate of %s, which is a %s", m[1], k)
		}
	}
	quantiles := inQuantile.FindAllStringSubmatch(query, -1)
	if len(quantiles) != len(quantileOpened.FindAllString(query, -1)) {
		add("takes a quantile in a form this test does not know")
	}
	for _, m := range quantiles {
		if all[m[1]].kind != "histogram" {
			add("takes a quantile of %s, which is no histogram", m[1])
		}
	}
	return bad
}

func captures(re *regexp.Regexp, text string) []string {
	var all []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

type dashboard struct {
	Panels []struct {
		ID      int    `json:"id"`
		Title   string `json:"title"`
		Type    string `json:"type"`
		GridPos struct {
			X, Y, W, H int
		} `json:"gridPos"`
		Targets []struct {
			Expr         string `json:"expr"`
			LegendFormat string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	all := offered(t)
	text, err := os.ReadFile("grafana/tiercel.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	used := map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id of another", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			for _, bad := range faults(target.Expr, captures(legendLabel, target.LegendFormat), all) {
				t.Errorf("panel %q: %s\n%s", p.Title, bad, target.Expr)
			}
			for _, n := range nameInQuery.FindAllString(target.Expr, -1) {
				used[n] = true
			}
		}
	}
	for _, name := range []string{
		"tiercel_ingest_events_total", "tiercel_ingest_ack_seconds", "tiercel_wal_fsync_seconds", "tiercel_queue_oldest_seconds", "tiercel_queue_depth",
		"tiercel_detections_total", "tiercel_quarantine_events_total", "tiercel_ledger_unaccounted_events", "tiercel_source_silent", "tiercel_disk_free_bytes",
	} {
		if !used[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	all := offered(t)
	file, err := os.Open("prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var a alerts
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	if err := decoder.Decode(&a); err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../docs/howto/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	const runbooks = "https://github.com/tiercel-io/tiercel/blob/main/docs/howto/operate.md#"
	seen := map[string]bool{}
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] {
				t.Errorf("%s stands there twice", r.Alert)
			}
			seen[r.Alert] = true
			texts := r.Annotations["summary"] + r.Annotations["description"]
			for _, bad := range faults(r.Expr, captures(template, texts), all) {
				t.Errorf("%s %s\n%s", r.Alert, bad, r.Expr)
			}
			if r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" {
				t.Errorf("%s has severity %q", r.Alert, r.Labels["severity"])
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say what it is about", r.Alert)
			}
			if want := runbooks + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s has the runbook %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
			_, section, ok := strings.Cut(string(guide), "\n### "+r.Alert+"\n")
			section, _, _ = strings.Cut(section, "\n### ")
			if !ok || !strings.Contains(section, "**What it means.**") || !strings.Contains(section, "**What to do.**") {
				t.Errorf("docs/howto/operate.md has no section %q that says what it means and what to do", r.Alert)
			}
		}
	}
	for _, section := range captures(regexp.MustCompile(`(?m)^### (Tiercel\w+)$`), string(guide)) {
		if !seen[section] {
			t.Errorf("docs/howto/operate.md explains %s, which is no alert", section)
		}
	}
}

// The check can fail: what is wrong in a query is named.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	all := offered(t)
	for query, want := range map[string]string{
		`sum(rate(tiercel_ingest_event_total[5m]))`:                             "no metric",
		`sum by (host) (tiercel_queue_depth)`:                                   "uses label host",
		`tiercel_queue_depth{source="a"}`:                                       "selects tiercel_queue_depth by source",
		`rate(tiercel_queue_depth[5m])`:                                         "is a gauge",
		`histogram_quantile(0.99, sum(rate(tiercel_detections_total[5m])))`:     "no histogram",
		`histogram_quantile(0.99, sum(rate(tiercel_wal_fsync_seconds_bucket)))`: "no metric",
		`histogram_quantile(0.99, tiercel_wal_fsync_seconds)`:                   "form this test does not know",
		`sum(tiercel_queue_depth`:                                               "unbalanced",
		`up == 0`:                                                               "names no metric",
	} {
		if got := strings.Join(faults(query, nil, all), "; "); !strings.Contains(got, want) {
			t.Errorf("%s: found %q, want %q", query, got, want)
		}
	}
	if got := faults(`sum(tiercel_queue_depth)`, []string{"stage"}, all); len(got) != 1 {
		t.Errorf("a label that the sum takes away: %v", got)
	}
	for _, query := range []string{
		`sum by (le) (tiercel_disk_free_bytes)`, `sum(rate(tiercel_wal_fsync_seconds_count[5m]))`,
	} {
		if got, want := len(faults(query, nil, all)) == 0, !strings.Contains(query, "le"+")"); got != want {
			t.Errorf("%s: sound is %v, want %v", query, got, want)
		}
	}
}

// The unit takes away what a server of logs never needs.
func TestUnitIsConfined(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("systemd/tiercel.service")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			set[k] = v
		}
	}
	for k, want := range map[string]string{
		"Type": "notify", "DynamicUser": "yes", "StateDirectory": "tiercel", "ProtectSystem": "strict", "ProtectHome": "yes", "NoNewPrivileges": "yes",
		"PrivateTmp": "yes", "SystemCallFilter": "@system-service", "LimitNOFILE": "65536", "Restart": "on-failure", "CapabilityBoundingSet": "",
	} {
		if got, ok := set[k]; !ok || got != want {
			t.Errorf("%s is %q, want %q", k, got, want)
		}
	}
	if v, ok := set["ExecReload"]; ok {
		t.Errorf("it reloads with %q, and a signal would end it", v)
	}
	if !strings.HasPrefix(set["ExecStart"], "/usr/bin/tiercel serve") {
		t.Errorf("it starts %q", set["ExecStart"])
	}
}
