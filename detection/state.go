package detection

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// seenMax is how many states of a detection are remembered, by which an older
// revision that is put again after a restart is known. Between two snapshots a
// detection rarely has more; one that has is told by its count, which does not
// shrink.
const seenMax = 64

// row is what lists and filters look at.
type row struct {
	ID       string    `json:"id"`
	Phase    string    `json:"phase"`
	Seq      uint64    `json:"seq"`
	Rule     string    `json:"rule"`
	Level    string    `json:"level"`
	Title    string    `json:"title"`
	Anchor   time.Time `json:"anchor"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Subjects []string  `json:"subjects,omitempty"`

	Suppressed bool `json:"suppressed,omitempty"`
}

// state is what deciding about the next revision takes.
type state struct {
	row
	Count uint64 `json:"count"`
	// Current is the signature of what is stored, Seen those of older states,
	// the oldest first.
	Current string   `json:"current"`
	Seen    []string `json:"seen,omitempty"`
}

// rank orders phases; a phase that is none has -1. Superseded stands beside the
// others.
func rank(phase string) int {
	return slices.Index([]string{Provisional, Final, Closed, Superseded}, phase)
}

// signature names what can be seen of a revision in a phase.
func signature(d *Detection, phase string) string {
	var b []byte
	for _, s := range []string{d.Revision, phase, d.SupersededBy} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, flag := range []bool{d.Late, d.Truncated, d.Suppressed} {
		if flag {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// decide says in which phase a revision is stored, and whether it changes
// anything.
func decide(old *state, in *Detection) (phase string, changed bool) {
	if old == nil {
		return in.Phase, true
	}
	asked := signature(in, in.Phase)
	if asked == old.Current || slices.Contains(old.Seen, asked) {
		return "", false // stored, or a revision that was passed by
	}
	phase = in.Phase
	if old.Phase != Superseded && phase != Superseded {
		if rank(phase) <= rank(old.Phase) && in.Count < old.Count {
			return "", false // older than all that is remembered
		}
		if rank(phase) < rank(old.Phase) {
			phase = old.Phase
		}
	}
	return phase, signature(in, phase) != old.Current
}

// saw records that a revision was asked for and how it was stored.
func (s *state) saw(asked, stored string) {
	s.Current = stored
	for _, sig := range []string{asked, stored} {
		if !slices.Contains(s.Seen, sig) {
			s.Seen = append(s.Seen[:len(s.Seen):len(s.Seen)], sig)
		}
	}
	if over := len(s.Seen) - seenMax; over > 0 {
		s.Seen = slices.Clone(s.Seen[over:])
	}
}

// subjectsMax bounds the group values and hosts by which a detection is found.
const subjectsMax = 32

func summary(d *Detection) *state {
	s := &state{row: row{
		ID: d.ID, Phase: d.Phase, Seq: d.Seq, Rule: d.Rule.ID, Level: d.Rule.Level, Title: d.Rule.Title,
		Anchor: d.AnchorTime, Created: d.Created, Updated: d.Updated, Suppressed: d.Suppressed,
	}, Count: d.Count}
	add := func(v string) {
		v = strings.ToLower(v)
		if v != "" && len(s.Subjects) < subjectsMax && !slices.Contains(s.Subjects, v) {
			s.Subjects = append(s.Subjects, v)
		}
	}
	for _, g := range d.Group {
		add(g.Value)
	}
	for _, e := range d.Evidence {
		add(e.Host)
	}
	return s
}

// Bounds of a stored detection. With them it stays some megabytes whatever the
// events hold.
const (
	// EventBytesMax and EventsBytesMax bound an event in the evidence, and all
	// of them; beyond it only the hash is kept.
	EventBytesMax  = 64 << 10
	EventsBytesMax = 1 << 20
	// evidenceMax is what correlations hand over at most.
	evidenceMax = 100
	// textBytesMax bounds one value, textsBytesMax all fields of the evidence.
	textBytesMax  = 4 << 10
	textsBytesMax = 256 << 10
	// listMax bounds groups, values, tags, children and rules.
	listMax = 256
	// noteBytesMax bounds reason and description.
	noteBytesMax = 16 << 10
)

func clipAll(list []string) []string {
	list = slices.Clone(list[:min(len(list), listMax)])
	for i, s := range list {
		list[i] = event.Clip(s, textBytesMax)
	}
	return list
}

// fields clips what decided, and takes it from the budget left.
func fields(list []Field, left *int) []Field {
	var out []Field
	for _, f := range list[:min(len(list), listMax)] {
		f.Field, f.Value = event.Clip(f.Field, textBytesMax), event.Clip(f.Value, textBytesMax)
		if len(f.Field)+len(f.Value) > *left {
			break
		}
		*left -= len(f.Field) + len(f.Value)
		out = append(out, f)
	}
	return out
}

// bounded returns a copy within the bounds and how many events were left out.
func bounded(in *Detection) (out *Detection, dropped uint64) {
	d := *in
	d.Reason, d.Rule.Description = event.Clip(d.Reason, noteBytesMax), event.Clip(d.Rule.Description, noteBytesMax)
	d.Revision, d.SupersededBy, d.NotifyKey = event.Clip(d.Revision, idBytesMax), event.Clip(d.SupersededBy, idBytesMax), event.Clip(d.NotifyKey, idBytesMax)
	d.Rule.Title, d.Rule.Level, d.Rule.Kind = event.Clip(d.Rule.Title, textBytesMax), event.Clip(d.Rule.Level, textBytesMax), event.Clip(d.Rule.Kind, textBytesMax)
	d.Rule.Tags, d.Values, d.Children = clipAll(d.Rule.Tags), clipAll(d.Values), clipAll(d.Children)
	groups := textsBytesMax
	d.Group = fields(d.Group, &groups)
	d.FirstTime, d.LastTime, d.AnchorTime = shown(d.FirstTime), shown(d.LastTime), shown(d.AnchorTime)
	if math.IsNaN(d.Value) {
		d.Value = 0
	}
	d.Value = min(max(d.Value, -math.MaxFloat64), math.MaxFloat64)
	texts, events := textsBytesMax, EventsBytesMax
	d.Evidence = slices.Clone(d.Evidence[:min(len(d.Evidence), evidenceMax)])
	for i := range d.Evidence {
		e := &d.Evidence[i]
		e.Time, e.Received = shown(e.Time), shown(e.Received)
		e.Host, e.Source, e.Partition = event.Clip(e.Host, textBytesMax), event.Clip(e.Source, textBytesMax), event.Clip(e.Partition, textBytesMax)
		e.Rules = clipAll(e.Rules)
		e.Fields = fields(e.Fields, &texts)
		if len(e.Event) == 0 {
			e.Event = nil
			continue
		}
		// An event that is not JSON cannot stand in a document of JSON.
		if len(e.Event) > EventBytesMax || len(e.Event) > events || !json.Valid(e.Event) {
			e.Event = nil
			dropped++
			continue
		}
		events -= len(e.Event)
		e.Event = slices.Clone(e.Event)
	}
	return &d, dropped
}

// shown is a time in UTC within the years that RFC 3339 can write: events may
// claim any.
func shown(t time.Time) time.Time {
	t = t.UTC()
	switch {
	case t.Year() < 1:
		return time.Time{}
	case t.Year() > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// timeKey orders times, those before 1970 included, as eight bytes.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())^1<<63)
}

func createdID(created time.Time, id string) string { return string(timeKey(created)) + id }

func rulePrefix(rule string) string {
	sum := sha256.Sum256([]byte(rule))
	return string(sum[:16])
}

func ruleID(rule string, created time.Time, id string) string {
	return rulePrefix(rule) + createdID(created, id)
}

func seqID(seq uint64) string { return string(binary.BigEndian.AppendUint64(nil, seq)) }
