package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/report"
)

// sourcesShown bounds the sources of the live view, so that it fits a screen.
const sourcesShown = 20

// liveStats is what one look at a server gives.
type liveStats struct {
	Status api.StatusReport    `json:"status"`
	Rules  api.RuleFiguresList `json:"rules"`
}

func newLiveStats(p *process) *cobra.Command {
	var connection clientFlags
	var once, asJSON bool
	var every time.Duration
	c := &cobra.Command{
		Use:     "stats",
		Example: "  tiercel stats\n  tiercel stats --json | jq .status.sources",
		Short:   "Show how a server is doing: rates, lag, sources, the rules that cost most",
		Long:    "On a terminal the view is drawn anew every --interval until it is interrupted; elsewhere it is printed once.",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond || every > time.Hour {
				return usageError("--interval %s is not between 100ms and 1h", every)
			}
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			once = once || asJSON || !p.stdoutTerminal
			for first := true; ; first = false {
				stats, err := look(c.Context(), server)
				if err != nil && (first || once || c.Context().Err() != nil) {
					return err
				}
				if asJSON {
					text, err := report.JSON(stats)
					if err == nil {
						_, err = p.stdout.Write(text)
					}
					if err != nil {
						return outputError(err)
					}
					return nil
				}
				var view strings.Builder
				if err != nil {
					fmt.Fprintf(&view, "%v\n\nTrying again.\n", err)
				} else {
					stats.write(&view, server.base.Redacted(), p.world.Clock.Now())
				}
				text := view.String()
				if !once {
					// Home, the view with each line cleared behind its end, and
					// what is left below cleared: nothing flickers.
					text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
				}
				if _, err := io.WriteString(p.stdout, text); err != nil {
					return outputError(err)
				}
				if once {
					return nil
				}
				if env.Sleep(c.Context(), p.world.Clock, every) != nil {
					return &codedError{exitInterrupted, nil}
				}
			}
		},
	}
	connection.register(c)
	flags := c.Flags()
	flags.BoolVar(&once, "once", false, "print it once")
	flags.BoolVar(&asJSON, "json", false, "print it once as JSON")
	flags.DurationVar(&every, "interval", 2*time.Second, "`time` between two looks")
	return c
}

// look asks a server how it is doing.
func look(ctx context.Context, server *client) (*liveStats, error) {
	var s liveStats
	if err := server.ask(ctx, http.MethodGet, "/status", nil, nil, &s.Status); err != nil {
		return nil, err
	}
	query := url.Values{"by": {"cost"}, "limit": {strconv.Itoa(rulesShown)}}
	return &s, server.ask(ctx, http.MethodGet, "/rules/stats", query, nil, &s.Rules)
}

// write draws the view.
func (s *liveStats) write(w io.Writer, where string, now time.Time) {
	st := &s.Status
	state := "ready"
	if !st.Ready {
		state = "NOT READY"
	}
	fmt.Fprintf(w, "tiercel %s at %s, %s, up %s\n", report.Clean(st.Version, 60), where, state, glance(st.UptimeSeconds))
	for _, c := range st.Checks {
		if !c.OK || c.Detail != "" {
			fmt.Fprintf(w, "  %s: %s\n", report.Clean(c.Name, 60), report.Clean(c.Detail, 200))
		}
	}
	r := &st.Rates
	fmt.Fprint(w, "\non average over the last minute\n")
	fmt.Fprintf(w, "%-14s %.1f events/s, %.2f MB/s\n", "received", r.EventsPerSecond, r.BytesPerSecond/1e6)
	fmt.Fprintf(w, "%-14s %.1f events/s\n", "evaluated", r.EvaluatedPerSecond)
	fmt.Fprintf(w, "%-14s %.1f events/s\n", "quarantined", r.QuarantinedPerSecond)
	fmt.Fprintf(w, "%-14s %.1f matches/s, %.1f detections/min\n", "found", r.MatchesPerSecond, r.DetectionsPerMinute)
	s.sources(w, now)
	s.rules(w)
}

// sources shows those in trouble first, then the busiest.
func (s *liveStats) sources(w io.Writer, now time.Time) {
	list := slices.Clone(s.Status.Sources)
	trouble := func(x *api.Source) bool { return x.Silent || x.Unaccounted != 0 || unknown(x) > 0 || x.Flagged > 0 }
	slices.SortStableFunc(list, func(a, b api.Source) int {
		switch ta, tb := trouble(&a), trouble(&b); {
		case ta != tb && ta:
			return -1
		case ta != tb:
			return 1
		case a.EventsPerSecond > b.EventsPerSecond:
			return -1
		case a.EventsPerSecond < b.EventsPerSecond:
			return 1
		}
		return strings.Compare(a.Tenant+"/"+a.Name, b.Tenant+"/"+b.Name)
	})
	fmt.Fprintf(w, "\n%-32s %12s %10s %10s %12s\n", "source", "events/s", "MB/s", "lag", "last event")
	for _, x := range list[:min(len(list), sourcesShown)] {
		last := "never"
		if !x.LastEvent.IsZero() {
			last = glance(now.Sub(x.LastEvent).Seconds()) + " ago"
		}
		notes := ""
		if x.Silent {
			notes += "  SILENT"
			if n := len(x.BlindRules); n > 0 {
				notes += fmt.Sprintf(", %s blind", plural(n, "rule"))
			}
		}
		if share := unknown(&x); share > 0 {
			notes += fmt.Sprintf("  UNKNOWN %d %%", share)
		}
		if x.Flagged > 0 {
			notes += fmt.Sprintf("  DOUBTFUL %d", x.Flagged)
		}
		if x.Unaccounted != 0 {
			notes += fmt.Sprintf("  UNACCOUNTED %d", x.Unaccounted)
		}
		fmt.Fprintf(w, "%-32s %12.1f %10.2f %10s %12s%s\n",
			report.Clean(x.Tenant+"/"+x.Name, 31), x.EventsPerSecond, x.BytesPerSecond/1e6, glance(x.LagSeconds), last, notes)
	}
	if n := len(list) - sourcesShown; n > 0 {
		fmt.Fprintf(w, "and %d more\n", n)
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "none yet")
	}
}

// A source is told of when this share of its records, in per cent, is known to
// no pack, since single lines of most logs are not, and it has sent as many as
// this: a few test events say nothing.
const (
	unknownLeast = 50
	unknownFrom  = 100
)

// unknown is the share of a source's records that no pack knows, in per cent, or
// 0 when it is nothing to speak of.
func unknown(x *api.Source) uint64 {
	if x.Events < unknownFrom {
		return 0
	}
	share := 100 * min(x.Unrouted, x.Events) / x.Events
	if share < unknownLeast {
		return 0
	}
	return share
}

func (s *liveStats) rules(w io.Writer) {
	fmt.Fprintf(w, "\n%-8s %10s %12s %12s  %s\n", "cost", "seconds", "matches", "detections", fmt.Sprintf("rule, of %d", s.Rules.Loaded))
	shown := false
	for _, r := range s.Rules.Rules {
		if r.CostSeconds == 0 && r.Matches == 0 && r.Detections == 0 {
			continue // it was not measured yet
		}
		shown = true
		share := 0.0
		if s.Rules.CostSeconds > 0 {
			share = 100 * r.CostSeconds / s.Rules.CostSeconds
		}
		state := ""
		if r.State != "on" {
			state = ", " + report.Clean(r.State, 20)
		}
		fmt.Fprintf(w, "%6.1f %% %10.2f %12d %12d  %s (%s%s)\n", share, r.CostSeconds, r.Matches, r.Detections, report.Clean(r.Title, 60), report.Clean(r.Level, 13), state)
	}
	if !shown {
		fmt.Fprintln(w, "nothing measured yet")
	}
}

// glance writes seconds for a glance: 0.2s, 45s, 12m, 3h12m, 4d2h.
func glance(seconds float64) string {
	switch {
	case seconds < 0:
		return "0s"
	case seconds < 10:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + "s"
	case seconds < 60:
		return fmt.Sprintf("%.0fs", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%ds", int(seconds)/60, int(seconds)%60)
	case seconds < 86400:
		return fmt.Sprintf("%dh%dm", int(seconds)/3600, int(seconds)%3600/60)
	}
	return fmt.Sprintf("%dd%dh", int(seconds)/86400, int(seconds)%86400/3600)
}
