// Package webhook tells others of detections, by Standard Webhooks 1.0.0
// (https://github.com/standard-webhooks/standard-webhooks).
//
// An [Outbox] gives the writes of notifications to whoever stores detections, so
// that both are in one Apply: a detection that is stored is notified, one that is not,
// is not. A notification is known by endpoint, notify key and event type, and made
// once, however often the detection is computed; its id is derived from them and
// stands in the header webhook-id of each attempt, so that a receiver can know
// it again. [Outbox.Run] delivers with a schedule of attempts; what it gives up
// stays listed and can be tried again by hand.
//
// Where a notification goes is judged at the address that is dialled, after the
// only lookup of the name: private and special networks are refused unless the
// endpoint allows them, so that whoever can name a URL cannot reach into the network
// this process stands in. There are no redirects. With a proxy ([Endpoint.Proxy]) the
// name is looked up and judged before each attempt, and the proxy is told the name:
// it looks the name up again, and only its own rules bound what it then reaches.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/store"
)

// The event types.
const (
	Created    = "detection.created"    // once for a notify key: not again when superseded
	Updated    = "detection.updated"    // each later revision or phase
	Superseded = "detection.superseded" // once for a detection
	Closed     = "detection.closed"     // once for a notify key
)

// Endpoint is a receiver.
type Endpoint struct {
	// Name is unique among the endpoints of a tenant, 1 to 64 of a-z, 0-9, ., -
	// and _. Changing it makes another endpoint of it.
	Name   string
	Tenant event.Tenant
	// URL is https, or http where AllowPrivate covers its addresses.
	URL string
	// Secrets are 1 to [SecretsMax], each whsec_ and base64 of 24 to 64 bytes.
	// Every message is signed with all of them, so that a receiver can change
	// from one to the next when it likes.
	Secrets []string
	// MinLevel is the lowest level of which it is told; empty is all.
	MinLevel string
	// Events are the types it is told of; empty is [Created].
	Events []string
	// AllowPrivate are networks that it may be in although they are not public,
	// see [PrivateNetworks].
	AllowPrivate []netip.Prefix
	// Proxy is the URL of an HTTP proxy, http or https, that makes the
	// connections to an https destination by CONNECT; empty is none. It may be at
	// a private address.
	Proxy string
	// ProxyAuth is name:password for the proxy, or empty.
	ProxyAuth string
	// Headers are sent with each request. They cannot replace those of the
	// protocol.
	Headers map[string]string
}

// secretPrefix marks a symmetric secret; secretBytesMin and secretBytesMax are
// what the specification asks for.
const (
	secretPrefix   = "whsec_"
	secretBytesMin = 24
	secretBytesMax = 64
)

// SecretsMax bounds the secrets of an endpoint: a rotation needs two, and each is
// a signature in the header of every message.
const SecretsMax = 10

// endpointsMax bounds the endpoints, since each has a goroutine.
const endpointsMax = 256

const nameBytesMax = 64

// endpoint is an Endpoint that was checked.
type endpoint struct {
	Endpoint
	url       *url.URL
	proxy     *url.URL // nil is none
	keys      [][]byte
	transport roundTripper
	// settling serialises the writes of outcomes, which share a document.
	settling sync.Mutex
}

// reservedHeaders are those of the protocol and of the connection.
var reservedHeaders = []string{
	"webhook-id", "webhook-timestamp", "webhook-signature", "host", "content-length", "content-type", "transfer-encoding", "connection",
	"user-agent", "te", "trailer", "upgrade", "keep-alive", "proxy-connection", "expect",
}

func check(e Endpoint) (*endpoint, error) {
	fault := func(format string, args ...any) (*endpoint, error) {
		return nil, fmt.Errorf("webhook %.64q: %s", e.Name, fmt.Sprintf(format, args...))
	}
	if e.Name == "" || len(e.Name) > nameBytesMax || strings.Trim(e.Name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return fault("a name has 1 to %d of a-z, 0-9, ., - and _", nameBytesMax)
	}
	if e.Tenant.IsZero() {
		return fault("it has no tenant")
	}
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return fault("its url is none; write https://host/path")
	case u.Scheme != "https" && u.Scheme != "http":
		return fault("%.20q is not a scheme that can be sent to; write https://host/path", u.Scheme)
	case u.User != nil:
		return fault("its url holds a name or a password; leave them out, messages are signed")
	case u.Fragment != "":
		return fault("its url has a fragment, which is never sent; leave it out")
	case u.Scheme == "http" && len(e.AllowPrivate) == 0:
		return fault("detections would cross the network in clear; write https, or allow the private network it is in")
	case disguised(u.Hostname()):
		return fault("its host looks like an address and is none; write the address with four decimal parts")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fault("its url has no sound port")
		}
	}
	if e.MinLevel != "" && detection.LevelRank(e.MinLevel) < 0 {
		return fault("%.20q is not a level", e.MinLevel)
	}
	if len(e.Events) == 0 {
		e.Events = []string{Created}
	}
	for _, name := range e.Events {
		if !slices.Contains([]string{Created, Updated, Superseded, Closed}, name) {
			return fault("%.40q is not a type of event", name)
		}
	}
	if len(e.Secrets) == 0 || len(e.Secrets) > SecretsMax {
		return fault("it has %d secrets; give 1 to %d", len(e.Secrets), SecretsMax)
	}
	var keys [][]byte
	for _, s := range e.Secrets {
		key, err := decodeSecret(s)
		if err != nil {
			return fault("%v", err)
		}
		keys = append(keys, key)
	}
	proxy, err := checkProxy(e, u)
	if err != nil {
		return fault("%v", err)
	}
	for name, value := range e.Headers {
		if !token(name) || slices.Contains(reservedHeaders, strings.ToLower(name)) {
			return fault("the header %.40q cannot be set", name)
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fault("the value of header %.40q has control characters", name)
		}
	}
	return &endpoint{Endpoint: e, url: u, proxy: proxy, keys: keys}, nil
}

func decodeSecret(s string) ([]byte, error) {
	text, ok := strings.CutPrefix(s, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < secretBytesMin || len(key) > secretBytesMax {
		return nil, fmt.Errorf("its secret is not %s and base64 of %d to %d bytes", secretPrefix, secretBytesMin, secretBytesMax)
	}
	return key, nil
}

// token reports whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// sign returns the header webhook-signature: HMAC-SHA-256 over id, time and body
// with each key, separated by blanks.
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	list := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		list[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(list, " ")
}

// Config is what an Outbox works with.
type Config struct {
	Records store.Records
	// Env's clock, network and randomness are used.
	Env       env.Env
	Endpoints []Endpoint
	// TLS is cloned for each endpoint; nil trusts the system's authorities.
	TLS     *tls.Config
	Metrics *metric.Set
	// Logger may be nil.
	Logger *slog.Logger
}

// Outbox holds notifications and delivers them. It is safe for concurrent use.
type Outbox struct {
	records   store.Records
	env       env.Env
	metrics   *metric.Set
	log       *slog.Logger
	endpoints []*endpoint
	// slots bounds the deliveries under way.
	slots chan struct{}

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced by Wake
	disabled map[*endpoint]bool
	pending  map[*endpoint]int
}

// Open checks the endpoints and returns an outbox for them. What waits for
// endpoints that are no longer there stays until [Outbox.Trim].
func Open(cfg Config) (*Outbox, error) {
	o := &Outbox{
		records: cfg.Records, env: cfg.Env, metrics: cfg.Metrics, log: cfg.Logger, slots: make(chan struct{}, concurrentMax),
		changed: make(chan struct{}), disabled: map[*endpoint]bool{}, pending: map[*endpoint]int{},
	}
	if o.metrics == nil {
		o.metrics = metric.New()
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Endpoints) > endpointsMax {
		return nil, fmt.Errorf("there are %d webhooks, more than %d", len(cfg.Endpoints), endpointsMax)
	}
	for _, e := range cfg.Endpoints {
		checked, err := check(e)
		if err != nil {
			return nil, err
		}
		if o.find(e.Tenant, e.Name) != nil {
			return nil, fmt.Errorf("webhook %q: there are two of that name", e.Name)
		}
		checked.transport = newTransport(o.env, checked, cfg.TLS)
		st, _, err := o.status(checked)
		if err != nil {
			return nil, err
		}
		o.disabled[checked] = !st.Disabled.IsZero()
		o.endpoints = append(o.endpoints, checked)
	}
	return o, nil
}

func (o *Outbox) find(t event.Tenant, name string) *endpoint {
	for _, e := range o.endpoints {
		if e.Tenant == t && e.Name == name {
			return e
		}
	}
	return nil
}

// Wake tells Run that writes were applied. Without it they are found within
// seconds.
func (o *Outbox) Wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Outbox) waking() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Outbox) isDisabled(e *endpoint) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.disabled[e]
}

func (o *Outbox) setDisabled(e *endpoint, disabled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.disabled[e] = disabled
}

// errDisabled is the last error of an endpoint that said it is gone.
var errDisabled = errors.New("the receiver answered 410 Gone")
