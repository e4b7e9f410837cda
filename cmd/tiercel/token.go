package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/store"
)

func newToken(p *process) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make, list and end the tokens of agents and people",
		Args:  cobra.ArbitraryArgs,
		RunE:  unknownVerb,
	}
	c.AddCommand(newTokenCreate(p), newTokenList(p), newTokenRevoke(p), newTokenRotate(p))
	return c
}

// tokenFlags say where the tokens are: in the data folder, or with --server at
// a server that is asked. A running server follows its folder, so that both
// work on one machine.
type tokenFlags struct {
	client clientFlags
	file   string
	asJSON bool
}

func (f *tokenFlags) register(c *cobra.Command) {
	f.client.register(c)
	c.Flags().Lookup("server").Usage = "`URL` of the server to ask (default: work on the data folder)"
	c.Flags().StringVarP(&f.file, "config", "c", "", "configuration `file`, for the data folder and the tenants (default TIERCEL_CONFIG, else none)")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print as JSON")
}

// offline opens the tokens of the data folder.
func (f *tokenFlags) offline(p *process) (*access.Store, *config.Config, event.Tenant, error) {
	none := func(err error) (*access.Store, *config.Config, event.Tenant, error) {
		return nil, nil, event.Tenant{}, err
	}
	cfg, err := (&configFlags{file: f.file, data: f.client.data}).must(p)
	if err != nil {
		return none(err)
	}
	tenants, err := event.NewTenants(cfg.TenantNames())
	if err != nil {
		return none(err)
	}
	var t event.Tenant
	if f.client.tenant != "" {
		known := false
		if t, known = tenants.Lookup(f.client.tenant); !known {
			return none(usageError("there is no tenant %q%s", report.Clean(f.client.tenant, 80), didYouMean(f.client.tenant, cfg.TenantNames())))
		}
	}
	s, err := access.Open(p.world.FS, string(cfg.Data), p.world.Clock, p.world.Rand, tenants)
	if err != nil {
		return none(&codedError{exitInput, err})
	}
	return s, cfg, t, nil
}

// tokenError gives an error of the store its exit code.
func tokenError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &codedError{exitUsage, fmt.Errorf("%w; 'tiercel token list' shows the ids of those there are", err)}
	case errors.Is(err, access.ErrInvalid):
		return &codedError{exitUsage, err}
	}
	return &codedError{exitInput, err}
}

// printNew prints a new token: the token alone on standard output, so that it
// can be piped, what it is for on standard error.
func (f *tokenFlags) printNew(p *process, info api.TokenInfo, token string) error {
	if f.asJSON {
		e := json.NewEncoder(p.stdout)
		e.SetIndent("", "  ")
		return e.Encode(api.NewToken{TokenInfo: info, Token: token})
	}
	fmt.Fprintf(p.stderr, "tiercel: %s; it is shown this once and kept nowhere\n", tokenWords(info))
	_, err := fmt.Fprintln(p.stdout, token)
	return err
}

// tokenWords says what a token is for.
func tokenWords(i api.TokenInfo) string {
	words := "token " + i.ID
	switch {
	case i.Kind == access.KindIngest:
		words += " sends to source " + i.Source + " of tenant " + i.Tenant
	case i.Write:
		words += " reads and changes " + firstOf(i.Tenant, "all tenants")
	default:
		words += " reads " + firstOf(i.Tenant, "all tenants")
	}
	if !i.Expires.IsZero() {
		words += " until " + i.Expires.UTC().Format(time.RFC3339)
	}
	return words
}

func newTokenCreate(p *process) *cobra.Command {
	var f tokenFlags
	var source, expires string
	var admin, write bool
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token",
		Long: "Create makes a token for an agent, or with --admin one for the API, and prints it. It cannot be\n" +
			"shown again: only its hash is kept.",
		Example: "  tiercel token create winlogbeat --source windows --expires 365d\n" +
			"  tiercel token create dashboard --admin",
		Args: oneArgument("a name for the token"),
		RunE: func(c *cobra.Command, args []string) error {
			kind := access.KindIngest
			if admin {
				kind = access.KindAdmin
			} else if source == "" {
				source = args[0]
			}
			var lifetime time.Duration
			if expires != "" {
				var err error
				if lifetime, err = config.ParseDuration(expires); err != nil || lifetime == 0 {
					return usageError("--expires %s is no time to live; write 90d", report.Clean(expires, 80))
				}
			}
			if f.client.server != "" {
				if lifetime%(24*time.Hour) != 0 {
					return usageError("--expires %s: a server counts in whole days; write 90d", expires)
				}
				server, err := f.client.connect(p)
				if err != nil {
					return err
				}
				var made api.NewToken
				if err := server.ask(c.Context(), http.MethodPost, "/tokens", nil, tokenBody(args[0], kind, source, write, lifetime), &made); err != nil {
					return err
				}
				return f.printNew(p, made.TokenInfo, made.Token)
			}
			s, cfg, t, err := f.offline(p)
			if err != nil {
				return err
			}
			if kind == access.KindIngest && t.IsZero() {
				if len(cfg.Tenants) > 1 {
					return usageError("an ingest token is for one tenant; choose with --tenant from %s", strings.Join(cfg.TenantNames(), ", "))
				}
				tenants, err := event.NewTenants(cfg.TenantNames())
				if err != nil {
					return err
				}
				t = tenants.All()[0]
			}
			if lifetime == 0 {
				lifetime = cfg.Auth.Lifetime
			}
			info, token, err := s.Create(c.Context(), access.Request{Name: args[0], Kind: kind, Tenant: t, Source: source, Write: write, Lifetime: lifetime})
			if err != nil {
				return tokenError(err)
			}
			return f.printNew(p, tokenInfo(info), token)
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&source, "source", "", "`name` of the feed that the token is for (default: the token's name)")
	flags.StringVar(&expires, "expires", "", "`duration` after which it ends, as 90d (default: that of the configuration)")
	flags.BoolVar(&admin, "admin", false, "a token for the API in place of one for an agent")
	flags.BoolVar(&write, "write", false, "lets an admin token change things")
	return c
}

// tokenBody is the request for a token.
func tokenBody(name, kind, source string, write bool, lifetime time.Duration) any {
	return struct {
		Name   string `json:"name"`
		Kind   string `json:"kind"`
		Source string `json:"source,omitempty"`
		Write  bool   `json:"write,omitempty"`
		Days   int    `json:"expires_days,omitempty"`
	}{name, kind, source, write, int(lifetime / (24 * time.Hour))}
}

func newTokenList(p *process) *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens by their public part",
		Example: "  tiercel token list --tenant acme\n  tiercel token list --json | jq -r '.tokens[] | select(.revoked) | .id'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []api.TokenInfo
			if f.client.server != "" {
				server, err := f.client.connect(p)
				if err != nil {
					return err
				}
				var answer api.TokenList
				if err := server.ask(c.Context(), http.MethodGet, "/tokens", nil, nil, &answer); err != nil {
					return err
				}
				list = answer.Tokens
			} else {
				s, _, t, err := f.offline(p)
				if err != nil {
					return err
				}
				infos, err := s.List(t)
				if err != nil {
					return tokenError(err)
				}
				for _, i := range infos {
					list = append(list, tokenInfo(i))
				}
			}
			if f.asJSON {
				e := json.NewEncoder(p.stdout)
				e.SetIndent("", "  ")
				return e.Encode(api.TokenList{Tokens: append([]api.TokenInfo{}, list...)})
			}
			return printTokens(p, list)
		},
	}
	f.register(c)
	return c
}

func printTokens(p *process, list []api.TokenInfo) error {
	now := p.world.Clock.Now()
	day := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.DateOnly)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tKIND\tTENANT\tSOURCE\tSTATE\tCREATED\tEXPIRES\tLAST USED")
	for _, i := range list {
		kind, state := i.Kind, "live"
		if i.Kind == access.KindAdmin && !i.Write {
			kind = "admin, reads"
		}
		switch {
		case !i.Revoked.IsZero():
			state = "revoked"
		case !i.Expires.IsZero() && !now.Before(i.Expires):
			state = "expired"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", report.Clean(i.ID, 40), report.Clean(i.Name, 100), report.Clean(kind, 20), report.Clean(firstOf(i.Tenant, "all"), 64),
			report.Clean(firstOf(i.Source, "-"), 64), state, day(i.Created), day(i.Expires), day(i.LastUsed))
	}
	return w.Flush()
}

func newTokenRevoke(p *process) *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token at once and for good",
		Example: "  tiercel token revoke k3v9x2ab",
		Args:    oneArgument("the id of a token; 'tiercel token list' shows them"),
		RunE: func(c *cobra.Command, args []string) error {
			if f.client.server != "" {
				server, err := f.client.connect(p)
				if err != nil {
					return err
				}
				return f.revokeOnline(c, p, server, args[0])
			}
			s, _, t, err := f.offline(p)
			if err != nil {
				return err
			}
			if err := s.Revoke(c.Context(), t, args[0]); err != nil {
				return tokenError(err)
			}
			fmt.Fprintf(p.stderr, "tiercel: token %s is revoked; a server that runs follows within seconds\n", args[0])
			return nil
		},
	}
	f.register(c)
	return c
}

func (f *tokenFlags) revokeOnline(c *cobra.Command, p *process, server *client, id string) error {
	answer, err := server.request(c.Context(), http.MethodDelete, "/tokens/"+url.PathEscape(id), nil, nil, "application/json")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Fprintf(p.stderr, "tiercel: token %s is revoked\n", report.Clean(id, 40))
	return nil
}

func newTokenRotate(p *process) *cobra.Command {
	var f tokenFlags
	var overlap string
	c := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace a token by a new one for the same",
		Long: "Rotate makes a new token like the old one and prints it. The old one ends at once, or after\n" +
			"--overlap, so that agents can be changed one by one.",
		Example: "  tiercel token rotate k3v9x2ab --overlap 7d",
		Args:    oneArgument("the id of a token; 'tiercel token list' shows them"),
		RunE: func(c *cobra.Command, args []string) error {
			var wait time.Duration
			if overlap != "" {
				var err error
				if wait, err = config.ParseDuration(overlap); err != nil {
					return usageError("--overlap %s is no duration; write 7d", report.Clean(overlap, 80))
				}
			}
			if f.client.server != "" {
				return f.rotateOnline(c, p, args[0], wait)
			}
			s, _, t, err := f.offline(p)
			if err != nil {
				return err
			}
			info, token, err := s.Rotate(c.Context(), t, args[0], wait)
			if err != nil {
				return tokenError(err)
			}
			return f.printNew(p, tokenInfo(info), token)
		},
	}
	f.register(c)
	c.Flags().StringVar(&overlap, "overlap", "", "`duration` for which the old token goes on to work, as 7d; on the data folder only")
	return c
}

// rotateOnline makes the new token before it ends the old one, so that a
// failure in between leaves two and not none.
func (f *tokenFlags) rotateOnline(c *cobra.Command, p *process, id string, overlap time.Duration) error {
	if overlap > 0 {
		return usageError("a server ends the old token at once; to let both work for a while, make a new token and revoke the old one later")
	}
	server, err := f.client.connect(p)
	if err != nil {
		return err
	}
	var all api.TokenList
	if err := server.ask(c.Context(), http.MethodGet, "/tokens", nil, nil, &all); err != nil {
		return err
	}
	for _, old := range all.Tokens {
		if old.ID != id {
			continue
		}
		if !old.Revoked.IsZero() {
			return usageError("the token %s was revoked; create a new one", report.Clean(id, 40))
		}
		if old.Tenant != "" {
			server.tenant = old.Tenant
		}
		var days time.Duration
		if !old.Expires.IsZero() {
			days = max(old.Expires.Sub(old.Created), 24*time.Hour)
		}
		var made api.NewToken
		if err := server.ask(c.Context(), http.MethodPost, "/tokens", nil, tokenBody(old.Name, old.Kind, old.Source, old.Write, days), &made); err != nil {
			return err
		}
		// The new one is printed whatever becomes of the old.
		return errors.Join(f.printNew(p, made.TokenInfo, made.Token), f.revokeOnline(c, p, server, id))
	}
	return usageError("the server has no token %s; 'tiercel token list' shows those it has", report.Clean(id, 40))
}
