package rule

import (
	"net/netip"
	"strings"
)

// parseNetwork reads a network or an address. masked is true when bits beyond
// the prefix were set and have been cleared. An IPv4-mapped network of IPv6
// becomes the IPv4 network it stands for, since events are compared unmapped.
func parseNetwork(s string) (p netip.Prefix, masked bool, err error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, false, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), false, nil
	}
	p, err = netip.ParsePrefix(s)
	if err != nil {
		return p, false, err
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	m := p.Masked()
	return m, m != p, nil
}
