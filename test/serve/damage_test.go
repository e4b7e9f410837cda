package serve

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// flip changes a byte of a file, somewhere in its middle half.
func flip(t testing.TB, rng *rand.Rand, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 8 {
		return
	}
	change(t, rng, name, len(data)/4+rng.IntN(len(data)/2))
}

// change changes one byte of a file.
func change(t testing.TB, rng *rand.Rand, name string, at int) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= byte(1 + rng.IntN(255))
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// glob lists files, the largest first.
func glob(t testing.TB, pattern ...string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(pattern...))
	if err != nil {
		t.Fatal(err)
	}
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	slices.SortFunc(names, func(a, b string) int { return int(size(b) - size(a)) })
	return names
}

// revive starts a server as a service manager does: again, when it has ended by
// itself. It fails the test when that does not help.
func (n *node) revive() {
	n.t.Helper()
	for range 5 {
		n.launch()
		up := false
		await(n.t, backWithin, "the server is ready or has ended", func() error {
			if n.gone() {
				return nil
			}
			err := n.ready()
			up = err == nil
			return err
		})
		if up {
			return
		}
	}
	n.t.Fatalf("the server does not come up:\n%s", n.stderr.tail(6000))
}

// Flipped bits in the documents cost nothing while the log has everything: they
// are set aside and made again.
func TestDamagedState(t *testing.T) {
	for _, kind := range []string{"*.sst", "*.log", "MANIFEST-*"} {
		t.Run(kind, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*seed, 3))
			n := newNode(t, setup{})
			n.start()
			l := newLoad(n, 1)
			l.rate = 0
			l.forSome(time.Second)
			n.stop()
			n.start() // the next start makes tables of what is in the log of writes
			n.stop()
			if kind == "*.sst" {
				n.start() // makes tables of what is in the log of writes
				n.stop()
			}
			files := glob(t, n.data, "state", kind)
			if len(files) == 0 {
				t.Fatalf("no %s in the state: %s", kind, tree(t, filepath.Join(n.data, "state")))
			}
			for _, name := range files {
				flip(t, rng, name)
			}
			if kind == "*.sst" { // a whole file of noise, which no read can miss
				for range 200 {
					flip(t, rng, files[0])
				}
			}
			n.revive()
			finish := l.background()
			await(t, doneWithin, "more is acknowledged, over a crash if need be", func() error {
				if n.gone() {
					t.Logf("the server ended with code %d: %s", n.code, n.stderr.tail(600))
					n.revive()
				}
				if l.answers.Load() < 80 {
					return fmt.Errorf("%d are", l.answers.Load())
				}
				return nil
			})
			finish()
			l.end()
			n.account(l)
			n.judge(l.marks)
			if len(n.stderr.lines("are damaged; they were set aside")) == 0 {
				t.Errorf("the damage is not named:\n%s", n.stderr.tail(2000))
			}
		})
	}
}

// entries returns where the names of a partition's entries stand in a segment:
// 80 bytes behind the beginning of a frame, whose kind stands 12 behind it.
func entries(t *testing.T, segment, names string) (places []int) {
	t.Helper()
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], []byte(names))
		if i < 0 {
			return places
		}
		if at += i; at >= 80 && data[at-80+12] == 1 {
			places = append(places, at)
		}
	}
}

// A flipped bit in the log costs at most the batch that it is in, which is named
// and counted, and nothing where it is in what was made of batches; the rest is
// decided, also when all of it has to be read again.
func TestDamagedLog(t *testing.T) {
	for names, cost := range map[string]uint64{"localeventsa": batchEvents, "localmatcheslive": 0} {
		t.Run(names, func(t *testing.T) { damagedLog(t, names, cost) })
	}
}

func damagedLog(t *testing.T, names string, cost uint64) {
	rng := rand.New(rand.NewPCG(*seed, 4))
	n := newNode(t, setup{})
	n.start()
	l := newLoad(n, 1)
	l.rate = 0
	l.forSome(time.Second)
	n.stop()
	segments := glob(t, n.data, "log", "*.seg")
	if len(segments) == 0 {
		t.Fatalf("no segments: %s", tree(t, filepath.Join(n.data, "log")))
	}
	places := entries(t, segments[0], names)
	if len(places) < 2 {
		t.Fatalf("%d entries of %s", len(places), names)
	}
	at := places[rng.IntN(len(places)-1)] + rng.IntN(len(names)+100) // the header or the payload
	change(t, rng, segments[0], at)
	n.start()
	l.forSome(time.Second / 2)
	n.account(l) // what was decided before is not read again
	n.stop()
	if err := os.RemoveAll(filepath.Join(n.data, "state")); err != nil {
		t.Fatal(err)
	}
	n.start()
	l.end()
	acked := uint64(l.acked.Load())
	var c counts
	await(t, doneWithin, "the ledger", func() error {
		var err error
		if c, err = n.ledger(); err == nil && (c.Received < acked || c.Evaluated+c.Late+c.Quarantined+c.Damaged < c.Received) {
			err = fmt.Errorf("%d events are acknowledged, and the ledger says %+v", acked, c)
		}
		return err
	})
	t.Logf("%+v", c)
	lines := n.stderr.lines("the log is damaged")
	if len(lines) == 0 {
		lines = n.stderr.lines("cannot be read")
	}
	switch {
	case c.Received != acked || c.Unexplained != 0 || c.Late != 0:
		t.Errorf("the ledger says %+v, and %d events were acknowledged", c, acked)
	case len(lines) == 0:
		t.Errorf("the damage is not named: %s", strings.Join(n.stderr.lines("level=ERROR"), "\n"))
	}
	for _, line := range lines {
		t.Logf("%.300s", line)
	}
	if c.Damaged != 0 && c.Damaged != cost {
		t.Errorf("one flipped byte cost %d events and not %d", c.Damaged, cost)
	}
}
