package correlate

import "testing"

func TestGroupsOfNothing(t *testing.T) {
	t.Parallel()
	if n := New(Config{}).Groups(); n != 0 {
		t.Errorf("an engine that saw nothing holds %d groups", n)
	}
}
