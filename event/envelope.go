package event

import (
	"crypto/sha256"
	"time"
)

// EnvelopeVersion is the version of the envelope's meaning. A reader of stored
// envelopes refuses a version it does not know.
const EnvelopeVersion = 1

// Tenant is a customer. It is part of every key, path and query. There is no
// constructor from text: a tenant comes from configuration or from a checked
// credential, never from a request.
type Tenant struct{ name string }

// LocalTenant is the tenant of one-user work, such as a scan of files.
var LocalTenant = Tenant{"local"}

// String returns the tenant's name, for display and for ids.
func (t Tenant) String() string { return t.name }

// IsZero reports whether t is no tenant at all; nothing may be stored or read
// for it.
func (t Tenant) IsZero() bool { return t.name == "" }

// Envelope is an event as it is kept: the bytes received, and what was known
// when they were. What can be derived from the bytes, `src` and the OCSF view,
// is made on demand.
type Envelope struct {
	Version uint8
	Tenant  Tenant
	// Source is the configured feed the event came by.
	Source string
	// ID is derived; see [EventID].
	ID ID
	// Time is the event time in UTC, and TimeQuality how it was come by.
	Time        time.Time
	TimeQuality TimeQuality
	// ReceiveTime is when the event reached Tiercel, by its own clock.
	ReceiveTime time.Time
	// Partition and Offset are where the event stands in the log.
	Partition int32
	Offset    int64
	// Raw is the event exactly as received.
	Raw []byte
	// RawHash is the SHA-256 of Raw; evidence refers to it.
	RawHash [sha256.Size]byte
}

// Seal returns the envelope of a record: raw is copied and hashed, the rest is
// taken from rec. received is the receive time; it stands in for an event time
// that is missing.
func Seal(tenant Tenant, source string, at Position, rec *Record, received time.Time) Envelope {
	raw := append([]byte(nil), rec.Raw...)
	e := Envelope{
		Version: EnvelopeVersion, Tenant: tenant, Source: source,
		ID:   EventID(tenant, source, at),
		Time: rec.Time.UTC(), TimeQuality: rec.TimeQuality, ReceiveTime: received.UTC(),
		Raw: raw, RawHash: sha256.Sum256(raw),
	}
	if rec.Time.IsZero() {
		e.Time, e.TimeQuality = e.ReceiveTime, TimeMissing
	}
	return e
}
