package correlate

import (
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// Hit is one match, as stage 1 hands it over. The engine keeps none of its
// memory.
type Hit struct {
	// Rule is the index of the rule in [Config.Rules].
	Rule int
	// Source is the index of the source the event came by, as given to
	// [Engine.Watermark].
	Source int
	// Time is the event time in microseconds since 1970.
	Time int64
	// Seq is the event's own number within its source (an EventRecordID, an
	// offset), or 0.
	Seq uint64
	// ID is the event's id.
	ID event.ID
	// Fields holds, for each name of [Engine.Needs] of the rule, the values
	// that the event has: none where the field is absent or null.
	Fields [][]string
}

// Suppression drops detections that repeat.
type Suppression struct {
	// Fields are components of the group key; of detections that agree in them
	// only the first within Window stands. Empty means the whole group key, and
	// so does a field that is no component of it: less is suppressed then than
	// was asked, never more.
	Fields []string
	// Window is how long it holds, from the decision of the one that stands.
	Window time.Duration
}

// Episode says how the matches of a rule of its own are put together.
type Episode struct {
	// Fields are the group key; an absent field is an empty value.
	Fields []string
	// Gap ends an episode when no match came for longer.
	Gap time.Duration
	// Every makes each match an episode.
	Every bool
}

// GapDefault ends an episode of a single-event rule [D61].
const GapDefault = time.Hour

// The fields of an episode by default: the machine and the account that the
// event's pack says it speaks of.
const (
	HostField = "@host"
	UserField = "@user"
)

// DefaultEpisode groups the matches of a rule of its own by host and user.
func DefaultEpisode(int) Episode {
	return Episode{Fields: []string{HostField, UserField}, Gap: GapDefault}
}

// Config is what an engine runs.
type Config struct {
	Tenant event.Tenant
	// Rules and Correlations are the content; Correlations stand behind those
	// they name.
	Rules        []*rule.Rule
	Correlations []*rule.Correlation
	// Alone reports whether a rule raises detections of its own; nil means all
	// do that no correlation silences.
	Alone func(ruleIndex int) bool
	// Episode says how, by rule index; nil means one group a rule and
	// GapDefault.
	Episode func(ruleIndex int) Episode
	// Suppress returns the suppression of a rule or correlation by its id, and
	// whether there is one; may be nil.
	Suppress func(id string) (Suppression, bool)
	// Owns says whether this engine keeps the groups of a shard; nil means all.
	// Engines that own different shards may be given the same hits: together
	// they find what one that owns all does.
	Owns func(shard int) bool
	// LagMax is how far a source's watermark may stay behind the furthest one
	// before it no longer holds the others back; its hits are late then. Zero
	// means LagDefault.
	LagMax time.Duration
	// Budget bounds memory; zero values mean the defaults.
	Budget Budget
}

// LagDefault is the allowed lag of a source behind the others (5.4).
const LagDefault = time.Hour

// Budget bounds what is kept. It belongs to a shard of group keys, never to a
// process, so that a replay on another number of partitions evicts alike.
type Budget struct {
	// GroupsPerShard is the number of groups of one detector in one of its
	// [Shards].
	GroupsPerShard int
	// HitsPerGroup is the number of hits kept of one group.
	HitsPerGroup int
}

// Defaults of a Budget (5.5): 100,000 groups a shard are some 40 MB when all
// have a few hits.
const (
	GroupsPerShardDefault = 100_000
	HitsPerGroupDefault   = 10_000
)

// Shards is the number of shards of a detector's group keys. It is part of the
// meaning of budgets and never changes.
const Shards = 16

// Phase is how far a detection has come.
type Phase uint8

// The phases.
const (
	// Provisional: it fired on what is known; earlier events may still come.
	Provisional Phase = iota
	// Final: the watermark has passed its anchor, which cannot move any more.
	Final
	// Closed: final, and its episode has ended: count and evidence are exact.
	Closed
	// Superseded: a provisional detection whose anchor moved or whose
	// condition no longer holds. SupersededBy names the successor, if any.
	Superseded
)

// Bounds of a detection's evidence and samples.
const (
	EvidenceFirst  = 20 // ids of the first contributing events that are kept
	EvidenceLast   = 80 // and of the last
	ValuesShownMax = 20 // distinct values shown
)

// Detection is one revision of a detection. The engine keeps none of its
// memory.
type Detection struct {
	ID    event.ID
	Phase Phase
	// Rule or Correlation is the index of what fired; the other is -1.
	Rule, Correlation int
	// Group is the group key in the order of group-by, values as first
	// spelled.
	Group []event.GroupValue
	// Anchor is the deciding event, at AnchorTime (µs). Completing is the event
	// that completed it: the anchor of a sliding detector, the window's last
	// hit of a windowed one.
	Anchor     event.ID
	AnchorTime int64
	Completing event.ID
	// First and Last are the times (µs) of the first and last contributing
	// events.
	First, Last int64
	// Count is the number of contributing events.
	Count uint64
	// ByRule counts them by index of the correlation's rules; nil for a rule
	// of its own.
	ByRule []uint64
	// Value is the figure compared with the thresholds when it fired.
	Value float64
	// Values are distinct values of a value_count, at most ValuesShownMax.
	Values []string
	// Evidence are the ids of the first EvidenceFirst and the last EvidenceLast
	// contributing events, in order.
	Evidence []event.ID
	// Children are the detections that a chain rests on.
	Children []event.ID
	// Late says that a late hit had a part in it; Truncated that hits had to be
	// given up; Suppressed that an earlier detection stands for it.
	Late, Truncated, Suppressed bool
	// Revision is derived from the evidence and the count.
	Revision event.ID
	// NotifyKey is equal for a detection and those that supersede it; whoever
	// notifies does so once a key.
	NotifyKey event.ID
	// SupersededBy is set in phase Superseded when there is a successor.
	SupersededBy event.ID
}

// Late is a hit older than the watermark, for a detector that can no longer
// decide all windows it belongs to.
type Late struct {
	// Correlation is the index, or -1 for a rule of its own.
	Correlation int
	Rule        int
	ID          event.ID
	Time        int64
}

// Sink receives what an engine finds, in a deterministic order.
type Sink interface {
	Detection(d *Detection)
	Late(l Late)
}

// Counters are what an engine has counted since it was made.
type Counters struct {
	// Hits were handed in; Keyless of them lacked a component of a group key
	// of some detector, once for each.
	Hits, Keyless uint64
	// Repeated are hits of an event seen already; LateHits came behind the
	// watermark, once for each detector.
	Repeated, LateHits uint64
	// EvictedGroups and DroppedHits were given up for the budget.
	EvictedGroups, DroppedHits uint64
}
