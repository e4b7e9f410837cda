package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: see the target build of the Makefile.
var version = "unknown"

func newVersion(p *process) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Example: "  tiercel version --json",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				if v.Version == "unknown" && info.Main.Version != "" {
					v.Version = info.Main.Version // built by go install
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			if asJSON {
				e := json.NewEncoder(p.stdout)
				return e.Encode(v)
			}
			_, err := fmt.Fprintf(p.stdout, "tiercel %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}
