// Package access keeps the tokens: who may send, and who may see and change.
//
//	tc1_k3v9x2ab_<secret>_<sum>
//	    └ public ┘
//
// A token is shown once, when it is made; the file in DATA/access holds the
// SHA-256 of its secret. A lookup takes no lock and touches no disk: what is no
// token is refused by its form and its checksum, the rest by a map and one hash
// that is compared in constant time. An ingest token is for one tenant and one
// source; an admin token is for one tenant or for all, and reads only unless it
// may write.
//
// The file may be changed by the command line while a server runs: every change
// is made on the file as it stands, under a lock between processes, and the
// server's [Store.Run] looks every two seconds whether the file is another.
// When a token was last used is kept in memory and written once a minute.
//
// A Store is safe for concurrent use.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// The kinds of tokens.
const (
	KindIngest = "ingest"
	KindAdmin  = "admin"
)

// Bounds.
const (
	// TokensMax bounds the tokens of one server, those that were revoked or
	// have expired included until their place is needed.
	TokensMax = 10_000
	// NameBytesMax bounds a token's name.
	NameBytesMax = 100
	// LifetimeMax bounds a token's life: ten years.
	LifetimeMax = 3650 * 24 * time.Hour

	// usedEvery is how often the time of the last use is written.
	usedEvery = time.Minute
	// lookEvery is how often Run looks whether the file was changed.
	lookEvery = 2 * time.Second
	// lockTries and lockWait bound how long a change waits for another
	// process to finish its own, which takes some milliseconds.
	lockTries = 50
	lockWait  = 100 * time.Millisecond
)

// Info is what may be shown of a token.
type Info struct {
	// ID is the public part, Name what people call it.
	ID, Name string
	// Kind is KindIngest or KindAdmin.
	Kind string
	// Tenant is the zero tenant for an admin token of all tenants, and for one
	// whose tenant is not configured any more; TenantName tells them apart.
	Tenant     event.Tenant
	TenantName string
	// Source is the feed that an ingest token is for.
	Source string
	// Write: an admin token that may change things.
	Write bool
	// Expires and Revoked are zero for never, LastUsed for not yet.
	Created, Expires, Revoked, LastUsed time.Time
}

// Live reports whether the token is good at that time.
func (i Info) Live(now time.Time) bool {
	return i.Revoked.IsZero() && (i.Expires.IsZero() || now.Before(i.Expires))
}

// Request asks for a new token.
type Request struct {
	Name, Kind string
	// Tenant is needed for ingest; the zero tenant of an admin token is all.
	Tenant event.Tenant
	Source string
	Write  bool
	// Lifetime is how long it is good for; 0 is without end.
	Lifetime time.Duration
}

// Principal is whom an admin token speaks for.
type Principal struct {
	// ID is the public part of the token, Name what people call it.
	ID, Name string
	// Tenant is the one it may see; the zero tenant is all.
	Tenant event.Tenant
	// Write allows what changes something.
	Write bool
}

// ErrInvalid is what Create returns, wrapped, for a request that cannot be met.
var ErrInvalid = errors.New("invalid token request")

// known is one token in memory.
type known struct {
	info Info
	hash [sha256.Size]byte
	// refused is set for a token of a tenant that is not configured.
	refused bool
	grant   ingest.Grant
	// used is the second of the last use, Unix time; 0 for none.
	used atomic.Int64
}

// Store keeps tokens.
type Store struct {
	fs      vfs.FS
	dir     string
	path    string
	clock   env.Clock
	random  io.Reader
	tenants *event.Tenants

	// byID is replaced as a whole, so that lookups need no lock.
	byID atomic.Pointer[map[string]*known]

	// mu is held while the file is changed or read; the lock file is taken
	// inside it.
	mu    sync.Mutex
	stamp stamp
	// written is when the times of last use were written.
	written time.Time
}

// Open reads the tokens below dir, the data folder, and makes the folder for
// them if there is none. tenants are those of the configuration: a token of
// another is kept and refused.
func Open(fs vfs.FS, dir string, clock env.Clock, random io.Reader, tenants *event.Tenants) (*Store, error) {
	s := &Store{fs: fs, dir: fs.PathJoin(dir, "access"), clock: clock, random: random, tenants: tenants}
	s.path = fs.PathJoin(s.dir, fileName)
	// 0700 for the folder keeps its files from others; a vfs.FS cannot set the
	// mode of a file.
	if err := fs.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for tokens %q: %w", s.dir, err)
	}
	// The folder's own entry, and that of the data folder, must survive a power
	// cut as the file does.
	for _, name := range []string{fs.PathDir(dir), dir} {
		if err := syncFolder(fs, name); err != nil {
			return nil, fmt.Errorf("sync the folder %q: %w", name, err)
		}
	}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the file again, as after a change by another process. On an
// error the tokens stay as they were.
func (s *Store) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, at, err := s.readFile()
	if err != nil {
		return err
	}
	s.take(d, at)
	return nil
}

// take makes a document what lookups see. Times of use that are newer in memory
// stay.
func (s *Store) take(d document, at stamp) {
	before := s.tokens()
	next := make(map[string]*known, len(d.Tokens))
	for _, e := range d.Tokens {
		k := &known{info: Info{
			ID: e.ID, Name: e.Name, Kind: e.Kind, TenantName: e.Tenant, Source: e.Source, Write: e.Write,
			Created: e.Created, Expires: e.Expires, Revoked: e.Revoked,
		}}
		hex.Decode(k.hash[:], []byte(e.SHA256)) // parse has checked it
		if e.Tenant != "" {
			t, ok := s.tenants.Lookup(e.Tenant)
			k.info.Tenant, k.refused = t, !ok
		}
		k.grant = ingest.Grant{Tenant: k.info.Tenant, Source: e.Source, Token: e.ID}
		if !e.LastUsed.IsZero() {
			k.used.Store(e.LastUsed.Unix())
		}
		if old := before[e.ID]; old != nil {
			k.used.Store(max(k.used.Load(), old.used.Load()))
		}
		next[e.ID] = k
	}
	s.byID.Store(&next)
	s.stamp = at
}

func (s *Store) tokens() map[string]*known {
	if m := s.byID.Load(); m != nil {
		return *m
	}
	return nil
}

// check finds a token of a kind.
func (s *Store) check(token, kind string) (*known, error) {
	id, secret, ok := split(token)
	if !ok {
		return nil, ingest.ErrToken
	}
	k := s.tokens()[id]
	if k == nil {
		return nil, ingest.ErrToken
	}
	hash := hashOf(secret)
	if subtle.ConstantTimeCompare(hash[:], k.hash[:]) != 1 || k.info.Kind != kind || k.refused || !k.info.Revoked.IsZero() {
		return nil, ingest.ErrToken
	}
	now := s.clock.Now()
	if !k.info.Live(now) {
		return nil, ingest.ErrExpired
	}
	// Written once in usedEvery, so that the requests of one token do not
	// fight for a cache line.
	if second := now.Unix(); second-k.used.Load() >= int64(usedEvery/time.Second) {
		k.used.Store(second)
	}
	return k, nil
}

// Ingest implements [ingest.Authenticator].
func (s *Store) Ingest(token string) (ingest.Grant, error) {
	k, err := s.check(token, KindIngest)
	if err != nil {
		return ingest.Grant{}, err
	}
	return k.grant, nil
}

// Admin returns whom an admin token speaks for. The errors are those of
// [ingest.Authenticator].
func (s *Store) Admin(token string) (Principal, error) {
	k, err := s.check(token, KindAdmin)
	if err != nil {
		return Principal{}, err
	}
	return Principal{ID: k.info.ID, Name: k.info.Name, Tenant: k.info.Tenant, Write: k.info.Write}, nil
}

// HasAdmin reports whether there is a live admin token of all tenants that may
// write: without one nobody could make another over the network.
func (s *Store) HasAdmin() bool {
	now := s.clock.Now()
	for _, k := range s.tokens() {
		if k.info.Kind == KindAdmin && k.info.Write && k.info.TenantName == "" && k.info.Live(now) {
			return true
		}
	}
	return false
}

// List returns the tokens of a tenant, or with the zero tenant all of them, the
// oldest first. The caller owns the slice.
func (s *Store) List(t event.Tenant) ([]Info, error) {
	var list []Info
	for _, k := range s.tokens() {
		if t.IsZero() || k.info.Tenant == t {
			list = append(list, k.shown())
		}
	}
	slices.SortFunc(list, func(a, b Info) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

func (k *known) shown() Info {
	info := k.info
	if used := k.used.Load(); used > 0 {
		info.LastUsed = time.Unix(used, 0).UTC()
	}
	return info
}

// Create makes a token and returns it in clear, which is never possible again.
// The error wraps ErrInvalid for a request that cannot be met.
func (s *Store) Create(ctx context.Context, r Request) (info Info, token string, err error) {
	if err := s.valid(r); err != nil {
		return Info{}, "", err
	}
	err = s.change(ctx, func(d *document) error {
		var e entry
		e, token, err = s.make(d, r)
		if err != nil {
			return err
		}
		info.ID = e.ID
		return nil
	})
	if err != nil {
		return Info{}, "", err
	}
	return s.tokens()[info.ID].shown(), token, nil
}

func (s *Store) valid(r Request) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case r.Name == "" || len(r.Name) > NameBytesMax || !utf8.ValidString(r.Name) || strings.ContainsFunc(r.Name, unprintable):
		return bad("a name has 1 to %d bytes of printable text", NameBytesMax)
	case r.Kind != KindIngest && r.Kind != KindAdmin:
		return bad("the kind is %s or %s, not %.20q", KindIngest, KindAdmin, r.Kind)
	case r.Kind == KindIngest && r.Tenant.IsZero():
		return bad("an ingest token needs a tenant")
	case r.Kind == KindIngest && !event.SourceName(r.Source):
		return bad("an ingest token is for one source, whose name has 1 to %d of a-z, A-Z, 0-9, ., - and _ and begins with a letter or digit; %.100q is none", event.SourceBytesMax, r.Source)
	case r.Kind == KindIngest && r.Write:
		return bad("an ingest token does nothing but write events")
	case r.Kind == KindAdmin && r.Source != "":
		return bad("an admin token has no source")
	case r.Lifetime < 0 || r.Lifetime > LifetimeMax:
		return bad("a lifetime is between 0 and %d days", int(LifetimeMax.Hours()/24))
	}
	return nil
}

// unprintable are characters that could forge a line of a log or hide text.
func unprintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// make adds a token to a document.
func (s *Store) make(d *document, r Request) (entry, string, error) {
	now := s.clock.Now().UTC().Truncate(time.Second)
	if len(d.Tokens) >= TokensMax && !dropDead(d, now) {
		return entry{}, "", fmt.Errorf("%w: there are %d tokens in use already; revoke some", ErrInvalid, TokensMax)
	}
	var id string
	for {
		var err error
		if id, err = draw(s.random, idLength, idAlphabet); err != nil {
			return entry{}, "", err
		}
		if !slices.ContainsFunc(d.Tokens, func(e entry) bool { return e.ID == id }) {
			break
		}
	}
	secret, err := draw(s.random, secretChars, alphabet)
	if err != nil {
		return entry{}, "", err
	}
	hash := hashOf(secret)
	e := entry{ID: id, Name: r.Name, Kind: r.Kind, Source: r.Source, Write: r.Write, SHA256: hex.EncodeToString(hash[:]), Created: now}
	if !r.Tenant.IsZero() {
		e.Tenant = r.Tenant.String()
	}
	if r.Lifetime > 0 {
		e.Expires = now.Add(r.Lifetime)
	}
	d.Tokens = append(d.Tokens, e)
	return e, join(id, secret), nil
}

// dropDead makes room: the token that has been dead the longest goes. It
// reports whether there was one.
func dropDead(d *document, now time.Time) bool {
	at, since := -1, now
	for i, e := range d.Tokens {
		dead := e.Revoked
		if dead.IsZero() {
			dead = e.Expires
		}
		if !dead.IsZero() && !dead.After(since) {
			at, since = i, dead
		}
	}
	if at < 0 {
		return false
	}
	d.Tokens = slices.Delete(d.Tokens, at, at+1)
	return true
}

// find is the index of a token of a tenant; the zero tenant finds any. The
// error is [store.ErrNotFound].
func (s *Store) find(d *document, t event.Tenant, id string) (int, error) {
	for i, e := range d.Tokens {
		if e.ID == id && (t.IsZero() || e.Tenant == t.String()) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("token %.20q: %w", id, store.ErrNotFound)
}

// Revoke ends a token of the tenant, or with the zero tenant any, at once and
// for good. One that was revoked stays so. The error is [store.ErrNotFound]
// where the tenant has no such token.
func (s *Store) Revoke(ctx context.Context, t event.Tenant, id string) error {
	return s.change(ctx, func(d *document) error {
		i, err := s.find(d, t, id)
		if err != nil {
			return err
		}
		if d.Tokens[i].Revoked.IsZero() {
			d.Tokens[i].Revoked = s.clock.Now().UTC().Truncate(time.Second)
		}
		return nil
	})
}

// Rotate makes a new token like the one of that id and lets the old one end
// after overlap, at once if that is 0. The new one has as long to live as the
// old one had when it was made.
func (s *Store) Rotate(ctx context.Context, t event.Tenant, id string, overlap time.Duration) (info Info, token string, err error) {
	if overlap < 0 || overlap > LifetimeMax {
		return Info{}, "", fmt.Errorf("%w: an overlap is between 0 and %d days", ErrInvalid, int(LifetimeMax.Hours()/24))
	}
	err = s.change(ctx, func(d *document) error {
		i, err := s.find(d, t, id)
		if err != nil {
			return err
		}
		old := d.Tokens[i]
		if !old.Revoked.IsZero() {
			return fmt.Errorf("%w: the token %s was revoked; create a new one", ErrInvalid, id)
		}
		r := Request{Name: old.Name, Kind: old.Kind, Source: old.Source, Write: old.Write}
		if !old.Expires.IsZero() {
			r.Lifetime = old.Expires.Sub(old.Created)
		}
		if old.Tenant != "" {
			tenant, ok := s.tenants.Lookup(old.Tenant)
			if !ok {
				return fmt.Errorf("%w: the tenant %.64q of token %s is not configured any more", ErrInvalid, old.Tenant, id)
			}
			r.Tenant = tenant
		}
		now := s.clock.Now().UTC().Truncate(time.Second)
		if end := now.Add(overlap); overlap == 0 {
			d.Tokens[i].Revoked = now
		} else if old.Expires.IsZero() || end.Before(old.Expires) {
			d.Tokens[i].Expires = end
		}
		var e entry
		e, token, err = s.make(d, r)
		info.ID = e.ID
		return err
	})
	if err != nil {
		return Info{}, "", err
	}
	return s.tokens()[info.ID].shown(), token, nil
}

// change applies a change to the file as it stands, under the lock between
// processes, and then to memory.
func (s *Store) change(ctx context.Context, apply func(*document) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	d, _, err := s.readFile()
	if err != nil {
		return err
	}
	if err := apply(&d); err != nil {
		return err
	}
	// The times of last use ride along.
	for i := range d.Tokens {
		if k := s.tokens()[d.Tokens[i].ID]; k != nil {
			if used := time.Unix(k.used.Load(), 0).UTC(); used.After(d.Tokens[i].LastUsed) && used.Unix() > 0 {
				d.Tokens[i].LastUsed = used
			}
		}
	}
	if err := s.writeFile(d); err != nil {
		return err
	}
	s.written = s.clock.Now()
	d, at, err := s.readFile()
	if err != nil {
		return err
	}
	s.take(d, at)
	return nil
}

// lock takes the lock between processes.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	for range lockTries {
		var l io.Closer
		if l, err = s.fs.Lock(s.fs.PathJoin(s.dir, lockName)); err == nil {
			return func() { _ = l.Close() }, nil
		}
		if err := env.Sleep(ctx, s.clock, lockWait); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("lock the tokens in %q, which another process keeps: %w", s.dir, err)
}

// Run follows changes of the file by other processes and writes the times of
// last use, until ctx ends; it then writes them once more and returns nil.
// Trouble is logged and tried again: tokens go on to work from memory.
func (s *Store) Run(ctx context.Context, log *slog.Logger) error {
	troubled := false // a line when trouble begins, not one every two seconds
	note := func(err error) {
		if err != nil && !troubled {
			log.Error("tokens cannot be synchronised with their file", "error", err.Error())
		}
		troubled = err != nil
	}
	for env.Sleep(ctx, s.clock, lookEvery) == nil {
		err := s.follow()
		if err == nil && s.clock.Now().Sub(s.lastWritten()) >= usedEvery {
			err = s.WriteUsed(ctx)
		}
		note(err)
	}
	note(s.WriteUsed(context.WithoutCancel(ctx)))
	return nil
}

func (s *Store) lastWritten() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

// follow reloads the file if it is another.
func (s *Store) follow() error {
	info, err := s.fs.Stat(s.path)
	var now stamp
	switch {
	case err == nil:
		now = stamp{info.Size(), info.ModTime()}
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("look at the tokens: %w", err)
	}
	s.mu.Lock()
	same := now == s.stamp
	s.mu.Unlock()
	if same {
		return nil
	}
	return s.Reload()
}

// WriteUsed writes the times of last use, if any is newer than the file's.
func (s *Store) WriteUsed(ctx context.Context) error {
	s.mu.Lock()
	s.written = s.clock.Now()
	d, _, err := s.readFile()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, e := range d.Tokens {
		if k := s.tokens()[e.ID]; k != nil && k.used.Load() > max(e.LastUsed.Unix(), 0) {
			return s.change(ctx, func(*document) error { return nil })
		}
	}
	return nil
}
