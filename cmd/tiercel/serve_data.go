package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// dataVersion is the version of the data folder's layout. A binary takes up
// folders of its own version and of older ones, which it turns into its own; it
// refuses newer ones.
const dataVersion = 1

const versionFile = "VERSION"

// dataAdvice is what to do about a data folder that cannot be used.
const dataAdvice = "let this user read and write it, or choose another with --data"

// openData makes the data folder, or checks that this binary can read it.
func openData(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return &codedError{exitInput, fmt.Errorf("make the data folder: %w; %s", err, dataAdvice)}
	}
	err := checkVersion(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return beginData(fsys, dir)
	}
	return err
}

// checkVersion says whether this binary reads the version of a data folder, or
// of a backup, which is one too.
func checkVersion(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, versionFile)
	f, err := fsys.Open(name)
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("data folder: %w; %s", err, dataAdvice)}
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err = errors.Join(err, f.Close()); err != nil {
		return &codedError{exitInput, fmt.Errorf("data folder: %w; %s", err, dataAdvice)}
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil, found < 1:
		return &codedError{exitInput, fmt.Errorf("%s holds %q and should hold a number, that of a version; this is no data folder of tiercel, or it is damaged: choose another with --data, or restore a backup", name, text)}
	case found > dataVersion:
		return &codedError{exitInput, fmt.Errorf("the folder %s is of version %d and this binary reads up to %d; run the newer binary, or use a backup made by this one", dir, found, dataVersion)}
	}
	return nil
}

// beginData makes a folder without a version a data folder. One that has parts
// of a data folder all the same is left alone: it is a copy that was cut short,
// since a version is written last there, or something else's, as /var with its
// log.
func beginData(fsys vfs.FS, dir string) error {
	for _, part := range []string{"log", "state", "backups"} {
		if _, err := fsys.Stat(fsys.PathJoin(dir, part)); !errors.Is(err, fs.ErrNotExist) {
			return &codedError{exitInput, fmt.Errorf("%s has a %q and no file %s: it is no data folder of tiercel, or a restore into it was cut short; "+
				"choose another with --data, or restore once more into a new one", dir, part, versionFile)}
		}
	}
	if err := writeDurably(fsys, dir, versionFile, []byte(strconv.Itoa(dataVersion)+"\n")); err != nil {
		return &codedError{exitInput, fmt.Errorf("data folder: %w; %s", err, dataAdvice)}
	}
	return nil
}

// writeDurably writes a small file so that it is there whole or not at all.
func writeDurably(fsys vfs.FS, dir, name string, data []byte) error {
	temp, final := fsys.PathJoin(dir, name+".new"), fsys.PathJoin(dir, name)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.Rename(temp, final); err != nil {
		return err
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// kindAudit are the documents of the audit log, in order of time.
const kindAudit = "audit"

// auditLog keeps what was done through the API. It is safe for concurrent use.
type auditLog struct {
	records store.Records
	logger  *slog.Logger

	mu   sync.Mutex
	last time.Time
	n    int
}

func newAuditLog(records store.Records, logger *slog.Logger) *auditLog {
	return &auditLog{records: records, logger: logger}
}

// Record implements api.Auditor: what it was given is on disk when it returns.
func (a *auditLog) Record(e api.Entry) {
	a.mu.Lock()
	if e.At.Equal(a.last) {
		a.n++
	} else {
		a.last, a.n = e.At, 0
	}
	id := fmt.Sprintf("%020d/%06d", e.At.UnixNano(), a.n)
	a.mu.Unlock()
	t := e.Tenant
	if t.IsZero() {
		t = event.LocalTenant
	}
	value, err := json.Marshal(struct {
		At        time.Time `json:"at"`
		Principal string    `json:"principal,omitempty"`
		Tenant    string    `json:"tenant,omitempty"`
		Kind      string    `json:"kind"`
		Object    string    `json:"object,omitempty"`
		Status    int       `json:"status"`
		Peer      string    `json:"peer,omitempty"`
	}{e.At.UTC(), e.Principal, e.Tenant.String(), e.Kind, e.Object, e.Status, e.Peer})
	if err == nil {
		err = a.records.Apply([]store.Write{{Key: store.Key{Tenant: t, Kind: kindAudit, ID: id}, Value: value}}, store.Durable)
	}
	if err != nil {
		a.logger.Error("an entry of the audit log was not kept", "kind", e.Kind, "error", err.Error())
	}
}
