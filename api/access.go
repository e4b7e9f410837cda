package api

import (
	"context"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/event"
)

// AccessStore lets the API judge tokens by a store of them, and manage them.
func AccessStore(s *access.Store) (Authorizer, Tokens) { return accessStore{s}, accessStore{s} }

type accessStore struct{ store *access.Store }

func (a accessStore) Admin(token string) (Principal, error) {
	p, err := a.store.Admin(token)
	if err != nil {
		return Principal{}, err
	}
	// The id is unique and a name is not.
	return Principal{Name: p.ID + " " + p.Name, Tenant: p.Tenant, Write: p.Write}, nil
}

func tokenInfo(i access.Info) TokenInfo {
	return TokenInfo{
		ID: i.ID, Name: i.Name, Kind: i.Kind, Tenant: i.TenantName, Source: i.Source, Write: i.Write,
		Created: i.Created, Expires: i.Expires, Revoked: i.Revoked, LastUsed: i.LastUsed,
	}
}

func (a accessStore) List(t event.Tenant) ([]TokenInfo, error) {
	list, err := a.store.List(t)
	if err != nil {
		return nil, err
	}
	var out []TokenInfo
	for _, i := range list {
		out = append(out, tokenInfo(i))
	}
	return out, nil
}

func (a accessStore) Create(ctx context.Context, r TokenRequest) (TokenInfo, string, error) {
	i, token, err := a.store.Create(ctx, access.Request{
		Name: r.Name, Kind: r.Kind, Tenant: r.Tenant, Source: r.Source, Write: r.Write, Lifetime: r.Lifetime,
	})
	if err != nil {
		return TokenInfo{}, "", err
	}
	return tokenInfo(i), token, nil
}

func (a accessStore) Revoke(ctx context.Context, t event.Tenant, id string) error {
	return a.store.Revoke(ctx, t, id)
}
