package api

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// Node is the running pipeline as the API sees it. It is safe for concurrent
// use. Its answers are copies that the caller owns. A zero tenant in an
// argument means all tenants; a handler passes one only for a principal that
// may see all of them, so that a Node need not know who asks.
//
// The errors of its methods are those of package store (ErrNotFound,
// ErrConflict, ErrUnsupported, ErrFull), *ingest.Busy, or any other, which the
// client sees as an internal error without its text.
type Node interface {
	// Status is cheap: it is asked by probes and by people's eyes each second. Its
	// rates may be of all tenants whichever is asked for; one tenant is shown
	// what its sources add up to instead.
	Status(t event.Tenant) Status
	// Sources lists the configured and the seen feeds by tenant and name.
	Sources(t event.Tenant) []Source
	// Rules gives what each loaded rule has cost and found since it was loaded,
	// over all tenants, in the order of their ids; among them are those that are
	// taken out because they cost too much.
	Rules() []RuleFigures
	// Ledger accounts for the records of a tenant.
	Ledger(t event.Tenant, q LedgerQuery) (Ledger, error)
	// Gaps lists what a tenant's ledger knows to be missing.
	Gaps(t event.Tenant, q GapQuery) (Gaps, error)
	// Reload reads rules and packs again and puts them to use, if they are sound.
	Reload(ctx context.Context) (Reloaded, error)
	// Release lets a rule run again that was taken out because it cost too much:
	// store.ErrNotFound when it is not. What else of the content has changed is put
	// to use with it.
	Release(ctx context.Context, rule string) (Reloaded, error)
	// Retry hands records in quarantine to the pipeline again; those that are
	// read now leave it.
	Retry(ctx context.Context, t event.Tenant, q RetryQuery) (Retried, error)
	// Backup writes a copy of all data that can be restored, below the folder
	// that the configuration names. label fits [BackupLabelPattern], or is empty,
	// which means the time; one that is there already is ErrConflict.
	Backup(ctx context.Context, label string) (Backup, error)
}

// Status is how the process is doing.
type Status struct {
	Version       string  `json:"version"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Ready: the log takes writes, rules are loaded and the store answers.
	Ready  bool    `json:"ready" doc:"The log takes writes, rules are loaded and the store answers."`
	Checks []Check `json:"checks"`
	Rates  Rates   `json:"rates"`
}

// Check is one thing that must hold for the process to be ready. Detail names
// no tenant and nothing that came with an event.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Rates are averages over the last minute.
type Rates struct {
	EventsPerSecond      float64 `json:"events_per_second" doc:"Records acknowledged."`
	BytesPerSecond       float64 `json:"bytes_per_second" doc:"Bytes acknowledged, inflated."`
	EvaluatedPerSecond   float64 `json:"evaluated_per_second,omitempty" doc:"Records that the rules were asked of; only over all tenants, as those that follow."`
	QuarantinedPerSecond float64 `json:"quarantined_per_second,omitempty"`
	MatchesPerSecond     float64 `json:"matches_per_second,omitempty"`
	DetectionsPerMinute  float64 `json:"detections_per_minute,omitempty"`
}

// Source is how one feed is doing.
type Source struct {
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
	// Pack is the one that reads it, or empty while it is being told.
	Pack string `json:"pack,omitempty"`
	// LastEvent is when a record was last received, zero if never.
	LastEvent time.Time `json:"last_event,omitzero"`
	// Silent: nothing came for longer than is expected.
	Silent bool `json:"silent"`
	// ExpectedSeconds is the declared or learned time between records, or 0.
	ExpectedSeconds float64 `json:"expected_seconds,omitempty" doc:"Declared or learned time between records; absent while unknown."`
	// LagSeconds is the age of the oldest record received and not evaluated.
	LagSeconds float64 `json:"lag_seconds" doc:"Age of the oldest record that waits to be evaluated."`
	// Watermark is the event time up to which everything is decided.
	Watermark       time.Time `json:"watermark,omitzero" doc:"Event time up to which the source is complete enough to decide."`
	EventsPerSecond float64   `json:"events_per_second"`
	BytesPerSecond  float64   `json:"bytes_per_second"`
	// Events and Bytes count since the process started.
	Events uint64 `json:"events" doc:"Records received since the start."`
	Bytes  uint64 `json:"bytes" doc:"Bytes received since the start, inflated."`
	// Unrouted are records that no pack knows, so that no rule is asked of them.
	Unrouted uint64 `json:"unrouted" doc:"Records evaluated since the start that no pack knows; no rule is asked of them."`
	// Flagged are the evaluated ones whose parsed form is doubtful.
	Flagged uint64 `json:"flagged,omitempty" doc:"Records evaluated since the start with a field given twice or with text that is not Unicode."`
	// Unaccounted is the ledger's unexplained remainder in settled minutes.
	Unaccounted int64 `json:"unaccounted" doc:"Records received and not accounted for in settled minutes; anything but 0 is a fault."`
	// BlindRules are the ids of the rules that only this source feeds, listed
	// while it is silent or drifts.
	BlindRules []string `json:"blind_rules,omitempty" doc:"Rules that see nothing while this source is silent."`
}

// RuleFigures is what one rule costs and finds.
type RuleFigures struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Kind is rule or correlation.
	Kind  string `json:"kind" enum:"rule,correlation"`
	Level string `json:"level" enum:"informational,low,medium,high,critical"`
	// State is on, off, paused or over_budget.
	State string `json:"state" enum:"on,off,paused,over_budget"`
	// Matches and Detections count since it was loaded.
	Matches    uint64 `json:"matches"`
	Detections uint64 `json:"detections"`
	// CostSeconds is the processor time spent on it, extrapolated where it is
	// sampled.
	CostSeconds float64 `json:"cost_seconds" doc:"Processor time spent on it; extrapolated where it is sampled."`
	// Since is when a rule that is over_budget was taken out, Why what it cost, and
	// Blind are the ids of the correlations that need it.
	Since time.Time `json:"since,omitzero" doc:"When a rule that is over_budget was taken out."`
	Why   string    `json:"why,omitempty" doc:"What a rule that is over_budget cost, and the limit."`
	Blind []string  `json:"blind,omitempty" doc:"Correlations that need a rule that is over_budget."`
}

// LedgerQuery selects minutes of a ledger: From <= minute < To, both whole
// minutes of receive time, at most [LedgerRangeMax] apart.
type LedgerQuery struct {
	// Source is one feed, or empty for all.
	Source   string
	From, To time.Time
	// Limit bounds the minutes times sources that are returned, but for the
	// last minute, which is returned whole.
	Limit int
}

// Counts are a ledger's sums of records. Received = Evaluated + Late +
// Quarantined + Damaged + Unexplained, where Unexplained counts settled minutes
// only.
type Counts struct {
	Received    uint64 `json:"received" doc:"Records acknowledged."`
	Evaluated   uint64 `json:"evaluated" doc:"Records that every rule was asked of, in time."`
	Late        uint64 `json:"late" doc:"Records evaluated behind the watermark."`
	Quarantined uint64 `json:"quarantined" doc:"Records that could not be read and are kept."`
	Damaged     uint64 `json:"damaged" doc:"Records whose bytes in the log could not be read back."`
	// DroppedBytes are those of fields and events that the source is told not to
	// keep.
	DroppedBytes uint64 `json:"dropped_bytes,omitempty" doc:"Bytes of matching events that were not kept, as the source is configured."`
	// DuplicateFields and InvalidTexts are among Evaluated and Late.
	DuplicateFields uint64 `json:"duplicate_fields,omitempty" doc:"Records evaluated in which a field is given twice; they are matched by any of its values."`
	InvalidTexts    uint64 `json:"invalid_texts,omitempty" doc:"Records evaluated with text that is not Unicode."`
	Unexplained     int64  `json:"unexplained" doc:"What is left; anything but 0 is a fault."`
}

// Minute is one minute of one source.
type Minute struct {
	Minute time.Time `json:"minute"`
	Source string    `json:"source"`
	Counts
	// Settled: everything received in it was decided, so that the sum must hold.
	Settled bool `json:"settled" doc:"Everything received in it was decided, so that the sum must hold."`
}

// TypeBytes is the volume of one event type of a source.
type TypeBytes struct {
	Source string `json:"source"`
	Type   string `json:"type"`
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
}

// Ledger accounts for the records received in a range of time.
type Ledger struct {
	// Minutes are in order of minute and source.
	Minutes []Minute `json:"minutes"`
	// Totals are over the whole range, whatever Limit was.
	Totals Counts `json:"totals" doc:"Sums over the whole range."`
	// Types are the largest first, at most [LedgerTypesMax].
	Types []TypeBytes `json:"types" doc:"Volume by event type over the whole range, the largest first."`
	// Next is where to go on when Limit was reached, else zero.
	Next time.Time `json:"next,omitzero" doc:"Ask again with this as from for the minutes that follow; absent at the end."`
}

// GapQuery selects gaps that overlap From <= time < To.
type GapQuery struct {
	Source   string
	Rule     string
	From, To time.Time
	// Limit bounds each of the two lists.
	Limit int
}

// RuleGap is an interval in which a rule did not run.
type RuleGap struct {
	Rule string    `json:"rule"`
	From time.Time `json:"from"`
	// To is zero while the gap is open.
	To     time.Time `json:"to,omitzero" doc:"Absent while it goes on."`
	Reason string    `json:"reason" enum:"off,paused,over_budget,failed"`
	Detail string    `json:"detail,omitempty"`
}

// UpstreamGap is a run of numbers that a sender gave and that did not arrive.
type UpstreamGap struct {
	Source string `json:"source"`
	// Kind is what was counted.
	Kind string `json:"kind" enum:"event_record_id,audit_serial,sequence,udp_drops"`
	Host string `json:"host,omitempty"`
	// Channel is the stream of the host in which the numbers run.
	Channel string `json:"channel,omitempty"`
	// First and Last are the missing numbers, both included.
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Missing uint64    `json:"missing"`
	Noticed time.Time `json:"noticed"`
}

// Gaps is what is known to be missing, the newest first.
type Gaps struct {
	Rules     []RuleGap     `json:"rules"`
	Upstream  []UpstreamGap `json:"upstream"`
	Truncated bool          `json:"truncated,omitempty" doc:"There are more than were asked for; ask for a shorter range."`
}

// Reloaded is what came of reading the content again.
type Reloaded struct {
	// Changed is false when what was read is what runs already.
	Changed      bool `json:"changed"`
	Rules        int  `json:"rules" doc:"Rules now in use."`
	Correlations int  `json:"correlations" doc:"Correlations now in use."`
	// Refused are documents that are not sound and were left out.
	Refused int `json:"refused" doc:"Documents that could not be used."`
	// Problems are messages with file and line, at most [ProblemsMax].
	Problems []string `json:"problems,omitempty"`
}

// RetryQuery selects records in quarantine: by id, or by what the other
// fields say.
type RetryQuery struct {
	// IDs, when there are any, are all that is tried.
	IDs []string
	// Source and Reason are empty for any.
	Source, Reason string
	// Limit bounds how many are tried.
	Limit int
}

// Retried is what came of trying again.
type Retried struct {
	Tried     int `json:"tried"`
	Recovered int `json:"recovered" doc:"Records that were read now and left quarantine."`
	// Failed are those that stay, at most [ProblemsMax] of them.
	Failed []RetryFailure `json:"failed,omitempty"`
	// More: the limit was reached and further records fit the filter.
	More bool `json:"more,omitempty"`
}

// RetryFailure is a record that stays in quarantine.
type RetryFailure struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// Backup is a finished copy.
type Backup struct {
	Label string `json:"label"`
	// Name is the copy's folder below the configured one; it is no path.
	Name string `json:"name"`
	// Folder is its whole path on the server's machine.
	Folder string    `json:"folder" doc:"The copy's path on the server's machine."`
	Files  int       `json:"files"`
	Bytes  uint64    `json:"bytes"`
	At     time.Time `json:"at"`
}

// Bounds of questions and answers.
const (
	// LedgerRangeMax bounds what one question covers: a month, so that the
	// sums over it stay a scan of some 50,000 minutes a source.
	LedgerRangeMax = 31 * 24 * time.Hour
	// LedgerTypesMax bounds the event types that an answer names.
	LedgerTypesMax = 1000
	// ProblemsMax bounds messages in an answer; a person reads no more.
	ProblemsMax = 100
	// BackupLabelPattern is what a label may be: it becomes part of a file's
	// name and can never be a path.
	BackupLabelPattern = "^[a-z0-9][a-z0-9_-]{0,63}$"
)
