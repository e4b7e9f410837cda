package detection

import (
	"errors"
	"testing"
	"time"
)

// A cursor comes from a client: any text is one that was given, or refused.
func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(encodeCursor(start, "aa01"))
	f.Add(encodeCursor(time.Unix(-1, 0), "\x00"))
	f.Add("////")
	f.Fuzz(func(t *testing.T, s string) {
		place, err := decodeCursor(s)
		if err != nil {
			if !errors.Is(err, ErrCursor) || place != "" {
				t.Fatal(place, err)
			}
			return
		}
		if s != "" && (len(place) < 9 || len(place) > 8+idBytesMax) {
			t.Fatalf("%q gives a place of %d bytes", s, len(place))
		}
	})
}
