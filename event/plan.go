package event

import (
	"hash/maphash"
	"strings"
)

// Plan interns the lookups that rules, packs and groupings need, so that at
// run time a field is a number, its slot. Build it with one goroutine, then
// share it: once the first [Reader] is made it must not change.
type Plan struct {
	funcs map[string]Func
	slots []slot
	index map[string]int
	paths []path
	names map[string]int
	seed  maphash.Seed
}

type slot struct {
	paths  []int // indices into Plan.paths, in order
	all    bool
	leaves bool // the leaves below the paths, not the values at them
	fn     Func
	args   []int // slots
	params []string
}

// path is a compiled path: its steps, and for each run of steps the hash of
// their folded names joined by dots, since a key may itself hold dots.
type path struct {
	steps []string
	runs  [][]run // runs[from][n-1]: steps[from:from+n]
}

type run struct {
	name string // as written
	fold string // folded, without spaces
	hash uint64
}

// NewPlan makes an empty plan whose lookups may use funcs.
func NewPlan(funcs map[string]Func) *Plan {
	return &Plan{
		funcs: funcs,
		index: map[string]int{},
		names: map[string]int{},
		seed:  maphash.MakeSeed(),
	}
}

// Slots returns the number of slots.
func (p *Plan) Slots() int { return len(p.slots) }

// Slot returns the slot of a lookup, the same for equal lookups. A lookup
// with an unknown Func panics: packs are checked before they come here.
func (p *Plan) Slot(l Lookup) int {
	key := l.key()
	if i, ok := p.index[key]; ok {
		return i
	}
	s := slot{all: l.All, params: l.Params}
	for _, text := range l.Paths {
		s.paths = append(s.paths, p.path(text))
	}
	if l.Func != "" {
		if s.fn = p.funcs[l.Func]; s.fn == nil {
			panic("event: lookup uses unknown function " + l.Func)
		}
		for _, a := range l.Args {
			s.args = append(s.args, p.Slot(a))
		}
	}
	return p.addSlot(key, s)
}

// Leaves returns a slot whose values are all scalars below the given paths,
// each once, or of the whole record when there are none.
func (p *Plan) Leaves(paths []string) int {
	l := Lookup{Paths: paths, All: true}
	key := "leaves " + l.key()
	if i, ok := p.index[key]; ok {
		return i
	}
	s := slot{all: true, leaves: true}
	for _, text := range paths {
		s.paths = append(s.paths, p.path(text))
	}
	if len(paths) == 0 {
		s.paths = []int{p.path("")}
	}
	return p.addSlot(key, s)
}

func (p *Plan) addSlot(key string, s slot) int {
	p.slots = append(p.slots, s)
	p.index[key] = len(p.slots) - 1
	return len(p.slots) - 1
}

func (p *Plan) path(text string) int {
	if i, ok := p.names[text]; ok {
		return i
	}
	var c path
	if text != "" {
		c.steps = strings.Split(text, ".")
	}
	c.runs = make([][]run, len(c.steps))
	for from := range c.steps {
		for to := from + 1; to <= len(c.steps); to++ {
			name := strings.Join(c.steps[from:to], ".")
			fold := foldName([]byte(name))
			c.runs[from] = append(c.runs[from], run{name: name, fold: fold, hash: maphash.String(p.seed, fold)})
		}
	}
	p.paths = append(p.paths, c)
	p.names[text] = len(p.paths) - 1
	return len(p.paths) - 1
}

// foldName folds a key for the last step of [D22]: case-folded, without
// spaces.
func foldName(key []byte) string {
	b, _ := AppendFold(nil, key)
	n := 0
	for _, c := range b {
		if c != ' ' {
			b[n] = c
			n++
		}
	}
	return string(b[:n])
}
