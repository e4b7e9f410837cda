package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

var _ ingest.Authenticator = (*Store)(nil)

// handClock is moved by hand.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (*handClock) NewTimer(time.Duration) env.Timer { panic("nothing here waits") }

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func tenants(t testing.TB, names ...string) *event.Tenants {
	t.Helper()
	list, err := event.NewTenants(names)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func tenant(t testing.TB, list *event.Tenants, name string) event.Tenant {
	t.Helper()
	one, ok := list.Lookup(name)
	if !ok {
		t.Fatalf("no tenant %q", name)
	}
	return one
}

func open(t testing.TB, fs vfs.FS, clock env.Clock, list *event.Tenants) *Store {
	t.Helper()
	s, err := Open(fs, "data", clock, rand.Reader, list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *Store, r Request) (Info, string) {
	t.Helper()
	info, token, err := s.Create(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return info, token
}

func TestTokensByKind(t *testing.T) {
	t.Parallel()
	list := tenants(t, "a", "b")
	a, b := tenant(t, list, "a"), tenant(t, list, "b")
	fs, clock := vfs.NewMem(), &handClock{now: start}
	s := open(t, fs, clock, list)
	if s.HasAdmin() {
		t.Error("a new store has an admin token")
	}
	ingestInfo, ingestToken := create(t, s, Request{Name: "beats", Kind: KindIngest, Tenant: a, Source: "windows"})
	_, readToken := create(t, s, Request{Name: "b reads", Kind: KindAdmin, Tenant: b})
	if s.HasAdmin() {
		t.Error("a token that only reads counts as admin")
	}
	_, adminToken := create(t, s, Request{Name: "root", Kind: KindAdmin, Write: true})
	if !s.HasAdmin() {
		t.Error("no admin token after one was made")
	}
	// A second store on the same files knows the same tokens.
	for _, s := range []*Store{s, open(t, fs, clock, list)} {
		grant, err := s.Ingest(ingestToken)
		if err != nil || grant.Tenant != a || grant.Source != "windows" || grant.Token != ingestInfo.ID {
			t.Errorf("ingest gives %+v, %v", grant, err)
		}
		if p, err := s.Admin(readToken); err != nil || p.Tenant != b || p.Write || p.Name != "b reads" {
			t.Errorf("reader is %+v, %v", p, err)
		}
		if p, err := s.Admin(adminToken); err != nil || !p.Tenant.IsZero() || !p.Write {
			t.Errorf("admin is %+v, %v", p, err)
		}
		if _, err := s.Admin(ingestToken); !errors.Is(err, ingest.ErrToken) {
			t.Errorf("an ingest token is taken for an admin's: %v", err)
		}
		if _, err := s.Ingest(adminToken); !errors.Is(err, ingest.ErrToken) {
			t.Errorf("an admin token may send: %v", err)
		}
	}
	// The secret is nowhere in the files.
	f, err := fs.Open("data/access/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), ingestToken[secretAt:sumAt-1]) || !strings.Contains(string(text), ingestInfo.ID) {
		t.Errorf("the file is\n%s", text)
	}
}

func TestListsAreOfOneTenant(t *testing.T) {
	t.Parallel()
	list := tenants(t, "a", "b")
	clock := &handClock{now: start}
	s := open(t, vfs.NewMem(), clock, list)
	var ids []string
	for _, name := range []string{"a", "b", "a"} {
		info, _ := create(t, s, Request{Name: name, Kind: KindIngest, Tenant: tenant(t, list, name), Source: "x"})
		ids = append(ids, info.ID)
		clock.advance(time.Second)
	}
	create(t, s, Request{Name: "root", Kind: KindAdmin, Write: true})
	got, err := s.List(tenant(t, list, "a"))
	if err != nil || len(got) != 2 || got[0].ID != ids[0] || got[1].ID != ids[2] {
		t.Errorf("tenant a has %+v, %v", got, err)
	}
	if got, _ := s.List(event.Tenant{}); len(got) != 4 {
		t.Errorf("all are %+v", got)
	}
	// Nor can one tenant end or replace another's token.
	if err := s.Revoke(context.Background(), tenant(t, list, "a"), ids[1]); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked another's: %v", err)
	}
	if _, _, err := s.Rotate(context.Background(), tenant(t, list, "a"), ids[1], 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("rotated another's: %v", err)
	}
}

func TestEndOfATokensLife(t *testing.T) {
	t.Parallel()
	list := tenants(t, "a")
	a := tenant(t, list, "a")
	clock := &handClock{now: start}
	s := open(t, vfs.NewMem(), clock, list)
	ctx := context.Background()

	info, token := create(t, s, Request{Name: "x", Kind: KindIngest, Tenant: a, Source: "s", Lifetime: time.Hour})
	if !info.Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("expires %s", info.Expires)
	}
	clock.advance(time.Hour - time.Second)
	if _, err := s.Ingest(token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	clock.advance(time.Second)
	if _, err := s.Ingest(token); !errors.Is(err, ingest.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
	if err := s.Revoke(ctx, a, info.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ingest(token); !errors.Is(err, ingest.ErrToken) {
		t.Errorf("revoked: %v", err)
	}
	revoked := clock.Now()
	clock.advance(time.Hour)
	if err := s.Revoke(ctx, a, info.ID); err != nil {
		t.Errorf("revoked again: %v", err)
	}
	if got, _ := s.List(a); !got[0].Revoked.Equal(revoked) {
		t.Errorf("the time of revocation moved to %s", got[0].Revoked)
	}
	if err := s.Revoke(ctx, a, "nosuchid"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	list := tenants(t, "a")
	a := tenant(t, list, "a")
	clock := &handClock{now: start}
	s := open(t, vfs.NewMem(), clock, list)
	ctx := context.Background()
	old, oldToken := create(t, s, Request{Name: "x", Kind: KindIngest, Tenant: a, Source: "s", Lifetime: 10 * time.Hour})
	clock.advance(time.Hour)
	info, token, err := s.Rotate(ctx, a, old.ID, 30*time.Minute)
	if err != nil || info.Name != "x" || info.Source != "s" || info.Tenant != a || !info.Expires.Equal(clock.Now().Add(10*time.Hour)) {
		t.Fatalf("rotated to %+v, %v", info, err)
	}
	for _, both := range []string{oldToken, token} {
		if _, err := s.Ingest(both); err != nil {
			t.Errorf("within the overlap: %v", err)
		}
	}
	clock.advance(30 * time.Minute)
	if _, err := s.Ingest(oldToken); !errors.Is(err, ingest.ErrExpired) {
		t.Errorf("the old one after the overlap: %v", err)
	}
	last, lastToken, err := s.Rotate(ctx, a, info.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ingest(token); !errors.Is(err, ingest.ErrToken) {
		t.Errorf("the old one without overlap: %v", err)
	}
	if g, err := s.Ingest(lastToken); err != nil || g.Token != last.ID {
		t.Errorf("the new one: %v, %v", g, err)
	}
	if _, _, err := s.Rotate(ctx, a, info.ID, 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("rotated a revoked one: %v", err)
	}
}

func TestRequestsThatCannotBeMet(t *testing.T) {
	t.Parallel()
	list := tenants(t, "a")
	a := tenant(t, list, "a")
	s := open(t, vfs.NewMem(), &handClock{now: start}, list)
	for name, r := range map[string]Request{
		"no name":            {Kind: KindIngest, Tenant: a, Source: "s"},
		"long name":          {Name: strings.Repeat("x", NameBytesMax+1), Kind: KindIngest, Tenant: a, Source: "s"},
		"line in a name":     {Name: "a\nb", Kind: KindIngest, Tenant: a, Source: "s"},
		"direction in it":    {Name: "a\u202eb", Kind: KindIngest, Tenant: a, Source: "s"},
		"bytes in it":        {Name: "a\xff", Kind: KindIngest, Tenant: a, Source: "s"},
		"no kind":            {Name: "x", Tenant: a, Source: "s"},
		"no tenant":          {Name: "x", Kind: KindIngest, Source: "s"},
		"no source":          {Name: "x", Kind: KindIngest, Tenant: a},
		"path as a source":   {Name: "x", Kind: KindIngest, Tenant: a, Source: "../s"},
		"ingest that writes": {Name: "x", Kind: KindIngest, Tenant: a, Source: "s", Write: true},
		"admin of a source":  {Name: "x", Kind: KindAdmin, Source: "s"},
		"negative lifetime":  {Name: "x", Kind: KindAdmin, Lifetime: -1},
		"long lifetime":      {Name: "x", Kind: KindAdmin, Lifetime: LifetimeMax + 1},
	} {
		if _, _, err := s.Create(context.Background(), r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, _ := s.List(event.Tenant{}); len(got) != 0 {
		t.Errorf("tokens were made: %+v", got)
	}
}

// A token of a tenant that is not configured any more is kept and refused.
func TestTenantThatWent(t *testing.T) {
	t.Parallel()
	fs, clock := vfs.NewMem(), &handClock{now: start}
	both := tenants(t, "a", "b")
	_, token := create(t, open(t, fs, clock, both), Request{Name: "x", Kind: KindAdmin, Tenant: tenant(t, both, "b"), Write: true})
	s := open(t, fs, clock, tenants(t, "a"))
	if p, err := s.Admin(token); !errors.Is(err, ingest.ErrToken) {
		t.Errorf("it became %+v, %v", p, err)
	}
	if s.HasAdmin() {
		t.Error("it counts as an admin of all tenants")
	}
	if got, _ := s.List(event.Tenant{}); len(got) != 1 || got[0].TenantName != "b" {
		t.Errorf("listed are %+v", got)
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	good := `{"id":"abcdefgh","name":"x","kind":"admin","sha256":"` + strings.Repeat("0", 64) + `","created":"2026-03-01T00:00:00Z"}`
	for text, want := range map[string]string{
		``:                            "it is damaged",
		`{"version":1,"tokens":[`:     "it is damaged",
		`{"version":2,"tokens":[]}`:   "its version is 2 and this program knows 1",
		`{"version":1,"users":[]}`:    "it is damaged",
		`{"version":1,"tokens":[{}]}`: "entry 0 has no valid id",
		`{"version":1,"tokens":[` + good + `,` + good + `]}`:                               "the id abcdefgh stands twice",
		`{"version":1,"tokens":[` + strings.Replace(good, "00", "0", 1) + `]}`:             "has no valid hash",
		`{"version":1,"tokens":[` + strings.Replace(good, `"admin"`, `"god"`, 1) + `]}`:    "of the unknown kind",
		`{"version":1,"tokens":[` + strings.Replace(good, `"admin"`, `"ingest"`, 1) + `]}`: "names no tenant and source",
	} {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("data/access", 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create("data/access/tokens.json", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(text))
		_ = f.Close()
		_, err = Open(fs, "data", &handClock{now: start}, rand.Reader, tenants(t, "a"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tokens.json") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// A change survives a power cut once Create has returned, and a cut in the
// middle leaves the old tokens or the new ones.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		fs := vfs.NewCrashableMem()
		clock, list := &handClock{now: start}, tenants(t, "a")
		s := open(t, fs, clock, list)
		var tokens []string
		for range 3 {
			_, token := create(t, s, Request{Name: "x", Kind: KindIngest, Tenant: tenant(t, list, "a"), Source: "s"})
			tokens = append(tokens, token)
		}
		after := open(t, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed * 2), RNG: seeded(seed)}), clock, list)
		for i, token := range tokens {
			if _, err := after.Ingest(token); err != nil {
				t.Fatalf("seed %d: token %d is lost: %v", seed, i, err)
			}
		}
	}
}

// Two stores on one folder, as a server and a command line, lose no change.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	fs, list := vfs.NewMem(), tenants(t, "a")
	server, cli := open(t, fs, &handClock{now: start}, list), open(t, fs, &handClock{now: start}, list)
	r := Request{Name: "x", Kind: KindIngest, Tenant: tenant(t, list, "a"), Source: "s"}
	one, oneToken := create(t, server, r)
	_, twoToken := create(t, cli, r)
	if err := cli.Revoke(context.Background(), event.Tenant{}, one.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Ingest(oneToken); err != nil {
		t.Errorf("the server has not looked yet: %v", err)
	}
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Ingest(oneToken); !errors.Is(err, ingest.ErrToken) {
		t.Errorf("revoked by the other: %v", err)
	}
	if _, err := server.Ingest(twoToken); err != nil {
		t.Errorf("made by the other: %v", err)
	}
}

// Run sees changes of others and writes the times of use once a minute.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs, list := vfs.NewMem(), tenants(t, "a")
		real := bubbleClock{}
		server, cli := open(t, fs, real, list), open(t, fs, real, list)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- server.Run(ctx, slog.New(slog.DiscardHandler)) }()
		info, token := create(t, cli, Request{Name: "x", Kind: KindIngest, Tenant: tenant(t, list, "a"), Source: "s"})
		time.Sleep(lookEvery + time.Second)
		synctest.Wait()
		if _, err := server.Ingest(token); err != nil {
			t.Errorf("made by the other: %v", err)
		}
		used := func() time.Time {
			if err := cli.Reload(); err != nil {
				t.Fatal(err)
			}
			got, _ := cli.List(event.Tenant{})
			return got[0].LastUsed
		}
		if !used().IsZero() {
			t.Errorf("the use was written at once: %s", used())
		}
		first := time.Now()
		time.Sleep(usedEvery + lookEvery)
		synctest.Wait()
		if got := used(); !got.Equal(first.Truncate(time.Second)) {
			t.Errorf("token %s was last used %s, want %s", info.ID, got, first)
		}
		// The end writes what is new since.
		time.Sleep(usedEvery)
		if _, err := server.Ingest(token); err != nil {
			t.Error(err)
		}
		last := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := used(); !got.Equal(last.Truncate(time.Second)) {
			t.Errorf("at the end it was last used %s, want %s", got, last)
		}
	})
}

func TestPlaceForNewTokens(t *testing.T) {
	t.Parallel()
	now := start
	d := &document{}
	for i := range 5 {
		e := entry{ID: fmt.Sprintf("abcdefg%d", i)}
		switch i {
		case 1:
			e.Revoked = now.Add(-time.Hour)
		case 2:
			e.Expires = now.Add(-2 * time.Hour)
		case 3:
			e.Expires = now.Add(time.Hour)
		}
		d.Tokens = append(d.Tokens, e)
	}
	for _, want := range []string{"abcdefg2", "abcdefg1"} {
		if !dropDead(d, now) {
			t.Fatal("there was no dead token")
		}
		for _, e := range d.Tokens {
			if e.ID == want {
				t.Errorf("%s is still there", want)
			}
		}
	}
	if dropDead(d, now) || len(d.Tokens) != 3 {
		t.Errorf("a live token went: %v", d.Tokens)
	}
}
