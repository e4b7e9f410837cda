package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	ok := table(strings.NewReader(`goos: linux
BenchmarkMixedJSON-2   	       1	         0.0075 allocs/event	    133456 events/s	    928918 fastjson-events/s
BenchmarkProcessCreationJSON 	 1	 40042 events/s
`), &out)
	if !ok {
		t.Error("nothing was measured")
	}
	flat := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"all Windows rules 133456 >= 100000 reached",
		"allocations an event 0.0075 <= 1 reached",
		"process creation alone 40042 >= 60000 MISSED",
		"EVTX bytes to matches - >= 60000 not measured",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if table(strings.NewReader("FAIL\n"), &out) {
		t.Error("a failed run counts as measured")
	}
}
