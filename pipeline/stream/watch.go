package stream

import "time"

// watched is what is known of a source's silence.
type watched struct {
	silent   time.Time
	expected time.Duration
	blind    []string
}
