package api

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
)

// DetectionPage is a page of detections, the newest first by when they were
// first stored. Next is empty at the end.
type DetectionPage struct {
	Detections []*detection.Detection `json:"detections"`
	Next       string                 `json:"next,omitempty" doc:"Ask again with this as cursor for what follows; absent at the end. There may be more although the page is not full."`
	Latest     uint64                 `json:"latest" doc:"Number of the newest change in the feed when the page was read: follow the feed after it to miss nothing."`
}

// Detections is what the API asks of the store of detections; [DetectionStore]
// makes one. It is safe for concurrent use.
type Detections interface {
	// Get returns one by its id or the beginning of it.
	Get(t event.Tenant, id string) (*detection.Detection, error)
	List(t event.Tenant, f detection.Filter) (detection.Page, error)
	// Latest is the number of the newest change in the tenant's feed.
	Latest(t event.Tenant) (uint64, error)
	// Feed reads the tenant's feed behind a number.
	Feed(t event.Tenant, after uint64) DetectionFeed
}

// DetectionFeed reads a feed in order. It belongs to one goroutine.
type DetectionFeed interface {
	// Next waits for changes, at least one, or for ctx to end. The caller owns
	// what it returns.
	Next(ctx context.Context) ([]*detection.Detection, error)
}

// DetectionStore lets the API read a store of detections.
func DetectionStore(s *detection.Store) Detections { return detectionStore{s} }

type detectionStore struct{ *detection.Store }

func (s detectionStore) Feed(t event.Tenant, after uint64) DetectionFeed {
	return s.Store.Feed(t, after)
}

type listDetectionsInput struct {
	TenantParam
	MinLevel string    `query:"min_level" enum:"informational,low,medium,high,critical" doc:"Lowest level."`
	Rule     string    `query:"rule" maxLength:"200" doc:"Id of a rule."`
	Phase    []string  `query:"phase" enum:"provisional,final,closed,superseded" doc:"Phases, separated by commas; all but superseded unless given."`
	Value    string    `query:"value" maxLength:"4096" doc:"A host of the evidence or a value of the group, whole, in any case."`
	Query    string    `query:"q" maxLength:"200" doc:"A part of the rule's title, in any case."`
	From     time.Time `query:"from" doc:"Only those whose deciding event is not before this time. RFC 3339."`
	To       time.Time `query:"to" doc:"Only those whose deciding event is before this time."`
	Limit    int       `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor   string    `query:"cursor" maxLength:"500" doc:"What the page before gave as next."`
}

type listDetectionsOutput struct{ Body DetectionPage }

func (s *server) listDetections(_ context.Context, c *caller, in *listDetectionsInput) (*listDetectionsOutput, error) {
	if !in.From.IsZero() && !in.To.IsZero() && !in.From.Before(in.To) {
		return nil, invalid("query.from", "it is not before to")
	}
	// Taken first, so that a change in between comes twice and not never.
	latest, err := s.detections.Latest(c.tenant)
	if err != nil {
		return nil, err
	}
	page, err := s.detections.List(c.tenant, detection.Filter{
		MinLevel: in.MinLevel, RuleID: in.Rule, Phases: in.Phase, Value: in.Value, Query: in.Query,
		From: in.From, To: in.To, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	for _, d := range page.Detections {
		d.Evidence = full(d.Evidence)
	}
	return &listDetectionsOutput{DetectionPage{Detections: full(page.Detections), Next: page.Next, Latest: latest}}, nil
}

type detectionInput struct {
	TenantParam
	ID string `path:"id" minLength:"1" maxLength:"200" doc:"The id, or as much of its beginning as no other has."`
}

type detectionOutput struct{ Body *detection.Detection }

func (s *server) getDetection(_ context.Context, c *caller, in *detectionInput) (*detectionOutput, error) {
	d, err := s.detections.Get(c.tenant, in.ID)
	if err != nil {
		return nil, missing(err, "there is no detection whose id is this or begins so; what is older than the retention is gone")
	}
	d.Evidence = full(d.Evidence)
	return &detectionOutput{d}, nil
}
