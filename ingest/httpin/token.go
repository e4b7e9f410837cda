package httpin

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/ingest"
)

// TokenBytesMax bounds a token; a longer one is nobody's.
const TokenBytesMax = 512

// Token finds the token of a request: Authorization with Bearer T, Splunk T,
// ApiKey base64(id:T) or ApiKey T, or Basic with T as the password of any user;
// or X-Amz-Firehose-Access-Key. Schemes ignore case. It is never taken from the
// query: URLs end up in logs. ok is false when there is none, more than one
// Authorization, or one that is too long.
func Token(r *http.Request) (token string, ok bool) {
	switch values := r.Header["Authorization"]; len(values) {
	case 0:
		token = r.Header.Get("X-Amz-Firehose-Access-Key")
	case 1:
		token = authorization(values[0])
	}
	return token, token != "" && len(token) <= TokenBytesMax
}

func authorization(value string) string {
	if len(value) > 4*TokenBytesMax {
		return ""
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "Splunk"):
		return rest
	case strings.EqualFold(scheme, "Basic"):
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(decoded), ":")
		return password
	case strings.EqualFold(scheme, "ApiKey"):
		// A token itself has no colon when decoded by chance or otherwise only
		// if it is base64 of "id:T", which is what the clients send.
		if decoded, err := base64.StdEncoding.DecodeString(rest); err == nil {
			if _, key, found := strings.Cut(string(decoded), ":"); found && printable(key) {
				return key
			}
		}
		return rest
	}
	return ""
}

// printable tells a decoded key from a token that merely looks like base64.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}

var errNoToken = errors.New("the request names no token; send it as Authorization: Bearer TOKEN")

// Authenticate says whose a request is by its [Token]. The error is a *Fault:
// 401 for a token that is missing, unknown or expired, 429 for an address that
// failed too often in the minute.
func (g *Gate) Authenticate(r *http.Request) (ingest.Grant, error) {
	token, _ := Token(r)
	return g.AuthenticateToken(r, token)
}

// AuthenticateToken is Authenticate for a token that the receiver found
// itself. An address that has failed too often is refused without asking the
// authenticator, unless the same token was good from there before: agents
// behind one address must not be cut off by the one of them that is wrong.
func (g *Gate) AuthenticateToken(r *http.Request, token string) (ingest.Grant, error) {
	if token == "" || len(token) > TokenBytesMax {
		return ingest.Grant{}, &Fault{Status: http.StatusUnauthorized, Reason: ReasonNoToken, Err: errNoToken}
	}
	peer := g.Peer(r)
	now := g.o.Clock.Now()
	key := pairKey(g.seed, peer, token)
	spent := g.auth.spent(g.seed, peer, now, g.o.FailedAuthPerMinute)
	if spent && !g.auth.knows(key) {
		wait := now.Truncate(time.Minute).Add(time.Minute).Sub(now)
		return ingest.Grant{}, &Fault{Status: http.StatusTooManyRequests, Reason: ReasonAttempts, Wait: max(wait, time.Second), Err: errAttempts}
	}
	grant, err := g.o.Auth.Ingest(token)
	if err == nil {
		g.auth.learn(key)
		return grant, nil
	}
	g.auth.fail(g.seed, peer, now)
	reason := ReasonToken
	if errors.Is(err, ingest.ErrExpired) {
		reason = ReasonExpired
	}
	return ingest.Grant{}, &Fault{Status: http.StatusUnauthorized, Reason: reason, Err: err}
}

var errAttempts = errors.New("too many failed tokens from this address; correct the token and try again in a minute")
