package scenario

import (
	"encoding/json"
	"testing"
	"time"
)

// Whatever the parameters, a scenario is refused or told: without a panic, in
// the order of arrival, every index once, and what calls itself JSON is.
func FuzzScenario(f *testing.F) {
	f.Add(uint64(1), int64(1772409600), uint32(60), 1.0, uint16(24), uint16(24), 0.0, uint32(0), false)
	f.Add(uint64(2), int64(31536000), uint32(1), 1000.0, uint16(6), uint16(2), 1.0, uint32(172800), true)
	f.Add(uint64(3), int64(7289654400), uint32(5256000), 0.001, uint16(500), uint16(9), 0.5, uint32(60), false)
	f.Fuzz(func(t *testing.T, seed uint64, start int64, minutes uint32, rate float64, hosts, users uint16, late float64, skew uint32, laurel bool) {
		s, err := New(Config{
			Seed: seed, Start: time.Unix(start, 0), Duration: time.Duration(minutes) * time.Minute, Rate: rate,
			Hosts: int(hosts), Users: int(users), Late: late, Skew: time.Duration(skew) * time.Second, Laurel: laurel,
		})
		if err != nil {
			return
		}
		var e Event
		var last time.Time
		seen := map[uint64]bool{}
		for range 3000 {
			if !s.Next(&e) {
				break
			}
			if e.Delivered.Before(last) || seen[e.Index] {
				t.Fatalf("%s, index %d, arrives at %s after %s", e.ID, e.Index, e.Delivered, last)
			}
			last, seen[e.Index] = e.Delivered, true
			if e.Format == "json" && !json.Valid(e.Raw) {
				t.Fatalf("%s is no JSON:\n%s", e.ID, e.Raw)
			}
		}
	})
}
