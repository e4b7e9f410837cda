package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// ErrCursor: the cursor is not one that a page gave.
var ErrCursor = errors.New("the cursor is not one of this list; start without one")

// Status is how an endpoint does. Its JSON form is the API's.
type Status struct {
	Name string `json:"name"`
	// Host is where it is, without path and query, which may hold secrets.
	Host    string `json:"host"`
	Pending int    `json:"pending" doc:"Notifications that wait to be delivered."`
	Failed  int    `json:"failed" doc:"Notifications that were given up."`
	// Disabled is when the receiver said that it is gone; zero while it is not.
	Disabled    time.Time `json:"disabled,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

func statusKey(e *endpoint) store.Key {
	return store.Key{Tenant: e.Tenant, Kind: kindEndpoint, ID: e.Name}
}

// status reads what is stored of an endpoint, with its version.
func (o *Outbox) status(e *endpoint) (*Status, uint64, error) {
	st := &Status{}
	doc, err := o.records.Get(statusKey(e))
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = nil
	case err == nil:
		err = json.Unmarshal(doc.Value, st)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the state of webhook %q: %w", e.Name, err)
	}
	st.Name, st.Host, st.Pending, st.Failed = e.Name, e.url.Host, 0, 0
	return st, doc.Version, nil
}

// rows visits a tenant's deliveries, the oldest first.
func (o *Outbox) rows(r store.Range, visit func(*row, string) bool) error {
	var broken error
	err := o.records.Scan(r, func(d store.Document) bool {
		var row row
		if err := json.Unmarshal(d.Value, &row); err != nil {
			broken = fmt.Errorf("notification %.80q: %w", d.ID, err)
			return false
		}
		return visit(&row, d.ID)
	})
	return errors.Join(err, broken)
}

// Endpoints returns the endpoints of a tenant in the order of the configuration.
func (o *Outbox) Endpoints(t event.Tenant) ([]Status, error) {
	var list []Status
	for _, e := range o.endpoints {
		if e.Tenant != t {
			continue
		}
		st, _, err := o.status(e)
		if err != nil {
			return nil, err
		}
		list = append(list, *st)
	}
	if len(list) == 0 {
		return nil, nil
	}
	looked := 0
	err := o.rows(store.Range{Tenant: t, Kind: kindRow}, func(r *row, _ string) bool {
		if i := slices.IndexFunc(list, func(s Status) bool { return s.Name == r.Endpoint }); i >= 0 {
			if r.State == Failed {
				list[i].Failed++
			} else {
				list[i].Pending++
			}
		}
		looked++
		return looked < pendingMax
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return list, nil
}

// Bounds of a list of deliveries.
const (
	LimitDefault = 100
	LimitMax     = 1000
)

// Filter selects deliveries; each field that is set must fit.
type Filter struct {
	// State is [Pending] or [Failed].
	State    string
	Endpoint string
	// Limit bounds the page; 0 is [LimitDefault], and it is at most
	// [LimitMax].
	Limit int
	// Cursor is that of the page before, or empty.
	Cursor string
}

// Page is a part of a list.
type Page struct {
	Deliveries []Delivery
	// Next goes on behind this page; empty at the end.
	Next string
}

// List returns what waits or was given up, the oldest first.
func (o *Outbox) List(t event.Tenant, f Filter) (Page, error) {
	r := store.Range{Tenant: t, Kind: kindRow}
	if f.Cursor != "" {
		if len(f.Cursor) != rowIDBytes || strings.Trim(f.Cursor, "0123456789abcdefmsg_") != "" {
			return Page{}, ErrCursor
		}
		r.From = f.Cursor + "\x00"
	}
	limit := min(f.Limit, LimitMax)
	if limit <= 0 {
		limit = LimitDefault
	}
	var page Page
	last, looked := "", 0
	err := o.rows(r, func(r *row, id string) bool {
		if len(page.Deliveries) == limit || looked == pendingMax {
			page.Next = last
			return false
		}
		looked++
		last = id
		if (f.State == "" || r.State == f.State) && (f.Endpoint == "" || r.Endpoint == f.Endpoint) {
			page.Deliveries = append(page.Deliveries, r.Delivery)
		}
		return true
	})
	if err != nil {
		return Page{}, fmt.Errorf("list notifications: %w", err)
	}
	return page, nil
}

// Retry makes a notification due at once, by its id; one that was given up has
// its attempts before it again. An endpoint that had said it is gone is told again.
// The error is store.ErrNotFound where nothing of that id waits or was given up, or
// its endpoint is no longer configured.
func (o *Outbox) Retry(t event.Tenant, id string) error {
	if len(id) != messageIDBytes {
		return fmt.Errorf("notification %.80q: %w", id, store.ErrNotFound)
	}
	for attempt := 1; ; attempt++ {
		known, err := o.records.Get(store.Key{Tenant: t, Kind: kindKnown, ID: id})
		if err != nil {
			return fmt.Errorf("notification %s: %w", id, err)
		}
		rid := string(known.Value) + id
		key := store.Key{Tenant: t, Kind: kindRow, ID: rid}
		doc, err := o.records.Get(key)
		if err != nil {
			return fmt.Errorf("notification %s: %w", id, err)
		}
		var r row
		if err := json.Unmarshal(doc.Value, &r); err != nil {
			return fmt.Errorf("notification %s: %w", id, err)
		}
		e := o.find(t, r.Endpoint)
		if e == nil {
			return fmt.Errorf("notification %s: its endpoint %q is not configured: %w", id, r.Endpoint, store.ErrNotFound)
		}
		var writes []store.Write
		if r.State == Failed {
			r.Attempts = 0
		} else {
			writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kindDue, ID: dueID(e.Name, r.NextAttempt, rid)}})
		}
		r.State, r.NextAttempt = Pending, o.env.Clock.Now().UTC().Round(0)
		writes = append(writes, put(key, &r, &doc.Version),
			store.Write{Key: store.Key{Tenant: t, Kind: kindDue, ID: dueID(e.Name, r.NextAttempt, rid)}, Value: []byte{}})
		st, version, err := o.status(e)
		if err != nil {
			return err
		}
		if !st.Disabled.IsZero() {
			st.Disabled = time.Time{}
			writes = append(writes, put(statusKey(e), st, &version))
		}
		err = o.records.Apply(writes, store.Durable)
		if errors.Is(err, store.ErrConflict) && attempt < writeAttemptsMax {
			continue
		}
		if err != nil {
			return fmt.Errorf("notification %s: %w", id, err)
		}
		o.setDisabled(e, false)
		o.Wake()
		return nil
	}
}

// Enable lets an endpoint be told again that had said it is gone. The error is
// store.ErrNotFound where there is none of that name.
func (o *Outbox) Enable(t event.Tenant, name string) error {
	e := o.find(t, name)
	if e == nil {
		return fmt.Errorf("webhook %.80q: %w", name, store.ErrNotFound)
	}
	for attempt := 1; ; attempt++ {
		st, version, err := o.status(e)
		if err != nil {
			return err
		}
		if !st.Disabled.IsZero() {
			st.Disabled = time.Time{}
			err = o.records.Apply([]store.Write{put(statusKey(e), st, &version)}, store.Durable)
		}
		if errors.Is(err, store.ErrConflict) && attempt < writeAttemptsMax {
			continue
		}
		if err != nil {
			return fmt.Errorf("enable webhook %q: %w", name, err)
		}
		o.setDisabled(e, false)
		o.Wake()
		return nil
	}
}

// trimBatch bounds one write of Trim.
const trimBatch = 500

// Trim forgets notifications made before a time: those that were delivered or
// given up, and those of endpoints that are no longer configured. What waits
// stays. It returns how many it forgot. It must be a time behind which no
// detection changes any more, since one that does is then notified again.
func (o *Outbox) Trim(t event.Tenant, olderThan time.Time) (int, error) {
	before := timeKey(olderThan)
	var doomed []store.Write
	n := 0
	waiting := map[string]bool{} // row ids that stay
	err := o.rows(store.Range{Tenant: t, Kind: kindRow, To: before}, func(r *row, id string) bool {
		if r.State == Pending && o.find(t, r.Endpoint) != nil {
			waiting[id] = true
			return true
		}
		doomed = append(doomed, store.Write{Key: store.Key{Tenant: t, Kind: kindRow, ID: id}})
		if r.State == Pending {
			doomed = append(doomed, store.Write{Key: store.Key{Tenant: t, Kind: kindDue, ID: dueID(r.Endpoint, r.NextAttempt, id)}})
		}
		return true
	})
	if err == nil {
		err = o.records.Scan(store.Range{Tenant: t, Kind: kindKnown}, func(d store.Document) bool {
			if at := string(d.Value); at < before && !waiting[at+d.ID] {
				doomed = append(doomed, store.Write{Key: store.Key{Tenant: t, Kind: kindKnown, ID: d.ID}})
				n++
			}
			return true
		})
	}
	if err != nil {
		return 0, fmt.Errorf("trim notifications: %w", err)
	}
	for batch := range slices.Chunk(doomed, trimBatch) {
		if err := o.records.Apply(batch, store.Relaxed); err != nil {
			return 0, fmt.Errorf("trim notifications: %w", err)
		}
	}
	return n, nil
}
