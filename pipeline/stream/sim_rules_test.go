package stream

import (
	"maps"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/rule"
)

// The rules of the simulator: four of their own, told apart by words in the
// command line, and a correlation of each kind over them.
const (
	simRules = `
title: Word a
id: a0000000-0000-4000-8000-00000000000a
name: word_a
status: test
level: medium
logsource: {product: windows, category: process_creation}
detection: {s: {CommandLine|contains: 'ay'}, condition: s}
---
title: Word b
id: a0000000-0000-4000-8000-00000000000b
name: word_b
status: test
level: low
logsource: {product: windows, category: process_creation}
detection: {s: {CommandLine|contains: 'bee'}, condition: s}
---
title: Word c
id: a0000000-0000-4000-8000-00000000000c
name: word_c
status: test
level: low
logsource: {product: windows, category: process_creation}
detection: {s: {CommandLine|contains: 'sea'}, condition: s}
---
title: Three a
id: c0000000-0000-4000-8000-000000000001
name: three_a
status: test
level: high
correlation: {type: event_count, rules: [word_a], group-by: [Computer], timespan: 60s, condition: {gte: 3}, generate: true}
---
title: Two users
id: c0000000-0000-4000-8000-000000000002
status: test
level: high
correlation: {type: value_count, rules: [word_a, word_b], group-by: [Computer], timespan: 90s, condition: {field: User, gte: 2}}
---
title: a and b
id: c0000000-0000-4000-8000-000000000003
status: test
level: high
correlation: {type: temporal, rules: [word_a, word_b], group-by: [Computer], timespan: 30s}
---
title: b then c
id: c0000000-0000-4000-8000-000000000004
status: test
level: high
correlation: {type: temporal_ordered, rules: [word_b, word_c], group-by: [User], timespan: 40s}
---
title: b without c
id: c0000000-0000-4000-8000-000000000005
status: test
level: high
correlation: {type: temporal_ordered, rules: [word_b, word_c], group-by: [Computer], timespan: 40s, condition: word_b and not word_c}
---
title: Much c
id: c0000000-0000-4000-8000-000000000006
status: test
level: high
correlation: {type: value_sum, rules: [word_c], group-by: [Computer], timespan: 60s, condition: {field: Size, gte: 100}}
---
title: Few b
id: c0000000-0000-4000-8000-000000000007
status: test
level: high
correlation: {type: event_count, rules: [word_b], group-by: [User], timespan: 50s, condition: {lt: 3}}
---
title: Three a then c
id: c0000000-0000-4000-8000-000000000008
status: test
level: critical
correlation: {type: temporal_ordered, rules: [three_a, word_c], group-by: [Computer], timespan: 2m}
`
	// simMore comes and goes with changes of content.
	simMore = `
title: Word d
id: a0000000-0000-4000-8000-00000000000d
name: word_d
status: test
level: medium
logsource: {product: windows, category: process_creation}
detection: {s: {CommandLine|contains: 'dee'}, condition: s}
---
title: Two d
id: c0000000-0000-4000-8000-000000000009
status: test
level: high
correlation: {type: event_count, rules: [word_d], group-by: [Computer], timespan: 30s, condition: {gte: 2}, generate: true}
`
	simMoreRule, simMoreCorrelation = "a0000000-0000-4000-8000-00000000000d", "c0000000-0000-4000-8000-000000000009"
)

// simWords are what the rules look for, by id.
var simWords = map[string]string{
	"a0000000-0000-4000-8000-00000000000a": "ay", "a0000000-0000-4000-8000-00000000000b": "bee",
	"a0000000-0000-4000-8000-00000000000c": "sea", simMoreRule: "dee",
}

// simLibrary compiles contents once for many runs. It belongs to one run at a
// time.
type simLibrary struct {
	mu    sync.Mutex
	kept  map[string]*Content
	shift time.Duration // planted: added to every timespan
	sound *simLibrary   // without what is planted
}

func newSimLibrary() *simLibrary { return &simLibrary{kept: map[string]*Content{}} }

// planted is a library whose windows are wrong.
func (l *simLibrary) planted(shift time.Duration) *simLibrary {
	p := newSimLibrary()
	p.shift, p.sound = shift, l
	return p
}

func (l *simLibrary) revive(archive []byte) (*Content, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.kept[string(archive)]; c != nil {
		own := *c
		own.Archive = archive
		return &own, nil
	}
	c, err := (&textLoader{}).Revive(archive)
	if err != nil {
		return nil, err
	}
	if l.shift != 0 {
		// Chains name their parts by pointer, so all are changed in place.
		for _, x := range c.Correlations {
			x.Timespan += l.shift
		}
	}
	c.prepare()
	l.kept[string(archive)] = c
	own := *c
	return &own, nil
}

// simLoader is the folder of rules of one run.
type simLoader struct {
	library *simLibrary
	mu      sync.Mutex
	more    bool
}

func simFiles(more bool) map[string]string {
	files := map[string]string{"a.yml": simRules}
	if more {
		maps.Copy(files, map[string]string{"b.yml": simMore})
	}
	return files
}

func (l *simLoader) set(more bool) {
	l.mu.Lock()
	l.more = more
	l.mu.Unlock()
}

func (l *simLoader) has() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.more
}

// Load implements [Loader].
func (l *simLoader) Load() (*Content, error) {
	l.mu.Lock()
	files := simFiles(l.more)
	l.mu.Unlock()
	return l.library.revive(archiveOf(files))
}

// Revive implements [Loader].
func (l *simLoader) Revive(archive []byte) (*Content, error) { return l.library.revive(archive) }

// simEpisode is how the matches of rules of their own are put together.
var simEpisode = correlate.DefaultEpisode(0)

// simContent is the sound content with or without what comes and goes.
func (l *simLibrary) content(more bool) (*Content, error) {
	if l.sound != nil {
		l = l.sound
	}
	return l.revive(archiveOf(simFiles(more)))
}

// ruleIndex is the index of a rule by id, or -1.
func ruleIndex(rules []*rule.Rule, id string) int {
	for i, r := range rules {
		if r.ID == id {
			return i
		}
	}
	return -1
}
