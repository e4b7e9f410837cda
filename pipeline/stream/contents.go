package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// kindContent holds archives of content by version, for the tenant of the
// process.
const kindContent = "content"

// contents are the contents in use by version: those that are not loaded are
// made again of their archives. It is safe for concurrent use.
type contents struct {
	loader  Loader
	records store.Records
	logger  *slog.Logger

	mu     sync.Mutex
	loaded map[Version]*Content
	last   *Content // the one added last
}

// versionsID is the document with the versions whose archives are kept, oldest
// first, and versionsMax how many: state that is older than the content of so
// many changes ago starts anew.
const (
	versionsID  = "versions"
	versionsMax = 16
)

// add makes a content known and keeps its archive, durably.
func (c *contents) add(x *Content) error {
	x.prepare()
	if err := saveState(c.records, event.LocalTenant, kindContent, x.Version.String(), x.envelope(x.Archive)); err != nil {
		return fmt.Errorf("keep the content: %w", err)
	}
	x.Archive = nil // it is as large as all the rules, and kept now
	c.mu.Lock()
	c.loaded[x.Version], c.last = x, x
	c.mu.Unlock()
	return c.keep(x.Version.String())
}

// keep notes that a version was the last, and drops the archives of those long
// ago.
func (c *contents) keep(version string) error {
	state, err := loadState(c.records, event.LocalTenant, kindContent, versionsID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("keep the content: %w", err)
	}
	versions := slices.DeleteFunc(strings.Fields(string(state)), func(v string) bool { return v == version })
	versions = append(versions, version)
	for ; len(versions) > versionsMax; versions = versions[1:] {
		if err := dropState(c.records, event.LocalTenant, kindContent, versions[0]); err != nil {
			return fmt.Errorf("drop old content: %w", err)
		}
	}
	return saveState(c.records, event.LocalTenant, kindContent, versionsID, []byte(strings.Join(versions, "\n")))
}

// get returns a content by its version. One whose archive is lost or cannot be
// used any more is replaced by the newest: what it decided must be decided by
// something.
func (c *contents) get(v Version) (*Content, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.loaded[v]; x != nil {
		return x, nil
	}
	archive, err := loadState(c.records, event.LocalTenant, kindContent, v.String())
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, errState) {
		return nil, fmt.Errorf("content %s: %w", v, err)
	}
	var x *Content
	if err == nil {
		x, err = c.revive(archive)
	}
	if err != nil {
		c.logger.Error("rules of former content cannot be had; the present ones decide in their place", "content", v.String(), "error", err.Error())
		c.loaded[v] = c.last
		return c.last, nil
	}
	x.Version, x.Archive = v, nil
	x.prepare()
	c.loaded[v] = x
	return x, nil
}

// revive makes content of what is kept of it.
func (c *contents) revive(data []byte) (*Content, error) {
	less, archive, err := openEnvelope(data)
	if err != nil {
		return nil, err
	}
	x, err := c.loader.Revive(archive)
	if err != nil || len(less.held) == 0 {
		return x, err
	}
	x.Version = less.whole
	out := make(map[string]bool, len(less.held))
	for _, id := range less.held {
		out[id] = true
	}
	return x.without(out), nil
}

// archive returns the archive that a content was made of.
func (c *contents) archive(x *Content) ([]byte, error) {
	data, err := loadState(c.records, event.LocalTenant, kindContent, x.Version.String())
	if err != nil {
		return nil, fmt.Errorf("content %s: %w", x.Version, err)
	}
	_, archive, err := openEnvelope(data)
	return archive, err
}

// forget drops the contents that nobody uses any more.
func (c *contents) forget(used func(Version) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for v := range c.loaded {
		if !used(v) {
			delete(c.loaded, v)
		}
	}
}

// errNoContent is returned by Start when there is nothing to detect with.
var errNoContent = errors.New("no rule is usable")
