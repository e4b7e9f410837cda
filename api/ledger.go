package api

import (
	"context"
	"time"
)

// TenantParam is how a request chooses a tenant. The guard has read it; it is
// here for the document and for the check of unknown keys.
type TenantParam struct {
	Tenant string `query:"tenant" maxLength:"64" doc:"The tenant; only for tokens of all tenants, and needed by them where there are several."`
}

// RangeParams is a range of time in a question.
type RangeParams struct {
	From time.Time `query:"from" doc:"Begin, included. RFC 3339."`
	To   time.Time `query:"to" doc:"End, not included; now unless given."`
}

// span settles a range: what is not given ends now and has the usual length.
// Both ends are moved outwards to whole minutes.
func (s *server) span(p RangeParams, usual time.Duration) (from, to time.Time, _ error) {
	if to = p.To; to.IsZero() {
		to = s.clock.Now()
	}
	if from = p.From; from.IsZero() {
		from = to.Add(-usual)
	}
	from, to = from.UTC().Truncate(time.Minute), to.UTC()
	if whole := to.Truncate(time.Minute); whole.Before(to) {
		to = whole.Add(time.Minute)
	}
	if !from.Before(to) {
		return from, to, invalid("query.from", "it is not before to")
	}
	if to.Sub(from) > LedgerRangeMax {
		return from, to, invalid("query.from", "the range is longer than %d days", int(LedgerRangeMax/(24*time.Hour)))
	}
	return from, to, nil
}

// What a question covers when it does not say: what a person looks at first.
const (
	ledgerUsual = time.Hour
	gapsUsual   = 24 * time.Hour
)

type ledgerInput struct {
	TenantParam
	RangeParams
	Source string `query:"source" maxLength:"200" doc:"One source; all unless given."`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Bounds the minutes times sources that are returned; the last minute is returned whole."`
}

type ledgerOutput struct{ Body Ledger }

func (s *server) getLedger(_ context.Context, c *caller, in *ledgerInput) (*ledgerOutput, error) {
	from, to, err := s.span(in.RangeParams, ledgerUsual)
	if err != nil {
		return nil, err
	}
	l, err := s.node.Ledger(c.tenant, LedgerQuery{Source: in.Source, From: from, To: to, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	l.Minutes, l.Types = full(l.Minutes), full(l.Types)
	return &ledgerOutput{l}, nil
}

type gapsInput struct {
	TenantParam
	RangeParams
	Source string `query:"source" maxLength:"200" doc:"Upstream gaps of one source."`
	Rule   string `query:"rule" maxLength:"200" doc:"Gaps of one rule, by its id."`
	Limit  int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"Bounds each of the two lists."`
}

type gapsOutput struct{ Body Gaps }

func (s *server) getGaps(_ context.Context, c *caller, in *gapsInput) (*gapsOutput, error) {
	from, to, err := s.span(in.RangeParams, gapsUsual)
	if err != nil {
		return nil, err
	}
	g, err := s.node.Gaps(c.tenant, GapQuery{Source: in.Source, Rule: in.Rule, From: from, To: to, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	g.Rules, g.Upstream = full(g.Rules), full(g.Upstream)
	return &gapsOutput{g}, nil
}

// full is a list that JSON shows as one even when it is empty.
func full[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
