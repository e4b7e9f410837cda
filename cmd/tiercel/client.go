package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/report"
)

const (
	defaultServer = "http://127.0.0.1:8600"
	// serverWait bounds how long a server may take to begin its answer; a
	// backup or a reload of large content takes some seconds.
	serverWait = 60 * time.Second
	// answerBytesMax bounds an answer in memory: a page of the largest
	// detections has some tens of megabytes.
	answerBytesMax = 256 << 20
	// cliToken is the file below the data folder in which serve leaves a token
	// for its own user.
	cliToken = "access/cli-token"
)

// clientFlags say which server a verb talks to.
type clientFlags struct {
	server, token, tenant, data, ca string
}

func (f *clientFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.server, "server", "", "`URL` of the server (default TIERCEL_SERVER, else "+defaultServer+")")
	flags.StringVar(&f.token, "token", "", "admin `token` (default TIERCEL_TOKEN, else what serve left in the data folder for its own user)")
	flags.StringVar(&f.tenant, "tenant", "", "`name` of the tenant; needed with a token of all tenants where there are several")
	flags.StringVar(&f.data, "data", "", "the server's data `folder`, in which its token for this user is looked for")
	flags.StringVar(&f.ca, "ca", "", "PEM `file` of the authority that vouches for the server's certificate (default: the system's)")
}

// client asks a server. It is for one goroutine.
type client struct {
	base   *url.URL
	token  string
	tenant string
	// tokenFile is where the token was found, or empty when it was given.
	tokenFile string
	via       http.RoundTripper
}

// connect makes a client from flags and environment; it sends nothing yet.
func (f *clientFlags) connect(p *process) (*client, error) {
	text := firstOf(f.server, p.getenv("TIERCEL_SERVER"), defaultServer)
	base, err := url.Parse(text)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, usageError("--server %q is not the address of a server; write it as %s", report.Clean(text, 200), defaultServer)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	local := loopback(base.Hostname())
	if base.Scheme == "http" && !local {
		return nil, usageError("--server %s would send the token readable by anyone on the way; use https", base.Redacted())
	}
	token, tokenFile := strings.TrimSpace(firstOf(f.token, p.getenv("TIERCEL_TOKEN"))), ""
	if token == "" {
		if !local {
			return nil, usageError("no token for %s; give one with --token or TIERCEL_TOKEN", base.Redacted())
		}
		if token, tokenFile, err = f.localToken(p); err != nil {
			return nil, err
		}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usageError("the token has characters that no token has; was it copied whole?")
	}
	transport := &http.Transport{
		DialContext: p.world.Net.DialContext, ResponseHeaderTimeout: serverWait, TLSHandshakeTimeout: 10 * time.Second,
		DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
	}
	if f.ca != "" {
		pem, err := readFile(p.world.FS, f.ca)
		if err != nil {
			return nil, usageError("--ca: %v", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(pem)) {
			return nil, usageError("--ca %s holds no certificate in PEM", f.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &client{base: base, token: token, tenant: f.tenant, tokenFile: tokenFile, via: transport}, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// loopback reports whether a host is this machine by its name or address
// alone.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// localToken reads the token that serve left for its own user, and returns the
// file it was in. It goes to loopback addresses only.
func (f *clientFlags) localToken(p *process) (token, file string, _ error) {
	folder := f.data
	if folder == "" {
		var environ []string
		for _, name := range []string{"XDG_DATA_HOME", "HOME", "LocalAppData", "TIERCEL_DATA"} {
			if v := p.getenv(name); v != "" {
				environ = append(environ, name+"="+v)
			}
		}
		c, _, err := config.Load(p.world.FS, p.getenv(config.FileVariable), environ, nil)
		if err != nil {
			return "", "", usageError("no token: the configuration that names the data folder cannot be used: %v\nGive a token with --token or TIERCEL_TOKEN", err)
		}
		folder = string(c.Data)
	}
	file = p.world.FS.PathJoin(folder, cliToken)
	token, err := readFile(p.world.FS, file)
	if err != nil {
		return "", "", usageError("no token: %v\nGive one with --token or TIERCEL_TOKEN, or name the server's data folder with --data", err)
	}
	return strings.TrimSpace(token), file, nil
}

// request sends a request and returns the answer if it is a good one. The
// caller closes its body.
func (c *client) request(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	u := *c.base
	u.Path += "/api/v1" + path
	if c.tenant != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("tenant", c.tenant)
	}
	u.RawQuery = query.Encode()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "tiercel/"+version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.via.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, &codedError{exitInterrupted, nil}
		}
		return nil, &codedError{exitInput, fmt.Errorf("cannot reach %s: %w%s", c.base.Redacted(), err, unreachableAdvice(err))}
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.refusal(answer)
}

// unreachableAdvice says what to do about a server that does not answer.
func unreachableAdvice(err error) string {
	var unknown x509.UnknownAuthorityError
	var plain tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &plain):
		return "\nIt does not speak TLS there; write its address with http://"
	case errors.As(err, &unknown):
		return "\nName the authority of its certificate with --ca"
	case errors.As(err, &op) && op.Op == "dial":
		return "\nIs 'tiercel serve' running, and is this its address? --server names another"
	}
	return ""
}

// plainToTLS is what net/http answers to a request in clear on a port with TLS.
const plainToTLS = "HTTP request to an HTTPS server"

// refusal turns an answer that is none into an error with its exit code.
func (c *client) refusal(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var e struct {
		Error api.ErrorBody `json:"error"`
	}
	if c.base.Scheme == "http" && answer.StatusCode == http.StatusBadRequest && bytes.Contains(text, []byte(plainToTLS)) {
		return &codedError{exitUsage, fmt.Errorf("%s speaks TLS; write its address with https://, and name the authority of its certificate with --ca if the system does not know it", c.base.Redacted())}
	}
	if err != nil || json.Unmarshal(text, &e) != nil || e.Error.Code == "" {
		return &codedError{exitInput, fmt.Errorf("%s answered %s, which is not how Tiercel answers; is this its address?", c.base.Redacted(), report.Clean(answer.Status, 100))}
	}
	message := report.Clean(e.Error.Message, 500)
	for _, d := range e.Error.Details {
		message += fmt.Sprintf("\n  %s: %s", report.Clean(d.Where, 100), report.Clean(d.Message, 500))
	}
	code := exitInput
	switch e.Error.Code {
	case api.CodeUnauthorized:
		if c.tokenFile != "" {
			message += fmt.Sprintf("\nThe token is that of %s: is this the data folder of the server at %s? --data names another folder, --server another server", c.tokenFile, c.base.Redacted())
		} else {
			message += "\nGive an admin token with --token or TIERCEL_TOKEN"
		}
		code = exitUsage
	case api.CodeWriteForbidden:
		message += "\nThis needs an admin token that was made with --write"
		code = exitUsage
	case api.CodeAdminRequired:
		message += "\nThis needs an admin token of all tenants"
		code = exitUsage
	case api.CodeTenantRequired:
		message += "\nChoose one with --tenant"
		code = exitUsage
	case api.CodeUnknownTenant:
		message += fmt.Sprintf("\nIt was asked for %q", report.Clean(c.tenant, 80))
		code = exitUsage
	case api.CodeInvalid, api.CodeTenantForbidden:
		code = exitUsage
	case api.CodeBusy:
		if wait := answer.Header.Get("Retry-After"); wait != "" {
			message += "\nCome again in " + report.Clean(wait, 10) + " s"
		}
	}
	return &codedError{code, fmt.Errorf("the server refuses: %s", message)}
}

// ask sends a request and decodes the answer into out.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, body, out any) error {
	answer, err := c.request(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerBytesMax+1))
	switch {
	case ctx.Err() != nil:
		return &codedError{exitInterrupted, nil}
	case err != nil:
		return &codedError{exitInput, fmt.Errorf("the answer of %s broke off: %w", c.base.Redacted(), err)}
	case len(text) > answerBytesMax:
		return &codedError{exitInput, fmt.Errorf("the answer of %s is larger than %d MiB; ask for less with --limit", c.base.Redacted(), answerBytesMax>>20)}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return &codedError{exitInput, fmt.Errorf("the answer of %s cannot be read; is this its address, and its version near this one's? %w", c.base.Redacted(), err)}
	}
	return nil
}

// since reads the value of --since: how long ago, as 24h or 7d, or a time.
func since(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Time{}, usageError("--since %q is neither how long ago nor a time; write 90m, 24h, 7d, 2026-03-01 or 2026-03-01T09:30:00Z", report.Clean(text, 100))
}

// set puts what is not empty into a query.
func set(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}
