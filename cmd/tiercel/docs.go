package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
)

// newDocs is the hidden verb that writes the reference pages, or checks that
// they are as the code would write them.
func newDocs(p *process) *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use:    "docs FOLDER",
		Short:  "Write the reference pages",
		Hidden: true,
		Args:   somePaths("docs", "the folder of the reference pages"),
		RunE: func(c *cobra.Command, args []string) error {
			pages, err := referencePages(c.Root())
			if err != nil {
				return err
			}
			stale := 0
			for _, page := range pages {
				name := p.world.FS.PathJoin(args[0], page.name)
				if !check {
					if err := writeFile(p.world.FS, name, page.text); err != nil {
						return err
					}
					continue
				}
				if old, err := readFile(p.world.FS, name); err != nil || old != page.text {
					stale++
					fmt.Fprintf(p.stderr, "tiercel: %s is not what the code says; run 'tiercel docs %s'\n", name, args[0])
				}
			}
			if stale > 0 {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "write nothing; exit with 1 when a page differs")
	return c
}

func writeFile(fs vfs.FS, name, text string) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte(text)); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func readFile(fs vfs.FS, name string) (string, error) {
	f, err := fs.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

type page struct{ name, text string }

const generated = "<!-- Made by `tiercel docs docs/reference`; edit the code, not this page. -->\n"

func referencePages(root *cobra.Command) ([]page, error) {
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	document, err := api.Document()
	if err != nil {
		return nil, err
	}
	return []page{
		{"api.md", "# HTTP API\n" + generated + "\n" + api.Reference()},
		{"openapi.json", string(document)},
		{"cli.md", cliPage(root)},
		{"config.md", configPage()},
		{"formats.md", formatsPage()},
		{"metrics.md", metricsPage()},
		{"packs.md", packsPage(set)},
		{"modifiers.md", modifiersPage()},
		{"lint.md", lintPage()},
	}, nil
}

func cliPage(root *cobra.Command) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Command line\n%s\n", generated)
	b.WriteString("Results go to standard output, progress, problems and figures to standard error.\nColours are used on a terminal only, and not when `NO_COLOR` is set.\n\n")
	b.WriteString("## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.about)
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
				continue
			}
			if sub.HasSubCommands() {
				walk(sub)
				continue
			}
			fmt.Fprintf(&b, "\n## %s\n\n%s.\n", sub.CommandPath(), sub.Short)
			fmt.Fprintf(&b, "\n```\n%s\n```\n", sub.UseLine())
			if sub.Long != "" {
				fmt.Fprintf(&b, "\n%s\n", sub.Long)
			}
			if sub.Example != "" {
				fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(sub.Example, "  "), "\n  ", "\n"))
			}
			flagTable(&b, sub.LocalFlags())
		}
	}
	walk(root)
	b.WriteString("\n## tiercel completion\n\nPrints a completion script for bash, zsh, fish or powershell: `source <(tiercel completion bash)`.\n")
	b.WriteString("\n## Outputs of scan\n\n| name | what |\n|---|---|\n")
	for _, o := range report.Outputs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", o.Name, cellText(o.About))
	}
	return b.String()
}

func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if first {
			b.WriteString("\n| flag | meaning |\n|---|---|\n")
			first = false
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cellText(usage))
	})
}

// cellText makes text fit a cell of a Markdown table.
func cellText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ")
}

func formatsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Formats\n%s\n", generated)
	b.WriteString("A file's format is told by its first 64 KiB and its name; `--format NAME` forces one.\nAny of them may be packed in gzip, zstd, bzip2, zip or tar, up to four deep.\n\n| name | what |\n|---|---|\n")
	for _, f := range allFormats() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, cellText(f.About))
	}
	return b.String()
}

func metricsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Metrics\n%s\n", generated)
	b.WriteString("The admin port serves these at `/metrics`, besides those of the Go runtime and of the process (`go_`, `process_`). Names end in\n" +
		"their unit, `_total` marks counters, and labels have values from closed sets or are names of tenants and sources. Histograms\n" +
		"are native ones, which the scraper must keep. Alerts that use them are in [operate](../howto/operate.md#alerts).\n\n")
	b.WriteString("| metric | kind | labels | what |\n|---|---|---|---|\n")
	for _, m := range metric.New().Infos {
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, cellText(m.Help))
	}
	b.WriteString("\n## Reasons\n\n`tiercel_ingest_rejected_total` has as `reason`: `" + strings.Join(httpin.Reasons(), "`, `") +
		"`.\n`tiercel_quarantine_events_total`: `" + strings.Join(ingest.Reasons(), "`, `") + "`.\n`tiercel_ingest_flagged_events_total`: `duplicate_field`, `invalid_text`; a record may count as both.\n")
	return b.String()
}

func packsPage(set *pack.Set) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Packs\n%s\n", generated)
	b.WriteString("A pack says which records are its own, what their text holds, and which Sigma logsources\n(product/category/service) they prove. `tiercel pack list` prints those in use.\n")
	for _, p := range set.Packs() {
		fmt.Fprintf(&b, "\n## %s\n\n%s. Shape:", p.Name, p.About)
		for _, s := range p.Shapes {
			fmt.Fprintf(&b, " <%s>", s)
		}
		b.WriteString("\n\n| view | logsources |\n|---|---|\n")
		for _, v := range p.Views() {
			list := []string{"`" + logsource(event.Logsource{Product: v.Product, Category: v.Category, Service: v.Service}) + "`"}
			for _, a := range v.Aliases {
				list = append(list, "`"+logsource(a)+"`")
			}
			fmt.Fprintf(&b, "| %s | %s |\n", cellText(v.Name), strings.Join(list, ", "))
		}
		aliasTable(&b, "", p.Aliases())
		for i, v := range p.Views() {
			aliasTable(&b, v.Name, p.ViewAliases(i))
		}
		var kinds []string
		for k := range p.Entities {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		for i, k := range kinds {
			if i == 0 {
				b.WriteString("\nEntities:")
			} else {
				b.WriteString(";")
			}
			fmt.Fprintf(&b, " %s from `%s`", k, strings.Join(p.Entities[k], "`, `"))
		}
		if len(kinds) > 0 {
			b.WriteString(".\n")
		}
	}
	b.WriteString("\n## Functions of mappings\n\n| function | arguments | parameters | what |\n|---|---|---|---|\n")
	for _, f := range pack.Functions() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, span(f.ArgsMin, f.ArgsMax), span(f.ParamsMin, f.ParamsMax), cellText(f.About))
	}
	return b.String()
}

// aliasTable lists where a pack, or one view of it, says that fields stand.
func aliasTable(b *strings.Builder, view string, aliases []pack.Alias) {
	if len(aliases) == 0 {
		return
	}
	head := "field"
	if view != "" {
		head = "field in " + cellText(view)
	}
	fmt.Fprintf(b, "\n| %s | where it stands |\n|---|---|\n", head)
	for _, a := range aliases {
		fmt.Fprintf(b, "| `%s` | `%s` |\n", cellText(a.Field), cellText(a.Place))
	}
}

// span writes a range of counts.
func span(low, high int) string {
	switch {
	case low == high:
		return fmt.Sprint(low)
	case high > 1000 || high < 0:
		return fmt.Sprintf("%d or more", low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func modifiersPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Modifiers of Sigma rules\n%s\n| modifier | meaning | values | place in the chain |\n|---|---|---|---|\n", generated)
	for _, m := range rule.Modifiers {
		name := "`" + m.Name + "`"
		for _, a := range m.Aliases {
			name += ", `" + a + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, cellText(m.Meaning), cellText(m.Values), cellText(m.Order))
	}
	return b.String()
}

func lintPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Codes of rule lint\n%s\nErrors refuse a document; warnings do not.\n\n| code | severity | what | what to do |\n|---|---|---|---|\n", generated)
	for _, c := range rule.Codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.Code, c.Severity, cellText(c.Text), cellText(c.Advice))
	}
	return b.String()
}
