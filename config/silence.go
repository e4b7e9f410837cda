package config

import (
	"fmt"
	"time"
)

// Day is a time of a day: From included and To not.
type Day struct{ From, To time.Time }

// Excepted are the days on which a source need not send, each from midnight to
// midnight in their zone, so that a day on which clocks change has 23 or 25 hours.
// Days that are none are left out: [Check] names them.
func (s Source) Excepted() []Day {
	zone, err := time.LoadLocation(s.silenceZone())
	if err != nil {
		zone = time.UTC
	}
	var days []Day
	for _, text := range s.Silence.Except {
		if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
			days = append(days, Day{day, day.AddDate(0, 0, 1)})
		}
	}
	return days
}

func (s Source) silenceZone() string {
	if s.Silence.Zone != "" {
		return s.Silence.Zone
	}
	return s.Zone
}

// silence checks the days on which a source need not send.
func (k *checker) silence(path string, s Source) {
	if z := s.Silence.Zone; z != "" {
		if _, err := time.LoadLocation(z); err != nil || z == "Local" {
			k.fault(path+".zone", "write a name of the IANA database, as Europe/Berlin", "%q is not a time zone", clip(z))
		}
	}
	if n := len(s.Silence.Except); n > ExceptMax {
		k.fault(path+".except", "", "there are %d days, more than the limit of %d", n, ExceptMax)
		return
	}
	for i, text := range s.Silence.Except {
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			k.fault(fmt.Sprintf("%s.except[%d]", path, i), "write year, month and day, as 2026-12-25", "%q is not a day", clip(text))
		}
	}
}
