package stream

import (
	"testing"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
)

// A detection that is taken back, lives again and is taken back again must not
// stay: the second time is another revision than the first, and each is the same
// when its section is read again.
func TestTakenBackTwice(t *testing.T) {
	t.Parallel()
	id := event.ID{1}
	at := func(place event.ID) event.ID {
		s := &scope{changed: map[event.ID]revision{}, received: map[string]int64{}, place: place}
		s.Detection(&correlate.Detection{ID: id, Phase: correlate.Superseded})
		return s.changed[id].Revision
	}
	first, second := at(event.ID{7: 1}), at(event.ID{15: 1})
	if first == second || first != at(event.ID{7: 1}) || first == (event.ID{}) {
		t.Errorf("revisions %s and %s", first, second)
	}
}
