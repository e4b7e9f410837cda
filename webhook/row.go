package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// The kinds of document. A notification's row exists until it is delivered; what
// is known of it stays, so that it is not made again.
const (
	kindRow      = "webhook"          // by time and id
	kindKnown    = "webhook/known"    // by id: the time of the row
	kindDue      = "webhook/due"      // by endpoint, time of the next attempt, time and id
	kindEndpoint = "webhook/endpoint" // by name
)

// The states of a notification.
const (
	Pending = "pending" // waits for its next attempt
	Failed  = "failed"  // given up, until it is tried again by hand
)

// Delivery is a notification that was not delivered yet. Its JSON form is the
// API's.
type Delivery struct {
	// ID is the header webhook-id.
	ID          string    `json:"id" doc:"The header webhook-id of each attempt."`
	Endpoint    string    `json:"endpoint"`
	Type        string    `json:"type" doc:"The event type, as detection.created."`
	DetectionID string    `json:"detection_id"`
	State       string    `json:"state" enum:"pending,failed" doc:"Failed is given up after the last attempt, until it is asked for again."`
	Attempts    int       `json:"attempts"`
	Created     time.Time `json:"created"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
}

// row is a delivery with what is sent.
type row struct {
	Delivery
	Body json.RawMessage `json:"body"`
}

// message is the body, as the specification has it.
type message struct {
	Type      string               `json:"type"`
	Timestamp time.Time            `json:"timestamp"`
	Data      *detection.Detection `json:"data"`
}

// Bounds of a body. The specification advises to stay below 20 kB; who wants
// more asks the API for the detection.
const (
	bodyBytesMax     = 20 << 10
	bodyEvidenceMax  = 5
	bodyReasonMax    = 2 << 10
	bodyGroupsMax    = 10
	errorBytesMax    = 300
	messageIDDigits  = 32
	messageIDPrefix  = "msg_"
	messageIDBytes   = len(messageIDPrefix) + messageIDDigits
	timeDigits       = 16
	rowIDBytes       = timeDigits + messageIDBytes
	endpointEndsWith = "\x00"
)

// messageID derives a notification's id. It has no dot, which the specification
// forbids.
func messageID(endpoint, key, kind string) string {
	var b []byte
	for _, s := range []string{endpoint, key, kind} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return messageIDPrefix + hex.EncodeToString(sum[:messageIDDigits/2])
}

func timeKey(t time.Time) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())^1<<63))
}

func rowID(created time.Time, id string) string { return timeKey(created) + id }

func dueID(endpoint string, next time.Time, row string) string {
	return endpoint + endpointEndsWith + timeKey(next) + row
}

// body makes what is sent of a detection: without the events themselves, and
// with less the larger it is.
func body(kind string, d *detection.Detection) ([]byte, error) {
	short := *d
	short.Evidence = slices.Clone(d.Evidence[:min(len(d.Evidence), bodyEvidenceMax)])
	for i := range short.Evidence {
		short.Evidence[i].Event = nil
	}
	steps := []func(){
		func() {},
		func() {
			for i := range short.Evidence {
				short.Evidence[i].Fields = nil
			}
		},
		func() { short.Evidence, short.Values, short.Children, short.Rule.Tags = nil, nil, nil, nil },
		func() {
			short.Rule.Description = ""
			if len(short.Reason) > bodyReasonMax {
				short.Reason = ""
			}
			short.Group = short.Group[:min(len(short.Group), bodyGroupsMax)]
		},
		func() {
			// What is left is short whatever the events and rules hold.
			short = detection.Detection{
				ID: d.ID, Phase: d.Phase, SupersededBy: d.SupersededBy, NotifyKey: d.NotifyKey, Seq: d.Seq, Count: d.Count,
				Rule:      detection.Rule{Kind: d.Rule.Kind, Level: d.Rule.Level},
				FirstTime: d.FirstTime, LastTime: d.LastTime, AnchorTime: d.AnchorTime, Created: d.Created, Updated: d.Updated,
			}
			if len(d.Rule.ID) <= bodyReasonMax {
				short.Rule.ID = d.Rule.ID
			}
			if detection.LevelRank(d.Rule.Level) < 0 {
				short.Rule.Level = ""
			}
			if len(d.Rule.Kind) > bodyReasonMax {
				short.Rule.Kind = ""
			}
		},
	}
	for _, shorten := range steps {
		shorten()
		b, err := json.Marshal(message{Type: kind, Timestamp: short.Updated.UTC(), Data: &short})
		if err != nil {
			return nil, fmt.Errorf("notify of detection %.40q: %w", d.ID, err)
		}
		if len(b) <= bodyBytesMax {
			return b, nil
		}
	}
	return nil, fmt.Errorf("notify of detection %.40q: it does not fit into %d bytes", d.ID, bodyBytesMax)
}

// notifications are the event types that a change is, with what each is known
// by.
func notifications(c *detection.Change) map[string]string {
	d := c.Detection
	out := map[string]string{}
	switch {
	case d.Phase == detection.Superseded:
		if c.Previous != "" && c.Previous != detection.Superseded {
			out[Superseded] = d.NotifyKey + "/" + d.ID
		}
		return out
	case d.Suppressed:
		return out // another stands for it
	case c.First || c.WasSuppressed || c.Previous == detection.Superseded:
		out[Created] = d.NotifyKey
	case d.Phase != detection.Closed:
		out[Updated] = d.NotifyKey + "/" + d.ID + "/" + d.Revision + "/" + d.Phase
	}
	if d.Phase == detection.Closed && c.Previous != detection.Closed {
		out[Closed] = d.NotifyKey
	}
	return out
}

// Writes returns what makes the notifications of changes, for the Apply that
// stores the changes; see detection.Store.PutWith. One that was made before,
// delivered or not, is not made again; none is made for an endpoint that has said
// it is gone. Call [Outbox.Wake] after the Apply.
func (o *Outbox) Writes(t event.Tenant, changes []detection.Change) ([]store.Write, error) {
	now := o.env.Clock.Now().UTC().Round(0)
	var writes []store.Write
	made := map[string]bool{}
	for i := range changes {
		types := notifications(&changes[i])
		for _, e := range o.endpoints {
			if e.Tenant != t || o.isDisabled(e) {
				continue
			}
			for _, kind := range e.Events {
				key, is := types[kind]
				d := changes[i].Detection
				if !is || e.MinLevel != "" && detection.LevelRank(d.Rule.Level) < detection.LevelRank(e.MinLevel) {
					continue
				}
				id := messageID(e.Name, key, kind)
				if made[id] {
					continue
				}
				if _, err := o.records.Get(store.Key{Tenant: t, Kind: kindKnown, ID: id}); err == nil {
					continue
				} else if !errors.Is(err, store.ErrNotFound) {
					return nil, fmt.Errorf("notify of detection %.40q: %w", d.ID, err)
				}
				made[id] = true
				b, err := body(kind, d)
				if err != nil {
					return nil, err
				}
				r := &row{Delivery{ID: id, Endpoint: e.Name, Type: kind, DetectionID: d.ID, State: Pending, Created: now, NextAttempt: now}, b}
				value, err := json.Marshal(r)
				if err != nil {
					return nil, fmt.Errorf("notify of detection %.40q: %w", d.ID, err)
				}
				rid := rowID(now, id)
				writes = append(writes,
					store.Write{Key: store.Key{Tenant: t, Kind: kindKnown, ID: id}, Value: []byte(timeKey(now))},
					store.Write{Key: store.Key{Tenant: t, Kind: kindRow, ID: rid}, Value: value},
					store.Write{Key: store.Key{Tenant: t, Kind: kindDue, ID: dueID(e.Name, now, rid)}, Value: []byte{}},
				)
			}
		}
	}
	return writes, nil
}
