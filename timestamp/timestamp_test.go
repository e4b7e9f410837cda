package timestamp

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests do not depend on the machine's zones

	"github.com/tiercel-io/tiercel/event"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	parsed   = event.TimeParsed
	noZone   = event.TimeAssumedZone
	yearGone = event.TimeAssumedYear
)

func TestParse(t *testing.T) {
	t.Parallel()
	ref := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		in   string
		want string // RFC 3339 in UTC; empty when it is no time
		q    event.TimeQuality
	}{
		// RFC 3339 section 5.8.
		{"1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.52Z", parsed},
		{"1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57Z", parsed},
		{"1990-12-31T23:59:60Z", "1991-01-01T00:00:00Z", parsed},
		{"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z", parsed},
		{"1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.87Z", parsed},
		{"1985-04-12t23:20:50z", "1985-04-12T23:20:50Z", parsed},
		// RFC 5424 section 6.2.3.1.
		{"2003-08-24T05:14:15.000003-07:00", "2003-08-24T12:14:15.000003Z", parsed},
		{"2003-10-11T22:14:15.003Z", "2003-10-11T22:14:15.003Z", parsed},
		// ISO 8601 as it is met.
		{"2026-11-21 22:50:03", "2026-11-21T22:50:03Z", noZone},
		{"2026-11-21 22:50:03,123", "2026-11-21T22:50:03.123Z", noZone},
		{" 2026-11-21 22:50:03.123456789 +0100\n", "2026-11-21T21:50:03.123456789Z", parsed},
		{"2026-11-21T22:50:03.1234567890123Z", "2026-11-21T22:50:03.123456789Z", parsed},
		{"2026-11-21T22:50:03+0000", "2026-11-21T22:50:03Z", parsed},
		{"2026-11-21T22:50:03-07", "2026-11-22T05:50:03Z", parsed},
		{"2026-11-21 22:50:03 UTC", "2026-11-21T22:50:03Z", parsed},
		{"2026/11/21 22:50:03", "2026-11-21T22:50:03Z", noZone},
		{"2026-11-21T22:50", "2026-11-21T22:50:00Z", noZone},
		{"2026-11-21", "2026-11-21T00:00:00Z", noZone},
		{"20261121T225003Z", "2026-11-21T22:50:03Z", parsed},
		{"20261121225003", "2026-11-21T22:50:03Z", noZone},
		{"20261121225003.5", "2026-11-21T22:50:03.5Z", noZone},
		{"2026-02-29", "", 0},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", parsed},
		{"2100-02-29", "", 0},
		{"2026-13-01", "", 0},
		{"2026-11-21T24:00:00Z", "", 0},
		{"2026-11-21T22:60:00Z", "", 0},
		{"2026-11-21 22:50:03 CET", "", 0},
		{"2026-11-21 22:50:03 -12", "", 0},
		{"2026-11-21T22:50:03+01:0", "", 0},
		// Unix time.
		{"1700000000", "2023-11-14T22:13:20Z", parsed},
		{"1700000000.123456789", "2023-11-14T22:13:20.123456789Z", parsed},
		{"1700000000123", "2023-11-14T22:13:20.123Z", parsed},
		{"1700000000123.456", "2023-11-14T22:13:20.123456Z", parsed},
		{"1700000000123456", "2023-11-14T22:13:20.123456Z", parsed},
		{"1700000000123456789", "2023-11-14T22:13:20.123456789Z", parsed},
		{"1.7e9", "2023-11-14T22:13:20Z", parsed},
		{"1.700000000123E12", "2023-11-14T22:13:20.123Z", parsed},
		{"999999999", "2001-09-09T01:46:39Z", parsed},
		{"12345678", "", 0},
		{"12345678901", "", 0},
		{"17000000001234567890", "", 0},
		{"/Date(1136214245123)/", "2006-01-02T15:04:05.123Z", parsed},
		{"/Date(1136214245123-0700)/", "2006-01-02T15:04:05.123Z", parsed},
		{"/Date(x)/", "", 0},
		// RFC 3164 section 4.1.2, and its relatives.
		{"Oct 11 22:14:15", "2025-10-11T22:14:15Z", yearGone},
		{"Feb  5 17:32:18", "2026-02-05T17:32:18Z", yearGone},
		{"Feb 05 17:32:18.5", "2026-02-05T17:32:18.5Z", yearGone},
		{"Oct 11 2024 22:14:15", "2024-10-11T22:14:15Z", noZone},
		{"Oct 11 22:14:15 2024", "2024-10-11T22:14:15Z", noZone},
		{"Oct 11 22:14:15 2024 UTC", "2024-10-11T22:14:15Z", parsed},
		{"*Mar  1 18:46:11.123", "2026-03-01T18:46:11.123Z", yearGone},
		{"*Mar  1 18:46:11.123 UTC", "2026-03-01T18:46:11.123Z", yearGone},
		{"*Mar  1 2026 18:46:11", "2026-03-01T18:46:11Z", noZone},
		{".Mar  1 2026 18:46:11", "2026-03-01T18:46:11Z", noZone},
		{"Feb 30 00:00:00", "", 0},
		// Common Log Format, named in its day.
		{"10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z", parsed},
		{"10-Oct-2000 13:55:36.123", "2000-10-10T13:55:36.123Z", noZone},
		// RFC 5322 section 3.3, RFC 1123, ctime(3), date(1).
		{"Tue, 10 Oct 2000 13:55:36 GMT", "2000-10-10T13:55:36Z", parsed},
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T15:55:06Z", parsed},
		{"10 October 2000 13:55:36", "2000-10-10T13:55:36Z", noZone},
		{"Tue Oct 10 13:55:36 2000", "2000-10-10T13:55:36Z", noZone},
		{"Tue Oct 10 13:55:36.123456 2000", "2000-10-10T13:55:36.123456Z", noZone},
		{"Tue Oct 10 13:55:36 UTC 2000", "2000-10-10T13:55:36Z", parsed},
		{"Oct 10, 2000 1:55:36 PM", "2000-10-10T13:55:36Z", noZone},
		{"October 10, 2000, 1:55:36 PM", "2000-10-10T13:55:36Z", noZone},
		// Exports.
		{"10.12.2000 13:55:36", "2000-12-10T13:55:36Z", noZone},
		{"10/12/2000 1:55:36 PM", "2000-10-12T13:55:36Z", noZone},
		{"10/12/2000 12:05:36 AM", "2000-10-12T00:05:36Z", noZone},
		{"10/12/2000 12:05 PM", "2000-10-12T12:05:00Z", noZone},
		{"10/12/2000 1:55:36\u202fPM", "2000-10-12T13:55:36Z", noZone},
		{"10/31/2000 13:55:36", "2000-10-31T13:55:36Z", noZone},
		{"31/10/2000 13:55:36", "2000-10-31T13:55:36Z", noZone},
		{"10/10/2000 13:55:36", "2000-10-10T13:55:36Z", noZone},
		{"10/11/2000 13:55:36", "", 0}, // October or November
		{"31/31/2000 13:55:36", "", 0},
		// Nothing.
		{"", "", 0},
		{"x", "", 0},
		{"-", "", 0},
		{"*", "", 0},
		{"Mon", "", 0},
		{"Mar", "", 0},
		{"2026-11-21T22:50:03Zx", "", 0},
		{"1700000000x", "", 0},
		{"\x00\xff", "", 0},
		{"10/", "", 0},
		{"1.", "", 0},
	}
	for _, tt := range tests {
		got, q, ok := Parse([]byte(tt.in), Options{Reference: ref})
		if ok != (tt.want != "") {
			t.Errorf("%q: %v %v, want %q", tt.in, got, ok, tt.want)
			continue
		}
		if ok && (got.Format(time.RFC3339Nano) != tt.want || q != tt.q) {
			t.Errorf("%q: %s %v, want %s %v", tt.in, got.Format(time.RFC3339Nano), q, tt.want, tt.q)
		}
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	ref := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]int{
		"2026-11-21 22:50:03,123 INFO x":            23,
		"2026-11-21 22:50:03 -0700 x":               25,
		"2026-11-21 22:50:03 - x":                   19,
		"2026-11-21 x":                              10,
		"Oct 11 22:14:15 2024host x":                15,
		"Oct 11 22:14:15 host x":                    15,
		"Mar  1 18:46:11.123 UTC: %SYS-5-CONFIG_I:": 23,
		"Sun Mar 01 00:00:00.123456 2026] [error]":  31,
		"1700000000 x":                              10,
		"1700000000-x":                              0,
		"2026-11-21T22:50:03Zulu":                   0,
		"Marx 1":                                    0,
	} {
		if _, _, n := Prefix([]byte(in), Options{Reference: ref}); n != want {
			t.Errorf("%q: %d, want %d", in, n, want)
		}
	}
}

// The year that a text without one gets.
func TestInferYear(t *testing.T) {
	t.Parallel()
	berlin, auckland := zone(t, "Europe/Berlin"), zone(t, "Pacific/Auckland")
	tests := []struct {
		in, ref string
		zone    *time.Location
		want    string
	}{
		{"Dec 31 23:59:59", "2026-01-01T00:00:05Z", nil, "2025-12-31T23:59:59Z"},
		{"Jan  1 00:00:01", "2025-12-31T23:59:59Z", nil, "2026-01-01T00:00:01Z"}, // a clock ahead
		{"Jan  1 23:59:59", "2025-12-31T23:59:59Z", nil, "2026-01-01T23:59:59Z"}, // a day ahead, to the second
		{"Jan  2 00:00:00", "2025-12-31T23:59:59Z", nil, "2025-01-02T00:00:00Z"}, // a second more
		{"Jan  1 00:30:00", "2025-12-31T23:45:00Z", berlin, "2025-12-31T23:30:00Z"},
		{"Jan  1 12:30:00", "2025-12-31T00:00:00Z", auckland, "2025-12-31T23:30:00Z"},
		{"Jul  1 00:00:00", "2026-06-30T00:00:00Z", nil, "2026-07-01T00:00:00Z"},
		{"Feb 29 12:00:00", "2026-06-15T00:00:00Z", nil, "2024-02-29T12:00:00Z"},
		{"Feb 29 12:00:00", "2024-02-28T13:00:00Z", nil, "2024-02-29T12:00:00Z"},
		{"Feb 29 12:00:00", "2024-02-28T11:00:00Z", nil, "2020-02-29T12:00:00Z"},
		{"Feb 29 12:00:00", "1903-06-15T00:00:00Z", nil, "1896-02-29T12:00:00Z"},
		{"Dec 31 23:59:60", "2026-06-15T00:00:00Z", nil, "2026-01-01T00:00:00Z"},
	}
	for _, tt := range tests {
		ref, err := time.Parse(time.RFC3339, tt.ref)
		if err != nil {
			t.Fatal(err)
		}
		got, q, ok := Parse([]byte(tt.in), Options{Zone: tt.zone, Reference: ref})
		if !ok || q != event.TimeAssumedYear || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s at %s: %v %v %v, want %s", tt.in, tt.ref, got, q, ok, tt.want)
		}
	}
	if _, _, ok := Parse([]byte("Jan  1 00:00:00"), Options{}); ok {
		t.Error("a year was made up without a reference")
	}
}

// Daylight saving, by the rule of RFC 5545 section 3.3.5.
func TestZone(t *testing.T) {
	t.Parallel()
	tests := []struct{ zone, in, want string }{
		{"Europe/Berlin", "2026-01-15 12:00:00", "2026-01-15T11:00:00Z"},
		{"Europe/Berlin", "2026-07-15 12:00:00", "2026-07-15T10:00:00Z"},
		{"Europe/Berlin", "2026-03-29 01:59:59", "2026-03-29T00:59:59Z"},
		{"Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29T01:30:00Z"}, // skipped
		{"Europe/Berlin", "2026-03-29 03:00:00", "2026-03-29T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25 01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"}, // twice, the first
		{"Europe/Berlin", "2026-10-25 03:00:00", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2007-03-11 02:30:00", "2007-03-11T07:30:00Z"},    // the example of RFC 5545
		{"America/New_York", "2007-11-04 01:30:00", "2007-11-04T05:30:00Z"},    // likewise
		{"Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04T14:45:00Z"}, // half an hour twice
		{"Asia/Kolkata", "2026-01-01 00:00:00", "2025-12-31T18:30:00Z"},
		{"Europe/Berlin", "2026-07-15 12:00:00Z", "2026-07-15T12:00:00Z"}, // the text decides
	}
	for _, tt := range tests {
		got, _, ok := Parse([]byte(tt.in), Options{Zone: zone(t, tt.zone)})
		if !ok || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%s in %s: %v %v, want %s", tt.in, tt.zone, got, ok, tt.want)
		}
	}
}

func TestParseLayout(t *testing.T) {
	t.Parallel()
	o := Options{Zone: zone(t, "Europe/Berlin"), Reference: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)}
	tests := []struct {
		layout, in, want string
		q                event.TimeQuality
	}{
		{"rfc3339", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", parsed},
		{"rfc3339", "2026-01-01 00:00:00", "2025-12-31T23:00:00Z", noZone},
		{"rfc3339", "1700000000", "", 0},
		{"epoch_s", "1", "1970-01-01T00:00:01Z", parsed},
		{"epoch_s", "-1.5", "1969-12-31T23:59:58.5Z", parsed},
		{"epoch_ms", "1500", "1970-01-01T00:00:01.5Z", parsed},
		{"epoch_us", "1500000", "1970-01-01T00:00:01.5Z", parsed},
		{"epoch_ns", "1500000000", "1970-01-01T00:00:01.5Z", parsed},
		{"epoch_s", "99999999999999999999", "", 0},
		{"epoch_s", "9223372036854775807", "", 0},
		{"epoch_s", "1 ", "1970-01-01T00:00:01Z", parsed},
		{"epoch_s", "1x", "", 0},
		{"rfc3164", "Jan  2 00:00:00", "2026-01-01T23:00:00Z", yearGone},
		{"clf", "[10/Oct/2000:13:55:36 -0700]", "2000-10-10T20:55:36Z", parsed},
		{"clf", "10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z", parsed},
		{"02.01.06 15:04", "15.07.26 12:00", "2026-07-15T10:00:00Z", noZone},
		{"Jan 2 15:04:05", "Feb 29 12:00:00", "2024-02-29T11:00:00Z", yearGone},
		{"2006-01-02 15:04:05 MST", "2026-07-15 12:00:00 GMT", "2026-07-15T12:00:00Z", parsed},
		{"2006-01-02 15:04:05 MST", "2026-07-15 12:00:00 CET", "", 0},
		{"2006-01-02T15:04:05Z07:00", "2026-07-15T12:00:00+02:00", "2026-07-15T10:00:00Z", parsed},
		{"2006-01-02", "x", "", 0},
	}
	for _, tt := range tests {
		got, q, ok := ParseLayout([]byte(tt.in), tt.layout, o)
		if ok != (tt.want != "") || ok && (got.Format(time.RFC3339Nano) != tt.want || q != tt.q) {
			t.Errorf("%s %q: %v %v %v, want %s %v", tt.layout, tt.in, got, q, ok, tt.want, tt.q)
		}
	}
	for layout, want := range map[string]bool{"rfc3339": true, "epoch_ns": true, "2006-01-02": true, "15:04": true, "rfc9999": false, "": false} {
		if LayoutKnown(layout) != want {
			t.Errorf("LayoutKnown(%q) is %v", layout, !want)
		}
	}
}

func TestParseAllocates(t *testing.T) {
	texts := [][]byte{[]byte("2026-11-21T22:50:03.123Z"), []byte("Oct 11 22:14:15"), []byte("1700000000.5"), []byte("10/Oct/2000:13:55:36 -0700")}
	o := Options{Reference: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)}
	if n := testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			Parse(text, o)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"2026-11-21T22:50:03.123+01:00", "Oct 11 22:14:15", "*Mar  1 18:46:11.123 UTC", "1700000000.5", "1.7e9", "10/Oct/2000:13:55:36 -0700",
		"Tue, 10 Oct 2000 13:55:36 GMT", "10/12/2000 1:55:36 PM", "/Date(1136214245123)/", "20260102030405",
	} {
		f.Add(s)
	}
	berlin := zone(f, "Europe/Berlin")
	ref := time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		for _, o := range []Options{{Reference: ref}, {Zone: berlin, Reference: ref}} {
			got, q, ok := Parse([]byte(s), o)
			if !ok {
				if !got.IsZero() {
					t.Fatalf("%q: %v and not ok", s, got)
				}
				continue
			}
			if got.Location() != time.UTC {
				t.Fatalf("%q: %v is not in UTC", s, got)
			}
			if q == event.TimeAssumedYear && got.After(ref.Add(24*time.Hour)) {
				t.Fatalf("%q: %v lies after the reference", s, got)
			}
			if y := got.Year(); y < 0 || y > 10_000 {
				t.Fatalf("%q: year %d", s, y)
			}
			again, _, ok := Parse([]byte(got.Format(time.RFC3339Nano)), o)
			if y := got.Year(); y >= 1 && y <= 9999 && (!ok || !again.Equal(got)) {
				t.Fatalf("%q: %v, and again %v", s, got, again)
			}
			if !strings.ContainsAny(s, "eE \t\r\n\v\f\u0085\u00a0") {
				if _, _, n := Prefix([]byte(s+" x"), o); n != len(s) && q == event.TimeParsed {
					t.Fatalf("%q: a prefix of %d bytes", s, n)
				}
			}
		}
		for _, layout := range []string{"rfc3339", "rfc3164", "clf", "epoch_ns", "epoch_s", time.RFC1123} {
			ParseLayout([]byte(s), layout, Options{Reference: ref})
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"2026-11-21T22:50:03.123Z", "Oct 11 22:14:15", "1700000000.5"} {
		b.Run(text, func(b *testing.B) {
			o := Options{Reference: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)}
			for b.Loop() {
				Parse([]byte(text), o)
			}
		})
	}
}
