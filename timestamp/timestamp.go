// Package timestamp reads the times that logs write.
//
// Times come back in UTC, with how they were come by ([event.TimeQuality]):
// a zone that the text does not name is the source's, a year that it does not
// name is chosen. Zone names other than UTC, GMT and Z mean different zones to
// different people and are not read.
//
// A local time that daylight saving makes ambiguous is the first of the two,
// and one that it skips is read with the offset before the gap, as RFC 5545
// section 3.3.5 has it: in Berlin, 02:30 on the last Sunday of March is 03:30
// summer time.
//
// All functions are pure and safe for concurrent use; they do not keep or
// change their arguments.
package timestamp

import (
	"bytes"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// Options are what a time's text may leave open.
type Options struct {
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Reference decides the year of times that name none: it is the one that
	// makes the time the latest not later than a day after Reference. The day
	// is for clocks and zones that are wrong. Without a Reference such times
	// are not read.
	Reference time.Time
}

// Parse reads text, which must be a time from end to end but for white space
// around it, in one of these forms:
//
//   - RFC 3339, and ISO 8601 as it is met: a blank or an underscore for the T,
//     slashes in the date, a comma before the fraction, no seconds, no colon
//     in the offset, no punctuation at all (20060102T150405Z,
//     20060102150405), a date alone;
//   - Unix time as a decimal number, its unit told by the digits before the
//     point: 9 or 10 are seconds, 12 or 13 milliseconds, 15 or 16
//     microseconds, 18 or 19 nanoseconds (1973 to 2286), and /Date(ms)/;
//   - RFC 3164, with or without a year before or behind the time of day, also
//     with the mark of an unsynchronised Cisco clock (*Mar  1 18:46:11.123);
//   - Common Log Format, 10/Oct/2000:13:55:36 -0700, and 10-Oct-2000 13:55:36;
//   - RFC 5322 and 1123 (Tue, 10 Oct 2000 13:55:36 GMT), ctime and date(1);
//   - 10.10.2000 13:55:36, day first;
//   - 10/31/2000 1:55:36 PM, where AM or PM says that the month comes first, or
//     a number above 12 which of the two is the day.
//
// ok is false for anything else.
func Parse(text []byte, o Options) (t time.Time, q event.TimeQuality, ok bool) {
	text = bytes.TrimSpace(text)
	t, q, n := Prefix(text, o)
	if n == 0 || n != len(text) {
		if t, ok := scientific(text); ok {
			return t, event.TimeParsed, true
		}
		return time.Time{}, event.TimeMissing, false
	}
	return t, q, true
}

// Prefix reads the time that text begins with and returns how many bytes it
// takes, or 0 when there is none. What follows must not be a letter or digit.
// A number alone is Unix time only if it is one to its end.
func Prefix(text []byte, o Options) (t time.Time, q event.TimeQuality, n int) {
	if len(text) == 0 {
		return time.Time{}, event.TimeMissing, 0
	}
	s := scan{b: text, year: noYear}
	c := text[0]
	var ok bool
	switch {
	case c >= '0' && c <= '9':
		if t, n := epochPrefix(text); n > 0 {
			return t, event.TimeParsed, n
		}
		ok = s.iso() || s.restart() && s.compact() || s.restart() && s.dayFirst() || s.restart() && s.american()
	case c == '*' || c == '.':
		s.i = 1
		ok = s.monthFirst()
	case c == '/':
		return dateCall(text)
	default:
		ok = s.monthFirst() || s.restart() && s.weekday()
	}
	if !ok || s.i < len(text) && alphanumeric(text[s.i]) {
		return time.Time{}, event.TimeMissing, 0
	}
	t, q, ok = s.result(o)
	if !ok {
		return time.Time{}, event.TimeMissing, 0
	}
	return t, q, s.i
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// result makes the time of what was scanned.
func (s *scan) result(o Options) (time.Time, event.TimeQuality, bool) {
	zone := o.Zone
	if zone == nil {
		zone = time.UTC
	}
	if s.year == noYear {
		return s.inferYear(o, zone)
	}
	if s.year < 1 || s.month < 1 || s.month > 12 || s.day < 1 || s.day > daysIn(s.month, s.year) {
		return time.Time{}, event.TimeMissing, false
	}
	if s.zoned {
		t := s.utc(s.year).Add(-time.Duration(s.offset) * time.Second)
		return t, event.TimeParsed, true
	}
	return local(s.utc(s.year), zone), event.TimeAssumedZone, true
}

// yearsBack is how far back a 29 February may lie: 1900 was no leap year.
const yearsBack = 8

func (s *scan) inferYear(o Options, zone *time.Location) (time.Time, event.TimeQuality, bool) {
	if o.Reference.IsZero() || s.month < 1 || s.month > 12 || s.day < 1 {
		return time.Time{}, event.TimeMissing, false
	}
	latest := o.Reference.Add(24 * time.Hour)
	first := latest.UTC().Year() + 1 // a zone east of UTC may be in the next year
	for year := first; year >= first-yearsBack-1; year-- {
		if s.day > daysIn(s.month, year) {
			continue
		}
		t := s.utc(year)
		if s.zoned {
			t = t.Add(-time.Duration(s.offset) * time.Second)
		} else {
			t = local(t, zone)
		}
		if !t.After(latest) {
			return t, event.TimeAssumedYear, true
		}
	}
	return time.Time{}, event.TimeMissing, false
}

func (s *scan) utc(year int) time.Time {
	return time.Date(year, time.Month(s.month), s.day, s.hour, s.minute, s.second, s.nano, time.UTC)
}

func daysIn(month, year int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// local returns the instant at which the clocks of zone show what naive shows
// in UTC.
func local(naive time.Time, zone *time.Location) time.Time {
	if zone == time.UTC {
		return naive
	}
	const day = 24 * time.Hour
	offsetAt := func(t time.Time) time.Duration {
		_, s := t.In(zone).Zone()
		return time.Duration(s) * time.Second
	}
	before, after := offsetAt(naive.Add(-day)), offsetAt(naive.Add(day))
	first := naive.Add(-before)
	if before == after || offsetAt(first) == before {
		return first // no change near, or the first of two
	}
	if second := naive.Add(-after); offsetAt(second) == after {
		return second
	}
	return first // skipped
}
