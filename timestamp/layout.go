package timestamp

import (
	"bytes"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// ParseLayout reads text in the one form that layout names:
//
//   - rfc3339: RFC 3339 or ISO 8601 as [Parse] reads it;
//   - epoch_s, epoch_ms, epoch_us, epoch_ns: Unix time as a decimal number of
//     that unit, with fraction and sign;
//   - rfc3164: with or without a year;
//   - clf: 10/Oct/2000:13:55:36 -0700, also in brackets;
//   - anything else is a layout of Go's package time, whose zone, if it has
//     one, must not be a name other than UTC and GMT.
func ParseLayout(text []byte, layout string, o Options) (t time.Time, q event.TimeQuality, ok bool) {
	text = bytes.TrimSpace(text)
	s := scan{b: text, year: noYear}
	switch layout {
	case "epoch_s":
		return whole(text, 1)
	case "epoch_ms":
		return whole(text, 1e3)
	case "epoch_us":
		return whole(text, 1e6)
	case "epoch_ns":
		return whole(text, 1e9)
	case "rfc3339":
		ok = s.iso()
	case "rfc3164":
		if c := s.peek(); c == '*' || c == '.' {
			s.i++
		}
		ok = s.monthFirst()
	case "clf":
		if len(text) > 1 && text[0] == '[' && text[len(text)-1] == ']' {
			s.b = text[1 : len(text)-1]
		}
		ok = s.dayFirst()
	default:
		return parseGo(string(text), layout, o)
	}
	if !ok || s.i != len(s.b) {
		return time.Time{}, event.TimeMissing, false
	}
	t, q, ok = s.result(o)
	if !ok {
		return time.Time{}, event.TimeMissing, false
	}
	return t, q, true
}

// LayoutKnown reports whether layout is one that [ParseLayout] names, or a
// layout of Go's package time with at least an hour or a day in it.
func LayoutKnown(layout string) bool {
	switch layout {
	case "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "rfc3339", "rfc3164", "clf":
		return true
	}
	a := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC).Format(layout)
	b := time.Date(2002, 3, 4, 15, 6, 7, 0, time.UTC).Format(layout)
	return a != b
}

func whole(text []byte, perSecond int64) (time.Time, event.TimeQuality, bool) {
	t, n, ok := decimal(text, perSecond)
	if !ok || n != len(text) {
		return time.Time{}, event.TimeMissing, false
	}
	return t, event.TimeParsed, true
}

func parseGo(text, layout string, o Options) (time.Time, event.TimeQuality, bool) {
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, event.TimeMissing, false
	}
	s := scan{
		year: t.Year(), month: int(t.Month()), day: t.Day(),
		hour: t.Hour(), minute: t.Minute(), second: t.Second(), nano: t.Nanosecond(),
	}
	if !strings.Contains(layout, "06") { // 2006 and 06 both
		s.year = noYear
	}
	name, offset := t.Zone()
	switch {
	case strings.Contains(layout, "Z07") || strings.Contains(layout, "-07"):
		s.zoned, s.offset = true, offset
	case strings.Contains(layout, "MST"):
		// Package time makes up an offset of zero for a name it does not know.
		if name != "UTC" && name != "GMT" {
			return time.Time{}, event.TimeMissing, false
		}
		s.zoned = true
	}
	t, q, ok := s.result(o)
	if !ok {
		return time.Time{}, event.TimeMissing, false
	}
	return t, q, true
}
