package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/env"
)

// errRefused: the destination may not be dialled.
var errRefused = errors.New("the destination is refused")

// special are the networks that are not the public internet, beside those that
// netip.Addr knows by itself: RFC 6890 and the IANA registries of special-purpose
// addresses, and the metadata services that clouds keep at public addresses.
var special = prefixes(
	"0.0.0.0/8",        // this network
	"100.64.0.0/10",    // carrier-grade NAT, RFC 6598; Alibaba's metadata 100.100.100.200
	"168.63.129.16/32", // Azure's platform service
	"192.0.0.0/24",     // protocol assignments; Oracle's metadata 192.0.0.192
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays, deprecated
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"240.0.0.0/4",      // reserved, broadcast
	"2001::/23",        // protocol assignments, Teredo among them
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4: an IPv4 address inside
	"3fff::/20",        // documentation
)

// publicIPv6 is the only part of IPv6 that is routed.
var publicIPv6 = netip.MustParsePrefix("2000::/3")

// nat64 maps all of IPv4 into IPv6, RFC 6052.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// PrivateNetworks are what an endpoint allows that may be anywhere in a network
// of one's own: loopback, private, link-local and carrier-grade addresses. The
// caller owns the slice.
func PrivateNetworks() []netip.Prefix {
	return prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7", "fe80::/10")
}

// public reports whether an address is one of the public internet.
func public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is6() && nat64.Contains(a) {
		b := a.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}
	if a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.Is6() && !publicIPv6.Contains(a) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func allowed(a netip.Addr, list []netip.Prefix) bool {
	a = a.Unmap()
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// disguised reports whether a host is no address and yet may be read as one:
// resolvers take 2130706433, 0x7f.1 and 017700000001 for 127.0.0.1. As in the
// WHATWG URL standard, that is a host whose last label is a number.
func disguised(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last == "" || strings.Trim(last, "0123456789") == ""
}

// Bounds of a connection.
const (
	// addressesMax bounds the addresses that are tried.
	addressesMax = 4
	// dialTimeout leaves time for another address within attemptTimeout.
	dialTimeout = 4 * time.Second
	// responseHeaderBytesMax and responseBytesMax bound what is read of an
	// answer; nothing but its status and Retry-After is used.
	responseHeaderBytesMax = 64 << 10
	responseBytesMax       = 64 << 10
	idleTimeout            = 30 * time.Second
)

// dialer makes the connections of one endpoint.
type dialer struct {
	net   env.Network
	clock env.Clock
	allow []netip.Prefix
	plain bool // http: only what is allowed may be dialled
}

// judge refuses an address that the endpoint may not be at.
func (d *dialer) judge(a netip.Addr) error {
	switch {
	case allowed(a, d.allow):
		return nil
	case d.plain:
		return fmt.Errorf("%w: http is for allowed private networks only", errRefused)
	case !public(a):
		return fmt.Errorf("%w: its address is not public, and not in a network that the endpoint allows", errRefused)
	}
	return nil
}

// resolve looks up a host and judges every address it has.
func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if disguised(host) {
		return nil, fmt.Errorf("%w: its host looks like an address and is none", errRefused)
	}
	var addresses []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addresses = []netip.Addr{a}
	} else if addresses, err = d.net.LookupNetIP(ctx, host); err != nil {
		return nil, fmt.Errorf("look up the host: %w", err)
	}
	if len(addresses) == 0 {
		return nil, errors.New("the host has no address")
	}
	// One bad address refuses all: a name that points inside and outside is a
	// mistake or an attack.
	for _, a := range addresses {
		if err := d.judge(a); err != nil {
			return nil, err
		}
	}
	return addresses, nil
}

// DialContext resolves once, judges every address and dials those very
// addresses: a name that changes between check and use changes nothing.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: its address cannot be read", errRefused)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: its port cannot be read", errRefused)
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, a := range addresses[:min(len(addresses), addressesMax)] {
		conn, err := d.dial(ctx, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

var errDialTimeout = errors.New("the connection took too long")

func (d *dialer) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, stop := limit(ctx, d.clock, dialTimeout, errDialTimeout)
	defer stop()
	conn, err := d.net.DialContext(ctx, "tcp", to.String())
	if err != nil && context.Cause(ctx) != nil {
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// limit ends a context after d with a cause, by the clock that was injected. stop
// must be called.
func limit(ctx context.Context, clock env.Clock, d time.Duration, cause error) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := clock.NewTimer(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-timer.C():
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-done
		timer.Stop()
	}
}

// roundTripper is what is needed of http.Transport.
type roundTripper interface {
	http.RoundTripper
	CloseIdleConnections()
}

// newTransport makes the transport of one endpoint. It is not shared: a
// connection that one endpoint may have is not for another.
func newTransport(world env.Env, e *endpoint, conf *tls.Config) roundTripper {
	d := &dialer{net: world.Net, clock: world.Clock, allow: e.AllowPrivate, plain: e.url.Scheme == "http"}
	if conf != nil {
		conf = conf.Clone()
	}
	t := &http.Transport{
		DialContext:            d.DialContext,
		TLSClientConfig:        conf,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    perEndpointMax,
		MaxConnsPerHost:        perEndpointMax,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: responseHeaderBytesMax,
	}
	if e.proxy != nil {
		through(t, world, e)
	}
	return t
}
