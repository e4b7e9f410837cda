package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/pipeline/stream"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/webhook"
)

// authorizer is access.Store as the API asks for it.
type authorizer struct{ tokens *access.Store }

// Admin implements api.Authorizer.
func (a authorizer) Admin(token string) (api.Principal, error) {
	p, err := a.tokens.Admin(token)
	return api.Principal{Name: p.ID + " " + p.Name, Tenant: p.Tenant, Write: p.Write}, err
}

// tokenKeeper is access.Store as the API asks for it.
type tokenKeeper struct{ tokens *access.Store }

func tokenInfo(i access.Info) api.TokenInfo {
	return api.TokenInfo{
		ID: i.ID, Name: i.Name, Kind: i.Kind, Tenant: i.TenantName, Source: i.Source, Write: i.Write,
		Created: i.Created, Expires: i.Expires, Revoked: i.Revoked, LastUsed: i.LastUsed,
	}
}

// List implements api.Tokens.
func (k tokenKeeper) List(t event.Tenant) ([]api.TokenInfo, error) {
	list, err := k.tokens.List(t)
	out := make([]api.TokenInfo, len(list))
	for i := range list {
		out[i] = tokenInfo(list[i])
	}
	return out, err
}

// Create implements api.Tokens.
func (k tokenKeeper) Create(ctx context.Context, r api.TokenRequest) (api.TokenInfo, string, error) {
	info, token, err := k.tokens.Create(ctx, access.Request{Name: r.Name, Kind: r.Kind, Tenant: r.Tenant, Source: r.Source, Write: r.Write, Lifetime: r.Lifetime})
	return tokenInfo(info), token, err
}

// Revoke implements api.Tokens.
func (k tokenKeeper) Revoke(ctx context.Context, t event.Tenant, id string) error {
	return k.tokens.Revoke(ctx, t, id)
}

// attached gives detections with the events that they rest on.
func (s *server) attached() api.Detections {
	return withEvidence{api.DetectionStore(s.detections), s.records}
}

type withEvidence struct {
	api.Detections
	records store.Records
}

// Get implements api.Detections.
func (w withEvidence) Get(t event.Tenant, id string) (*detection.Detection, error) {
	d, err := w.Detections.Get(t, id)
	if err != nil {
		return nil, err
	}
	return d, detection.Attach(w.records, t, d)
}

// Status implements api.Node.
func (s *server) Status(t event.Tenant) api.Status {
	rates := s.node.Rates()
	out := api.Status{
		Version: version, UptimeSeconds: s.world.Clock.Now().Sub(s.started).Seconds(), Ready: true,
		Rates: api.Rates{
			EventsPerSecond: rates.Events, BytesPerSecond: rates.Bytes, EvaluatedPerSecond: rates.Evaluated,
			QuarantinedPerSecond: rates.Quarantined, MatchesPerSecond: rates.Matches, DetectionsPerMinute: rates.Detections * 60,
		},
	}
	check := func(name string, err error) {
		c := api.Check{Name: name, OK: err == nil}
		if err != nil {
			c.Detail = err.Error()
			out.Ready = false
		}
		out.Checks = append(out.Checks, c)
	}
	// remark is a check that holds, or does not without making the server unready.
	remark := func(name string, ok bool, detail string) {
		out.Checks = append(out.Checks, api.Check{Name: name, OK: ok, Detail: detail})
	}
	stats := s.log.Stats()
	check("log", stats.Failed)
	// It goes on with all but that, and takes data again by itself.
	if stats.Full {
		remark("disk", false, "it is nearly full, and new data is refused until there is room again; senders keep theirs")
	} else {
		remark("disk", true, "")
	}
	switch c := s.node.Content(); {
	case c == nil:
		check("rules", errors.New("no rules are loaded"))
	case c.Refused > 0:
		remark("rules", true, plural(c.Refused, "document")+" of the content cannot be used; 'tiercel rule lint' says why")
	default:
		check("rules", nil)
	}
	if held := s.node.Held(); len(held) > 0 {
		remark(checkCost, true, heldDetail(held))
	}
	_, err := s.records.Get(store.Key{Tenant: event.LocalTenant, Kind: kindAudit, ID: "probe"})
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	check("state", err)
	return out
}

// Sources implements api.Node.
func (s *server) Sources(t event.Tenant) []api.Source {
	var out []api.Source
	for _, x := range s.node.Sources(t) {
		out = append(out, api.Source{
			Name: x.Name, Tenant: x.Tenant.String(), Pack: x.Pack, LastEvent: x.Last, Silent: !x.Silent.IsZero(), ExpectedSeconds: x.Expected.Seconds(),
			LagSeconds: x.Lag.Seconds(), Watermark: x.Watermark, EventsPerSecond: x.EventsPerSecond, BytesPerSecond: x.BytesPerSecond,
			Events: x.Events, Bytes: x.Bytes, Unrouted: x.Unrouted, Flagged: x.Flagged, Unaccounted: x.Unaccounted, BlindRules: x.Blind,
		})
	}
	return out
}

// Rules implements api.Node.
func (s *server) Rules() []api.RuleFigures {
	var out []api.RuleFigures
	for _, r := range s.node.Rules() {
		out = append(out, api.RuleFigures{
			ID: r.ID, Title: r.Title, Kind: r.Kind, Level: r.Level, State: "on", Matches: r.Matches, Detections: r.Detections, CostSeconds: r.Cost.Seconds(),
		})
	}
	for _, h := range s.node.Held() {
		out = append(out, api.RuleFigures{
			ID: h.ID, Title: h.Title, Kind: "rule", Level: h.Level, State: stateHeld, Since: time.UnixMicro(h.Since).UTC(), Why: h.Why(), Blind: h.Blind,
		})
	}
	slices.SortStableFunc(out, func(a, b api.RuleFigures) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// Ledger implements api.Node.
func (s *server) Ledger(t event.Tenant, q api.LedgerQuery) (api.Ledger, error) {
	sum, err := s.node.Ledger(t, q.Source, q.From, q.To, q.Limit)
	if err != nil {
		return api.Ledger{}, err
	}
	out := api.Ledger{Minutes: []api.Minute{}, Types: []api.TypeBytes{}, Next: sum.Next}
	counts := func(c ledger.Counts, settled bool) api.Counts {
		x := api.Counts{
			Received: c.Received, Evaluated: c.Evaluated, Late: c.Late, Quarantined: c.Quarantined, Damaged: c.Damaged,
			DroppedBytes: c.DroppedFieldBytes, DuplicateFields: c.DuplicateFields, InvalidTexts: c.InvalidTexts,
		}
		if settled {
			x.Unexplained = int64(c.Received) - int64(c.Evaluated+c.Late+c.Quarantined+c.Damaged)
		}
		return x
	}
	for _, m := range sum.Minutes {
		c := counts(m.Counts, m.Settled)
		out.Minutes = append(out.Minutes, api.Minute{Minute: time.Unix(m.Minute*60, 0).UTC(), Source: m.Source, Counts: c, Settled: m.Settled})
		out.Totals.Unexplained += c.Unexplained
	}
	unexplained := out.Totals.Unexplained
	out.Totals = counts(sum.Totals, false)
	out.Totals.Unexplained = unexplained
	for _, x := range sum.Types {
		if len(out.Types) == api.LedgerTypesMax {
			break
		}
		out.Types = append(out.Types, api.TypeBytes{Source: x.Source, Type: x.Type, Events: x.Events, Bytes: x.Bytes})
	}
	return out, nil
}

// gapReasons are the words of the API for those of the ledger.
var gapReasons = map[ledger.Reason]string{
	ledger.ReasonAdded: "off", ledger.ReasonRemoved: "off", ledger.ReasonDisabled: "off", ledger.ReasonRefused: "failed",
	ledger.ReasonPaused: "paused", ledger.ReasonOverBudget: "over_budget", ledger.ReasonStopped: "off",
}

// Gaps implements api.Node.
func (s *server) Gaps(t event.Tenant, q api.GapQuery) (api.Gaps, error) {
	out := api.Gaps{Rules: []api.RuleGap{}, Upstream: []api.UpstreamGap{}}
	from, to := q.From.UnixMicro(), q.To.UnixMicro()
	rules, more, err := ledger.ListRuleGaps(s.records.Scan, t, q.Rule, from, to)
	if err != nil {
		return out, err
	}
	out.Truncated = more
	for i := len(rules) - 1; i >= 0; i-- {
		if len(out.Rules) == q.Limit {
			out.Truncated = true
			break
		}
		g := api.RuleGap{Rule: rules[i].Rule, From: time.UnixMicro(rules[i].From).UTC(), Reason: gapReasons[rules[i].Reason], Detail: string(rules[i].Reason)}
		if rules[i].To > 0 {
			g.To = time.UnixMicro(rules[i].To).UTC()
		}
		out.Rules = append(out.Rules, g)
	}
	upstream, more, err := ledger.ListUpstreamGaps(s.records.Scan, t, q.Source, from, to)
	if err != nil {
		return out, err
	}
	out.Truncated = out.Truncated || more
	for i := len(upstream) - 1; i >= 0; i-- {
		if len(out.Upstream) == q.Limit {
			out.Truncated = true
			break
		}
		g := &upstream[i]
		missing := g.Missing
		if g.FilledAt > 0 {
			missing = 0
			for _, r := range g.Remaining {
				missing += r.To - r.From + 1
			}
			if missing == 0 {
				continue // all of it came after all
			}
		}
		kind := g.Kind
		if kind == "sensor_sequence" {
			kind = "sequence"
		}
		out.Upstream = append(out.Upstream, api.UpstreamGap{
			Source: g.Source, Kind: kind, Host: g.Host, Channel: g.Channel, First: g.From, Last: g.To, Missing: missing, Noticed: time.UnixMicro(g.FoundAt).UTC(),
		})
	}
	return out, nil
}

// Reload implements api.Node.
func (s *server) Reload(context.Context) (api.Reloaded, error) {
	r, err := s.node.Reload()
	out := api.Reloaded{Changed: r.Changed, Rules: r.Rules, Correlations: r.Correlations, Refused: r.Refused, Problems: r.Problems}
	if err != nil {
		// What is wrong with the content is for the one who wrote it.
		out.Problems = append(out.Problems, err.Error())
		s.logger.Error("the content was not reloaded; what ran goes on", "error", err.Error())
	}
	if r.Changed {
		logContent(s.logger, r.Problems)
	}
	return out, nil
}

// stateHeld is the API's word for a rule that is taken out for its cost.
const stateHeld = "over_budget"

// Release implements api.Node.
func (s *server) Release(_ context.Context, id string) (api.Reloaded, error) {
	r, err := s.node.Release(id)
	out := api.Reloaded{Changed: r.Changed, Rules: r.Rules, Correlations: r.Correlations, Refused: r.Refused, Problems: r.Problems}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return out, err
	case err != nil:
		// As with a reload, what is wrong with the content is told.
		out.Problems = append(out.Problems, err.Error())
		s.logger.Error("a rule was not released; what ran goes on", "error", err.Error())
	case r.Changed:
		logContent(s.logger, r.Problems)
	}
	return out, nil
}

// checkCost is the check of the status that is there while rules are taken out
// for their cost.
const checkCost = "rule cost"

// heldNamed bounds the rules that a check names.
const heldNamed = 3

// heldDetail says which rules are taken out for their cost.
func heldDetail(held []stream.Held) string {
	var names []string
	for _, h := range held[:min(len(held), heldNamed)] {
		names = append(names, h.ID)
	}
	text := plural(len(held), "rule") + " taken out for the cost: " + strings.Join(names, ", ")
	if more := len(held) - heldNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text + "; 'tiercel rule release' says why"
}

// outbox delivers notifications; without endpoints it does nothing.
type outbox struct{ box *webhook.Outbox }

func newOutbox(s *server) (*outbox, error) {
	if len(s.cfg.Webhooks) == 0 {
		return &outbox{}, nil
	}
	var endpoints []webhook.Endpoint
	for i := range s.cfg.Webhooks {
		c := &s.cfg.Webhooks[i]
		t, ok := s.tenants.Lookup(c.Tenant)
		if !ok {
			return nil, usageError("webhook %q: tenant %q is not configured", c.Name, c.Tenant)
		}
		var allowed []netip.Prefix
		if c.AllowPrivate {
			allowed = webhook.PrivateNetworks()
		}
		e := webhook.Endpoint{
			Name: c.Name, Tenant: t, URL: c.URL, MinLevel: c.MinLevel, Events: c.Events, AllowPrivate: allowed,
			Proxy: c.Proxy, ProxyAuth: c.ProxyAuth.Reveal(),
		}
		for _, secret := range c.SigningSecrets() {
			e.Secrets = append(e.Secrets, secret.Reveal())
		}
		endpoints = append(endpoints, e)
	}
	box, err := webhook.Open(webhook.Config{Records: s.records, Env: s.world, Endpoints: endpoints, Metrics: s.metrics, Logger: s.logger})
	if err != nil {
		return nil, &codedError{exitUsage, fmt.Errorf("webhooks: %w", err)}
	}
	return &outbox{box}, nil
}

func (o *outbox) writes(t event.Tenant, changes []detection.Change) ([]store.Write, error) {
	if o.box == nil {
		return nil, nil
	}
	return o.box.Writes(t, changes)
}

func (o *outbox) run(ctx context.Context) error {
	if o.box == nil {
		return nil
	}
	return o.box.Run(ctx)
}

func (o *outbox) api() api.Webhooks {
	if o.box == nil {
		return nil
	}
	return hooks{o.box}
}

// hooks is webhook.Outbox as the API asks for it.
type hooks struct{ box *webhook.Outbox }

// Endpoints implements api.Webhooks.
func (h hooks) Endpoints(t event.Tenant) ([]api.Endpoint, error) {
	list, err := h.box.Endpoints(t)
	var out []api.Endpoint
	for _, e := range list {
		x := api.Endpoint{Name: e.Name, Pending: e.Pending, Host: e.Host, Disabled: !e.Disabled.IsZero(), LastSuccess: e.LastSuccess, LastError: e.LastError, LastErrorAt: e.LastErrorAt}
		out = append(out, x)
	}
	return out, err
}

// Deliveries implements api.Webhooks.
func (h hooks) Deliveries(t event.Tenant, limit int) ([]api.Delivery, error) {
	page, err := h.box.List(t, webhook.Filter{Limit: limit})
	var out []api.Delivery
	for _, d := range page.Deliveries {
		out = append(out, api.Delivery{
			ID: d.ID, Endpoint: d.Endpoint, Type: d.Type, State: d.State, Attempts: d.Attempts, Created: d.Created, NextAttempt: d.NextAttempt, LastError: d.LastError,
		})
	}
	return out, err
}

// Retry implements api.Webhooks.
func (h hooks) Retry(_ context.Context, t event.Tenant, id string) error { return h.box.Retry(t, id) }
