package auditd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Events that are open and grow are closed before they fill the memory.
func TestJoinerBytes(t *testing.T) {
	t.Parallel()
	finished, most := 0, 0
	j := NewJoiner(func(e *Open[int]) { finished += e.Lines })
	long := strings.Repeat("a", 100_000)
	lines := 0
	for range 20 {
		for serial := range 50 {
			if _, _, ok := j.Take([]byte(strings.TrimSuffix(line(1, serial, long), "\n"))); !ok {
				t.Fatal("it is an audit record")
			}
			lines++
			most = max(most, j.bytes)
		}
	}
	if most > openBytesMax+1 || most < openBytesMax/2 {
		t.Errorf("%d bytes are held", most)
	}
	for j.FinishOldest() {
	}
	if n := j.Early(); n < 80 || n > int64(lines) || j.Early() != 0 {
		t.Errorf("%d events were given up early", n)
	}
	if finished != lines || j.bytes != 0 || j.Len() != 0 {
		t.Errorf("%d of %d lines came out, %d bytes and %d events are left", finished, lines, j.bytes, j.Len())
	}
	if _, _, ok := j.Take([]byte("x")); ok {
		t.Error("it is no audit record")
	}
}

// A Joiner with what was open in another goes on as that one does.
func TestJoinerRestore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for range rapid.IntRange(1, 60).Draw(t, "lines") {
			kind := rapid.SampledFrom([]string{"SYSCALL", "PATH", "PROCTITLE", "EOE"}).Draw(t, "kind")
			node := rapid.SampledFrom([]string{"", "node=a ", "node=b "}).Draw(t, "node")
			lines = append(lines, fmt.Sprintf("%stype=%s msg=audit(%d.%03d:%d): x=%d", node, kind, rapid.IntRange(1, 6).Draw(t, "s"), rapid.IntRange(0, 1).Draw(t, "ms"), rapid.IntRange(1, 3).Draw(t, "serial"), len(lines)))
		}
		run := func(stop int) (out []string) {
			finish := func(e *Open[int]) { out = append(out, string(e.Data)) }
			j := NewJoiner(finish)
			for i, text := range lines {
				if i == stop {
					kept := NewJoiner(finish)
					j.All(func(e *Open[int]) bool {
						if _, ok := kept.Restore(e.Data); !ok {
							t.Fatalf("what is open cannot be restored: %q", e.Data)
						}
						return true
					})
					j = kept
				}
				e, at, ok := j.Take([]byte(text))
				if !ok || string(e.Data[at:]) != text+"\n" {
					t.Fatalf("%q is not where it should be: %q at %d", text, e.Data, at)
				}
				if e.Ended() {
					j.Finish(e)
				}
			}
			for j.FinishOldest() {
			}
			return out
		}
		if diff := cmp.Diff(run(-1), run(rapid.IntRange(0, len(lines)-1).Draw(t, "stop"))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestJoinerRestoresOnlyWhatWasOpen(t *testing.T) {
	t.Parallel()
	j := NewJoiner(func(*Open[int]) {})
	for _, data := range []string{
		"", "x\n", "type=PATH msg=audit(1.000:1): x", line(1, 1, "a") + line(1, 2, "b"), "type=EOE msg=audit(1.000:1): \n",
		strings.Repeat(line(1, 1, "a"), linesMax+1),
	} {
		if _, ok := j.Restore([]byte(data)); ok {
			t.Errorf("%.40q cannot have been open", data)
		}
	}
	if _, ok := j.Restore([]byte(line(1, 1, "a"))); !ok {
		t.Error("one line can have been open")
	}
	if _, ok := j.Restore([]byte(line(1, 1, "b"))); ok {
		t.Error("no two open events are the same")
	}
}
