package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/quarantine"
)

// QuarantinePage is a page of records, the newest first, without their bytes.
// Next is empty at the end.
type QuarantinePage struct {
	Entries []*quarantine.Entry `json:"entries"`
	Next    string              `json:"next,omitempty" doc:"Ask again with this as cursor for what follows; absent at the end. There may be more although the page is not full."`
}

// Quarantine is what the API asks of the store of records that could not be
// read; *[quarantine.Store] is one. It is safe for concurrent use.
type Quarantine interface {
	// Get returns one with its bytes, or store.ErrNotFound.
	Get(t event.Tenant, id string) (*quarantine.Entry, error)
	List(t event.Tenant, f quarantine.Filter) (quarantine.Page, error)
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
	page, err := s.quarantine.List(c.tenant, quarantine.Filter{
		Source: in.Source, Reason: in.Reason, From: in.From, To: in.To, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	return &listQuarantineOutput{QuarantinePage{full(page.Entries), page.Next}}, nil
}

// notQuarantined says that a record is not there.
const notQuarantined = "no record with this id is in quarantine; it is the whole id, and what was read again or had to make room is gone"

type getQuarantinedInput struct {
	IDParam
	Raw string `query:"raw" enum:"0,1" default:"0" doc:"With 1 the answer is the bytes alone."`
}

// getQuarantined returns what an attacker may have sent. As bytes it is never
// of a type that a browser shows.
func (s *server) getQuarantined(_ context.Context, c *caller, in *getQuarantinedInput) (*huma.StreamResponse, error) {
	e, err := s.quarantine.Get(c.tenant, in.ID)
	if err != nil {
		return nil, missing(err, notQuarantined)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		if in.Raw == "1" {
			ctx.SetHeader("Content-Type", "application/octet-stream")
			ctx.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="quarantine-%s.bin"`, plainName(e.ID)))
			ctx.SetStatus(http.StatusOK)
			_, _ = ctx.BodyWriter().Write(e.Raw)
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetStatus(http.StatusOK)
		_ = jsonFormat.Marshal(ctx.BodyWriter(), e)
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
	if _, err := s.quarantine.Get(c.tenant, in.ID); err != nil {
		return nil, missing(err, notQuarantined)
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
