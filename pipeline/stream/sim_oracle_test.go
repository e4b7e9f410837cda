package stream

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate/oracle"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

// scopeKey is what the oracle decides at once: what is live of a tenant, or one
// import. era counts, for what comes and goes with the content, how often it
// came; it is 0 for the rest.
type scopeKey struct {
	tenant event.Tenant
	set    string
	era    int
}

// cellName is a cell of the ledger.
type cellName struct {
	tenant event.Tenant
	source string
	minute int64
}

// judge is the oracle of a run: one pass over the log, one record after the
// other.
type judge struct {
	s       *sim
	content *Content
	hits    map[scopeKey][]oracle.Hit
	// eras is how often what comes and goes came; going says that it is there at
	// the end.
	eras   int
	going  bool
	cells  map[cellName]*ledger.Counts
	poison map[event.Tenant]map[string]bool
	// tainted are host, user, and both, of which a live event came late.
	tainted map[event.Tenant]map[string]bool
	ids     map[event.Tenant]map[string]*simRecord
	// floor is the furthest that a partition's watermark is once it has one: until
	// all have begun, what is older may be late by another partition's time.
	floor map[event.Tenant]int64
	late  int
}

// read takes the log as it stands at the end. It must hold every acknowledged
// batch once, in the partition it was sent to.
func (j *judge) read() error {
	j.hits, j.cells = map[scopeKey][]oracle.Hit{}, map[cellName]*ledger.Counts{}
	j.poison, j.tainted, j.ids = map[event.Tenant]map[string]bool{}, map[event.Tenant]map[string]bool{}, map[event.Tenant]map[string]*simRecord{}
	for _, t := range j.s.tenants.All() {
		j.poison[t], j.tainted[t], j.ids[t] = map[string]bool{}, map[string]bool{}, map[string]*simRecord{}
	}
	byKey := map[[32]byte]*simBatch{}
	for _, b := range j.s.batches {
		byKey[b.key] = b
	}
	if err := j.begun(byKey); err != nil {
		return err
	}
	times := map[int]int{}
	log := j.s.node.log
	j.going = j.s.node.node.current.Load().Version == j.content.Version
	for _, h := range log.Heads() {
		if h.Partition.Kind == ingest.KindEvents {
			on, err := j.changes(h.Partition)
			if err != nil {
				return err
			}
			_, times := j.begins(on)
			j.eras = max(j.eras, times)
			j.s.trace("content of %v: %v", h.Partition, on)
		}
	}
	for _, h := range log.Heads() {
		if h.Partition.Kind != ingest.KindEvents {
			continue
		}
		p := partitionWalk{judge: j, p: h.Partition, watermark: never}
		if err := p.begin(); err != nil {
			return err
		}
		for from := int64(0); from < h.Next; {
			page, err := log.Read(h.Partition, from, 1<<20)
			if err != nil {
				return err
			}
			if page.Next <= from {
				return fmt.Errorf("the log of %v ends at %d, not at %d", h.Partition, from, h.Next)
			}
			for _, g := range page.Gaps {
				p.gap(&g)
			}
			for i := range page.Entries {
				e := &page.Entries[i]
				m, err := ingest.ParseMeta(e.Meta)
				if err != nil {
					return err
				}
				b := byKey[m.Key]
				if m.Kind == ingest.KindBatch {
					if b == nil || b.tenant != h.Partition.Tenant || b.source != h.Partition.Source || int(b.shard) != h.Partition.Shard || m.Records != len(b.records) {
						return fmt.Errorf("entry %d of %v is not the batch that was sent there", e.Offset, h.Partition)
					}
					times[b.n]++
				}
				if err := p.entry(e.Offset, m, b); err != nil {
					return err
				}
			}
			from = page.Next
		}
	}
	for _, b := range j.s.batches {
		if n := times[b.n]; n != 1 {
			return fmt.Errorf("batch %d for %s/%s/%d (acknowledged: %v) stands in the log %d times", b.n, b.tenant, b.source, b.shard, b.acked, n)
		}
	}
	return nil
}

// begun finds how far the first batch of a partition brings its watermark, for
// each tenant the furthest.
func (j *judge) begun(byKey map[[32]byte]*simBatch) error {
	j.floor = map[event.Tenant]int64{}
	for _, t := range j.s.tenants.All() {
		j.floor[t] = never
	}
	for _, h := range j.s.node.log.Heads() {
		p := h.Partition
		if p.Kind != ingest.KindEvents || p.Source == simImport {
			continue
		}
		err := j.s.node.log.Metas(p, 0, func(_ int64, meta []byte) bool {
			m, err := ingest.ParseMeta(meta)
			b := byKey[m.Key]
			if err != nil || m.Kind != ingest.KindBatch || b == nil {
				return true
			}
			for i := range b.records {
				j.floor[p.Tenant] = max(j.floor[p.Tenant], min(b.records[i].at, m.Received)-j.s.lateness(p.Source).Microseconds())
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// partitionWalk is the state of one partition of events.
type partitionWalk struct {
	*judge
	p         store.Partition
	watermark int64
	more      bool
	era, set  int
}

// changes lists the changes of content in a partition: whether each brings what
// comes and goes.
func (j *judge) changes(p store.Partition) (on []bool, err error) {
	err = j.s.node.log.Metas(p, 0, func(_ int64, meta []byte) bool {
		if m, err := ingest.ParseMeta(meta); err == nil && m.Kind == ingest.KindContent {
			on = append(on, Version(m.Key) == j.content.Version)
		}
		return true
	})
	return on, err
}

// begins says whether a partition with these changes begins with what comes and
// goes, and how often it has it.
func (j *judge) begins(on []bool) (more bool, times int) {
	if more = j.going; len(on) > 0 {
		more = !on[0]
	}
	was := false
	for _, is := range append([]bool{more}, on...) {
		if is && !was {
			times++
		}
		was = is
	}
	return more, times
}

// begin finds the content that decides the first entry: what the first change
// changes, or what goes on at the end. Eras count from the end, for a partition
// may be younger than the first.
func (w *partitionWalk) begin() error {
	on, err := w.changes(w.p)
	if err != nil {
		return err
	}
	more, times := w.begins(on)
	w.more, w.era = more, w.eras-times
	if more {
		w.era++
	}
	return nil
}

func (w *partitionWalk) entry(offset int64, m ingest.Meta, b *simBatch) error {
	lateness := w.s.lateness(w.p.Source).Microseconds()
	imported := w.p.Source == simImport
	switch m.Kind {
	case ingest.KindContent:
		if was := w.more; was != (Version(m.Key) == w.content.Version) {
			w.more = !was
			if w.more {
				w.era++
			}
		}
		return nil
	case ingest.KindHeartbeat:
		w.watermark = max(w.watermark, m.Received-lateness)
		return nil
	}
	t := w.p.Tenant
	name := cellName{t, w.p.Source, m.Received / time.Minute.Microseconds()}
	if w.cells[name] == nil {
		w.cells[name] = &ledger.Counts{}
	}
	c := w.cells[name]
	newest, any := int64(never), false
	for i := range b.records {
		r := &b.records[i]
		c.Received++
		if r.poison != "" {
			c.Quarantined++
			w.poison[t][fmt.Sprintf("%v %d %d %s %s", w.p, offset, i, r.poison, b.data[r.start:r.end])] = true
			continue
		}
		any, newest = true, max(newest, r.at)
		if r.at < w.watermark {
			c.Late++
			w.late++
			w.taint(r)
		} else {
			c.Evaluated++
			if !imported && r.at < w.floor[t] {
				w.taint(r)
			}
		}
		w.record(offset, i, b, r, c, imported)
	}
	if imported {
		if b.file.Last {
			w.set++
		}
		return nil
	}
	if any {
		w.watermark = max(w.watermark, min(newest, m.Received)-lateness)
	}
	return nil
}

// gap takes what a power cut tore while sound bytes behind it survived: nobody
// was told that it is there, and what is known of it counts as damaged.
func (w *partitionWalk) gap(g *store.Gap) {
	for _, meta := range g.Metas {
		m, err := ingest.ParseMeta(meta)
		if err != nil || m.Kind != ingest.KindBatch {
			continue
		}
		name := cellName{w.p.Tenant, w.p.Source, m.Received / time.Minute.Microseconds()}
		if w.cells[name] == nil {
			w.cells[name] = &ledger.Counts{}
		}
		w.cells[name].Received += uint64(m.Records)
		w.cells[name].Damaged += uint64(m.Records)
		w.s.torn++
	}
}

func (w *partitionWalk) taint(r *simRecord) {
	for _, who := range []string{"host " + r.host, "user " + r.user, "both " + r.host + " " + r.user} {
		w.tainted[w.p.Tenant][who] = true
	}
}

// record hands the hits of a record to the oracle.
func (w *partitionWalk) record(offset int64, i int, b *simBatch, r *simRecord, c *ledger.Counts, imported bool) {
	t := w.p.Tenant
	k := scopeKey{tenant: t, set: "live"}
	at := event.BatchPosition(b.key[:], i<<12)
	seq := uint64(offset)<<14 | uint64(i)
	if imported {
		k.set = fmt.Sprint("import ", w.set)
		at = event.FilePosition(b.file.Fingerprint, b.frames[i].Offset)
		seq = uint64(b.frames[i].Offset)
	}
	id := event.EventID(t, w.p.Source, at)
	w.ids[t][id.String()] = r
	fields := map[string][]string{"Computer": {r.host}, "User": {r.user}, "Size": {r.size}, "@host": {r.host}, "@user": {r.user}}
	for rule, word := range simWords {
		if !slices.Contains(r.words, word) || rule == simMoreRule && !w.more {
			continue
		}
		c.Matches++
		own := k
		if rule == simMoreRule {
			own.era = w.era
		}
		w.hits[own] = append(w.hits[own], oracle.Hit{Rule: ruleIndex(w.content.Sigma.Rules(), rule), Time: r.at, Seq: seq, ID: id, Fields: fields})
	}
}

// expected is a detection that must stand at the end.
type expected struct {
	oracle.Detection
	key  scopeKey
	rule string
}

// decide lets the oracle of correlations say what stands at the end.
func (j *judge) decide() map[event.Tenant]map[string]*expected {
	out := map[event.Tenant]map[string]*expected{}
	rules := j.content.Sigma.Rules()
	for _, t := range j.s.tenants.All() {
		out[t] = map[string]*expected{}
	}
	for k, hits := range j.hits {
		cfg := oracle.Config{
			Tenant: k.tenant, Rules: rules, Correlations: j.content.Correlations,
			Episode: func(int) oracle.Episode { return oracle.Episode{Fields: simEpisode.Fields, Gap: simEpisode.Gap} },
		}
		for _, d := range oracle.Detections(cfg, hits) {
			e := &expected{Detection: d, key: k}
			if d.Rule >= 0 {
				e.rule = rules[d.Rule].ID
			} else {
				e.rule = j.content.Correlations[d.Correlation].ID
			}
			out[k.tenant][d.ID.String()] = e
		}
	}
	return out
}

// isTainted reports whether a late event may have had a part in a group, whose
// outcome then depends on what was still held when it came.
func (j *judge) isTainted(t event.Tenant, group map[string]string) bool {
	host, user := "", ""
	for f, v := range group {
		switch strings.TrimPrefix(f, "@") {
		case "host", "Computer":
			host = strings.ToLower(v)
		case "user", "User":
			user = strings.ToLower(v)
		}
	}
	switch {
	case user == "":
		return j.tainted[t]["host "+host]
	case host == "":
		return j.tainted[t]["user "+user]
	}
	return j.tainted[t]["both "+host+" "+user]
}

// faults gathers what is wrong, the first of it.
type faultList struct {
	list  []error
	total int
}

func (f *faultList) add(format string, args ...any) {
	if f.total++; f.total <= 12 {
		f.list = append(f.list, fmt.Errorf(format, args...))
	}
}

// verify compares the node with the oracle.
func (s *sim) verify() error {
	content, err := s.library.content(true)
	if err != nil {
		return err
	}
	j := &judge{s: s, content: content}
	if err := j.read(); err != nil {
		return err
	}
	f := &faultList{}
	want := j.decide()
	for _, t := range s.tenants.All() {
		if err := j.detections(t, want[t], f); err != nil {
			return err
		}
		if err := j.quarantined(t, f); err != nil {
			return err
		}
		if err := j.ledger(t, f); err != nil {
			return err
		}
	}
	s.node.node.mu.Lock()
	for k, n := range s.node.node.unaccounted {
		if n != 0 {
			f.add("the audit misses %d records of %s/%s", n, k.tenant, k.name)
		}
	}
	s.node.node.mu.Unlock()
	if f.total > 0 {
		f.list = append(f.list, fmt.Errorf("%d differences in all", f.total))
	}
	s.trace("%d detections expected, %d late events, %d cuts", func() (n int) {
		for _, m := range want {
			n += len(m)
		}
		return n
	}(), j.late, s.cuts)
	return errors.Join(f.list...)
}

// stored lists all detections of a tenant but those about the telemetry.
func (s *sim) stored(t event.Tenant) (map[string]*detection.Detection, error) {
	out := map[string]*detection.Detection{}
	filter := detection.Filter{Phases: append([]string{detection.Superseded}, simPhases...), Limit: detection.LimitMax}
	for {
		page, err := s.node.node.detections.List(t, filter)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Detections {
			out[d.ID] = d
		}
		if filter.Cursor = page.Next; page.Next == "" {
			return out, nil
		}
	}
}

func (j *judge) detections(t event.Tenant, want map[string]*expected, f *faultList) error {
	got, err := j.s.stored(t)
	if err != nil {
		return err
	}
	v := j.s.shown[t]
	v.mu.Lock()
	for id, d := range v.latest {
		if now := got[id]; now == nil {
			f.add("%s: %s was shown as %s and is not there any more", t, id, d.Phase)
		} else if now.Revision != d.Revision || now.Phase != d.Phase {
			f.add("%s: %s was last shown as %s, revision %s, and is %s, revision %s", t, id, d.Phase, d.Revision, now.Phase, now.Revision)
		}
	}
	for id := range got {
		if v.latest[id] == nil {
			f.add("%s: %s is there and was never shown", t, id)
		}
	}
	v.mu.Unlock()
	covered := map[string]bool{} // rule and event
	for _, id := range sortedKeys(got) {
		d := got[id]
		if d.Rule.Kind == "health" || d.Phase == detection.Superseded {
			continue
		}
		for i := range d.Evidence {
			e := d.Evidence[i].EventID
			covered[d.Rule.ID+e] = true
			if j.ids[t][e] == nil {
				f.add("%s: %s of %s rests on %s, which is no event of the tenant", t, id, d.Rule.Title, e)
			}
		}
		group := map[string]string{}
		for _, g := range d.Group {
			group[g.Field] = g.Value
		}
		e := want[id]
		if e == nil {
			if !j.isTainted(t, group) {
				f.add("%s: %s of %q for %v at %s, %d events, %s, should not be", t, id, d.Rule.Title, d.Group, d.AnchorTime.Format(stampFormat), d.Count, d.Phase)
			}
			continue
		}
	}
	for _, id := range sortedKeys(want) {
		e := want[id]
		group := map[string]string{}
		for _, g := range e.Group {
			group[g.Field] = g.Value
		}
		if e.key.set == "live" && j.isTainted(t, group) {
			continue
		}
		what := fmt.Sprintf("%s: %s of %s in %q, era %d, for %v at %s", t, id, e.rule, e.key.set, e.key.era, group, at(e.AnchorTime).Format(stampFormat))
		d := got[id]
		if d == nil {
			f.add("%s is missing (%d events)", what, e.Count)
			continue
		}
		over := e.key.era > 0 && (e.key.era < j.eras || !j.going)
		if d.Phase != detection.Closed && !(over && d.Phase != detection.Superseded) {
			f.add("%s is %s", what, d.Phase)
			continue
		}
		if over && d.Rule.ID == e.rule && d.AnchorTime.UnixMicro() == e.AnchorTime {
			// What is provisional is brought up to date when it becomes final, which
			// a rule that was taken away does not live to see.
			continue
		}
		if d.Rule.ID != e.rule || d.Count != uint64(e.Count) || d.Value != e.Value || d.AnchorTime.UnixMicro() != e.AnchorTime || d.FirstTime.UnixMicro() != e.First || d.LastTime.UnixMicro() != e.Last {
			f.add("%s has rule %s, count %d, value %g, anchor %s, times %s to %s; want count %d, value %g, times %s to %s", what, d.Rule.ID, d.Count, d.Value,
				d.AnchorTime.Format(stampFormat), d.FirstTime.Format(stampFormat), d.LastTime.Format(stampFormat), e.Count, e.Value, at(e.First).Format(stampFormat), at(e.Last).Format(stampFormat))
			continue
		}
		var ids []string
		for i := range d.Evidence {
			ids = append(ids, d.Evidence[i].EventID)
		}
		if wanted := evidenceOf(e); !slices.Equal(ids, wanted) {
			f.add("%s rests on %v, want %v", what, ids, wanted)
		}
	}
	// Whatever else a late event does, the rule that it meets fires.
	for k, hits := range j.hits {
		if k.tenant != t {
			continue
		}
		for i := range hits {
			rule := j.content.Sigma.Rules()[hits[i].Rule].ID
			if simWords[rule] != "ay" && simWords[rule] != "dee" || covered[rule+hits[i].ID.String()] {
				continue
			}
			if r := j.ids[t][hits[i].ID.String()]; k.set == "live" && j.isTainted(t, map[string]string{"host": r.host, "user": r.user}) {
				f.add("%s: the late event %s at %s meets %s and is in no detection", t, hits[i].ID, at(hits[i].Time).Format(stampFormat), rule)
			}
		}
	}
	return nil
}

const stampFormat = "15:04:05.000000"

// evidenceOf are the ids that a detection shows: the first and the last.
func evidenceOf(e *expected) []string {
	var out []string
	for i, id := range e.Evidence {
		if i < 20 || i >= len(e.Evidence)-80 {
			out = append(out, id.String())
		}
	}
	return out
}

func (j *judge) quarantined(t event.Tenant, f *faultList) error {
	got := map[string]bool{}
	filter := quarantine.Filter{Limit: quarantine.LimitMax}
	for {
		page, err := j.s.node.node.quarantine.List(t, filter)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			full, err := j.s.node.node.quarantine.Get(t, e.ID)
			if err != nil {
				return err
			}
			key := fmt.Sprintf("%s %d %d %s %s", e.Partition, e.Offset, e.Index, e.Reason, full.Raw)
			if got[key] {
				f.add("%s: twice in quarantine: %s", t, key)
			}
			got[key] = true
		}
		if filter.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	for _, key := range sortedKeys(got) {
		if !j.poison[t][key] {
			f.add("%s: in quarantine, and should not be: %s", t, key)
		}
	}
	for _, key := range sortedKeys(j.poison[t]) {
		if !got[key] {
			f.add("%s: not in quarantine: %s", t, key)
		}
	}
	return nil
}

func (j *judge) ledger(t event.Tenant, f *faultList) error {
	if err := j.s.node.node.ledger.flush(); err != nil {
		return err
	}
	now := time.Now()
	account, err := j.s.node.node.Ledger(t, "", now.Add(-48*time.Hour), now.Add(time.Minute), 0)
	if err != nil {
		return err
	}
	got := map[cellName]ledger.Counts{}
	for _, m := range account.Minutes {
		c := m.Counts
		got[cellName{t, m.Source, m.Minute}] = ledger.Counts{Received: c.Received, Evaluated: c.Evaluated, Late: c.Late, Quarantined: c.Quarantined, Damaged: c.Damaged, Matches: c.Matches}
	}
	names := map[cellName]bool{}
	for k := range got {
		names[k] = true
	}
	for k := range j.cells {
		if k.tenant == t {
			names[k] = true
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(names), func(a, b cellName) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.minute, b.minute))
	}) {
		want := ledger.Counts{}
		if c := j.cells[k]; c != nil {
			want = *c
		}
		if got[k] != want {
			f.add("%s: the ledger of %s at minute %d is %+v, want %+v", t, k.source, k.minute, got[k], want)
		}
	}
	return nil
}
