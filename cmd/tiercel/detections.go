package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/report"
)

// pageMax is the largest page that the API gives.
const pageMax = 500

func newDetections(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "detections",
		Short: "List, show and follow the detections of a server",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newDetectionsList(p), newDetectionsShow(p), newDetectionsTail(p))
	return c
}

// detectionFilter are the flags that choose detections.
type detectionFilter struct{ minLevel, rule string }

func (f *detectionFilter) register(c *cobra.Command) {
	c.Flags().StringVar(&f.minLevel, "min-level", "", "lowest `level`: informational, low, medium, high, critical")
	c.Flags().StringVar(&f.rule, "rule", "", "`id` of a rule")
	complete(c, "min-level", levelNames())
}

func (f *detectionFilter) query() (url.Values, error) {
	q := url.Values{}
	if f.minLevel != "" {
		level, err := parseLevel("min-level", f.minLevel)
		if err != nil {
			return nil, err
		}
		q.Set("min_level", level.String())
	}
	set(q, "rule", f.rule)
	return q, nil
}

func newDetectionsList(p *process) *cobra.Command {
	var connection clientFlags
	var filter detectionFilter
	var from, value string
	var phases []string
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List detections, the newest first",
		Long: "The one that was made last comes first. The time shown, and that of --since, is the deciding event's, which\n" +
			"is older where events came late or were read from a file.",
		Example: "  tiercel detections list --min-level high --since 24h\n  tiercel detections list --value WS01 --json | jq .rule.title",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := filter.query()
			if err != nil {
				return err
			}
			begin, err := since(from, p.world.Clock.Now())
			if err != nil {
				return err
			}
			if !begin.IsZero() {
				query.Set("from", begin.UTC().Format(time.RFC3339))
			}
			if limit < 1 {
				return usageError("--limit %d: at least 1", limit)
			}
			set(query, "value", value)
			set(query, "phase", strings.Join(phases, ","))
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			out := report.NewStored(p.stdout, report.Options{Color: p.color()}, asJSON)
			shown, more := 0, true
			for more && shown < limit {
				query.Set("limit", strconv.Itoa(min(limit-shown, pageMax)))
				var page api.DetectionPage
				if err := server.ask(c.Context(), http.MethodGet, "/detections", query, nil, &page); err != nil {
					return err
				}
				for _, d := range page.Detections {
					if err := out.Line(d); err != nil {
						return outputError(err)
					}
				}
				shown += len(page.Detections)
				more = page.Next != ""
				query.Set("cursor", page.Next)
			}
			if asJSON {
				return nil
			}
			fmt.Fprint(p.stdout, plural(shown, "detection"))
			if more {
				fmt.Fprint(p.stdout, "; there may be older ones, see --limit")
			}
			fmt.Fprintln(p.stdout)
			return nil
		},
	}
	connection.register(c)
	filter.register(c)
	flags := c.Flags()
	flags.StringVar(&from, "since", "", "only those whose deciding event is not before `since`: 90m, 24h, 7d (ago), a date or a time")
	flags.StringVar(&value, "value", "", "only those with this `host` or value of the group")
	flags.StringSliceVar(&phases, "phase", nil, "`phases`: provisional, final, closed, superseded (default all but superseded)")
	flags.IntVarP(&limit, "limit", "n", 50, "`number` of detections")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// outputError is that of results that could not be written.
func outputError(err error) error {
	return &codedError{exitInput, fmt.Errorf("cannot write the output: %w", err)}
}

func newDetectionsShow(p *process) *cobra.Command {
	var connection clientFlags
	var asJSON, events bool
	c := &cobra.Command{
		Use:     "show ID",
		Example: "  tiercel detections show 01fd9f20\n  tiercel detections show 01fd9f20 --events",
		Short:   "Show a detection with its reasons and evidence",
		Long:    "The id may be shortened as long as no other begins the same way.",
		Args:    oneID("detections show", "a detection"),
		RunE: func(c *cobra.Command, args []string) error {
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			var d detection.Detection
			if err := server.ask(c.Context(), http.MethodGet, "/detections/"+args[0], nil, nil, &d); err != nil {
				return err
			}
			if err := report.NewStored(p.stdout, report.Options{Color: p.color()}, asJSON).Full(&d, events); err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	connection.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	c.Flags().BoolVar(&events, "events", false, "print the events themselves, too")
	return c
}

// oneID demands exactly one argument that can be an id, and says what it is.
func oneID(verb, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError("%s needs the id of %s\nRun 'tiercel %s --help' for its flags", verb, what, verb)
		}
		return checkID(args[0])
	}
}

// oneArgument demands exactly one argument, and says what it is.
func oneArgument(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			verb := strings.TrimPrefix(c.CommandPath(), "tiercel ")
			return usageError("%s needs one argument, %s\nRun 'tiercel %s --help' for its flags", verb, what, verb)
		}
		return nil
	}
}

// checkID says what is wrong with an id, which becomes part of an address.
func checkID(id string) error {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	if id == "" || len(id) > 200 || strings.ContainsFunc(id, func(r rune) bool { return !plain(r) }) {
		return usageError("%q is no id; ids have letters, digits, - and _ only", report.Clean(id, 100))
	}
	return nil
}
