package event_test

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
)

func TestSourceName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "0", "dc01.corp", "Winlog-beat_2", strings.Repeat("a", event.SourceBytesMax)} {
		if !event.SourceName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "ä", "a\x00", strings.Repeat("a", event.SourceBytesMax+1)} {
		if event.SourceName(name) {
			t.Errorf("%q is taken", name)
		}
	}
}
