package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store"
)

// runningID is the document with the ids of what ran last, by which a restart
// knows what it lacks.
const runningID = "running"

// ruleGaps notes, for every tenant, which rules a change of content stops and
// starts: those that it has no longer and those that are switched off.
func (n *Node) ruleGaps(c *Content) error {
	before, err := n.ranBefore()
	if err != nil {
		return err
	}
	now := n.clock.Now().UnixMicro()
	running := c.ids()
	held := make(map[string]bool, len(c.held))
	for _, id := range c.held {
		held[id] = true
	}
	for _, t := range n.cfg.Tenants {
		g, err := ledger.OpenRuleGaps(n.records.Scan, t)
		if err != nil {
			return fmt.Errorf("gaps of rules: %w", err)
		}
		for _, id := range before {
			if _, off := c.Disabled[id]; !running[id] && !off && !held[id] {
				err = errors.Join(err, g.Open(id, "", ledger.ReasonRemoved, now))
			}
		}
		for id := range c.Disabled {
			if id != "" {
				err = errors.Join(err, g.Open(id, "", ledger.ReasonDisabled, now))
			}
		}
		for _, id := range c.held {
			err = errors.Join(err, g.Open(id, "", ledger.ReasonOverBudget, now))
		}
		if err != nil {
			n.logger.Warn("not every gap of a rule can be kept", "error", err.Error())
		}
		for _, i := range g.Current() {
			if running[i.Rule] && i.Source == "" {
				g.Close(i.Rule, "", i.Reason, now)
			}
			if _, off := c.Disabled[i.Rule]; !off && i.Reason == ledger.ReasonDisabled {
				g.Close(i.Rule, "", i.Reason, now)
			}
			if i.Source == "" && (i.Reason == ledger.ReasonOverBudget && !held[i.Rule] || i.Reason == ledger.ReasonRemoved && held[i.Rule]) {
				g.Close(i.Rule, "", i.Reason, now)
			}
		}
		if writes := g.Writes(); len(writes) > 0 {
			if err := n.records.Apply(writes, store.Durable); err != nil {
				return fmt.Errorf("gaps of rules: %w", err)
			}
		}
	}
	return saveState(n.records, event.LocalTenant, kindContent, runningID, []byte(strings.Join(sortedKeys(running), "\n")))
}

// ranBefore returns the ids of what ran before.
func (n *Node) ranBefore() ([]string, error) {
	state, err := loadState(n.records, event.LocalTenant, kindContent, runningID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("gaps of rules: %w", err)
	}
	return strings.Fields(string(state)), nil
}

// Reloaded is what came of reading the content again.
type Reloaded struct {
	Changed                      bool
	Rules, Correlations, Refused int
	Problems                     []string
}

// Reload reads the content again and puts it to use from now on, when it is
// sound and another than what runs.
func (n *Node) Reload() (Reloaded, error) {
	n.loading.Lock()
	defer n.loading.Unlock()
	c, err := n.cfg.Loader.Load()
	if err != nil {
		return Reloaded{}, err
	}
	return n.reload(c)
}

// reload puts content that was read to use. The caller holds loading.
func (n *Node) reload(c *Content) (Reloaded, error) {
	if len(c.Sigma.Rules()) == 0 {
		return Reloaded{Refused: c.Refused, Problems: c.Problems}, errNoContent
	}
	c, list, released := n.hold(c)
	r := Reloaded{Rules: len(c.Sigma.Rules()), Correlations: len(c.Correlations), Refused: c.Refused, Problems: c.Problems}
	if c.Version == n.current.Load().Version {
		return r, n.unhold(list, released)
	}
	if err := n.contents.add(c); err != nil {
		return r, err
	}
	if err := n.turn(c); err != nil {
		return r, err
	}
	if err := n.unhold(list, released); err != nil {
		return r, err
	}
	r.Changed = true
	n.logger.Info("content changed", "version", c.Version.String(), "rules", r.Rules, "correlations", r.Correlations, "refused", r.Refused)
	return r, nil
}
