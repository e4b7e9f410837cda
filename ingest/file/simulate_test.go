package file

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// writer is a program that writes a log, and what rotates it, by chance.
type writer struct {
	b     *bench
	r     *rand.Rand
	n     int // lines written
	gen   int // rotations
	want  []string
	open  string // what is missing of a line that was begun
	begun time.Time
	audit bool
	held  []string // lines of audit events whose end has not come
}

func (w *writer) path() string {
	if w.audit {
		return "/log/audit.log"
	}
	return "/log/a.json"
}

// append writes some lines, and perhaps the beginning of one more.
func (w *writer) append() {
	var b strings.Builder
	b.WriteString(w.open)
	w.b.t.Helper()
	w.open = ""
	for range w.r.IntN(40) {
		if w.r.IntN(60) == 0 {
			b.WriteString("\n")
		}
		w.n++
		line := fmt.Sprintf(`{"n":%d,"pad":%q}`, w.n, strings.Repeat("x", w.r.IntN(3000)))
		if w.audit {
			line = fmt.Sprintf("type=A msg=audit(%d.000:%d): pad=%s", 1000+w.n/40, w.n, strings.Repeat("x", w.r.IntN(300)))
			if w.r.IntN(3) > 0 {
				end := fmt.Sprintf("type=EOE msg=audit(%d.000:%d): ", 1000+w.n/40, w.n)
				w.want = append(w.want, line+"\n"+end)
				b.WriteString(line + "\n")
				w.held = append(w.held, end)
				continue
			}
		}
		w.want = append(w.want, line)
		b.WriteString(line + "\n")
	}
	for _, end := range w.held {
		b.WriteString(end + "\n")
	}
	w.held = nil
	if !w.audit && w.r.IntN(3) == 0 {
		w.n++
		w.open = fmt.Sprintf(`{"n":%d}`, w.n)
		w.want = append(w.want, w.open)
		cut := 1 + w.r.IntN(len(w.open)-1)
		b.WriteString(w.open[:cut])
		w.open, w.begun = w.open[cut:]+"\n", w.b.clock.Now()
	}
	text := b.String()
	if text != "" {
		w.b.grow2(w.path(), text)
	}
}

// end finishes a line that was begun.
func (w *writer) end() {
	if w.open != "" {
		w.b.grow2(w.path(), w.open)
		w.open = ""
	}
}

func (w *writer) rotate() {
	if _, err := w.b.fs.Stat(w.path()); err != nil {
		return
	}
	w.end()
	w.gen++
	to := fmt.Sprintf("%s.%d", w.path(), w.gen)
	text := w.b.content(w.path())
	switch w.r.IntN(3) {
	case 0:
		w.b.rename(w.path(), to)
	case 1: // copied and cut short
		w.b.write(to, text)
		if w.r.IntN(2) == 0 {
			w.look()
		}
		w.b.write(w.path(), "")
	case 2: // packed at once
		w.b.write(to+".gz", zipText(w.b.t, text))
		w.b.remove(w.path())
	}
}

// look looks at the files; it may crash before it is through.
func (w *writer) look() {
	if w.b.clock.Now().Sub(w.begun) > LastLineWait/2 {
		w.end() // left alone for longer, it would be taken as it is
	}
	w.b.clock.pass(time.Duration(w.r.IntN(2000)) * time.Millisecond)
	left := w.r.IntN(12)
	w.b.sink.crash = func() error {
		if left--; left == 0 {
			w.b.mem.fail = errCrash
		}
		return nil
	}
	err := w.b.s.look(context.Background())
	w.b.sink.crash = nil
	if err != nil && !errors.Is(err, errSave) {
		w.b.t.Fatal(err)
	}
	if w.b.mem.fail != nil || w.r.IntN(10) == 0 {
		w.b.mem.fail = nil
		w.b.restart()
	}
}

// Whatever a writer, a rotation and crashes do, each line that was written is a
// record once, as long as what was rotated is still there to be read.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		b := newBench(t, "/log")
		w := &writer{b: b, r: rand.New(rand.NewPCG(seed, 1)), audit: seed%4 == 3}
		for range 60 {
			switch w.r.IntN(8) {
			case 0:
				w.rotate()
			case 1, 2, 3:
				w.append()
			default:
				w.look()
			}
			if w.open != "" && w.r.IntN(2) == 0 {
				w.end()
			}
		}
		w.end()
		b.settle()
		b.settle()
		before := t.Failed()
		b.hasAll(w.want...)
		if r := b.sink.refused(); len(r) > 0 {
			t.Errorf("refused %.300q", r)
		}
		if t.Failed() && !before {
			t.Fatalf("seed %d", seed)
		}
	}
}
