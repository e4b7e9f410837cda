package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/report"
)

func newQuarantine(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "List, show and try again what a server could not read",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newQuarantineList(p), newQuarantineShow(p), newQuarantineRetry(p))
	return c
}

// reasonNotFound is the API's reason for an id that is not in quarantine.
const reasonNotFound = "not_found"

const timeLayout = "2006-01-02 15:04:05Z"

func newQuarantineList(p *process) *cobra.Command {
	var connection clientFlags
	var from, source, reason string
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List records that could not be read, the newest first",
		Example: "  tiercel quarantine list --source firewall --since 24h\n  tiercel quarantine list --json | jq -r .reason | sort | uniq -c",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			query := url.Values{}
			if err := checkReason(reason); err != nil {
				return err
			}
			set(query, "source", source)
			set(query, "reason", reason)
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
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			w := bufio.NewWriter(p.stdout)
			shown, more := 0, true
			for more && shown < limit {
				query.Set("limit", strconv.Itoa(min(limit-shown, pageMax)))
				var page api.QuarantinePage
				if err := server.ask(c.Context(), http.MethodGet, "/quarantine", query, nil, &page); err != nil {
					return err
				}
				for _, e := range page.Entries {
					if err := quarantineLine(w, e, asJSON); err != nil {
						return outputError(err)
					}
				}
				shown += len(page.Entries)
				more = page.Next != ""
				query.Set("cursor", page.Next)
			}
			if !asJSON {
				fmt.Fprint(w, plural(shown, "record"))
				if more {
					fmt.Fprint(w, "; there may be older ones, see --limit")
				}
				fmt.Fprintln(w)
			}
			if err := w.Flush(); err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	connection.register(c)
	flags := c.Flags()
	flags.StringVar(&from, "since", "", "only those that came `since`: 90m, 24h, 7d, a date or a time")
	flags.StringVar(&source, "source", "", "only those of a source, by `name`")
	flags.StringVar(&reason, "reason", "", "only those with this `reason`: "+strings.Join(ingest.Reasons(), ", "))
	flags.IntVarP(&limit, "limit", "n", 50, "`number` of records")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// checkReason says what is wrong with the value of --reason: an unknown one
// would be answered with nothing, as if all were well.
func checkReason(reason string) error {
	known := ingest.Reasons()
	if reason == "" || slices.Contains(known, reason) {
		return nil
	}
	return usageError("--reason %q is unknown%s\nKnown are %s", report.Clean(reason, 80), didYouMean(reason, known), strings.Join(known, ", "))
}

func quarantineLine(w io.Writer, e *quarantine.Entry, asJSON bool) error {
	if asJSON {
		text, err := report.JSON(e)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	fmt.Fprintf(w, "%s  %-12s %s, %s\n", e.Received.UTC().Format(timeLayout), report.Clean(e.Reason, 40), report.Clean(e.Source, 100), plural(e.Bytes, "byte"))
	if e.Detail != "" {
		fmt.Fprintf(w, "    %s\n", report.Clean(e.Detail, 500))
	}
	if e.Outcome != "" {
		fmt.Fprintf(w, "    tried again %s: %s\n", e.Retried.UTC().Format(timeLayout), report.Clean(e.Outcome, 500))
	}
	_, err := fmt.Fprintf(w, "    %s\n\n", report.Clean(e.ID, 100))
	return err
}

func newQuarantineShow(p *process) *cobra.Command {
	var connection clientFlags
	var asJSON, raw bool
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a record that could not be read, with its bytes",
		Long:    "Text is printed as text, with what a terminal would obey made visible; other bytes as a hex dump.",
		Example: "  tiercel quarantine show 97c1… --raw > record.bin",
		Args:    oneID("quarantine show", "a record"),
		RunE: func(c *cobra.Command, args []string) error {
			if raw && p.stdoutTerminal {
				return usageError("--raw would let the record write to your terminal; send it to a file with > FILE")
			}
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			var e quarantine.Entry
			if err := server.ask(c.Context(), http.MethodGet, "/quarantine/"+args[0], nil, nil, &e); err != nil {
				return err
			}
			w := bufio.NewWriter(p.stdout)
			switch {
			case raw:
				_, err = w.Write(e.Raw)
			case asJSON:
				err = quarantineLine(w, &e, true)
			default:
				quarantineFull(w, &e)
			}
			if err == nil {
				err = w.Flush()
			}
			if err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	connection.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON, the bytes in base64")
	c.Flags().BoolVar(&raw, "raw", false, "print the bytes alone, as they came")
	c.MarkFlagsMutuallyExclusive("json", "raw")
	return c
}

func quarantineFull(w io.Writer, e *quarantine.Entry) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-10s %s\n", name, report.Clean(value, 4000))
		}
	}
	line("record", e.ID)
	line("reason", e.Reason)
	line("", e.Detail)
	line("received", e.Received.UTC().Format(timeLayout))
	line("source", e.Source)
	line("protocol", e.Protocol)
	line("format", e.Format)
	line("peer", e.Peer)
	line("place", fmt.Sprintf("%s, offset %d, record %d", e.Partition, e.Offset, e.Index))
	if !e.Retried.IsZero() {
		line("retried", e.Retried.UTC().Format(timeLayout)+": "+e.Outcome)
	}
	size := plural(e.Bytes, "byte")
	if len(e.Raw) < e.Bytes {
		size += fmt.Sprintf(", of which %d are kept", len(e.Raw))
	}
	line("size", size)
	line("sha256", e.Hash)
	fmt.Fprintln(w)
	if !printable(e.Raw) {
		d := hex.Dumper(w)
		_, _ = d.Write(e.Raw)
		d.Close()
		return
	}
	for text := range strings.Lines(string(e.Raw)) {
		fmt.Fprintln(w, report.Clean(strings.TrimRight(text, "\r\n"), len(text)))
	}
}

// printable reports whether bytes are text that says something when shown:
// UTF-8 without NUL, and hardly anything that is no text.
func printable(raw []byte) bool {
	odd := 0
	for i := 0; i < len(raw); {
		r, size := utf8.DecodeRune(raw[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return false
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' {
			odd++
		}
		i += size
	}
	return odd*20 <= len(raw)
}

func newQuarantineRetry(p *process) *cobra.Command {
	var connection clientFlags
	var source, reason string
	var all, asJSON bool
	var limit int
	c := &cobra.Command{
		Use:   "retry [ID...]",
		Short: "Try records again that could not be read",
		Long: "Give ids, or choose with --source and --reason, or take --all. What is read now is evaluated and leaves\n" +
			"quarantine; the rest stays, with the new reason. The exit code is 1 if any stays, or is\n" +
			"not there.",
		Example: "  tiercel quarantine retry --source firewall --reason unparsed",
		Args: func(_ *cobra.Command, args []string) error {
			for _, id := range args {
				if err := checkID(id); err != nil {
					return err
				}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkReason(reason); err != nil {
				return err
			}
			chosen := source != "" || reason != ""
			switch {
			case len(args) == 0 && !chosen && !all:
				return usageError("say what to try: ids, --source, --reason or --all")
			case len(args) > 0 && (chosen || all), chosen && all:
				return usageError("ids, --source and --reason, and --all exclude each other")
			case len(args) > pageMax:
				return usageError("%d ids are more than %d; choose with --source and --reason", len(args), pageMax)
			case limit < 1 || limit > 10_000:
				return usageError("--limit %d is not between 1 and 10000", limit)
			}
			body := map[string]any{"limit": limit}
			if len(args) > 0 {
				body["ids"] = args
			}
			if source != "" {
				body["source"] = source
			}
			if reason != "" {
				body["reason"] = reason
			}
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			var r api.Retried
			if err := server.ask(c.Context(), http.MethodPost, "/quarantine/retry", nil, body, &r); err != nil {
				return err
			}
			absent := 0
			for _, f := range r.Failed {
				if f.Reason == reasonNotFound {
					absent++
				}
			}
			if asJSON {
				text, err := report.JSON(r)
				if err == nil {
					_, err = p.stdout.Write(text)
				}
				if err != nil {
					return outputError(err)
				}
			} else {
				for _, f := range r.Failed {
					if f.Reason == reasonNotFound {
						fmt.Fprintf(p.stdout, "%s: no record with this id is in quarantine; 'tiercel quarantine list' shows the whole ids\n", report.Clean(f.ID, 100))
						continue
					}
					fmt.Fprintf(p.stdout, "%s stays: %s, %s\n", report.Clean(f.ID, 100), report.Clean(f.Reason, 40), report.Clean(f.Detail, 500))
				}
				fmt.Fprintf(p.stdout, "%s tried, %d read now and evaluated, %d stay\n", plural(r.Tried, "record"), r.Recovered, r.Tried-r.Recovered)
				if r.More {
					fmt.Fprintln(p.stdout, "there are more; run it again")
				}
			}
			if r.Recovered < r.Tried || absent > 0 {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
	connection.register(c)
	flags := c.Flags()
	flags.StringVar(&source, "source", "", "records of a source, by `name`")
	flags.StringVar(&reason, "reason", "", "records with this `reason`")
	flags.BoolVar(&all, "all", false, "all records")
	flags.IntVar(&limit, "limit", 1000, "at most this `number` of records")
	flags.BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}
