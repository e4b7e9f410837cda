package config_test

import (
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/config"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * day, "2w": 14 * day, "1.5h": 90 * time.Minute,
		"100ms": 100 * time.Millisecond, "1d12h": 36 * time.Hour, "0.001s": time.Millisecond,
	} {
		if got, err := config.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "s", "-5s", "5 s", "5S", "1.s", ".5s", "1..5s", "5y", "9999999999w", "1e3s", "5s ", "99999999999999999999s"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	for want, d := range map[string]time.Duration{"0s": 0, "1h30m": 90 * time.Minute, "7d": 7 * day, "1d2h3m4s5ms": day + 2*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%v is written as %s, want %s", d, got, want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Bytes{
		"0": 0, "5": 5, "5B": 5, "1KiB": 1 << 10, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1.5GiB": 3 << 29, "10GB": 10e9, "1kB": 1000, "1KB": 1000,
		"2TiB": 2 << 40, "1PiB": 1 << 50, "0.5KiB": 512, "1.25kB": 1250,
	} {
		if got, err := config.ParseBytes(text); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "5 megs", "5mib", "1e3", "9999999PiB", "5M", "1.", "99999999999999999999"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	for _, b := range []config.Bytes{0, 1, 1000, 1024, 1536, 64 << 20, 3 << 29, 1 << 50} {
		if got, err := config.ParseBytes(b.String()); err != nil || got != b {
			t.Errorf("%d is written as %s and read as %d (%v)", int64(b), b, got, err)
		}
	}
}

func FuzzUnits(f *testing.F) {
	f.Add("1h30m")
	f.Add("1.5GiB")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := config.ParseDuration(text); err == nil {
			again, err := config.ParseDuration(config.FormatDuration(d))
			if err != nil || d < 0 || again != d.Truncate(time.Millisecond) {
				t.Errorf("%q is %v, written as %s, read as %v (%v)", text, d, config.FormatDuration(d), again, err)
			}
		}
		if b, err := config.ParseBytes(text); err == nil {
			again, err := config.ParseBytes(b.String())
			if err != nil || b < 0 || again != b {
				t.Errorf("%q is %d, written as %s, read as %d (%v)", text, int64(b), b, int64(again), err)
			}
		}
	})
}
