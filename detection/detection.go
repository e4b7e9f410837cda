// Package detection is what a user sees: a detection with its reasons and
// evidence, as a document, and the store that keeps, lists and follows them.
//
// Stage 2 hands revisions over; a document is written by its id, so that a
// revision handed over again after a restart changes nothing. Each change that
// can be seen gets the next number of the tenant's feed, by which readers follow
// without missing or seeing twice.
package detection

import (
	"encoding/json"
	"time"
)

// Detection is one detection as it is kept and shown. Its JSON form is the
// API's: names end in their unit, times are RFC 3339 in UTC.
type Detection struct {
	// ID is derived from tenant, rule, group and anchor (event.DetectionID), in
	// hexadecimal; Revision from the evidence.
	ID       string `json:"id" doc:"Derived from tenant, rule, group and anchor; the same whenever it is computed."`
	Revision string `json:"revision" doc:"Changes when evidence is added."`
	// Phase is provisional, final, closed or superseded.
	Phase        string `json:"phase" enum:"provisional,final,closed,superseded" doc:"How settled it is: provisional while earlier events may still come, final once the watermark has passed, closed when its episode has ended, superseded when another stands in its place."`
	SupersededBy string `json:"superseded_by,omitempty" doc:"The id of the detection that stands in its place."`
	// Seq is the number of its last change in the tenant's feed, from 1.
	Seq uint64 `json:"seq" doc:"Number of its last change in the feed."`

	Rule Rule `json:"rule"`
	// Reason is one sentence: what happened and why it fired.
	Reason string  `json:"reason" doc:"What happened and why it fired, in one sentence."`
	Group  []Field `json:"group,omitempty" doc:"The group key: what the events have in common."`

	// FirstTime and LastTime are event times of what contributed, AnchorTime of
	// the event that decided.
	FirstTime  time.Time `json:"first_time"`
	LastTime   time.Time `json:"last_time"`
	AnchorTime time.Time `json:"anchor_time"`
	// Created is when it was first stored, Updated when it last changed.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`

	Count      uint64   `json:"count" doc:"Number of contributing events."`
	Value      float64  `json:"value" doc:"The figure that was compared with the thresholds when it fired."`
	Values     []string `json:"values,omitempty" doc:"Distinct values that were counted, the first twenty."`
	Late       bool     `json:"late,omitempty" doc:"A late event had a part in it."`
	Truncated  bool     `json:"truncated,omitempty" doc:"The group was larger than its budget; count and evidence are lower bounds."`
	Suppressed bool     `json:"suppressed,omitempty" doc:"An earlier detection stands for it."`

	Evidence []Evidence `json:"evidence" doc:"The first 20 and the last 80 contributing events."`
	Children []string   `json:"children,omitempty" doc:"Ids of the detections that a chain rests on."`
	// NotifyKey is equal for a detection and those that supersede it.
	NotifyKey string `json:"notify_key"`
}

// Rule is what fired.
type Rule struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Kind is rule or correlation, or health for what concerns the telemetry
	// itself.
	Kind        string   `json:"kind" enum:"rule,correlation,health"`
	Level       string   `json:"level" enum:"informational,low,medium,high,critical"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"`
}

// Field is a field with a value.
type Field struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// Evidence is one contributing event.
type Evidence struct {
	// EventID identifies the event, RawHash its bytes (SHA-256, hexadecimal).
	EventID string `json:"event_id"`
	RawHash string `json:"raw_hash,omitempty"`
	// Source is the configured feed; Partition and Offset say where its batch
	// stands in the log, Index which record of the batch it is.
	Source    string    `json:"source,omitempty"`
	Partition string    `json:"partition,omitempty"`
	Offset    int64     `json:"offset,omitempty"`
	Index     int       `json:"index,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Received  time.Time `json:"received,omitzero"`
	Host      string    `json:"host,omitempty"`
	// Parts are the ids of the records that it was put together from, in their
	// order, the one with EventID among them; none for an event that came as one.
	Parts []string `json:"parts,omitempty"`
	// Rules are the ids of the rules that it met.
	Rules []string `json:"rules,omitempty"`
	// Fields are those that decided.
	Fields []Field `json:"fields,omitempty"`
	// Event is the event as one JSON document, or empty where it was too large
	// to keep here.
	Event json.RawMessage `json:"event,omitempty"`
}
