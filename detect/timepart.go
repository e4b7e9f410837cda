package detect

import (
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/rule"
)

// timePart returns a part of the timestamp in text, in the timestamp's own
// offset [D29]: RFC 3339 and ISO 8601 with T or a space, with or without a
// fraction and an offset, or an integer epoch in seconds or milliseconds.
func timePart(text []byte, unit rule.TimeUnit) (int64, bool) {
	t, ok := parseTimestamp(text)
	if !ok {
		return 0, false
	}
	switch unit {
	case rule.Minute:
		return int64(t.Minute()), true
	case rule.Hour:
		return int64(t.Hour()), true
	case rule.Day:
		return int64(t.Day()), true
	case rule.Week:
		_, week := t.ISOWeek()
		return int64(week), true
	case rule.Month:
		return int64(t.Month()), true
	case rule.Year:
		return int64(t.Year()), true
	}
	return 0, false
}

// epochMillisMin is the least integer read as milliseconds: 1e11 s is the year
// 5138, 1e11 ms is March 1973.
const epochMillisMin = 100_000_000_000

// timestampBytesMax bounds what is tried as a timestamp: the longest form has
// 35 characters.
const timestampBytesMax = 40

func parseTimestamp(text []byte) (time.Time, bool) {
	if len(text) == 0 || len(text) > timestampBytesMax {
		return time.Time{}, false
	}
	if isInteger(text) {
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		if n >= epochMillisMin || n <= -epochMillisMin {
			return time.UnixMilli(n).UTC(), true
		}
		return time.Unix(n, 0).UTC(), true
	}
	if len(text) < len("2006-01-02T15:04:05") || text[4] != '-' {
		return time.Time{}, false
	}
	s := string(text)
	if s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range [...]string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
