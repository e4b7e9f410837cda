package api

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// Principal is who a token speaks for.
type Principal struct {
	// Name is the public part of the token or the name its maker gave it; it
	// stands in the audit log.
	Name string
	// Tenant is the one it may see. The zero tenant may see all, and says in
	// each request which one it means.
	Tenant event.Tenant
	// Write allows what changes something.
	Write bool
}

// Authorizer knows who may use the API. It is safe for concurrent use.
type Authorizer interface {
	// Admin returns whom a token speaks for. Any error refuses it; its text is
	// not shown. A malformed token costs neither disk nor hashing.
	Admin(token string) (Principal, error)
}

// TokenInfo is what may be shown of a token: never the token itself.
type TokenInfo struct {
	ID   string `json:"id" doc:"The public part of the token."`
	Name string `json:"name"`
	// Kind is ingest or admin.
	Kind   string `json:"kind" enum:"ingest,admin"`
	Tenant string `json:"tenant,omitempty" doc:"Absent for an admin token of all tenants."`
	// Source is the feed that an ingest token is for.
	Source string `json:"source,omitempty"`
	// Write: an admin token that may change things.
	Write   bool      `json:"write,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	// LastUsed is exact to a minute or so.
	LastUsed time.Time `json:"last_used,omitzero" doc:"Exact to a minute or so; absent while it was not used."`
}

// TokenRequest asks for a new token.
type TokenRequest struct {
	Name, Kind string
	Tenant     event.Tenant
	Source     string
	Write      bool
	// Lifetime is how long it is good for; 0 is without end.
	Lifetime time.Duration
}

// Tokens keeps the tokens. It is safe for concurrent use. A zero tenant means
// all tenants and those that belong to none.
type Tokens interface {
	List(t event.Tenant) ([]TokenInfo, error)
	// Create makes a token and returns it in clear, which is never possible
	// again.
	Create(ctx context.Context, r TokenRequest) (info TokenInfo, secret string, err error)
	// Revoke ends a token of the tenant, at once and for good. The error is
	// store.ErrNotFound where the tenant has no such token.
	Revoke(ctx context.Context, t event.Tenant, id string) error
}

// Endpoint is a configured receiver of webhooks.
type Endpoint struct {
	Name string `json:"name"`
	// Host is where it is, without path and query, which may hold secrets.
	Host    string `json:"host"`
	Pending int    `json:"pending" doc:"Notifications that wait to be delivered."`
	// Disabled: the receiver said that it is gone.
	Disabled    bool      `json:"disabled,omitempty"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	// LastError may be older than LastSuccess.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Delivery is one notification that was not delivered yet.
type Delivery struct {
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	Type     string `json:"type" doc:"The event type, as detection.created."`
	// State is pending or failed.
	State       string    `json:"state" enum:"pending,failed" doc:"Failed is given up after the last attempt, until it is asked for again."`
	Attempts    int       `json:"attempts"`
	Created     time.Time `json:"created"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
}

// Webhooks is the outbox. It is safe for concurrent use.
type Webhooks interface {
	Endpoints(t event.Tenant) ([]Endpoint, error)
	// Deliveries lists what waits or was given up, the oldest first, at most
	// limit.
	Deliveries(t event.Tenant, limit int) ([]Delivery, error)
	// Retry tries a delivery of the tenant again as soon as possible;
	// store.ErrNotFound where there is none.
	Retry(ctx context.Context, t event.Tenant, id string) error
}

// Entry is one line of the audit log. Its texts come from requests and are
// bounded; an [Auditor] escapes what it writes.
type Entry struct {
	At time.Time
	// Principal is empty where the token was refused.
	Principal string
	// Tenant is the one the request was for, or zero.
	Tenant event.Tenant
	// Kind is the route's word for what was done, as token.create.
	Kind string
	// Object is the id that was acted on, or empty.
	Object string
	// Status is the HTTP status of the answer.
	Status int
	// Peer is the client's address.
	Peer string
	// Count is how many of the same this entry stands for: refused tokens are
	// counted and recorded once a minute at most. It is 1 for all others.
	Count uint64
}

// Auditor keeps the audit log. It is safe for concurrent use, and returns once
// the entry is in its hands.
type Auditor interface {
	Record(e Entry)
}
