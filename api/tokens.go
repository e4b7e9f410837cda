package api

import (
	"context"
	"time"
)

// TokenList is the answer to a question for tokens.
type TokenList struct {
	Tokens []TokenInfo `json:"tokens"`
}

type listTokensInput struct{ TenantParam }

type listTokensOutput struct{ Body TokenList }

func (s *server) listTokens(_ context.Context, c *caller, _ *listTokensInput) (*listTokensOutput, error) {
	list, err := s.tokens.List(c.tenant)
	if err != nil {
		return nil, err
	}
	return &listTokensOutput{TokenList{full(list)}}, nil
}

// lifetimeMax bounds a token's life in days: ten years. No limit at all is
// asked for by leaving it out.
const lifetimeDaysMax = 3650

type createTokenInput struct {
	TenantParam
	Body struct {
		Name   string `json:"name" minLength:"1" maxLength:"100" doc:"What people call it."`
		Kind   string `json:"kind" enum:"ingest,admin"`
		Source string `json:"source,omitempty" maxLength:"200" doc:"The feed that an ingest token is for; needed there and not allowed elsewhere."`
		Write  bool   `json:"write,omitempty" doc:"Lets an admin token change things."`
		Days   int    `json:"expires_days,omitempty" minimum:"0" maximum:"3650" doc:"How long it is good for; without end unless given."`
	}
}

// NewToken is a token that was just made.
type NewToken struct {
	TokenInfo
	Token string `json:"token" doc:"The token in clear. It is shown this once and cannot be had again."`
}

type createTokenOutput struct {
	Status int
	Body   NewToken
}

func (s *server) createToken(ctx context.Context, c *caller, in *createTokenInput) (*createTokenOutput, error) {
	b := &in.Body
	t := c.tenant
	switch {
	case b.Kind == "ingest" && b.Source == "":
		return nil, invalid("body.source", "an ingest token is for one source; name it")
	case b.Kind == "ingest" && b.Write:
		return nil, invalid("body.write", "it is for admin tokens; an ingest token does nothing else than write")
	case b.Kind == "admin" && b.Source != "":
		return nil, invalid("body.source", "it is for ingest tokens")
	case b.Days > lifetimeDaysMax:
		return nil, invalid("body.expires_days", "at most %d", lifetimeDaysMax)
	}
	if b.Kind == "ingest" && t.IsZero() {
		all := s.tenants.All()
		if len(all) != 1 {
			return nil, refuse(CodeTenantRequired, "")
		}
		t = all[0]
	}
	info, secret, err := s.tokens.Create(ctx, TokenRequest{
		Name: b.Name, Kind: b.Kind, Tenant: t, Source: b.Source, Write: b.Write, Lifetime: time.Duration(b.Days) * 24 * time.Hour,
	})
	if err != nil {
		return nil, err
	}
	c.object = info.ID
	return &createTokenOutput{201, NewToken{info, secret}}, nil
}

// IDParam is the object that a request is about, and its tenant.
type IDParam struct {
	TenantParam
	ID string `path:"id" minLength:"1" maxLength:"200"`
}

type noOutput struct{}

func (s *server) revokeToken(ctx context.Context, c *caller, in *IDParam) (*noOutput, error) {
	if err := s.tokens.Revoke(ctx, c.tenant, in.ID); err != nil {
		return nil, missing(err, "there is no token with this id; it is the part between the first two _ of the token")
	}
	return &noOutput{}, nil
}
