package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiercel-io/tiercel/event"
)

// QuarantineQuery selects records in quarantine; what is empty selects all.
type QuarantineQuery struct {
	Source, Reason string
	// From <= receive time < To.
	From, To time.Time
	Limit    int
	// Cursor is a former page's Next.
	Cursor string
}

// Quarantined is what is known of a record that could not be read.
type Quarantined struct {
	ID     string `json:"id"`
	Source string `json:"source"`
	// Reason is one of a closed set, Detail says more to a person.
	Reason   string    `json:"reason" doc:"A stable word: too_large, unparsed, not_record, unsupported, panic, limit."`
	Detail   string    `json:"detail,omitempty"`
	Protocol string    `json:"protocol,omitempty"`
	Peer     string    `json:"peer,omitempty" doc:"Address of the sender."`
	Received time.Time `json:"received"`
	// Bytes is the size of what is kept.
	Bytes int `json:"bytes" doc:"Size of what is kept."`
	// Tries counts how often it was tried again in vain.
	Tries int `json:"tries,omitempty" doc:"How often it was tried again in vain."`
}

// QuarantinePage is a page of records, the newest first. Next is empty at the
// end.
type QuarantinePage struct {
	Records []Quarantined `json:"records"`
	Next    string        `json:"next,omitempty" doc:"Ask again with this as cursor for what follows; absent at the end."`
}

// Quarantine is what the API asks of the store of records that could not be
// read. It is safe for concurrent use; a cursor that is not one of its own is an
// *[Error] of [CodeInvalid].
type Quarantine interface {
	// Get returns one with its bytes, or store.ErrNotFound.
	Get(t event.Tenant, id string) (Quarantined, []byte, error)
	List(t event.Tenant, q QuarantineQuery) (QuarantinePage, error)
}

type listQuarantineInput struct {
	TenantParam
	Source string    `query:"source" maxLength:"200"`
	Reason string    `query:"reason" maxLength:"40"`
	From   time.Time `query:"from" doc:"Only what was received at this time or after. RFC 3339."`
	To     time.Time `query:"to" doc:"Only what was received before this time."`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor string    `query:"cursor" maxLength:"500" doc:"What the page before gave as next."`
}

type listQuarantineOutput struct{ Body QuarantinePage }

func (s *server) listQuarantine(_ context.Context, c *caller, in *listQuarantineInput) (*listQuarantineOutput, error) {
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return nil, invalid("query.from", "it is not before to")
	}
	page, err := s.quarantine.List(c.tenant, QuarantineQuery{
		Source: in.Source, Reason: in.Reason, From: in.From, To: in.To, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	page.Records = full(page.Records)
	return &listQuarantineOutput{page}, nil
}

// QuarantinedRecord is a record with its bytes.
type QuarantinedRecord struct {
	Quarantined
	Raw []byte `json:"raw" doc:"The bytes as they came, in base64."`
}

type getQuarantinedInput struct {
	IDParam
	Raw string `query:"raw" enum:"0,1" default:"0" doc:"With 1 the answer is the bytes alone."`
}

// getQuarantined returns what an attacker may have sent. As bytes it is never
// of a type that a browser shows.
func (s *server) getQuarantined(_ context.Context, c *caller, in *getQuarantinedInput) (*huma.StreamResponse, error) {
	q, raw, err := s.quarantine.Get(c.tenant, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		if in.Raw == "1" {
			ctx.SetHeader("Content-Type", "application/octet-stream")
			ctx.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="quarantine-%s.bin"`, plainName(q.ID)))
			ctx.SetStatus(http.StatusOK)
			_, _ = ctx.BodyWriter().Write(raw)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		_ = jsonFormat.Marshal(ctx.BodyWriter(), QuarantinedRecord{q, full(raw)})
	}}, nil
}

// plainName leaves of a text what every file system and header takes.
func plainName(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, text[:min(len(text), 100)])
}

type retryOutput struct{ Body Retried }

func (s *server) retryQuarantined(ctx context.Context, c *caller, in *IDParam) (*retryOutput, error) {
	if _, _, err := s.quarantine.Get(c.tenant, in.ID); err != nil {
		return nil, err
	}
	return s.retry(ctx, c, RetryQuery{IDs: []string{in.ID}, Limit: 1})
}

type retryInput struct {
	TenantParam
	Body struct {
		IDs    []string `json:"ids,omitempty" maxItems:"500" nullable:"false" doc:"Records to try; those of the filter unless there are any."`
		Source string   `json:"source,omitempty" maxLength:"200"`
		Reason string   `json:"reason,omitempty" maxLength:"40"`
		Limit  int      `json:"limit,omitempty" minimum:"1" maximum:"10000" default:"1000"`
	}
}

func (s *server) retryQuarantine(ctx context.Context, c *caller, in *retryInput) (*retryOutput, error) {
	b := &in.Body
	if len(b.IDs) > 0 && (b.Source != "" || b.Reason != "") {
		return nil, invalid("body.ids", "ids and a filter exclude each other")
	}
	for _, id := range b.IDs {
		if id == "" || len(id) > 200 {
			return nil, invalid("body.ids", "an id has 1 to 200 bytes")
		}
	}
	c.object = bounded(strings.Join(b.IDs, ","))
	return s.retry(ctx, c, RetryQuery{IDs: b.IDs, Source: b.Source, Reason: b.Reason, Limit: b.Limit})
}

func (s *server) retry(ctx context.Context, c *caller, q RetryQuery) (*retryOutput, error) {
	r, err := s.node.Retry(ctx, c.tenant, q)
	if err != nil {
		return nil, err
	}
	r.Failed = r.Failed[:min(len(r.Failed), ProblemsMax)]
	return &retryOutput{r}, nil
}
