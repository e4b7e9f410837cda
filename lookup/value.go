package lookup

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// normal checks a value by the type and returns it as it is kept. warn says
// what is doubtful though usable.
func (t Type) normal(s string) (value, warn string, err error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", "", errors.New("the value is empty")
	case len(s) > ValueBytesMax:
		return "", "", fmt.Errorf("the value has %d bytes, more than %d", len(s), ValueBytesMax)
	case !utf8.ValidString(s):
		return "", "", errors.New("the value is not UTF-8 text")
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", "", errors.New("the value holds a control character")
	}
	switch t {
	case Networks:
		return network(s)
	case Hashes:
		return digest(s)
	case Hosts, Domains:
		return hostname(s)
	}
	if t == Users && strings.HasSuffix(s, `\*`) && !strings.HasSuffix(s, `\\*`) {
		warn = `\* is the character *; write \\* for a backslash and any name behind it`
	}
	return s, warn, nil
}

// network reads a network or an address as rules do: bits beyond the prefix do
// not count, IPv4-mapped IPv6 is IPv4.
func network(s string) (value, warn string, err error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return "", "", fmt.Errorf("%q is neither a network nor an address", s)
		}
		return a.Unmap().String(), "", nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("%q is not a network", s)
	}
	const mappedBits = 96
	if p.Addr().Is4In6() {
		if p.Bits() < mappedBits {
			return "", "", fmt.Errorf("%q reaches beyond the IPv4-mapped addresses", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	if p != p.Masked() {
		warn = "the network has bits beyond its prefix; it is read as " + p.Masked().String()
	}
	return p.Masked().String(), warn, nil
}

// digest reads a hash in hexadecimal: 16, 20, 32, 48 or 64 bytes.
func digest(s string) (value, warn string, err error) {
	s = strings.ToLower(s)
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f') {
			return "", "", fmt.Errorf("%q is not hexadecimal", s)
		}
	}
	switch len(s) {
	case 32, 40, 64, 96, 128:
		return s, "", nil
	}
	return "", "", fmt.Errorf("a hash has 32, 40, 64, 96 or 128 digits, not %d", len(s))
}

// hostname reads a name of a host or a domain. Which characters names have in
// practice is wider than RFC 1123: underscores, and letters beyond ASCII.
func hostname(s string) (value, warn string, err error) {
	const bytesMax = 255 // RFC 1035, 2.3.4
	s = strings.TrimSuffix(s, ".")
	if len(s) > bytesMax {
		return "", "", fmt.Errorf("a name has at most %d bytes", bytesMax)
	}
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_.*?$", r) {
			return "", "", fmt.Errorf("a name cannot hold %q", r)
		}
	}
	if s == "" || strings.Contains(s, "..") || s[0] == '.' {
		return "", "", fmt.Errorf("%q is not a name; write * before a dot for any host of a domain", s)
	}
	return s, "", nil
}

// expiry reads the instant from which an entry does not count: RFC 3339, or a
// date, whose day counts to its end in UTC. An empty text never expires.
func expiry(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time; write 2026-03-01 or 2026-03-01T09:30:00Z", s)
}
