package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Listener is one address that the server opens.
type Listener struct {
	// Key is the setting that names it.
	Key string
	// Network is tcp or udp, Address host and port as configured.
	Network, Address string
	// TLS says whether it speaks TLS.
	TLS bool
}

// Listeners lists every address that the configuration opens.
func (c *Config) Listeners() []Listener {
	var list []Listener
	add := func(key, network, address string, tls bool) {
		if address != "" {
			list = append(list, Listener{key, network, address, tls})
		}
	}
	on := c.HTTP.TLS.On()
	add("http.listen", "tcp", c.HTTP.Listen, on)
	add("admin.listen", "tcp", c.Admin.Listen, false)
	add("receivers.elastic.listen", "tcp", c.Receivers.Elastic.Listen, on)
	add("receivers.hec.listen", "tcp", c.Receivers.HEC.Listen, on)
	add("receivers.otlp.grpc", "tcp", c.Receivers.OTLP.GRPC, on)
	add("receivers.otlp.http", "tcp", c.Receivers.OTLP.HTTP, on)
	for i, s := range c.Receivers.Syslog {
		network := "tcp"
		if s.Transport == "udp" {
			network = "udp"
		}
		add(fmt.Sprintf("receivers.syslog[%d].listen", i), network, s.Listen, s.Transport == "tls")
	}
	return list
}

// listeners checks that addresses are such, that none stands twice, and that
// none is open to strangers in clear.
func (k *checker) listeners() {
	if k.c.HTTP.Listen == "" {
		k.fault("http.listen", "write 127.0.0.1:8600", "the main port cannot be switched off")
	}
	type open struct {
		Listener
		host string
		port int
	}
	var seen []open
	for _, l := range k.c.Listeners() {
		host, port, ok := splitAddress(l.Address)
		if !ok {
			k.fault(l.Key, "write host:port, as 127.0.0.1:8600 or [::1]:8600", "%q is not an address", clip(l.Address))
			continue
		}
		k.exposed(l, host)
		for _, other := range seen {
			if port != 0 && other.port == port && other.Network == l.Network && overlap(host, other.host) {
				k.fault(l.Key, "choose another port", "port %d is that of %s (%s) too", port, other.Key, other.Address)
				break
			}
		}
		seen = append(seen, open{l, host, port})
	}
}

// exposed refuses what a stranger could read or write.
func (k *checker) exposed(l Listener, host string) {
	if loopback(host) || l.TLS {
		return
	}
	s := k.syslogAt(l.Key)
	switch {
	case l.Key == "admin.listen":
		k.fault(l.Key, "write 127.0.0.1:8601", "%q can be reached from outside, and this port asks for no token", clip(l.Address))
	case s == nil:
		k.fault(l.Key, "add http.tls.cert and http.tls.key, or listen on 127.0.0.1", "%q can be reached from outside, and tokens would cross the network in clear", clip(l.Address))
	case !s.Insecure:
		k.fault(l.Key, "use transport: tls, listen on 127.0.0.1, or add insecure: true to this listener", "%q can be reached from outside, where anyone can read and forge plain syslog", clip(l.Address))
	}
}

// syslogAt is the syslog listener of that key, or nil.
func (k *checker) syslogAt(key string) *Syslog {
	for i := range k.c.Receivers.Syslog {
		if key == fmt.Sprintf("receivers.syslog[%d].listen", i) {
			return &k.c.Receivers.Syslog[i]
		}
	}
	return nil
}

func splitAddress(address string) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, false
	}
	return host, int(n), true
}

// loopback reports whether only this machine can reach a host. A name other
// than localhost may resolve to anything.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// overlap reports whether two hosts cannot both be listened on with one port.
func overlap(a, b string) bool {
	wild := func(host string) bool {
		x, err := netip.ParseAddr(host)
		return host == "" || err == nil && x.IsUnspecified()
	}
	if wild(a) || wild(b) {
		return true
	}
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x.Unmap() == y.Unmap()
	}
	// localhost is one of the loopback addresses, or both.
	return a == b || loopback(a) && loopback(b)
}
