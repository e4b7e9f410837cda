package event

import "time"

// TimeQuality says how an event's time was come by.
type TimeQuality uint8

// The qualities, best first.
const (
	// TimeParsed: date, time of day and zone all stood in the record.
	TimeParsed TimeQuality = iota
	// TimeAssumedZone: the record named no zone; the source's was taken.
	TimeAssumedZone
	// TimeAssumedYear: the record named no year (RFC 3164) and the year was
	// derived; the zone may be the source's too.
	TimeAssumedYear
	// TimeMissing: the record has no usable time; the receive time stands in.
	TimeMissing
)

var timeQualityNames = [...]string{"parsed", "assumed-zone", "assumed-year", "missing"}

// String returns the name used in every output: parsed, assumed-zone,
// assumed-year or missing.
func (q TimeQuality) String() string {
	if int(q) < len(timeQualityNames) {
		return timeQualityNames[q]
	}
	return "unknown"
}

// Record is one record in hand: what a format's parser fills, a pack routes
// and the engine reads. It is reused from record to record; nothing in it may
// be kept without a copy. Not safe for concurrent use.
type Record struct {
	// Tree is the vendor's tree, `src`, verbatim.
	Tree Tree
	// Raw is the record's exact bytes, borrowed from the block it was read
	// in. For EVTX it is the binary record, which cannot be read without its
	// chunk.
	Raw []byte
	// Text is the line that a record of text or an audit record was read from
	// where that is not Raw: the event's text out of a sender's envelope. It is
	// nil elsewhere.
	Text []byte
	// Format names the reader that made it: evtx, json, xml, syslog, …
	Format string
	// RecordID is the record's own number, as the EVTX EventRecordID; 0 when
	// it has none.
	RecordID uint64
	// Line is the record's first line, from 1; 0 for binary formats.
	Line int64
	// Offset is the first byte of the record in its file (after
	// decompression).
	Offset int64
	// Time is the event time. It is the zero time until a format or a pack
	// has found one.
	Time time.Time
	// TimeQuality says how Time was come by.
	TimeQuality TimeQuality
	// Sent is the time that the sender's envelope gives for the event, or
	// zero. It is the event's time where neither the format nor the pack finds
	// one in the event itself.
	Sent time.Time
	// Hint is what the reader knows of the record beyond its bytes: the Zeek
	// #path of a log, the stem of a file's name. A pack may route by it.
	Hint string
	// Group is not 0 when several records stand for one event, as the records
	// of one audit event and the joined one: records of one group have the
	// same number and a rule is reported for the group once.
	Group uint64
}

// Reset empties the record and lets its tree borrow raw.
func (r *Record) Reset(raw []byte) {
	r.Tree.Reset(raw)
	r.Raw, r.Text = raw, nil
	r.Format, r.Hint = "", ""
	r.RecordID, r.Line, r.Offset, r.Group = 0, 0, 0, 0
	r.Time, r.TimeQuality, r.Sent = time.Time{}, TimeMissing, time.Time{}
}
