package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/store"
)

type noInput struct{}

type reloadOutput struct{ Body Reloaded }

func (s *server) reload(ctx context.Context, _ *caller, _ *noInput) (*reloadOutput, error) {
	r, err := s.node.Reload(ctx)
	if err != nil {
		return nil, err
	}
	r.Problems = r.Problems[:min(len(r.Problems), ProblemsMax)]
	return &reloadOutput{r}, nil
}

type releaseInput struct {
	ID string `path:"id" minLength:"1" maxLength:"200" doc:"Id of the rule."`
}

// notHeld is the answer for a rule that is not taken out.
const notHeld = "the rule is not taken out; 'tiercel rule release' without an id lists those that are"

func (s *server) releaseRule(ctx context.Context, c *caller, in *releaseInput) (*reloadOutput, error) {
	c.object = bounded(in.ID)
	r, err := s.node.Release(ctx, in.ID)
	if err != nil {
		return nil, missing(err, notHeld)
	}
	r.Problems = r.Problems[:min(len(r.Problems), ProblemsMax)]
	return &reloadOutput{r}, nil
}

type backupInput struct {
	Body struct {
		Label string `json:"label,omitempty" minLength:"1" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Becomes part of the backup's name. It is no path: 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit. The time unless it is given."`
	}
}

type backupOutput struct{ Body Backup }

func (s *server) backup(ctx context.Context, c *caller, in *backupInput) (*backupOutput, error) {
	c.object = in.Body.Label
	b, err := s.node.Backup(ctx, in.Body.Label)
	if errors.Is(err, store.ErrConflict) {
		label := "of this second"
		if in.Body.Label != "" {
			label = fmt.Sprintf("%q", in.Body.Label)
		}
		return nil, refuse(CodeConflict, "there is a backup "+label+" already; choose another label, or move it away")
	}
	if err != nil {
		return nil, err
	}
	c.object = b.Label
	return &backupOutput{b}, nil
}
