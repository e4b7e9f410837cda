package timestamp

import (
	"bytes"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// epochPrefix reads Unix time whose unit its digits tell; n is 0 when text
// does not begin with a number of that length.
func epochPrefix(text []byte) (t time.Time, n int) {
	digits := 0
	for digits < len(text) && text[digits]-'0' <= 9 {
		digits++
	}
	var unit int64 // units in a second
	switch digits {
	case 9, 10:
		unit = 1
	case 12, 13:
		unit = 1e3
	case 15, 16:
		unit = 1e6
	case 18, 19:
		unit = 1e9
	default:
		return time.Time{}, 0
	}
	t, n, ok := decimal(text, unit)
	if !ok || n < len(text) && (alphanumeric(text[n]) || text[n] == '-' || text[n] == ':' || text[n] == '/') {
		return time.Time{}, 0
	}
	return t, n
}

// The years that a time may have, as Unix time.
const (
	secondsMin = -62135596800 // 0001-01-01
	secondsMax = 253402300799 // 9999-12-31
)

// decimal reads a decimal number of units of which there are perSecond in a
// second, exactly to the nanosecond; n is its length.
func decimal(text []byte, perSecond int64) (t time.Time, n int, ok bool) {
	i := 0
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		i++
	}
	start := i
	var whole int64
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		d := int64(text[i] - '0')
		if whole > (1<<63-1-d)/10 {
			return time.Time{}, 0, false
		}
		whole = whole*10 + d
	}
	if i == start {
		return time.Time{}, 0, false
	}
	seconds := whole / perSecond
	nanos := whole % perSecond * (1e9 / perSecond)
	if i+1 < len(text) && text[i] == '.' && text[i+1]-'0' <= 9 {
		i++
		for unit := 1e8 / perSecond; i < len(text) && text[i]-'0' <= 9; i++ {
			nanos += int64(text[i]-'0') * unit
			unit /= 10
		}
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	if seconds < secondsMin || seconds > secondsMax {
		return time.Time{}, 0, false
	}
	return time.Unix(seconds, nanos).UTC(), i, true
}

// scientific reads Unix time written with an exponent, as some JSON encoders
// do.
func scientific(text []byte) (time.Time, bool) {
	const longest = 40
	if len(text) > longest || bytes.IndexAny(text, "eE") <= 0 {
		return time.Time{}, false
	}
	for _, c := range text {
		if c-'0' > 9 && c != '.' && c != '+' && c != '-' && c != 'e' && c != 'E' {
			return time.Time{}, false
		}
	}
	plain := event.AppendCanonicalNumber(nil, text)
	t, n := epochPrefix(plain)
	return t, n > 0 && n == len(plain)
}

// dateCall reads /Date(1136214245000)/ and /Date(1136214245000+0000)/, as
// Microsoft's older JSON encoders write times; the offset there is for display
// only.
func dateCall(text []byte) (time.Time, event.TimeQuality, int) {
	const begin = "/Date("
	if !bytes.HasPrefix(text, []byte(begin)) {
		return time.Time{}, event.TimeMissing, 0
	}
	t, n, ok := decimal(text[len(begin):], 1000)
	if !ok {
		return time.Time{}, event.TimeMissing, 0
	}
	i := len(begin) + n
	if i+5 <= len(text) && (text[i] == '+' || text[i] == '-') {
		i += 5
	}
	if i+2 > len(text) || string(text[i:i+2]) != ")/" {
		return time.Time{}, event.TimeMissing, 0
	}
	return t, event.TimeParsed, i + 2
}
