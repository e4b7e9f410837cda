package api

import (
	"context"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// WebhookState is who is notified, and what waits.
type WebhookState struct {
	Endpoints  []Endpoint `json:"endpoints"`
	Deliveries []Delivery `json:"deliveries" doc:"What waits or was given up, the oldest first."`
}

type webhooksInput struct {
	TenantParam
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Bounds the deliveries."`
}

type webhooksOutput struct{ Body WebhookState }

func (s *server) listWebhooks(_ context.Context, c *caller, in *webhooksInput) (*webhooksOutput, error) {
	endpoints, err := s.webhooks.Endpoints(c.tenant)
	if err != nil {
		return nil, err
	}
	deliveries, err := s.webhooks.Deliveries(c.tenant, in.Limit)
	if err != nil {
		return nil, err
	}
	return &webhooksOutput{WebhookState{full(endpoints), full(deliveries)}}, nil
}

func (s *server) retryWebhook(ctx context.Context, c *caller, in *IDParam) (*noOutput, error) {
	if err := s.webhooks.Retry(ctx, c.tenant, in.ID); err != nil {
		return nil, missing(err, "no notification with this id waits or was given up")
	}
	return &noOutput{}, nil
}

// noWebhooks is the outbox of an installation that notifies nobody.
type noWebhooks struct{}

func (noWebhooks) Endpoints(event.Tenant) ([]Endpoint, error)        { return nil, nil }
func (noWebhooks) Deliveries(event.Tenant, int) ([]Delivery, error)  { return nil, nil }
func (noWebhooks) Retry(context.Context, event.Tenant, string) error { return store.ErrNotFound }
