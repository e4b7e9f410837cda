package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/wire"
)

// Held is a rule that is taken out because it cost too much.
type Held struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Level string `json:"level"`
	// Hash is that of what the rule decides by: another one is another rule.
	Hash string `json:"hash"`
	// Since is when it was taken out, in microseconds since 1970.
	Since int64 `json:"since_us"`
	// Figure says what it cost, and Limit what it may, for people.
	Figure string `json:"figure"`
	Limit  string `json:"limit"`
	// Blind are the ids of the correlations that need it.
	Blind []string `json:"blind,omitempty"`
}

// Why says in a sentence why the rule does not run.
func (h *Held) Why() string {
	return fmt.Sprintf("%s; the limit is %s", h.Figure, h.Limit)
}

// heldID is the document with the rules that are held.
const heldID = "held"

// holding is the list of held rules and what leads to it. Rules are taken out of
// content as a change of content: which rules decide an entry of the log stands
// in the log, so that reading it again decides the same.
type holding struct {
	mu      sync.Mutex
	list    []Held // by id; what is stored
	breaker *breaker
}

// errNotHeld is returned for the release of a rule that runs.
var errNotHeld = fmt.Errorf("the rule is not held: %w", store.ErrNotFound)

// openHeld takes up which rules are held. A list that is lost costs that they
// are judged anew.
func (n *Node) openHeld() error {
	n.holding.breaker = newBreaker(n.cfg.Costs)
	state, err := loadState(n.records, event.LocalTenant, kindContent, heldID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(state, &n.holding.list)
	}
	if errors.Is(err, errState) || err != nil && state != nil {
		n.logger.Error("which rules were taken out for their cost is lost; they run again", "error", err.Error())
		n.holding.list = nil
		return nil
	}
	return err
}

// Held returns the rules that are taken out, by id.
func (n *Node) Held() []Held {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return slices.Clone(n.holding.list)
}

// setHeld changes the list, durably.
func (n *Node) setHeld(list []Held) error {
	data, err := json.Marshal(list)
	if err == nil {
		err = saveState(n.records, event.LocalTenant, kindContent, heldID, data)
	}
	if err != nil {
		return fmt.Errorf("keep which rules are taken out: %w", err)
	}
	n.holding.mu.Lock()
	n.holding.list = list
	n.holding.mu.Unlock()
	return nil
}

// costs takes what a worker has measured.
func (n *Node) costs(c *Content, stats []detect.Stats, factor float64) {
	n.metrics.cost(c, stats, factor)
	h := &n.holding
	h.mu.Lock()
	defer h.mu.Unlock()
	// What former content cost is no reason to change the present one.
	if !h.breaker.on() || n.current.Load() != c {
		return
	}
	at := n.clock.Now().UnixNano()
	for i, r := range c.Sigma.Rules() {
		h.breaker.observe(at, r, &stats[i], factor)
	}
}

// elapsed is the clock that evaluations are timed with.
func (n *Node) elapsed() int64 {
	if n.cfg.Elapsed != nil {
		return n.cfg.Elapsed()
	}
	return n.clock.Now().UnixNano()
}

// holdDear takes the rules out that cost too much. What cannot be stored now is
// tried again the next time.
func (n *Node) holdDear() error {
	// While content is read, which may take seconds, the rest is to go on.
	if !n.breached() || !n.loading.TryLock() {
		return nil
	}
	defer n.loading.Unlock()
	now := n.clock.Now()
	n.holding.mu.Lock()
	found := n.holding.breaker.judge(now.UnixNano())
	n.holding.mu.Unlock()
	current := n.current.Load()
	list := n.Held()
	var fresh []Held
	out := map[string]bool{}
	for _, b := range found {
		r := current.rule(b.rule)
		if r == nil || r.SemanticHash != b.hash {
			continue
		}
		out[r.ID] = true
		if slices.ContainsFunc(list, func(h Held) bool { return h.ID == r.ID }) {
			continue // the last time did not come to its end
		}
		fresh = append(fresh, Held{
			ID: r.ID, Title: r.Title, Level: r.Level.String(), Hash: r.SemanticHash, Since: now.UnixMicro(),
			Figure: b.figure, Limit: b.limit, Blind: current.needing(r),
		})
	}
	if len(out) == 0 {
		return nil
	}
	archive, err := n.contents.archive(current)
	if err != nil {
		return err
	}
	c := current.without(out)
	c.Archive = archive
	list = append(list, fresh...)
	slices.SortFunc(list, func(a, b Held) int { return strings.Compare(a.ID, b.ID) })
	if err := n.setHeld(list); err != nil {
		return err
	}
	if err := n.contents.add(c); err != nil {
		return err
	}
	err = n.turn(c)
	if passing(err) {
		n.logger.Warn("the content waits for the log", "error", err.Error())
		err = n.use(c)
	}
	if err != nil {
		return err
	}
	for i := range fresh {
		h := &fresh[i]
		n.logger.Warn("a rule is taken out, since it costs too much", "rule", h.ID, "title", h.Title, "cost", h.Figure, "limit", h.Limit, "blind", len(h.Blind))
	}
	return n.tellHeld(slices.DeleteFunc(list, func(h Held) bool { return !out[h.ID] }), 0, "")
}

// breached reports whether a rule is over a limit.
func (n *Node) breached() bool {
	n.holding.mu.Lock()
	defer n.holding.mu.Unlock()
	return n.holding.breaker.on() && len(n.holding.breaker.judge(n.clock.Now().UnixNano())) > 0
}

// hold takes the held rules out of content that was read. A rule that is another
// one by now, or that the content has no longer, is no longer held, nor is any
// without limits: those are returned, and the list is as it should be kept.
func (n *Node) hold(c *Content) (held *Content, list, released []Held) {
	out := map[string]bool{}
	for _, h := range n.Held() {
		if r := c.rule(h.ID); r == nil || r.SemanticHash != h.Hash || !n.holding.breaker.on() {
			released = append(released, h)
			continue
		}
		out[h.ID] = true
		list = append(list, h)
	}
	if len(out) == 0 {
		return c, list, released
	}
	held = c.without(out)
	held.Archive = c.Archive
	return held, list, released
}

// unhold ends the hold of rules that are released by what they are now. It
// follows the change of content: cut short before it, the next start finds them
// again.
func (n *Node) unhold(list, released []Held) error {
	if len(released) == 0 {
		return nil
	}
	for i := range released {
		n.logger.Info("a rule that was taken out for its cost is held no longer", "rule", released[i].ID)
	}
	return errors.Join(n.tellHeld(released, n.clock.Now().UnixMicro(), "it was changed or removed, or the limits were switched off; it is held no longer"), n.setHeld(list))
}

// Release lets a held rule run again: store.ErrNotFound when it is not held.
func (n *Node) Release(id string) (Reloaded, error) {
	n.loading.Lock()
	defer n.loading.Unlock()
	list := n.Held()
	at := slices.IndexFunc(list, func(h Held) bool { return h.ID == id })
	if at < 0 {
		return Reloaded{}, errNotHeld
	}
	c, err := n.cfg.Loader.Load()
	if err != nil {
		return Reloaded{}, err
	}
	gone := list[at]
	if err := n.setHeld(slices.Delete(slices.Clone(list), at, at+1)); err != nil {
		return Reloaded{}, err
	}
	r, err := n.reload(c)
	if err != nil {
		return r, errors.Join(err, n.setHeld(list))
	}
	n.logger.Info("a rule that was taken out for its cost runs again", "rule", gone.ID)
	return r, n.tellHeld([]Held{gone}, n.clock.Now().UnixMicro(), "it was released and runs again")
}

// ruleCost is the id of what raises detections about held rules.
const ruleCost = "tiercel.health.cost"

// tellHeld raises detections about rules that are taken out, or with a time in
// microseconds closes them. Telling again changes nothing.
func (n *Node) tellHeld(list []Held, over int64, how string) error {
	if len(list) == 0 {
		return nil
	}
	for _, t := range n.cfg.Tenants {
		var found []*detection.Detection
		for i := range list {
			h := &list[i]
			id := event.FindingID(t, "cost", h.ID, h.Hash, strconv.FormatInt(h.Since, 10))
			minute := time.Minute.Microseconds()
			d := finding(ruleCost, "Rule is taken out for its cost", "high", id, h.Since/minute, over/minute)
			d.Reason = fmt.Sprintf("rule %s (%s): %s", quoted(h.Title), h.ID, h.Why())
			if over == 0 {
				d.Reason += fmt.Sprintf("; it sees nothing since %s; change what it looks for, or let it run again with 'tiercel rule release %s'", time.UnixMicro(h.Since).UTC().Format(time.RFC3339), h.ID)
			} else {
				d.Reason += "; " + how
			}
			if len(h.Blind) > 0 {
				d.Reason += "; correlations that need it are blind to it: " + strings.Join(h.Blind[:min(len(h.Blind), blindMax)], ", ")
				if more := len(h.Blind) - blindMax; more > 0 {
					d.Reason += fmt.Sprintf(" and %d more", more)
				}
			}
			d.Group = []detection.Field{{Field: "rule", Value: h.ID}}
			d.Values = slices.Concat([]string{h.ID}, h.Blind)
			found = append(found, d)
		}
		if err := n.raise(t, found, nil); err != nil {
			return err
		}
	}
	return nil
}

// rule returns the rule of an id, or nil.
func (c *Content) rule(id string) *rule.Rule {
	for _, r := range c.Sigma.Rules() {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// needing returns the ids of the correlations that a rule leads to, through
// others too, in their order.
func (c *Content) needing(r *rule.Rule) []string {
	var ids []string
	// Each correlation stands behind those that it refers to.
	for _, x := range c.Correlations {
		if slices.ContainsFunc(x.Rules, func(ref rule.Reference) bool {
			return ref.Rule == r || ref.Correlation != nil && slices.Contains(ids, ref.Correlation.ID)
		}) {
			ids = append(ids, x.ID)
		}
	}
	return ids
}

// without returns the content less some rules, as another content: its version
// follows from that of the whole and from what it lacks.
func (c *Content) without(ids map[string]bool) *Content {
	held := maps.Clone(ids)
	for _, id := range c.held {
		held[id] = true
	}
	x := &Content{
		Sigma: c.Sigma.Without(ids), Correlations: c.Correlations, Suppress: c.Suppress, Disabled: c.Disabled, Refused: c.Refused, Problems: c.Problems,
		whole: c.wholeVersion(), held: sortedKeys(held), all: c.deciding(),
	}
	x.Version = sha256.Sum256(x.envelope(nil))
	return x
}

// wholeVersion is the version of the content with all its rules.
func (c *Content) wholeVersion() Version {
	if len(c.held) == 0 {
		return c.Version
	}
	return c.whole
}

// envelopeMark stands in front of the archive of content that lacks rules. No
// archive of a loader begins with it: one that begins with a zero has no files.
const envelopeMark = "\x00tiercel held rules 1\x00"

// envelope puts an archive together with what is taken out.
func (c *Content) envelope(archive []byte) []byte {
	if len(c.held) == 0 {
		return archive
	}
	dst := wire.AppendText(append([]byte(envelopeMark), c.whole[:]...), []byte(strings.Join(c.held, "\n")))
	return append(dst, archive...)
}

// openEnvelope undoes envelope. The content returned has the version of the
// whole and what is held only.
func openEnvelope(data []byte) (c Content, archive []byte, err error) {
	rest, ok := bytes.CutPrefix(data, []byte(envelopeMark))
	if !ok {
		return c, data, nil
	}
	if len(rest) < len(c.whole) {
		return c, nil, errState
	}
	copy(c.whole[:], rest)
	d := wire.Decoder{B: rest[len(c.whole):]}
	c.held = strings.Fields(d.Text())
	if d.Failed || len(c.held) == 0 {
		return c, nil, errState
	}
	return c, d.B, nil
}
