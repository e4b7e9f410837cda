package ruleset_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/ruleset"
)

// The machine stops before each file operation of an update in turn. What is
// on disk then, whichever writes without a sync made it there, is the state
// before or the one after, whole; and the update can be run again.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		for _, percent := range []int{0, 30, 100} {
			t.Run(fmt.Sprintf("first=%v unsynced=%d", first, percent), func(t *testing.T) {
				t.Parallel()
				crashes := 0
				for at := int64(0); ; at++ {
					if !crash(t, first, percent, at) {
						break
					}
					crashes++
				}
				if crashes < 20 {
					t.Errorf("only %d operations were tried", crashes)
				}
			})
		}
	}
}

// crash runs an update that stops before operation at, and reports whether
// there were so many.
func crash(t *testing.T, first bool, percent int, at int64) bool {
	t.Helper()
	disk := vfs.NewCrashableMem()
	world := vfs.NewMem()
	before := source(t, world, "/a", map[string]string{"rules/a.yml": ruleText(1, "a"), "rules/b.yml": ruleText(2, "b")})
	after := source(t, world, "/b", map[string]string{"rules/a.yml": ruleText(1, "x"), "rules/deep/c.yml": ruleText(3, "c"), "LICENSE": "x\n"})
	if !first {
		if err := open(t, disk, "/deep/er/rs").Install("sigma", before, nil, noon); err != nil {
			t.Fatal(err)
		}
	}
	stopped := errors.New("the machine stopped")
	var clone *vfs.MemFS
	n := int64(0)
	guard := make(chan struct{}, 1) // files are written by several goroutines
	failing := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		guard <- struct{}{}
		defer func() { <-guard }()
		if clone != nil {
			return stopped
		}
		if n++; n > at {
			clone = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(at), uint64(percent)))})
			return stopped
		}
		return nil
	}))
	s, err := ruleset.Open(failing, "/deep/er/rs")
	if err == nil {
		err = s.Install("sigma", after, nil, noon)
	}
	if clone == nil {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	found := open(t, clone, "/deep/er/rs")
	state := found.Lock().Set("sigma").Current()
	switch {
	case state == nil && !first:
		t.Errorf("operation %d: the rule set is gone", at)
	case state != nil && state.Hash != after.Hash && (first || state.Hash != before.Hash):
		t.Errorf("operation %d: the state is %s", at, state.Hash)
	case state != nil:
		if err := found.Verify("sigma"); err != nil {
			t.Errorf("operation %d: %v", at, err)
		}
	}
	if err := found.Install("sigma", after, nil, noon); err != nil {
		t.Errorf("operation %d: again: %v", at, err)
	} else if err := found.Verify("sigma"); err != nil {
		t.Errorf("operation %d: again: %v", at, err)
	}
	return true
}
