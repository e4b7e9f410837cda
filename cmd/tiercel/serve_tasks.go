package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

// watchContent reloads rules and packs when their files change.
func (s *server) watchContent(ctx context.Context) error {
	every := s.cfg.Content.Reload
	if every == 0 {
		return nil
	}
	paths := s.contentPaths()
	if len(paths) == 0 {
		return nil
	}
	last, files := fingerprint(s.world, paths)
	for {
		wait := every * time.Duration(1+files/filesEach)
		if err := env.Sleep(ctx, s.world.Clock, wait); err != nil {
			return nil
		}
		var now uint64
		now, files = fingerprint(s.world, paths)
		if now == last {
			continue
		}
		last = now
		if _, err := s.Reload(ctx); err != nil {
			return err
		}
	}
}

// contentPaths are the files and folders that the content is read from.
func (s *server) contentPaths() []string {
	c := &s.cfg.Content
	var out []string
	for _, p := range slices.Concat(c.Rules, c.Packs) {
		out = append(out, string(p))
	}
	for _, p := range []string{string(c.Overrides), string(c.Lookups), string(c.Values)} {
		if p != "" {
			out = append(out, p)
		}
	}
	return out
}

// filesEach is how many files are looked at in the time that is configured:
// more of them are looked at less often, so that an idle server stays idle.
const filesEach = 1000

// contentDepthMax bounds the nesting of folders that are watched.
const contentDepthMax = 32

// fingerprint tells by names, sizes and times whether files have changed, and
// how many there are.
func fingerprint(world env.Env, paths []string) (sum uint64, files int) {
	h := fnv.New64a()
	var walk func(name string, depth int)
	walk = func(name string, depth int) {
		info, err := world.FS.Stat(name)
		if err != nil {
			fmt.Fprintf(h, "%s\x00missing\x00", name)
			return
		}
		if !info.IsDir() {
			files++
			fmt.Fprintf(h, "%s\x00%d\x00%d\x00", name, info.Size(), info.ModTime().UnixNano())
			return
		}
		if depth > contentDepthMax {
			return
		}
		names, err := world.FS.List(name)
		if err != nil {
			return
		}
		slices.Sort(names)
		for _, n := range names {
			walk(world.FS.PathJoin(name, n), depth+1)
		}
	}
	for _, p := range paths {
		walk(p, 0)
	}
	return h.Sum64(), files
}

// retainEvery is how often what is old is removed.
const retainEvery = 10 * time.Minute

// evidenceBatch bounds what one step removes, so that it does not hold up
// anything else.
const evidenceBatch = 10_000

// ledgerKept is how long the ledger is kept: a year and some, so that the same
// month of two years can be compared.
const ledgerKept = 400 * 24 * time.Hour

// retain removes detections, evidence, quarantine and ledger beyond what the
// configuration keeps.
func (s *server) retain(ctx context.Context) error {
	for {
		if err := env.Sleep(ctx, s.world.Clock, retainEvery); err != nil {
			return nil
		}
		for _, t := range s.tenants.All() {
			if err := s.retainTenant(t); err != nil {
				s.logger.Error("what is old was not removed", "tenant", t.String(), "error", err.Error())
			}
		}
	}
}

func (s *server) retainTenant(t event.Tenant) error {
	now := s.world.Clock.Now()
	_, err := s.quarantine.Trim(t, int64(s.cfg.Quarantine.Bytes))
	if keep := s.cfg.Detections.Retention; keep > 0 {
		_, trimErr := s.detections.Trim(t, now.Add(-keep), 0)
		_, evidenceErr := detection.TrimEvidence(s.records, t, now.Add(-keep), evidenceBatch)
		err = errors.Join(err, trimErr, evidenceErr)
	}
	if s.outbox.box != nil && s.cfg.Detections.Retention > 0 {
		_, boxErr := s.outbox.box.Trim(t, now.Add(-s.cfg.Detections.Retention))
		err = errors.Join(err, boxErr)
	}
	return errors.Join(err, ledger.Trim(s.records, t, now.Add(-ledgerKept).Unix()/60))
}

// Retry implements api.Node: a record that its parser takes now goes into the
// log again and leaves quarantine.
func (s *server) Retry(ctx context.Context, t event.Tenant, q api.RetryQuery) (api.Retried, error) {
	var out api.Retried
	ids := q.IDs
	if len(ids) == 0 {
		page, err := s.quarantine.List(t, quarantine.Filter{Source: q.Source, Reason: q.Reason, Limit: q.Limit})
		if err != nil {
			return out, err
		}
		for i := range page.Entries {
			ids = append(ids, page.Entries[i].ID)
		}
		out.More = page.Next != ""
	}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		e, err := s.quarantine.Get(t, id)
		if errors.Is(err, store.ErrNotFound) {
			failed(&out, id, "not_found", "it is not in quarantine")
			continue
		}
		if err != nil {
			return out, err
		}
		out.Tried++
		if err := s.readable(e); err != nil {
			failed(&out, id, e.Reason, err.Error())
			if err := s.quarantine.MarkRetried(t, id, err.Error()); err != nil {
				return out, err
			}
			continue
		}
		if err := s.gate.Resubmit(&ingest.Batch{
			Tenant: t, Source: e.Source, Protocol: e.Protocol, Format: e.Format, Peer: e.Peer,
			Key: []byte("retry " + id), Data: e.Raw, Frames: []format.Frame{{End: len(e.Raw)}},
		}); err != nil {
			return out, err
		}
		if err := s.quarantine.Delete(t, id); err != nil {
			return out, err
		}
		out.Recovered++
	}
	return out, nil
}

func failed(r *api.Retried, id, reason, detail string) {
	if len(r.Failed) < api.ProblemsMax {
		r.Failed = append(r.Failed, api.RetryFailure{ID: id, Reason: reason, Detail: detail})
	}
}

// readable reports why a record cannot be read, or nil.
func (s *server) readable(e *quarantine.Entry) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it makes its parser fail: %v", r)
		}
	}()
	if e.Reason == ingest.ReasonTooLarge {
		return fmt.Errorf("it was too large, and only its first %d bytes were kept", len(e.Raw))
	}
	if e.Bytes > len(e.Raw) {
		return fmt.Errorf("only %d of its %d bytes were kept", len(e.Raw), e.Bytes)
	}
	f, ok := formatByName(e.Format)
	if e.Format == "" {
		f, ok = detectFormat(e.Raw)
	}
	if !ok {
		return errors.New("not a record in a known format")
	}
	block := format.Block{Data: e.Raw, Frames: []format.Frame{{End: len(e.Raw)}}}
	records := 0
	err = f.NewParser(format.Options{}).Parse(&block, block.Frames[0], func(*event.Record) { records++ })
	if err == nil && records == 0 {
		err = errors.New("its parser finds no record in it")
	}
	return err
}

// Backup implements api.Node.
func (s *server) Backup(_ context.Context, label string) (api.Backup, error) {
	fsys := s.world.FS
	root := fsys.PathJoin(string(s.cfg.Data), "backups")
	if err := fsys.MkdirAll(root, 0o700); err != nil {
		return api.Backup{}, err
	}
	now := s.world.Clock.Now().UTC()
	if label == "" {
		label = now.Format("20060102-150405")
	}
	dir := fsys.PathJoin(root, label)
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return api.Backup{}, store.ErrConflict
	}
	if err := s.backup(dir); err != nil {
		// A part of a backup is none, and takes room that may be what was short.
		return api.Backup{}, errors.Join(err, fsys.RemoveAll(dir))
	}
	files, bytes := measure(s.world, dir)
	s.logger.Info("backup written", "folder", dir, "files", files, "bytes", bytes)
	return api.Backup{Label: label, Name: label, Folder: dir, Files: files, Bytes: bytes, At: now}, nil
}
