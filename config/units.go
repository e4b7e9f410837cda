package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// durationUnits are those that people write, the largest first.
var durationUnits = []struct {
	name string
	of   time.Duration
}{
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

// ParseDuration reads a duration as 90s, 1h30m, 7d or 2w: whole or decimal
// numbers, each with its unit of w, d, h, m, s, ms. A day has 24 hours. The
// result is never negative.
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration", clip(text))
	if text == "" {
		return 0, bad
	}
	var total time.Duration
	for rest := text; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 {
			return 0, bad
		}
		number := rest[:n]
		rest = rest[n:]
		m := strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' })
		if m < 0 {
			m = len(rest)
		}
		unit := rest[:m]
		rest = rest[m:]
		of := time.Duration(0)
		for _, u := range durationUnits {
			if u.name == unit {
				of = u.of
			}
		}
		part, ok := scale(number, int64(of))
		if of == 0 || !ok || part > math.MaxInt64-int64(total) {
			return 0, bad
		}
		total += time.Duration(part)
	}
	return total, nil
}

// FormatDuration writes a duration as ParseDuration reads it.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range durationUnits[1:] { // weeks are read, days are written
		if n := d / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.of
		}
	}
	if d > 0 { // finer than a millisecond
		if b.Len() == 0 {
			return "0s"
		}
	}
	return b.String()
}

var byteUnits = []struct {
	name string
	of   int64
}{
	{"PiB", 1 << 50},
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"PB", 1e15},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
	{"", 1},
}

// ParseBytes reads a size as 512KiB, 64MiB or 10GB: a whole or decimal number
// with a unit of B, KiB to PiB (powers of 1024) or kB to PB (powers of 1000); a
// bare number is bytes. A space may stand before the unit.
func ParseBytes(text string) (Bytes, error) {
	n := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if n < 0 {
		n = len(text)
	}
	unit := strings.TrimPrefix(text[n:], " ")
	for _, u := range byteUnits {
		if u.name != unit {
			continue
		}
		if v, ok := scale(text[:n], u.of); ok {
			return Bytes(v), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size in bytes", clip(text))
}

// String writes the size as ParseBytes reads it, in the largest unit that
// divides it.
func (b Bytes) String() string {
	if b <= 0 {
		return strconv.FormatInt(int64(b), 10)
	}
	for _, u := range byteUnits[:5] {
		if int64(b)%u.of == 0 {
			return strconv.FormatInt(int64(b)/u.of, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// scale multiplies a decimal number by unit exactly, cutting what is finer than
// one; it reports false for what is no number or overflows.
func scale(number string, unit int64) (int64, bool) {
	whole, frac, dotted := strings.Cut(number, ".")
	if whole == "" || dotted && frac == "" || strings.Contains(frac, ".") || len(frac) > 9 {
		return 0, false
	}
	w, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || unit > 0 && w > math.MaxInt64/unit {
		return 0, false
	}
	total := w * unit
	scaled := unit
	for _, c := range []byte(frac) {
		// Each digit counts a tenth of the one before; a unit has at most 10
		// to the power of 15, so nothing overflows.
		part := scaled / 10 * int64(c-'0')
		part += scaled % 10 * int64(c-'0') / 10
		scaled /= 10
		if part > math.MaxInt64-total {
			return 0, false
		}
		total += part
	}
	return total, true
}

// clip bounds what a message repeats of a value.
func clip(s string) string {
	const bytesMax = 80
	if len(s) <= bytesMax {
		return s
	}
	return strings.ToValidUTF8(s[:bytesMax], "") + "…"
}
