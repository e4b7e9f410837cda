package detection

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

var (
	// ErrAmbiguous: more than one detection has an id that begins so.
	ErrAmbiguous = errors.New("the beginning of an id fits more than one detection; give more of it")
	// ErrCursor: the cursor is not one that a page gave.
	ErrCursor = errors.New("the cursor is not one of this list; start without one")
)

// levels are the levels of rules, the lowest first.
var levels = []string{"informational", "low", "medium", "high", "critical"}

// LevelRank orders the levels of rules: informational is 0, critical 4, anything
// else -1.
func LevelRank(level string) int { return slices.Index(levels, level) }

// Bounds of a list.
const (
	// LimitDefault and LimitMax are how many detections a page has.
	LimitDefault = 100
	LimitMax     = 1000
	// rowsMax bounds how many are looked at for a page, so that a filter that
	// nothing fits answers soon; the page then has a cursor to go on with.
	rowsMax = 50_000
	// pageBytesMax bounds a page's documents in memory.
	pageBytesMax = 16 << 20
)

// Filter selects detections; each field that is set must fit.
type Filter struct {
	// MinLevel is the lowest level.
	MinLevel string
	// Phases are those that are shown. Empty is all but superseded.
	Phases []string
	// RuleID is the rule's.
	RuleID string
	// Value is a host of the evidence or a value of the group, whole, in any
	// case.
	Value string
	// From and To bound the anchor's time: From <= time < To.
	From, To time.Time
	// Query is a part of the title, in any case.
	Query string
	// Limit bounds the page; 0 is [LimitDefault], and it is at most
	// [LimitMax].
	Limit int
	// Cursor is that of the page before, or empty.
	Cursor string
}

// Page is a part of a list.
type Page struct {
	// Detections are the caller's. There may be fewer than the limit, or none,
	// although there are more.
	Detections []*Detection
	// Next goes on behind this page; empty at the end. It stays good whatever
	// is stored meanwhile.
	Next string
}

func (f *Filter) fits(r *row) bool {
	if f.MinLevel != "" && LevelRank(r.Level) < LevelRank(f.MinLevel) {
		return false
	}
	if len(f.Phases) == 0 && r.Phase == Superseded || len(f.Phases) > 0 && !slices.Contains(f.Phases, r.Phase) {
		return false
	}
	if f.RuleID != "" && r.Rule != f.RuleID {
		return false
	}
	if f.Value != "" && !slices.Contains(r.Subjects, strings.ToLower(f.Value)) {
		return false
	}
	if !f.From.IsZero() && r.Anchor.Before(f.From) || !f.To.IsZero() && !r.Anchor.Before(f.To) {
		return false
	}
	return f.Query == "" || strings.Contains(strings.ToLower(r.Title), strings.ToLower(f.Query))
}

// cursorVersion is the first byte of a cursor.
const cursorVersion = 1

// encodeCursor makes a cursor from where an index stands.
func encodeCursor(created time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{cursorVersion}, createdID(created, id)...))
}

func decodeCursor(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > 2*idBytesMax {
		return "", ErrCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 10 || len(b) > 9+idBytesMax || b[0] != cursorVersion {
		return "", ErrCursor
	}
	return string(b[1:]), nil
}

// rows visits the newest first, from behind a cursor's place on.
func (s *Store) rows(t event.Tenant, f *Filter, before string, visit func(*row) bool) error {
	r := store.Range{Tenant: t, Kind: kindCreated, To: before, Reverse: true}
	if f.RuleID != "" {
		p := rulePrefix(f.RuleID)
		r.Kind, r.From, r.To = kindRule, p, p+before
		if before == "" {
			r.To = behind(p)
		}
	}
	var broken error
	err := s.records.Scan(r, func(d store.Document) bool {
		var row row
		if err := json.Unmarshal(d.Value, &row); err != nil {
			broken = fmt.Errorf("read the list of detections: %w", err)
			return false
		}
		return visit(&row)
	})
	return errors.Join(err, broken)
}

// behind is the first id that does not begin with p, or empty when there is
// none.
func behind(p string) string {
	b := []byte(p)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) > 0 {
		b[len(b)-1]++
	}
	return string(b)
}

// List returns the newest detections that fit, by time of creation and id.
func (s *Store) List(t event.Tenant, f Filter) (Page, error) {
	before, err := decodeCursor(f.Cursor)
	if err != nil {
		return Page{}, err
	}
	limit := min(f.Limit, LimitMax)
	if limit <= 0 {
		limit = LimitDefault
	}
	var hits []row
	var last row // the last that was looked at
	looked, more := 0, false
	err = s.rows(t, &f, before, func(r *row) bool {
		if len(hits) == limit || looked == rowsMax {
			more = true
			return false
		}
		looked++
		last = *r
		if f.fits(r) {
			hits = append(hits, *r)
		}
		return true
	})
	if err != nil {
		return Page{}, fmt.Errorf("list detections: %w", err)
	}
	var page Page
	size := 0
	for i := range hits {
		d, bytes, err := s.load(t, hits[i].ID)
		if errors.Is(err, store.ErrNotFound) {
			continue // retention was faster
		}
		if err != nil {
			return Page{}, fmt.Errorf("list detections: %w", err)
		}
		if size += bytes; size > pageBytesMax && len(page.Detections) > 0 {
			last, more = hits[i-1], true
			break
		}
		page.Detections = append(page.Detections, d)
	}
	if more {
		page.Next = encodeCursor(last.Created, last.ID)
	}
	return page, nil
}

// Count counts the detections that fit, by level; Limit and Cursor do not
// matter.
func (s *Store) Count(t event.Tenant, f Filter) (map[string]uint64, error) {
	counts := map[string]uint64{}
	err := s.rows(t, &f, "", func(r *row) bool {
		if f.fits(r) {
			counts[r.Level]++
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("count detections: %w", err)
	}
	return counts, nil
}

func (s *Store) load(t event.Tenant, id string) (*Detection, int, error) {
	doc, err := s.records.Get(store.Key{Tenant: t, Kind: kindDetection, ID: id})
	if err != nil {
		return nil, 0, err
	}
	d := &Detection{}
	if err := json.Unmarshal(doc.Value, d); err != nil {
		return nil, 0, fmt.Errorf("read detection %.40q: %w", id, err)
	}
	return d, len(doc.Value), nil
}

// Get returns the detection of an id, or the only one whose id begins so, in any
// case. The errors are store.ErrNotFound and [ErrAmbiguous].
func (s *Store) Get(t event.Tenant, id string) (*Detection, error) {
	if id == "" || len(id) > idBytesMax {
		return nil, fmt.Errorf("detection %.40q: %w", id, store.ErrNotFound)
	}
	d, _, err := s.load(t, id)
	if !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	prefix := strings.ToLower(id)
	var found []string
	err = s.records.Scan(store.Range{Tenant: t, Kind: kindState, From: prefix, To: behind(prefix)}, func(doc store.Document) bool {
		found = append(found, doc.ID)
		return len(found) < 2
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for detection %.40q: %w", id, err)
	case len(found) == 0:
		return nil, fmt.Errorf("detection %.40q: %w", id, store.ErrNotFound)
	case len(found) > 1:
		return nil, fmt.Errorf("detection %.40q: %w", id, ErrAmbiguous)
	}
	d, _, err = s.load(t, found[0])
	return d, err
}

// trimBatch bounds one write of Trim, so that a Put does not wait long for it.
const trimBatch = 256

// Trim deletes detections whose last change is before olderThan, and the oldest
// by creation beyond countMax; a zero time and a count of 0 keep all. It returns
// how many it deleted. Their numbers in the feed are then missing.
func (s *Store) Trim(t event.Tenant, olderThan time.Time, countMax int) (int, error) {
	var doomed []row
	n := 0
	err := s.rows(t, &Filter{}, "", func(r *row) bool {
		n++
		if countMax > 0 && n > countMax || r.Updated.Before(olderThan) {
			doomed = append(doomed, row{ID: r.ID, Updated: r.Updated})
		}
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("trim detections: %w", err)
	}
	removed := 0
	for batch := range slices.Chunk(doomed, trimBatch) {
		n, err := s.remove(t, batch)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("trim detections: %w", err)
		}
	}
	return removed, nil
}

// remove deletes those that did not change since they were looked at.
func (s *Store) remove(t event.Tenant, list []row) (int, error) {
	f := s.feed(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	b := batch{tenant: t}
	n := 0
	for i := range list {
		st, err := b.before(s, list[i].ID)
		if err != nil {
			return 0, err
		}
		if st == nil || !st.Updated.Equal(list[i].Updated) {
			continue
		}
		b.write(kindDetection, st.ID, nil)
		b.write(kindState, st.ID, nil)
		b.write(kindCreated, createdID(st.Created, st.ID), nil)
		b.write(kindRule, ruleID(st.Rule, st.Created, st.ID), nil)
		b.write(kindSeq, seqID(st.Seq), nil)
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, s.records.Apply(b.writes, store.Relaxed)
}
