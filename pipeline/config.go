package pipeline

import (
	"crypto/sha256"
	"io"
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/rule"
)

// Config is one scan.
type Config struct {
	// Env is the outside world: files are read through Env.FS, the length of
	// the scan is told by Env.Clock.
	Env env.Env
	// Engine decides the records.
	Engine Engine
	// Paths are files, folders and "-" for Stdin, scanned in this order;
	// folders in the byte order of names.
	Paths []string
	// Stdin is what "-" reads.
	Stdin io.Reader
	// Formats are the known formats; of those equally sure of a file the first
	// is taken.
	Formats []format.Format
	// Format forces one of Formats by name; "" detects.
	Format string
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Jobs is the number of workers; below 1 counts as 1, above JobsMax as
	// JobsMax.
	Jobs int
	// From and To bound the event time of what is matched: From <= time < To.
	// The zero time bounds nothing. Records without a time are kept.
	From, To time.Time
	// Match receives each match, in order, from one goroutine. The match may be
	// kept. An error ends the scan and is returned by Scan.
	Match func(*Match) error
	// Problem receives input that could not be read, in order, from the
	// goroutine that calls Match: list holds the first of n problems that
	// stand together, at most ProblemsListedMax, and is valid until Problem
	// returns. May be nil.
	Problem func(path string, list []format.Problem, n int)
	// Unrouted receives, after each file or member of an archive with records
	// that no pack claims, how many records it has and how many of them those
	// are; in order, from the goroutine that calls Match. May be nil.
	Unrouted func(path string, records, unrouted int64)
	// Progress, when not nil, is kept up to date while the scan runs.
	Progress *Progress
}

// JobsMax bounds Config.Jobs: beyond it the collector is the bottleneck.
const JobsMax = 256

// ProblemsListedMax bounds the problems of one block that are listed; further
// ones are counted. A block of garbage can hold a hundred thousand.
const ProblemsListedMax = 32

// Progress is how far a scan has come. Its fields may be read at any time.
type Progress struct {
	Files   atomic.Int64 // files opened
	Bytes   atomic.Int64 // bytes read, before decompression
	Matches atomic.Int64 // matches handed out
	// Advance, when set before the scan, is called with each number of bytes
	// that joins Bytes, from any goroutine.
	Advance func(n int)
}

func (p *Progress) read(n int) {
	p.Bytes.Add(int64(n))
	if p.Advance != nil {
		p.Advance(n)
	}
}

// Field is a field of an event with the value that decided a match.
type Field struct{ Name, Value string }

// Match is one rule that one event met.
type Match struct {
	// Rule is the rule, and RuleIndex its index in the engine's rules.
	Rule      *rule.Rule
	RuleIndex int
	// View names the logsource view through which it matched.
	View string
	// Time is the event's time, zero when TimeQuality is event.TimeMissing.
	Time        time.Time
	TimeQuality event.TimeQuality
	// Host is the machine that the event speaks of, or "".
	Host string
	// Source says where the event stands.
	Source Source
	// Evidence identifies the record. The joined record of an audit event has
	// the id of its first line, where it begins.
	Evidence
	// Parts are those of the parts of an event that was put together, in their
	// order; Evidence is then that of the part that came last. Otherwise nil.
	Parts []Evidence
	// Fields are those that decided, in the rule's order.
	Fields []Field
	// Key are the values of the fields that correlations need; see
	// [Sigma.Key].
	Key [][]string
	// Event is the record as one line of JSON: the very bytes where the source
	// was JSON on one line, the record's tree otherwise. Matches of one record
	// share it.
	Event []byte
}

// Evidence identifies a record and its bytes, so that what a match rests on
// can be found again and be seen to be unchanged.
type Evidence struct {
	// ID is the event's, derived from the path, the file's first bytes and the
	// record's offset; the same in every scan of the same files.
	ID event.ID
	// RawHash is the SHA-256 of the record's bytes as they stand in the file,
	// after decompression; of the binary record for EVTX.
	RawHash [sha256.Size]byte
}

// Source is the position of a record.
type Source struct {
	Path   string
	Format string
	// Record is the record's own number, or 0.
	Record uint64
	// Line counts from 1; 0 in binary formats.
	Line int64
	// Offset is the first byte, after decompression.
	Offset int64
}

// Stats are the figures of a scan.
type Stats struct {
	// Files is the number of files, members of archives included, whose
	// format was known.
	Files int64
	// Bytes is the number of bytes of records, after decompression.
	Bytes int64
	// Records = Routed + Unrouted. An unrouted record is one that no pack
	// claims.
	Records, Routed, Unrouted int64
	// OutOfRange is the number of routed records outside From and To, and
	// Untimed of those without a time, which are matched all the same.
	OutOfRange, Untimed int64
	// DuplicateFields is the number of records with a field twice, InvalidTexts
	// of those with text that is not Unicode; see [event.Flags].
	DuplicateFields, InvalidTexts int64
	// Problems is the number of pieces of input that could not be read.
	Problems int64
	// Matches counts matches by level.
	Matches [rule.Critical + 1]int64
	// RuleMatches counts matches by rule index.
	RuleMatches []int64
	// Formats counts by format, in the order first met.
	Formats []FormatStats
	// Reassembled is the number of events put together from parts, and
	// Incomplete of those whose parts were not all there or too large.
	Reassembled, Incomplete int64
	// Joined is the number of audit events joined from lines that stood each in
	// a record of its own, and JoinedEarly of those given up before they were
	// whole because too many were open.
	Joined, JoinedEarly int64
	// Elapsed is the wall-clock time of the scan.
	Elapsed time.Duration
}

// FormatStats are the figures of one format.
type FormatStats struct {
	Name                     string
	Files, Records, Problems int64
}

// Total is the number of matches of all levels.
func (s *Stats) Total() int64 {
	var n int64
	for _, m := range s.Matches {
		n += m
	}
	return n
}

// Engine makes evaluators that decide records alike. It is safe for concurrent
// use.
type Engine interface {
	// Rules are the rules it decides; hits name them by index.
	Rules() []*rule.Rule
	// Evaluator makes an evaluator for one goroutine.
	Evaluator() Evaluator
}

// Evaluator decides one record after another: Route, then at most once Match.
// It belongs to one goroutine.
type Evaluator interface {
	// Source says which source the next records come from.
	Source(o format.Options)
	// Route finds what the record is, and its time where the format had none.
	Route(rec *event.Record) Routed
	// Host is the machine that the record last routed speaks of, or "".
	Host() string
	// Match returns the rules that the record last routed meets, ordered by
	// rule, each once. The hits may be kept.
	Match() []Hit
}

// Routed is what an evaluator knows of a record before it is matched.
type Routed struct {
	// Claimed reports whether a pack knows the record.
	Claimed bool
	// Flags say what makes the record's parsed form doubtful; they are set for a
	// record that no pack claims too.
	Flags event.Flags
	// Part is not nil when the record is one of several parts of one event.
	Part *Part
	// Line is not nil when the record is a line of an audit event that came by
	// itself.
	Line *Line
}

// Hit is one rule that a record meets.
type Hit struct {
	Rule   int
	View   string
	Fields []Field
	// Key are the values of the fields that correlations need of the rule, in
	// their order; nil when they need none.
	Key [][]string
}
