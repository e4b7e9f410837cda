package api

import (
	"cmp"
	"context"
	"slices"
)

// StatusReport is how the process and its sources are doing.
type StatusReport struct {
	Status
	Sources []Source `json:"sources"`
}

type statusInput struct{ TenantParam }

type statusOutput struct{ Body StatusReport }

func (s *server) getStatus(_ context.Context, c *caller, _ *statusInput) (*statusOutput, error) {
	report := StatusReport{Status: s.node.Status(c.tenant), Sources: full(s.node.Sources(c.tenant))}
	report.Checks = full(slices.Clone(report.Checks))
	if !c.tenant.IsZero() {
		// The node's rates are of all tenants together.
		report.Rates = Rates{}
		for i := range report.Sources {
			report.Rates.EventsPerSecond += report.Sources[i].EventsPerSecond
			report.Rates.BytesPerSecond += report.Sources[i].BytesPerSecond
		}
	}
	if !c.principal.Tenant.IsZero() {
		for i := range report.Checks {
			report.Checks[i].Detail = ""
		}
	}
	return &statusOutput{report}, nil
}

type sourcesInput struct{ TenantParam }

// SourceList is the answer to a question for sources.
type SourceList struct {
	Sources []Source `json:"sources"`
}

type sourcesOutput struct{ Body SourceList }

func (s *server) listSources(_ context.Context, c *caller, _ *sourcesInput) (*sourcesOutput, error) {
	return &sourcesOutput{SourceList{full(s.node.Sources(c.tenant))}}, nil
}

type ruleStatsInput struct {
	TenantParam
	By    string `query:"by" enum:"cost,matches,detections" default:"cost" doc:"The largest first by this."`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"20"`
}

// RuleFiguresList are the rules that lead by some figure.
type RuleFiguresList struct {
	Rules []RuleFigures `json:"rules"`
	// Loaded is how many rules there are, CostSeconds what all of them cost.
	Loaded      int     `json:"loaded" doc:"Number of rules loaded."`
	CostSeconds float64 `json:"cost_seconds" doc:"Cost of all rules together."`
}

type ruleStatsOutput struct{ Body RuleFiguresList }

// ruleStats sorts by a figure, then by matches, detections and id, so that
// equals, of which there are many while costs are small, do not jump about from
// one look to the next.
func (s *server) ruleStats(_ context.Context, c *caller, in *ruleStatsInput) (*ruleStatsOutput, error) {
	rules := s.node.Rules()
	out := RuleFiguresList{Loaded: len(rules)}
	for i := range rules {
		out.CostSeconds += rules[i].CostSeconds
		if !c.principal.Tenant.IsZero() {
			// The counts are of all tenants together and would tell one of
			// another.
			rules[i].Matches, rules[i].Detections = 0, 0
		}
	}
	slices.SortFunc(rules, func(a, b RuleFigures) int {
		var by int
		switch in.By {
		case "matches":
			by = cmp.Compare(b.Matches, a.Matches)
		case "detections":
			by = cmp.Compare(b.Detections, a.Detections)
		default:
			by = cmp.Compare(b.CostSeconds, a.CostSeconds)
		}
		return cmp.Or(by, cmp.Compare(b.Matches, a.Matches), cmp.Compare(b.Detections, a.Detections), cmp.Compare(a.ID, b.ID))
	})
	out.Rules = full(rules[:min(in.Limit, len(rules))])
	return &ruleStatsOutput{out}, nil
}
