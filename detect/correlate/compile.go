package correlate

import (
	"slices"

	"github.com/tiercel-io/tiercel/rule"
)

// compile makes the detectors and leads the rules' hits to them.
func (e *Engine) compile() {
	ruleIndex := map[*rule.Rule]int{}
	for i, r := range e.cfg.Rules {
		ruleIndex[r] = i
	}
	silenced := e.silenced()
	for i, r := range e.cfg.Rules {
		alone := !silenced[r.ID]
		if e.cfg.Alone != nil {
			alone = e.cfg.Alone(i)
		}
		if !alone {
			continue
		}
		ep := Episode{}
		if e.cfg.Episode != nil {
			ep = e.cfg.Episode(i)
		}
		d := newEpisodeDetector(i, r, ep)
		e.addDetector(d)
		f := feed{to: d}
		for _, name := range ep.Fields {
			f.group = append(f.group, e.need(i, name))
		}
		e.feeds[i] = append(e.feeds[i], f)
	}
	byCorrelation := map[*rule.Correlation]*detector{}
	for i, c := range e.cfg.Correlations {
		d := newCorrelationDetector(i, c)
		e.addDetector(d)
		byCorrelation[c] = d
		for _, ref := range c.Rules {
			if child := byCorrelation[ref.Correlation]; ref.Correlation != nil && child != nil {
				d.chained = true
				d.delay = max(d.delay, child.held())
			}
		}
	}
	// Parents say which fields of an event they need before children are led
	// their hits.
	for i := len(e.cfg.Correlations) - 1; i >= 0; i-- {
		c := e.cfg.Correlations[i]
		d := byCorrelation[c]
		for ref, r := range c.Rules {
			f := feed{to: d, ref: ref}
			var at func(name string) int
			if r.Rule != nil {
				n, ok := ruleIndex[r.Rule]
				if !ok {
					continue
				}
				at = func(name string) int { return e.need(n, name) }
				e.lead(&f, c, ref, at, at)
				e.feeds[n] = append(e.feeds[n], f)
				continue
			}
			child := byCorrelation[r.Correlation]
			if child == nil {
				continue
			}
			e.lead(&f, c, ref, child.available, child.raw)
			child.parents = append(child.parents, f)
		}
	}
	e.families()
	for i := range e.feeds {
		slices.SortStableFunc(e.feeds[i], func(a, b feed) int { return a.to.index - b.to.index })
	}
}

// families gives all correlations that lead to one another one owner: the shard
// of the first one's id.
func (e *Engine) families() {
	first := make([]int, len(e.detectors)) // of the family, by detector
	for i := range first {
		first[i] = i
	}
	for changed := true; changed; {
		changed = false
		for i, d := range e.detectors {
			for _, p := range d.parents {
				a, b := &first[i], &first[p.to.index]
				if least := min(*a, *b); *a != least || *b != least {
					*a, *b, changed = least, least, true
				}
			}
		}
	}
	for i, d := range e.detectors {
		if d.chained || len(d.parents) > 0 {
			d.family = ShardOf([]byte(e.detectors[first[i]].id))
		}
	}
}

// silenced returns the ids of the rules that raise nothing of their own: those
// a correlation names, unless any of them says generate [D44].
func (e *Engine) silenced() map[string]bool {
	named, speaks := map[string]bool{}, map[string]bool{}
	for _, c := range e.cfg.Correlations {
		for _, r := range c.Rules {
			named[r.ID()] = true
			speaks[r.ID()] = speaks[r.ID()] || c.Generate
		}
	}
	out := map[string]bool{}
	for id := range named {
		out[id] = !speaks[id]
	}
	return out
}

// held is how long after an event's time a fire of the detector may come, in
// event time.
func (d *detector) held() int64 {
	if d.windowed {
		return d.delay + d.timespan
	}
	return d.delay
}

func (e *Engine) addDetector(d *detector) {
	d.index, d.tenant = len(e.detectors), e.cfg.Tenant
	e.detectors = append(e.detectors, d)
	if e.cfg.Suppress == nil {
		return
	}
	if s, ok := e.cfg.Suppress(d.id); ok && s.Window > 0 {
		d.suppress = &s
		for _, name := range s.Fields {
			if i := slices.Index(d.groupBy, name); i >= 0 {
				d.suppressBy = append(d.suppressBy, i)
			}
		}
		if len(s.Fields) == 0 || len(d.suppressBy) < len(s.Fields) {
			d.suppressBy = nil
			for i := range d.groupBy {
				d.suppressBy = append(d.suppressBy, i)
			}
		}
	}
}

// lead fills a feed with the positions of the fields that the correlation reads
// of a ref, and of those that its parents read of the completing event.
func (e *Engine) lead(f *feed, c *rule.Correlation, ref int, at, raw func(name string) int) {
	resolve := func(name string) int { return at(aliased(c, ref, name)) }
	for _, name := range c.GroupBy {
		f.group = append(f.group, resolve(name))
	}
	if f.to.values {
		for _, name := range c.Fields {
			f.value = append(f.value, resolve(name))
		}
	}
	for _, name := range f.to.parentFields {
		f.parent = append(f.parent, raw(name))
	}
}

// aliased returns the field that stands for a name in the events of a ref.
func aliased(c *rule.Correlation, ref int, name string) string {
	for _, a := range c.Aliases {
		if a.Name == name && ref < len(a.Fields) && a.Fields[ref] != "" {
			return a.Fields[ref]
		}
	}
	return name
}

// need returns the position of a field among those of a rule.
func (e *Engine) need(rule int, name string) int {
	if i := slices.Index(e.needs[rule], name); i >= 0 {
		return i
	}
	e.needs[rule] = append(e.needs[rule], name)
	return len(e.needs[rule]) - 1
}

// available returns the position of a field in what a fire of the detector
// hands to its parents: the components of its group key, then fields of the
// completing event [D62].
func (d *detector) available(name string) int {
	if i := slices.Index(d.groupBy, name); i >= 0 {
		return i
	}
	return d.raw(name)
}

// raw is available for a field of the completing event, whatever the group key
// says.
func (d *detector) raw(name string) int {
	i := slices.Index(d.parentFields, name)
	if i < 0 {
		d.parentFields = append(d.parentFields, name)
		i = len(d.parentFields) - 1
	}
	return len(d.groupBy) + i
}
