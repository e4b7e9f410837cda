package scenario

import "strconv"

// Texts of the catalogue hold places that are filled in when an event is
// written, so that nothing is formatted before and nothing allocated:
//
//	%u user name   %l a DNS label that carries data
//	%h host name   %p name of the other host   %i address of the other side
//	%n number      %x the number in hexadecimal   %a account number
//	%% a percent sign
type words struct {
	user, host, peer string
	ip               uint32
	n                uint64
}

// escape appends s to dst as the inside of a JSON string. Texts of the
// catalogue are ASCII.
func escape(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return append(dst, s[start:]...)
}

// expand appends s with its places filled in, and inside a JSON string when
// quoted.
func (w *words) expand(dst []byte, s string, quoted bool) []byte {
	start := 0
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if quoted {
			dst = escape(dst, s[start:i])
		} else {
			dst = append(dst, s[start:i]...)
		}
		i++
		start = i + 1
		switch s[i] {
		case 'u':
			dst = append(dst, w.user...)
		case 'h':
			dst = append(dst, w.host...)
		case 'p':
			dst = append(dst, w.peer...)
		case 'i':
			dst = appendIP(dst, w.ip)
		case 'n':
			dst = strconv.AppendUint(dst, w.n, 10)
		case 'x':
			dst = appendHex(dst, w.n, 8)
		case 'a':
			dst = append(dst, accountID...)
		case 'l':
			dst = appendLabel(dst, w.n)
		default:
			dst = append(dst, s[i])
		}
	}
	if quoted {
		return escape(dst, s[start:])
	}
	return append(dst, s[start:]...)
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
	base32   = "abcdefghijklmnopqrstuvwxyz234567"
	base62   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// labelBytes is the length of a label that carries data: near the 63 that
// RFC 1035 allows, as tunnels fill them.
const labelBytes = 56

// appendLabel appends a DNS label of base32 that n decides.
func appendLabel(dst []byte, n uint64) []byte {
	for i := range labelBytes {
		if i%12 == 0 {
			n = mix(n + 1)
		}
		dst = append(dst, base32[n>>(uint(i%12)*5)&31])
	}
	return dst
}

// appendHex appends the low digits of n, lower case.
func appendHex(dst []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, lowerHex[n>>(uint(i)*4)&15])
	}
	return dst
}

func appendUpperHex(dst []byte, n uint64, digits int) []byte {
	for i := digits - 1; i >= 0; i-- {
		dst = append(dst, upperHex[n>>(uint(i)*4)&15])
	}
	return dst
}

// appendHash appends digits hexadecimal digits that n decides.
func appendHash(dst []byte, n uint64, digits int) []byte {
	for digits > 0 {
		n = mix(n + 0x9e3779b97f4a7c15)
		k := min(digits, 16)
		dst = appendUpperHex(dst, n, k)
		digits -= k
	}
	return dst
}

// appendUUID appends a UUID of version 4's form that n decides.
func appendUUID(dst []byte, n uint64) []byte {
	a, b := mix(n), mix(n+0x9e3779b97f4a7c15)
	dst = appendHex(dst, a>>32, 8)
	dst = append(dst, '-')
	dst = appendHex(dst, a>>16, 4)
	dst = append(dst, '-', '4')
	dst = appendHex(dst, a, 3)
	dst = append(dst, '-')
	dst = appendHex(dst, b>>48&0x3fff|0x8000, 4)
	dst = append(dst, '-')
	return appendHex(dst, b, 12)
}

// appendUID appends a Zeek uid: C and 17 characters of base 62.
func appendUID(dst []byte, n uint64) []byte {
	a, b := mix(n), mix(n+0x9e3779b97f4a7c15)
	dst = append(dst, 'C')
	for range 9 {
		dst = append(dst, base62[a%62])
		a /= 62
	}
	for range 8 {
		dst = append(dst, base62[b%62])
		b /= 62
	}
	return dst
}

func appendIP(dst []byte, ip uint32) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		dst = strconv.AppendUint(dst, uint64(ip>>shift&255), 10)
		if shift > 0 {
			dst = append(dst, '.')
		}
	}
	return dst
}

func appendPadded(dst []byte, n int64, digits int) []byte {
	at := len(dst)
	for range digits {
		dst = append(dst, '0')
	}
	for i := at + digits - 1; i >= at; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

const (
	second = int64(1e9)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// appendTime appends a time in UTC as 2006-01-02, separator, 15:04:05, and
// digits decimals of the second. The civil date is computed as in H. Hinnant,
// chrono-Compatible Low-Level Date Algorithms (days_from_civil), for times
// after 1970.
func appendTime(dst []byte, ns int64, separator byte, digits int) []byte {
	days, rest := ns/day, ns%day
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d := doy - (153*mp+2)/5 + 1
	m := mp + 3
	if m > 12 {
		m -= 12
	}
	y := yoe + era*400
	if m <= 2 {
		y++
	}
	dst = appendPadded(dst, y, 4)
	dst = append(dst, '-')
	dst = appendPadded(dst, m, 2)
	dst = append(dst, '-')
	dst = appendPadded(dst, d, 2)
	dst = append(dst, separator)
	dst = appendPadded(dst, rest/hour, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, rest/minute%60, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, rest/second%60, 2)
	if digits > 0 {
		dst = append(dst, '.')
		sub := rest % second
		for range 9 - digits {
			sub /= 10
		}
		dst = appendPadded(dst, sub, digits)
	}
	return dst
}

// appendEpoch appends seconds since the epoch with digits decimals.
func appendEpoch(dst []byte, ns int64, digits int) []byte {
	dst = strconv.AppendInt(dst, ns/second, 10)
	dst = append(dst, '.')
	sub := ns % second
	for range 9 - digits {
		sub /= 10
	}
	return appendPadded(dst, sub, digits)
}
