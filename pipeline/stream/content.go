package stream

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

// Version identifies content: the hash of everything it was made of.
type Version [sha256.Size]byte

// String returns the version in hexadecimal.
func (v Version) String() string { return hex.EncodeToString(v[:]) }

// Content is rules and packs, compiled. It is immutable and safe for concurrent
// use.
type Content struct {
	Version Version
	// Sigma decides records; its rules are those that hits may name.
	Sigma        *pipeline.Sigma
	Correlations []*rule.Correlation
	// Suppress returns the suppression of a rule or correlation by id; may be
	// nil.
	Suppress func(id string) (correlate.Suppression, bool)
	// Disabled are the ids of rules that are known and do not run, with the
	// reason.
	Disabled map[string]string
	// Refused is the number of documents that could not be used, and Problems
	// the first messages.
	Refused  int
	Problems []string
	// Archive is what the content can be made of again, by [Loader.Revive]. The
	// node drops it once it is kept.
	Archive []byte

	// held are the ids of the rules that are taken out because they cost too much,
	// in order, and whole is the version of the content with them.
	held  []string
	whole Version
	// all are the rules with those, which may still be on their way to stage 2;
	// nil when none is taken out.
	all []*rule.Rule
	// needs are the fields of correlate.Engine.Needs, by rule id.
	needs map[string][]string
}

// Loader makes content.
type Loader interface {
	// Load reads the content as it stands.
	Load() (*Content, error)
	// Revive makes content of an archive.
	Revive(archive []byte) (*Content, error)
}

// deciding are the rules whose hits stage 2 takes. Hits of a rule that is taken out
// may still be on their way when the content changes.
func (c *Content) deciding() []*rule.Rule {
	if c.all != nil {
		return c.all
	}
	return c.Sigma.Rules()
}

// correlateConfig is the configuration of stage 2 for the content.
func (c *Content) correlateConfig(t event.Tenant, s Settings) correlate.Config {
	return correlate.Config{
		Tenant: t, Rules: c.deciding(), Correlations: c.Correlations,
		Episode: correlate.DefaultEpisode, Suppress: c.Suppress, LagMax: s.LagMax, Budget: s.Budget,
	}
}

// prepare makes evaluators read the fields that stage 2 needs of hits. Call
// it before the first evaluator is made; what is prepared already stays as it is,
// for evaluators may be at work.
func (c *Content) prepare() {
	if c.needs != nil {
		return
	}
	engine := correlate.New(correlate.Config{
		Tenant: event.LocalTenant, Rules: c.deciding(), Correlations: c.Correlations, Episode: correlate.DefaultEpisode,
	})
	c.needs = make(map[string][]string)
	for i, r := range c.deciding() {
		if list := engine.Needs(i); len(list) > 0 {
			c.needs[r.ID] = list
		}
	}
	c.Sigma.Key(func(i int) []string { return c.needs[c.Sigma.Rules()[i].ID] })
}

// ids returns the ids of everything that runs.
func (c *Content) ids() map[string]bool {
	out := make(map[string]bool)
	for _, r := range c.Sigma.Rules() {
		out[r.ID] = true
	}
	for _, r := range c.Correlations {
		out[r.ID] = true
	}
	return out
}
