package pack

import (
	"math"
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// timeTextMax bounds the text of a time; the longest layout takes some 40
// bytes.
const timeTextMax = 64

// parseTime reads a time in a layout of the pack language. zone is for text
// that names none; reference is the latest time a text without a year may
// mean. Years before 1971 are no event's time.
func parseTime(text []byte, layout string, zone *time.Location, reference time.Time) (time.Time, event.TimeQuality, bool) {
	if zone == nil {
		zone = time.UTC
	}
	if len(text) == 0 || len(text) > timeTextMax {
		return time.Time{}, event.TimeMissing, false
	}
	var t time.Time
	quality, ok := event.TimeParsed, false
	switch layout {
	case "", "auto":
		t, quality, ok = autoTime(text, zone, reference)
	case "utc":
		t, quality, ok = autoTime(text, time.UTC, reference)
		if quality == event.TimeAssumedZone {
			quality = event.TimeParsed
		}
	case "epoch", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns":
		t, ok = epochTime(text, layout)
	default:
		var err error
		t, err = time.ParseInLocation(layout, string(text), zone)
		ok = err == nil
		if ok && t.Year() == 0 {
			t, quality = withYear(t, reference), event.TimeAssumedYear
		} else if ok && !zonedLayout(layout) {
			quality = event.TimeAssumedZone
		}
	}
	if !ok || t.Year() < 1971 || t.Year() > 9999 {
		return time.Time{}, event.TimeMissing, false
	}
	return t.UTC(), quality, true
}

// zonedLayout reports whether a Go layout reads a zone's offset.
func zonedLayout(layout string) bool {
	for i := 0; i+1 < len(layout); i++ {
		if layout[i] == 'Z' && layout[i+1] == '0' || (layout[i] == '-' || layout[i] == '+') && layout[i+1] == '0' && i+2 < len(layout) && layout[i+2] == '7' {
			return true
		}
	}
	return false
}

// epochTime reads seconds or a finer unit since 1970; without a unit the
// magnitude tells it: in seconds the year 5138 begins at 1e11.
func epochTime(text []byte, layout string) (time.Time, bool) {
	whole, frac := text, []byte(nil)
	for i, c := range text {
		if c == '.' {
			whole, frac = text[:i], text[i+1:]
			break
		}
	}
	if len(whole) == 0 || len(whole) > 19 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, false
	}
	var unit int64 // nanoseconds
	switch layout {
	case "epoch_s":
		unit = 1e9
	case "epoch_ms":
		unit = 1e6
	case "epoch_us":
		unit = 1e3
	case "epoch_ns":
		unit = 1
	default:
		switch {
		case n < 1e11:
			unit = 1e9
		case n < 1e14:
			unit = 1e6
		case n < 1e17:
			unit = 1e3
		default:
			unit = 1
		}
	}
	perSecond := int64(1e9) / unit
	seconds, rest := n/perSecond, n%perSecond*unit
	scale := unit / 10
	for _, c := range frac {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		rest += int64(c-'0') * scale
		scale /= 10
	}
	if seconds > math.MaxInt64/int64(1e9) {
		return time.Time{}, false
	}
	return time.Unix(seconds, rest), true
}

// layouts are the written forms beside ISO 8601, with what they lack.
var layouts = [...]struct {
	layout  string
	quality event.TimeQuality
}{
	{"02/Jan/2006:15:04:05 -0700", event.TimeParsed},
	{"Jan _2 15:04:05", event.TimeAssumedYear},
	{"Jan _2 15:04:05 2006", event.TimeAssumedZone},
	{"Jan _2 2006 15:04:05", event.TimeAssumedZone},
	{"Mon Jan _2 15:04:05 2006", event.TimeAssumedZone},
	{time.RFC1123Z, event.TimeParsed},
	{"Mon, 02 Jan 2006 15:04:05 GMT", event.TimeParsed},
	{"1/2/2006 3:04:05 PM", event.TimeAssumedZone},
	{"1/2/2006 15:04:05", event.TimeAssumedZone},
}

func autoTime(text []byte, zone *time.Location, reference time.Time) (time.Time, event.TimeQuality, bool) {
	if t, quality, ok := isoTime(text, zone); ok {
		return t, quality, true
	}
	if text[0] >= '0' && text[0] <= '9' {
		if t, ok := epochTime(text, "epoch"); ok {
			return t, event.TimeParsed, true
		}
	}
	s := string(text)
	for _, l := range layouts {
		t, err := time.ParseInLocation(l.layout, s, zone)
		if err != nil {
			continue
		}
		if l.quality == event.TimeAssumedYear {
			t = withYear(t, reference)
		}
		return t, l.quality, true
	}
	return time.Time{}, event.TimeMissing, false
}

// withYear gives a time without a year the latest year in which it is not
// after the reference, with a day of grace for clocks ahead.
func withYear(t, reference time.Time) time.Time {
	year := reference.Year()
	if reference.IsZero() {
		return time.Time{}
	}
	for range 8 { // a 29 February may be up to eight years back
		got := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
		if got.Day() == t.Day() && !got.After(reference.Add(24*time.Hour)) {
			return got
		}
		year--
	}
	return time.Time{}
}

// isoTime reads YYYY-MM-DD (or with slashes), a T or blanks, hh:mm:ss, a
// fraction behind a point or comma, and Z, UTC, an offset or nothing.
func isoTime(b []byte, zone *time.Location) (time.Time, event.TimeQuality, bool) {
	fail := func() (time.Time, event.TimeQuality, bool) { return time.Time{}, event.TimeMissing, false }
	if len(b) < 19 || b[4] != '-' && b[4] != '/' || b[7] != b[4] || b[10] != 'T' && b[10] != ' ' && b[10] != 't' || b[13] != ':' || b[16] != ':' {
		return fail()
	}
	year, ok1 := number(b[0:4])
	month, ok2 := number(b[5:7])
	day, ok3 := number(b[8:10])
	hour, ok4 := number(b[11:13])
	minute, ok5 := number(b[14:16])
	second, ok6 := number(b[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 {
		return fail()
	}
	i, nanos, scale := 19, 0, 100_000_000
	if i < len(b) && (b[i] == '.' || b[i] == ',') {
		start := i + 1
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			nanos += int(b[i]-'0') * scale
			scale /= 10
		}
		if i == start {
			return fail()
		}
	}
	quality := event.TimeParsed
	offset := 0
	rest := b[i:]
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	switch {
	case len(rest) == 0:
		quality = event.TimeAssumedZone
	case string(rest) == "Z" || string(rest) == "z" || string(rest) == "UTC" || string(rest) == "GMT":
		zone = time.UTC
	case rest[0] == '+' || rest[0] == '-':
		digits := make([]byte, 0, 4)
		for _, c := range rest[1:] {
			if c != ':' {
				digits = append(digits, c)
			}
		}
		if len(digits) == 2 {
			digits = append(digits, '0', '0')
		}
		if len(digits) != 4 {
			return fail()
		}
		h, ok1 := number(digits[:2])
		m, ok2 := number(digits[2:])
		if !ok1 || !ok2 || h > 23 || m > 59 {
			return fail()
		}
		if offset = h*3600 + m*60; rest[0] == '-' {
			offset = -offset
		}
		zone = time.UTC
	default:
		return fail()
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, zone)
	if offset != 0 {
		t = t.Add(-time.Duration(offset) * time.Second)
	} else if t.Day() != day && second < 60 && zone == time.UTC {
		return fail() // 31 February
	}
	return t, quality, true
}

func number(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
