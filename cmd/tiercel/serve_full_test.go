package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/config"
)

// smallDisk has so much room and no more.
type smallDisk struct {
	vfs.FS
	free uint64
	err  error
}

func (d smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free}, d.err
}

// Documents that could not be opened for want of room are not opened: the store
// would try for ever.
func TestFullDiskAtTheStart(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	if err := errors.Join(mem.MkdirAll("data/state", 0o700), writeFile(mem, "data/state/000004.log", strings.Repeat("x", 3<<20)), writeFile(mem, "data/state/000005.sst", strings.Repeat("x", 9<<20))); err != nil {
		t.Fatal(err)
	}
	for free, want := range map[uint64]string{0: "0 bytes free", 4<<20 - 1: "needs 4.0 MiB; make room", 4 << 20: "", 1 << 40: ""} {
		s := &server{p: &process{}, cfg: config.Default(), logger: slog.New(slog.DiscardHandler)}
		err := roomToOpen(smallDisk{mem, free, nil}, "data/state")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitInput) {
			t.Errorf("%d bytes: %v", free, err)
		}
		if want != "" {
			s.world.FS = smallDisk{mem, free, nil}
			if _, opened := s.openRecords("data/state"); opened == nil || opened.Error() != err.Error() {
				t.Errorf("%d bytes: opened: %v", free, opened)
			}
		}
	}
	if err := roomToOpen(smallDisk{mem, 0, errors.New("not known")}, "data/state"); err != nil {
		t.Errorf("a file system that does not tell: %v", err)
	}
	if err := roomToOpen(smallDisk{mem, 0, nil}, "new/state"); err == nil {
		t.Error("a first start on a full disk goes on")
	}
}

// A message that repeats itself without pause leaves the others readable.
func TestCalmLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	h := calm(slog.NewTextHandler(&out, nil))
	begin := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	say := func(h slog.Handler, at time.Duration, message string) {
		if err := h.Handle(context.Background(), slog.NewRecord(begin.Add(at), slog.LevelWarn, message, 0)); err != nil {
			t.Fatal(err)
		}
	}
	derived := h.WithAttrs([]slog.Attr{slog.String("part", "x")}).WithGroup("g")
	for i := range 5000 {
		say(h, time.Duration(i)*time.Microsecond, "trouble")
		say(derived, time.Duration(i)*time.Microsecond, "trouble")
	}
	say(h, time.Second/2, "another")
	if n := strings.Count(out.String(), "msg=trouble"); n != calmBurst {
		t.Errorf("%d lines at once", n)
	}
	if !strings.Contains(out.String(), "part=x") || !strings.Contains(out.String(), "msg=another") || strings.Contains(out.String(), "left_out") {
		t.Errorf("%s", out.String())
	}
	out.Reset()
	for i := range 50 { // five seconds
		say(h, 2*time.Second+time.Duration(i)*100*time.Millisecond, "trouble")
	}
	if n := strings.Count(out.String(), "msg=trouble"); n < 5 || n > 7 || !strings.HasPrefix(out.String(), fmt.Sprintf(`time=2026-11-22T06:00:02.000Z level=WARN msg=trouble left_out=%d`+"\n", 10_000-calmBurst)) {
		t.Errorf("%d lines in five seconds:\n%s", n, out.String())
	}
	out.Reset()
	say(h, time.Hour, "trouble")
	say(h, time.Hour, "trouble")
	if strings.Count(out.String(), "left_out") != 1 {
		t.Errorf("%s", out.String())
	}
}
