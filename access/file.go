package access

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
)

// The file is DATA/access/tokens.json. It is replaced as a whole: written
// beside, synced, renamed, and the folder synced, so that it is the old or the
// new one whatever happens. A lock file keeps two processes from replacing it at
// a time.
const (
	fileName    = "tokens.json"
	lockName    = "tokens.lock"
	partialName = "tokens.json.new"
	// fileVersion is the version of its form.
	fileVersion = 1
	// fileBytesMax bounds it: TokensMax entries of less than a kilobyte.
	fileBytesMax = TokensMax << 10
)

// document is the file.
type document struct {
	Version int     `json:"version"`
	Tokens  []entry `json:"tokens"`
}

// entry is one token in the file.
type entry struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Tenant   string    `json:"tenant,omitempty"`
	Source   string    `json:"source,omitempty"`
	Write    bool      `json:"write,omitempty"`
	SHA256   string    `json:"sha256"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// stamp tells one state of the file from another.
type stamp struct {
	size     int64
	modified time.Time
}

// readFile reads the file; none is one without tokens.
func (s *Store) readFile() (document, stamp, error) {
	none := document{Version: fileVersion}
	info, err := s.fs.Stat(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return none, stamp{}, nil
	}
	if err != nil {
		return none, stamp{}, fmt.Errorf("read tokens: %w", err)
	}
	f, err := s.fs.Open(s.path)
	if err != nil {
		return none, stamp{}, fmt.Errorf("read tokens: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return none, stamp{}, fmt.Errorf("read tokens: %w", err)
	}
	d, err := parse(data)
	if err != nil {
		return none, stamp{}, fmt.Errorf("read tokens from %q: %w; restore the file from a backup, or move it away and make new tokens", s.path, err)
	}
	return d, stamp{info.Size(), info.ModTime()}, nil
}

// parse reads and checks the content of the file.
func parse(data []byte) (document, error) {
	var d document
	if len(data) > fileBytesMax {
		return d, fmt.Errorf("it has more than %d bytes", fileBytesMax)
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return d, fmt.Errorf("it is damaged: %w", err)
	}
	if head.Version != fileVersion {
		return d, fmt.Errorf("its version is %d and this program knows %d", head.Version, fileVersion)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return d, fmt.Errorf("it is damaged: %w", err)
	}
	if len(d.Tokens) > TokensMax {
		return d, fmt.Errorf("it has %d tokens, more than the limit of %d", len(d.Tokens), TokensMax)
	}
	seen := make(map[string]bool, len(d.Tokens))
	for i, t := range d.Tokens {
		sum, err := hex.DecodeString(t.SHA256)
		switch {
		case !validID(t.ID):
			return d, fmt.Errorf("entry %d has no valid id", i)
		case seen[t.ID]:
			return d, fmt.Errorf("the id %s stands twice", t.ID)
		case err != nil || len(sum) != sha256.Size:
			return d, fmt.Errorf("the token %s has no valid hash", t.ID)
		case t.Kind != KindIngest && t.Kind != KindAdmin:
			return d, fmt.Errorf("the token %s is of the unknown kind %.20q", t.ID, t.Kind)
		case t.Kind == KindIngest && (t.Tenant == "" || !event.SourceName(t.Source)):
			return d, fmt.Errorf("the token %s names no tenant and source", t.ID)
		}
		seen[t.ID] = true
	}
	return d, nil
}

// writeFile replaces the file.
func (s *Store) writeFile(d document) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write tokens to %q: %w", s.path, err)
		}
	}()
	data, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	partial := s.fs.PathJoin(s.dir, partialName)
	f, err := s.fs.Create(partial, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(data, '\n')); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.fs.Rename(partial, s.path); err != nil {
		return err
	}
	return syncFolder(s.fs, s.dir)
}

func syncFolder(fs vfs.FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
