package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/env"
)

// process is what run gets of the process it runs in.
type process struct {
	args                           []string
	stdin                          io.Reader
	stdout, stderr                 io.Writer
	stdoutTerminal, stderrTerminal bool
	getenv                         func(string) string
	environ                        []string
	world                          env.Env
}

// color reports whether stdout may get ANSI colours (no-color.org).
func (p *process) color() bool {
	return p.stdoutTerminal && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
}

// The exit codes, the same for every verb.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInput       = 3
	exitInterrupted = 130
)

// exitCodes describes them for the reference.
var exitCodes = []struct {
	code  int
	about string
}{
	{exitDone, "done, whether or not anything matched"},
	{exitFailed, "what was asked to hold does not: `--fail-on` was reached, a rule has errors, a pack's sample failed"},
	{exitUsage, "the command line is wrong, or no rule or pack is usable"},
	{exitInput, "some input could not be read; the rest was"},
	{exitInterrupted, "interrupted; what was found by then was written"},
}

// codedError is an error with its exit code. A message of "" prints nothing:
// the verb has said what there is to say.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codedError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is the code for what run returned.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitUsage
}

// run executes one command line and prints its error, if any, on p.stderr.
func run(ctx context.Context, p process) error {
	// Allocation is mostly copies of matched records, which die soon, on top
	// of rules and indexes, which stay. See gcPercent.
	debug.SetGCPercent(gcPercent)
	root := newRoot(&p)
	root.SetArgs(p.args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintf(p.stderr, "tiercel: %v\n", err)
	}
	return err
}

// gcPercent lets the heap grow by two fifths of what is live before it is
// collected. What is live are rules and indexes (some 40 MB for the 3,780 public
// rules) and blocks and buffers, which are used again, so there is little
// garbage: a scan of 600 MB of event logs is 4 % slower than with a half, and
// eight jobs stay below 100 MB resident.
const gcPercent = 40

const (
	docsURL  = "https://github.com/tiercel-io/tiercel/tree/main/docs"
	packsURL = "https://github.com/tiercel-io/tiercel/blob/main/docs/reference/packs.md"
)

func newRoot(p *process) *cobra.Command {
	root := &cobra.Command{
		Use:   "tiercel",
		Short: "Find what matters in logs: Sigma rules, exactly and at the speed of reading",
		Long: "Tiercel finds what Sigma rules describe in the logs of endpoints, networks and clouds: 'scan' in files,\n" +
			"'serve' in what agents send, as it comes. It sends nothing to anyone you did not name.\n\nDocumentation: " + docsURL,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          unknownVerb,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newScan(p), newRule(p), newPack(p), newScenario(p), newDetections(p), newQuarantine(p), newLiveStats(p), newServe(p), newDemo(p), newBackup(p), newRestore(p), newConfig(p), newToken(p), newSend(p), newDoctor(p), newVersion(p), newDocs(p))
	return root
}

// unknownVerb prints the verbs, or names the nearest to what was typed.
func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usageError("unknown command %q for %s%s\nRun '%s --help' for the list", args[0], c.CommandPath(), didYouMean(args[0], names), c.CommandPath())
}

// flagError turns a flag error into a usage error that names the nearest flag.
func flagError(c *cobra.Command, err error) error {
	message := err.Error()
	if rest, ok := strings.CutPrefix(message, "unknown flag: --"); ok {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := nearest(rest, names); near != "" {
			message += fmt.Sprintf("; did you mean --%s?", near)
		}
	}
	return usageError("%s\nRun '%s --help' for its flags", message, c.CommandPath())
}

func didYouMean(word string, names []string) string {
	if near := nearest(word, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// nearest is the name at the smallest edit distance from word, if that is at
// most a third of its length and one, or the only name it begins.
func nearest(word string, names []string) string {
	best, bestDistance := "", len(word)/3+2
	slices.Sort(names)
	for _, n := range names {
		d := doctree.EditDistance(word, n)
		if len(word) >= 3 && strings.HasPrefix(n, word) {
			d = 1
		}
		if d < bestDistance {
			best, bestDistance = n, d
		}
	}
	return best
}
