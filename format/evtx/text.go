package evtx

import (
	"encoding/binary"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// trimNUL16 cuts the NULs that end a counted string, which some providers
// count as part of it.
func trimNUL16(b []byte) []byte {
	for len(b) >= 2 && b[len(b)-1] == 0 && b[len(b)-2] == 0 && len(b)%2 == 0 {
		b = b[:len(b)-2]
	}
	return b
}

// appendUTF16 appends little-endian UTF-16 as UTF-8. A lone surrogate becomes
// U+FFFD, an odd last byte is left out.
func appendUTF16(dst, b []byte) []byte {
	dst, _ = decodeUTF16(dst, b)
	return dst
}

// decodeUTF16 is appendUTF16 that tells whether it met a lone surrogate.
func decodeUTF16(dst, b []byte) (text []byte, lone bool) {
	const notASCII = 0xff80ff80ff80ff80
	// No unit takes more than three bytes of UTF-8; a fourth is what EncodeRune
	// asks for.
	dst = slices.Grow(dst, len(b)/2*3+1)
	n := len(dst)
	out := dst[:cap(dst)]
	for {
		for len(b) >= 8 && len(out)-n >= 4 {
			w := binary.LittleEndian.Uint64(b)
			if w&notASCII != 0 {
				break
			}
			w = (w | w>>8) & 0x0000ffff0000ffff
			binary.LittleEndian.PutUint32(out[n:], uint32(w|w>>16))
			n += 4
			b = b[8:]
		}
		if len(b) < 2 {
			return out[:n], lone
		}
		u := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		switch {
		case u < 0x80:
			out[n] = byte(u)
			n++
		case u < 0x800:
			out[n], out[n+1] = 0xc0|byte(u>>6), 0x80|byte(u&0x3f)
			n += 2
		default:
			if utf16.IsSurrogate(u) {
				low := rune(-1)
				if len(b) >= 2 {
					low = rune(binary.LittleEndian.Uint16(b))
				}
				if u = utf16.DecodeRune(u, low); u != utf8.RuneError {
					b = b[2:]
				} else {
					lone = true
				}
			}
			n += utf8.EncodeRune(out[n:n+4], u)
		}
	}
}

// windows1252 holds the characters of 0x80 to 0x9f in the Windows code page
// of Western Europe (Unicode's CP1252.TXT); undefined ones are the C1 controls
// of the same number, as Windows reads them.
var windows1252 = [32]rune{
	0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d, 0x017d, 0x8f,
	0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178,
}

// appendANSI appends text in the writer's code page, which the record does not
// name and which is taken to be Windows-1252.
func appendANSI(dst, b []byte) []byte {
	for _, c := range b {
		switch {
		case c < 0x80:
			dst = append(dst, c)
		case c < 0xa0:
			dst = utf8.AppendRune(dst, windows1252[c-0x80])
		default:
			dst = utf8.AppendRune(dst, rune(c))
		}
	}
	return dst
}

const (
	lowerDigits = "0123456789abcdef"
	upperDigits = "0123456789ABCDEF"
)

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperDigits[c>>4], upperDigits[c&15])
	}
	return dst
}

func appendHexInt(dst []byte, v uint64) []byte {
	return strconv.AppendUint(append(dst, '0', 'x'), v, 16)
}

// appendGUID appends a GUID, whose first three fields are little-endian.
func appendGUID(dst, b []byte) []byte {
	order := [16]byte{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}
	dst = append(dst, '{')
	for i, at := range order {
		switch i {
		case 4, 6, 8, 10:
			dst = append(dst, '-')
		}
		c := b[at]
		dst = append(dst, lowerDigits[c>>4], lowerDigits[c&15])
	}
	return append(dst, '}')
}

// sidBytes returns the size of the SID at the front of b, or 0 when b is too
// short to say ([MS-DTYP] 2.4.2.2).
func sidBytes(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	return 8 + 4*int(b[1])
}

// appendSID appends a SID of exactly sidBytes as [MS-DTYP] 2.4.2.1 spells it.
func appendSID(dst, b []byte) []byte {
	dst = strconv.AppendUint(append(dst, 'S', '-'), uint64(b[0]), 10)
	dst = append(dst, '-')
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	if authority>>32 != 0 {
		dst = appendHexInt(dst, authority)
	} else {
		dst = strconv.AppendUint(dst, authority, 10)
	}
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		dst = strconv.AppendUint(append(dst, '-'), uint64(binary.LittleEndian.Uint32(b)), 10)
	}
	return dst
}

// A FILETIME counts 100 ns since the first day of 1601, UTC ([MS-DTYP] 2.3.3).
const (
	ticksPerSecond  = 10_000_000
	ticksPerDay     = 86_400 * ticksPerSecond
	unixEpochSecond = 11_644_473_600
)

// fileTime returns the time of a FILETIME.
func fileTime(ticks uint64) time.Time {
	return time.Unix(int64(ticks/ticksPerSecond)-unixEpochSecond, int64(ticks%ticksPerSecond)*100).UTC()
}

// appendFileTime appends a FILETIME with all its seven decimals, as Windows
// does.
func appendFileTime(dst []byte, ticks uint64) []byte {
	year, month, day := civil(ticks / ticksPerDay)
	rest := ticks % ticksPerDay
	second := rest / ticksPerSecond
	dst = appendDate(dst, year, month, day)
	dst = appendClock(dst, second/3600, second/60%60, second%60)
	dst = append(dst, '.')
	dst = appendDigits(dst, rest%ticksPerSecond, 7)
	return append(dst, 'Z')
}

// appendSystemTime appends a SYSTEMTIME ([MS-DTYP] 2.3.13) with its
// milliseconds; the day of the week says nothing more.
func appendSystemTime(dst, b []byte) []byte {
	field := func(i int) uint64 { return uint64(binary.LittleEndian.Uint16(b[2*i:])) }
	dst = appendDate(dst, field(0), field(1), field(3))
	dst = appendClock(dst, field(4), field(5), field(6))
	dst = append(dst, '.')
	dst = appendDigits(dst, field(7), 3)
	return append(dst, 'Z')
}

func appendDate(dst []byte, year, month, day uint64) []byte {
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, month, 2), '-')
	return append(appendDigits(dst, day, 2), 'T')
}

func appendClock(dst []byte, hour, minute, second uint64) []byte {
	dst = append(appendDigits(dst, hour, 2), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	return appendDigits(dst, second, 2)
}

// appendDigits appends v with at least width digits.
func appendDigits(dst []byte, v uint64, width int) []byte {
	var b [20]byte
	i := len(b)
	for v > 0 || width > 0 {
		i--
		b[i] = byte('0' + v%10)
		v /= 10
		width--
	}
	return append(dst, b[i:]...)
}

// civil returns the date of the day that many days after 1601-01-01, in the
// Gregorian calendar: the algorithm civil_from_days of Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms", shifted to that day. Its
// eras of 400 years begin on the first of March.
func civil(days uint64) (year, month, day uint64) {
	z := days + 584_694 // days from 0000-03-01 to 1601-01-01
	era := z / 146_097
	doe := z % 146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
