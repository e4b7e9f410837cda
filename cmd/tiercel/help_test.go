package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every verb that does something shows how it is used, in lines that name it as
// it is called.
func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	p, _, _ := inProcess(t)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasAvailableSubCommands() || c.Hidden || !c.HasParent() {
			return
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has no example of its own", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "tiercel ") {
				t.Errorf("%s: the example %q", c.CommandPath(), line)
			}
		}
	}
	walk(newRoot(&p))
}

// A word too many or too few is answered with what is wanted.
func TestArgumentsThatAreMissing(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"serve extra":          `serve takes no arguments, and "extra" is one`,
		"restore":              "restore needs one argument, the folder of a backup",
		"token create":         "token create needs one argument, a name for the token",
		"token revoke":         "token revoke needs one argument, the id of a token",
		"token rotate a b":     "token rotate needs one argument, the id of a token",
		"token revoke nosuch":  "'tiercel token list' shows the ids",
		"config check a b":     "config check takes one file",
		"detections show":      "detections show needs the id of a detection",
		"quarantine show":      "quarantine show needs the id of a record",
		"config print-agent":   "print-agent needs the name of one agent",
		"detections list more": "unknown command",
	} {
		p, stdout, stderr := inProcess(t, strings.Fields(args)...)
		if code := exitCode(run(t.Context(), p)); code != exitUsage || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d, %s%s", args, code, stdout, stderr)
		}
	}
}
