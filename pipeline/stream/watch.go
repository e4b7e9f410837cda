package stream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store"
)

// watched is what is known of a source's silence.
type watched struct {
	silent   time.Time
	expected time.Duration
	blind    []string
}

// watcher keeps an eye on the sources of one tenant: whether they speak, and
// whether what they say still parses and has the fields that rules need. The
// node's watching lock guards it.
type watcher struct {
	tenant  event.Tenant
	silence *health.Silence
	drift   *health.Drift
	// minutes are the records of each source by minute, until the minute is over.
	minutes map[string]map[int64]uint64
	// windows are the counts of the drift windows under way, by source.
	windows map[string]*window
}

// window is what a source brought since start, a minute.
type window struct {
	start                   int64
	records, parsed, routed uint64
	fields                  map[[2]string]*health.FieldCount // by view and field
}

// kindHealth holds the state of finders.
const (
	kindHealth = "health"
	silenceID  = "silence"
	driftID    = "drift"
)

// openWatchers takes up what is known of the sources.
func (n *Node) openWatchers() error {
	for _, t := range n.cfg.Tenants {
		w := &watcher{tenant: t, minutes: map[string]map[int64]uint64{}, windows: map[string]*window{}}
		silence, err := n.finder(t, silenceID)
		if err != nil {
			return err
		}
		if w.silence, err = health.RestoreSilence(health.SilenceConfig{Tenant: t}, silence); err != nil {
			w.silence = health.NewSilence(health.SilenceConfig{Tenant: t})
		}
		drift, err := n.finder(t, driftID)
		if err != nil {
			return err
		}
		if w.drift, err = health.RestoreDrift(health.DriftConfig{Tenant: t}, drift); err != nil {
			w.drift = health.NewDrift(health.DriftConfig{Tenant: t})
		}
		n.watchers[t] = w
	}
	return nil
}

// finder reads a finder's state; one that is lost costs what it had learned.
func (n *Node) finder(t event.Tenant, id string) ([]byte, error) {
	state, err := loadState(n.records, t, kindHealth, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, errState) {
		return nil, nil
	}
	return state, err
}

// resume takes up which sources were silent when the process stopped, and what
// the configuration says of each by now. Feeds and content must be known.
func (n *Node) resume() error {
	minute := n.clock.Now().Unix() / 60
	spoken := n.spoken()
	n.watching.Lock()
	expected := map[*watcher]findings{}
	var silent []sourceKey
	n.mu.Lock()
	for _, t := range n.cfg.Tenants {
		w := n.watchers[t]
		awaited := n.awaited(t)
		for _, s := range w.silence.Silent() {
			if _, named := awaited[s.Source]; s.Unheard && !named && !spoken[sourceKey{t, s.Source}] || n.source(t, s.Source).ExpectSilence {
				// It may be silent from now on, or is no longer configured.
				w.silence.Forget(s.Source)
				f := expected[w]
				f.recovered = append(f.recovered, health.Recovered{Silent: s, At: minute})
				expected[w] = f
				continue
			}
			k := sourceKey{t, s.Source}
			n.watched[k] = newWatched(&s)
			n.cfg.Metrics.SourceSilent.WithLabelValues(t.String(), s.Source).Set(1)
			silent = append(silent, k)
		}
	}
	n.mu.Unlock()
	for _, f := range n.scheduler.all() {
		w := n.watchers[f.partition.Tenant]
		switch {
		case w == nil || f.source.Import:
		case f.source.ExpectSilence:
			w.silence.Forget(f.source.Name)
		default:
			w.silence.Declare(f.source.Name, cadenceMinutes(f.source), minute)
		}
	}
	err := n.await(minute, spoken)
	n.watching.Unlock()
	if err != nil {
		return err
	}
	// What no source feeds is known once all that are silent are.
	for _, k := range silent {
		blind := n.blind(k)
		n.mu.Lock()
		n.watched[k].blind = blind
		n.mu.Unlock()
	}
	for w, f := range expected {
		if err := n.tell(w, f); err != nil {
			return err
		}
	}
	return nil
}

// spoken are the sources of which the log has anything.
func (n *Node) spoken() map[sourceKey]bool {
	out := map[sourceKey]bool{}
	for _, f := range n.scheduler.all() {
		out[sourceKey{f.partition.Tenant, f.partition.Source}] = true
	}
	return out
}

// awaited are the sources of a tenant that are configured and should speak.
func (n *Node) awaited(t event.Tenant) map[string]*Source {
	out := map[string]*Source{}
	for _, name := range n.settings(t).Sources {
		if s := n.source(t, name); !s.Import && !s.ExpectSilence {
			out[name] = s
		}
	}
	return out
}

// await watches the sources that are configured and have never spoken, each from
// the first start that knew it: the state is stored at once, so that no later
// start begins anew. The watching lock is held.
func (n *Node) await(minute int64, spoken map[sourceKey]bool) error {
	for _, t := range n.cfg.Tenants {
		w, awaited := n.watchers[t], n.awaited(t)
		before := w.silence.Encode()
		for _, name := range w.silence.Unheard() {
			if awaited[name] == nil && !spoken[sourceKey{t, name}] {
				w.silence.Forget(name)
			}
		}
		for _, name := range sortedKeys(awaited) {
			w.silence.Except(name, awaited[name].Except)
			w.silence.Await(name, cadenceMinutes(awaited[name]), minute)
		}
		if state := w.silence.Encode(); !bytes.Equal(state, before) {
			if err := saveState(n.records, t, kindHealth, silenceID, state); err != nil {
				return err
			}
		}
	}
	return nil
}

func newWatched(s *health.Silent) *watched {
	return &watched{silent: minuteTime(s.Since), expected: time.Duration(s.Expected) * time.Minute}
}

// cadenceMinutes is the declared cadence, or 0.
func cadenceMinutes(s *Source) int64 {
	if s.Cadence <= 0 {
		return 0
	}
	return max(1, int64(s.Cadence/time.Minute))
}

// spoke notes records that came.
func (n *Node) spoke(f *feed, received int64, records int) {
	if f.source.Import || f.source.ExpectSilence || records == 0 {
		return
	}
	n.watching.Lock()
	defer n.watching.Unlock()
	w := n.watchers[f.partition.Tenant]
	if w == nil {
		return
	}
	name := f.partition.Source
	if w.minutes[name] == nil {
		w.minutes[name] = map[int64]uint64{}
		w.silence.Declare(name, cadenceMinutes(f.source), received/time.Minute.Microseconds())
	}
	w.minutes[name][received/time.Minute.Microseconds()] += uint64(records)
}

// measured notes what a batch says of how the records of a source are.
func (n *Node) measured(f *feed, received int64, s *Section, out *outcome) {
	if f.source.Import || s.Counts.Records == 0 {
		return
	}
	n.watching.Lock()
	defer n.watching.Unlock()
	w := n.watchers[f.partition.Tenant]
	if w == nil {
		return
	}
	start := received / time.Minute.Microseconds() / health.WindowMinutes * health.WindowMinutes
	x := w.windows[f.partition.Source]
	if x != nil && start > x.start {
		w.close(f.partition.Source, x)
		x = nil
	}
	if x == nil {
		x = &window{start: start, fields: map[[2]string]*health.FieldCount{}}
		w.windows[f.partition.Source] = x
	}
	c := &s.Counts
	read := c.Evaluated + c.Late
	x.records += c.Records
	x.parsed += read - min(read, c.Unparsed)
	x.routed += read - min(read, c.Unrouted)
	for i := range out.presence {
		p := &out.presence[i]
		k := [2]string{p.View, p.Field}
		if x.fields[k] == nil {
			if len(x.fields) >= health.FieldsMax {
				continue
			}
			x.fields[k] = &health.FieldCount{View: p.View, Field: p.Field}
		}
		x.fields[k].Records += p.Records
		x.fields[k].Present += p.Present
	}
}

// close hands a window over.
func (w *watcher) close(source string, x *window) {
	out := health.Window{Records: x.records, Parsed: x.parsed, Routed: x.routed}
	for _, f := range x.fields {
		out.Fields = append(out.Fields, *f)
	}
	sort.Slice(out.Fields, func(i, j int) bool {
		a, b := &out.Fields[i], &out.Fields[j]
		return a.View < b.View || a.View == b.View && a.Field < b.Field
	})
	w.drift.Observe(source, x.start, out)
}

// listen is done each minute: it tells which sources have fallen silent or have
// changed, and raises detections for them.
func (n *Node) listen(minute int64) error {
	for _, t := range n.cfg.Tenants {
		if err := n.listenTo(n.watchers[t], minute); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) listenTo(w *watcher, minute int64) error {
	f, silence, drift := func() (f findings, silence, drift []byte) {
		n.watching.Lock()
		defer n.watching.Unlock()
		w.turn(minute)
		f.silent, f.recovered = w.silence.Check(minute)
		f.drifting, f.steady = w.drift.Findings()
		return f, w.silence.Encode(), w.drift.Encode()
	}()
	// Which rules are left blind is asked of feeds, whose locks come first. What is
	// found is told before it is known to have been: cut short in between, the next
	// start finds it again under the same id, and otherwise it would tell nobody.
	if err := n.tell(w, f); err != nil {
		return err
	}
	return errors.Join(saveState(n.records, w.tenant, kindHealth, silenceID, silence), saveState(n.records, w.tenant, kindHealth, driftID, drift))
}

// findings are what the finders of a tenant have found.
type findings struct {
	silent    []health.Silent
	recovered []health.Recovered
	drifting  []health.Drifting
	steady    []health.Steady
}

// turn hands the counts of what is over to the finders.
func (w *watcher) turn(minute int64) {
	for _, source := range sortedKeys(w.minutes) {
		counts := w.minutes[source]
		over := make([]int64, 0, len(counts))
		for m := range counts {
			if m < minute {
				over = append(over, m)
			}
		}
		slices.Sort(over)
		for _, m := range over {
			w.silence.Observe(source, m, counts[m])
			delete(counts, m)
		}
	}
	for source, x := range w.windows {
		if x.start+health.WindowMinutes+1 <= minute {
			w.close(source, x)
			delete(w.windows, source)
		}
	}
}

// Ids of what raises detections about the telemetry itself.
const (
	ruleSilent = "tiercel.health.silent"
	ruleDrift  = "tiercel.health.drift"
	ruleGap    = "tiercel.health.gap"
)

// minuteTime is the beginning of a minute.
func minuteTime(minute int64) time.Time { return time.Unix(minute*60, 0).UTC() }

// tell raises detections for what was found, and closes those of what is over.
func (n *Node) tell(w *watcher, f findings) error {
	var list []*detection.Detection
	silence := func(s *health.Silent, over int64) *detection.Detection {
		blind := n.blind(sourceKey{w.tenant, s.Source})
		d := finding(ruleSilent, "Source is silent", "high", s.ID, s.Since, over)
		how := "learned"
		if s.Declared {
			how = "declared"
		}
		d.Reason = fmt.Sprintf("source %s has sent nothing since %s; by its %s habit a record is expected every %s", quoted(s.Source), minuteTime(s.Since).Format(time.RFC3339), how, time.Duration(s.Expected)*time.Minute)
		if s.Unheard {
			d.Reason = fmt.Sprintf("source %s is configured and has never sent anything; it is waited for since %s, and a record is expected every %s", quoted(s.Source), minuteTime(s.Since).Format(time.RFC3339), time.Duration(s.Expected)*time.Minute)
			if len(blind) == 0 && n.source(w.tenant, s.Source).Pack == "" {
				d.Reason += "; which rules need it is not known, since it pins no pack"
			}
		}
		d.Reason += blindness(blind)
		d.Group = []detection.Field{{Field: "source", Value: s.Source}}
		d.Values = blind
		return d
	}
	for i := range f.silent {
		s := &f.silent[i]
		d := silence(s, 0)
		list = append(list, d)
		n.mu.Lock()
		x := newWatched(s)
		x.blind = d.Values
		n.watched[sourceKey{w.tenant, s.Source}] = x
		n.mu.Unlock()
		n.cfg.Metrics.SourceSilent.WithLabelValues(w.tenant.String(), s.Source).Set(1)
	}
	for i := range f.recovered {
		r := &f.recovered[i]
		list = append(list, silence(&r.Silent, r.At))
		n.mu.Lock()
		delete(n.watched, sourceKey{w.tenant, r.Silent.Source})
		n.mu.Unlock()
		n.cfg.Metrics.SourceSilent.WithLabelValues(w.tenant.String(), r.Silent.Source).Set(0)
	}
	change := func(d *health.Drifting, over int64) *detection.Detection {
		what := map[health.What]string{health.ParseRate: "records that parse", health.RoutedShare: "records that a pack knows"}[d.What]
		if d.What == health.FieldShare {
			what = fmt.Sprintf("records of %s with the field %s", d.View, quoted(d.Field))
		}
		out := finding(ruleDrift, "Records of a source have changed", "medium", d.ID, d.Since, over)
		out.Reason = fmt.Sprintf("of source %s the share of %s fell from at least %.0f %% to %.0f %%", quoted(d.Source), what, 100*d.Was, 100*d.Is)
		out.Group = []detection.Field{{Field: "source", Value: d.Source}}
		if d.Field != "" {
			blind := n.asking(d.View, d.Field)
			out.Reason += blindness(blind)
			out.Values = blind
		}
		return out
	}
	for i := range f.drifting {
		list = append(list, change(&f.drifting[i], 0))
	}
	for i := range f.steady {
		list = append(list, change(&f.steady[i].Drifting, f.steady[i].At))
	}
	if len(list) == 0 {
		return nil
	}
	return n.raise(w.tenant, list, nil)
}

// raise stores detections that are not of a rule, and has them notified.
func (n *Node) raise(t event.Tenant, list []*detection.Detection, writes []store.Write) error {
	changes, err := n.detections.PutWith(t, list, func(changes []detection.Change) ([]store.Write, error) {
		if n.cfg.Outbox == nil || len(changes) == 0 {
			return writes, nil
		}
		notify, err := n.cfg.Outbox(t, changes)
		return append(slices.Clip(writes), notify...), err
	}, store.Durable)
	if err != nil {
		return fmt.Errorf("detections about sources: %w", err)
	}
	n.metrics.detected(changes, nil, n.clock.Now())
	return nil
}

// finding makes the detection of a finding; over is the minute in which it ended,
// or 0.
func finding(rule, title, level string, id event.ID, since, over int64) *detection.Detection {
	d := &detection.Detection{
		ID: id.String(), Revision: id.String(), Phase: "final", NotifyKey: id.String(), Count: 1,
		Rule:      detection.Rule{ID: rule, Title: title, Kind: "health", Level: level},
		FirstTime: minuteTime(since), LastTime: minuteTime(since), AnchorTime: minuteTime(since),
	}
	if over > 0 {
		d.Phase, d.LastTime = "closed", minuteTime(over)
	}
	return d
}

// blindMax bounds the rules that a sentence names; all are listed as values.
const blindMax = 3

// blindness says which rules see nothing.
func blindness(rules []string) string {
	switch n := len(rules); {
	case n == 0:
		return ""
	case n == 1:
		return "; one rule sees nothing meanwhile: " + rules[0]
	case n <= blindMax:
		return fmt.Sprintf("; %d rules see nothing meanwhile: %s", n, strings.Join(rules, ", "))
	default:
		return fmt.Sprintf("; %d rules see nothing meanwhile, among them %s", n, strings.Join(rules[:blindMax], ", "))
	}
}

// blind returns the ids of the rules that only this source feeds, of those that
// speak.
func (n *Node) blind(k sourceKey) []string {
	c := n.current.Load()
	mine, others := map[string]bool{}, map[string]bool{}
	for _, f := range n.scheduler.all() {
		if f.partition.Tenant != k.tenant {
			continue
		}
		to := others
		if f.partition.Source == k.name {
			to = mine
		} else if n.isSilent(sourceKey{f.partition.Tenant, f.partition.Source}) {
			continue
		}
		f.mu.Lock()
		for v := range f.views {
			to[v] = true
		}
		f.mu.Unlock()
	}
	if pack := n.source(k.tenant, k.name).Pack; len(mine) == 0 && pack != "" {
		// It has never spoken: what it would feed is what its pack can.
		for _, v := range c.Sigma.ViewsOf(pack) {
			mine[v] = true
		}
	}
	fedElsewhere := map[int]bool{}
	for _, r := range c.Sigma.Fed(others) {
		fedElsewhere[r] = true
	}
	var out []string
	for _, r := range c.Sigma.Fed(mine) {
		if !fedElsewhere[r] {
			out = append(out, c.Sigma.Rules()[r].ID)
		}
	}
	return out
}

func (n *Node) isSilent(k sourceKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.watched[k] != nil
}

// asking returns the ids of the rules that ask for a field of a view.
func (n *Node) asking(view, field string) []string {
	s := n.current.Load().Sigma
	var out []string
	for _, r := range s.Fed(map[string]bool{view: true}) {
		if s.Asks(r, field) {
			out = append(out, s.Rules()[r].ID)
		}
	}
	return out
}

// missing raises detections for gaps upstream, and keeps them in the ledger.
func missing(t event.Tenant, sections []*Section) (list []*detection.Detection, writes []store.Write) {
	for _, x := range sections {
		for i := range x.Gaps {
			g := &x.Gaps[i]
			doc := ledger.UpstreamGap{
				ID: g.ID.String(), Source: x.Source, Kind: g.Kind, Host: g.Host, Channel: g.Channel,
				Numbers: ledger.Numbers{From: g.From, To: g.To}, Missing: g.Missing, Before: g.Before, After: g.After, FoundAt: g.Found,
			}
			phase := "final"
			all := g.To - g.From + 1
			left := g.Missing
			doc.Approximate = left != all
			if g.Filled {
				doc.FilledAt, doc.Remaining = x.Received, g.Remaining
				left = 0
				for _, r := range g.Remaining {
					left += r.To - r.From + 1
				}
				if left == 0 {
					phase = "closed"
				}
			}
			writes = append(writes, doc.Write(t))
			d := finding(ruleGap, "Records are missing upstream", "medium", g.ID, g.Found/time.Minute.Microseconds(), 0)
			d.Phase = phase
			d.Revision = fmt.Sprintf("%s-%d", g.ID, left)
			d.Count = g.Missing // what came later makes it no smaller: that would be an older revision
			what := fmt.Sprintf("%d records numbered %d to %d", all, g.From, g.To)
			if doc.Approximate {
				what = fmt.Sprintf("at least %d of the records numbered %d to %d", g.Missing, g.From, g.To)
			}
			d.Reason = fmt.Sprintf("%s of channel %s on %s did not come by source %s", what, quoted(g.Channel), quoted(g.Host), quoted(x.Source))
			switch {
			case g.Filled && left == 0:
				d.Reason += "; all of them came later"
			case g.Filled:
				d.Reason += fmt.Sprintf("; all but %d came later", left)
			}
			d.Group = []detection.Field{{Field: "source", Value: x.Source}, {Field: "host", Value: g.Host}, {Field: "channel", Value: g.Channel}}
			list = append(list, d)
		}
	}
	return list, writes
}
