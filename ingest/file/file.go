// Package file reads files and folders: it follows those that are written, and
// imports sets of files once.
//
//	Walk ──▶ tracked files ──windows──▶ Splitter ──blocks──▶ Batch ──Sink──▶ log
//	                 ▲                                          │
//	                 └────────────── Checkpoints ◀──────────────┘
//
// # Following
//
// A file of a format that is cut by line is read as it grows. It is known by
// its first bytes, so that one that is renamed is read on under its new name,
// one that is cut short or replaced is a new one, and a copy of one that was cut
// short, or its compressed successor, gives only what was not read before. A
// renamed file is read to its end before the one that took its name.
//
// What is read is cut into windows that end at a line end. A window goes to the
// format's splitter, which hands out the records that are known to be whole; the
// rest is read again with the next window, or, when the file has been silent for
// [HeldWait], is taken as it is. A last line without line end is taken after
// [LastLineWait].
//
// Archives, compressed files and formats that cannot be read in pieces (EVTX,
// XML, JSON over several lines, UTF-16) are read whole, once, when they have not
// changed for [StableWait].
//
// # Importing
//
// An import reads its files once, in the order of a scan, and ends with a batch
// that says so (ingest.File.Last). All its batches have shard 0, so that the last
// one is the last for all.
//
// # Once
//
// Where reading stands is saved before each window goes to the sink, together
// with the window's end. After a crash the same window is cut in the same way:
// its batches have the keys they had, which the sink knows, and its records the
// identity they had. A file's identity is chosen when it is first seen, and
// saved: by [event.Fingerprint] of its first bytes if it has enough of them.
package file

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/files"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

// Protocol names the receiver in batches and metrics.
const Protocol = "file"

// How long a file must be silent before it is taken to be what it is.
const (
	// HeldWait is for a record that may have further lines: auparse, of the
	// audit daemon, waits as long for the rest of an event.
	HeldWait = 2 * time.Second
	// LastLineWait is for a last line without line end.
	LastLineWait = 5 * time.Second
	// StableWait is for a file that is read whole.
	StableWait = 5 * time.Second
	// PollDefault is how often files are looked at.
	PollDefault = time.Second
)

// Bounds of what is kept.
const (
	// TrackedMax bounds the files that are known at once.
	TrackedMax = 100_000
	// GoneMax is how long a file that is no more is remembered, so that its
	// compressed successor is not read again.
	GoneMax = 7 * 24 * time.Hour
	// windowBytes is how much is read at a time.
	windowBytes = format.BlockBytes
	// heldBytesMax bounds what is read again for a record that is not whole.
	heldBytesMax = 4 << 20
	// saveEvery is how many batches of a file that is read whole may come
	// between two savings: those since the last are sent again after a crash, and
	// known by their keys.
	saveEvery = 16
)

// Mode says what becomes of the files.
type Mode int

// The modes.
const (
	// Follow reads what is there and what is added, for ever.
	Follow Mode = iota
	// Import reads what is there once.
	Import
)

// Checkpoints keeps where reading stands. What was saved last is loaded again;
// a Save that returns nil survives a crash of the process. It is used by one
// goroutine.
type Checkpoints interface {
	// Load returns what was saved last, or nothing.
	Load() ([]byte, error)
	Save(checkpoint []byte) error
}

// Options are what a Source needs.
type Options struct {
	// Env gives clock and files.
	Env  env.Env
	Sink ingest.Sink
	// Grant is whose the files are.
	Grant ingest.Grant
	// Paths are files, folders, which are read with all below them, and
	// patterns with *, ? and [].
	Paths []string
	Mode  Mode
	// Formats are those that are known; nil is all of package formats. Format
	// names the one that all files have; empty finds out.
	Formats []format.Format
	Format  string
	// Poll is how often files are looked at; 0 is PollDefault.
	Poll        time.Duration
	Checkpoints Checkpoints
	Metrics     *metric.Set
	// Logger takes what an operator should know; nil is silent.
	Logger *slog.Logger
	// Problem, if not nil, is told of each path that cannot be read, once until
	// it can be again.
	Problem func(path string, err error)
}

// Source reads the files of one source. It belongs to one goroutine.
type Source struct {
	o       Options
	tracked []*tracked
	// set is where an import stands.
	set   progress
	dirty bool // something is not saved
	told  map[string]string
	block format.Block
	data  []byte
	// heads keeps the beginnings of files for one look at them.
	heads map[string][]byte
}

// New makes a source and loads where it stands. The error says what is wrong
// with the options, or that the checkpoint cannot be loaded.
func New(o Options) (*Source, error) {
	if o.Formats == nil {
		o.Formats = formats.All()
	}
	if o.Poll <= 0 {
		o.Poll = PollDefault
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Paths) == 0 {
		return nil, fmt.Errorf("source %q has no paths to read", o.Grant.Source)
	}
	s := &Source{o: o, told: map[string]string{}}
	if o.Format != "" && s.format(o.Format) == nil {
		return nil, fmt.Errorf("source %q: unknown format %q", o.Grant.Source, o.Format)
	}
	b, err := o.Checkpoints.Load()
	if err != nil {
		return nil, fmt.Errorf("load where source %q stands: %w", o.Grant.Source, err)
	}
	if err := s.parse(b); err != nil {
		return nil, fmt.Errorf("where source %q stands: %w", o.Grant.Source, err)
	}
	return s, nil
}

func (s *Source) format(name string) *format.Format {
	for i := range s.o.Formats {
		if s.o.Formats[i].Name == name {
			return &s.o.Formats[i]
		}
	}
	return nil
}

// errSave marks that where reading stands could not be saved: nothing is read
// on until it can.
var errSave = errors.New("cannot save where reading stands")

// Run follows until ctx ends, or imports until all is read; it then returns
// nil. What cannot be read is a problem and not an error. The error of an import
// is that its checkpoint could not be saved.
func (s *Source) Run(ctx context.Context) error {
	defer func() {
		if s.dirty {
			if err := s.save(); err != nil {
				s.problem("", err)
			}
		}
	}()
	if s.o.Mode == Import {
		err := s.importSet(ctx)
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.problem("", err)
		} else {
			s.fine("")
		}
		if env.Sleep(ctx, s.o.Env.Clock, s.o.Poll) != nil {
			return nil
		}
	}
}

// problem tells of a path that cannot be read, once.
func (s *Source) problem(path string, err error) {
	text := err.Error()
	if s.told[path] == text {
		return
	}
	if len(s.told) >= TrackedMax {
		clear(s.told) // rather told twice than remembered for ever
	}
	s.told[path] = text
	s.o.Logger.Warn("a file cannot be read", "source", s.o.Grant.Source, "path", path, "error", text)
	if s.o.Problem != nil {
		s.o.Problem(path, err)
	}
}

// fine forgets the problem of a path.
func (s *Source) fine(path string) { delete(s.told, path) }

// list finds the files of the paths, in order.
func (s *Source) list() []files.File {
	var found []files.File
	seen := map[string]bool{}
	files.Walk(s.o.Env, s.expand(), func(f files.File) bool {
		switch {
		case f.Err != nil:
			s.problem(f.Path, f.Err)
		case f.Stream || seen[f.Path]:
		default:
			seen[f.Path] = true
			found = append(found, f)
		}
		return len(found) < TrackedMax
	})
	if len(found) == TrackedMax {
		s.problem("", fmt.Errorf("there are more than %d files; name fewer of them", TrackedMax))
	}
	return found
}

// head returns the first bytes of a file, up to those of a fingerprint.
func (s *Source) head(path string) ([]byte, error) {
	if b, ok := s.heads[path]; ok {
		return b, nil
	}
	f, err := s.o.Env.FS.Open(path)
	if err != nil {
		return nil, files.Plain(err)
	}
	defer f.Close()
	b, err := readAt(f, nil, 0, event.FingerprintBytes)
	if err != nil {
		return nil, files.Plain(err)
	}
	if s.heads != nil && len(s.heads) < headsMax {
		s.heads[path] = b
	}
	return b, nil
}
