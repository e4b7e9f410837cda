package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
)

func newPack(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "pack",
		Short: "List and test packs, which say what records are and where their fields stand",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newPackList(p), newPackTest(p))
	return c
}

func newPackList(p *process) *cobra.Command {
	var f contentFlags
	c := &cobra.Command{
		Use:     "list",
		Example: "  tiercel pack list\n  tiercel pack list --packs ./packs",
		Short:   "List packs with the logsources that they feed",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := f.packSet(p.world)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "PACK\tVIEWS\tABOUT")
			for _, k := range set.Packs() {
				fmt.Fprintf(w, "%s\t%d\t%s\n", k.Name, len(k.Views()), k.About)
			}
			return w.Flush()
		},
	}
	c.Flags().StringArrayVar(&f.packs, "packs", nil, "`path` of a file or folder of further packs; repeatable")
	return c
}

func newPackTest(p *process) *cobra.Command {
	return &cobra.Command{
		Use:   "test PATH...",
		Short: "Run packs' samples against what they expect",
		Long: "Test reads each pack's folder samples: every file there with an .expect.yml beside it\n" +
			"is read, routed and looked up as scan would, and compared with what it expects.",
		Example: "  tiercel pack test ./packs/my-product",
		Args:    somePaths("pack test", "pack files or folders of packs"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := pack.Test(p.world.FS, args)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			if _, err := r.WriteTo(p.stdout); err != nil {
				return err
			}
			if len(r.Packs) == 0 {
				return &codedError{exitUsage, errors.New("no pack was found; a pack is a folder with a pack.yml in it")}
			}
			if r.Failed() {
				return &codedError{exitFailed, nil}
			}
			return nil
		},
	}
}

// logsource writes a view's logsource as product/category/service.
func logsource(l event.Logsource) string {
	return strings.Join([]string{l.Product, l.Category, l.Service}, "/")
}
