package access

import (
	"bytes"
	"crypto/rand"
	"errors"
	"hash/crc32"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
)

func seeded(seed uint64) *mathrand.Rand { return mathrand.New(mathrand.NewPCG(seed, 1)) }

// bubbleClock is the clock of a synctest bubble.
type bubbleClock struct{}

func (bubbleClock) Now() time.Time { return time.Now() }

func (bubbleClock) NewTimer(d time.Duration) env.Timer { return bubbleTimer{time.NewTimer(d)} }

type bubbleTimer struct{ *time.Timer }

func (b bubbleTimer) C() <-chan time.Time { return b.Timer.C }

// The form is fixed: agents hold tokens for years.
func TestTokenForm(t *testing.T) {
	t.Parallel()
	token := join("k3v9x2ab", "0123456789ABCDEFabcdefGHIJKLMNop")
	if want := "tc1_k3v9x2ab_0123456789ABCDEFabcdefGHIJKLMNop_"; !strings.HasPrefix(token, want) || len(token) != tokenLength {
		t.Errorf("the token is %s", token)
	}
	// The sum as the library computes it.
	sum, want := crc32.Checksum([]byte(token[:sumAt-1]), castagnoli), ""
	for range sumChars {
		want = string(alphabet[sum%62]) + want
		sum /= 62
	}
	if token[sumAt:] != want {
		t.Errorf("the sum is %s, want %s", token[sumAt:], want)
	}
	id, secret, ok := split(token)
	if !ok || id != "k3v9x2ab" || secret != "0123456789ABCDEFabcdefGHIJKLMNop" {
		t.Errorf("it splits into %q, %q, %v", id, secret, ok)
	}
}

// One wrong character is found by the checksum, wherever it is.
func TestSlipsAreFound(t *testing.T) {
	t.Parallel()
	token := join("k3v9x2ab", "0123456789ABCDEFabcdefGHIJKLMNop")
	for i := range len(token) {
		for _, c := range []byte("0aZ_-\x00\xff") {
			slip := token[:i] + string(rune(c)) + token[i+1:]
			if slip == token {
				continue
			}
			if _, _, ok := split(slip); ok {
				t.Errorf("%q passes", slip)
			}
		}
	}
	for _, bad := range []string{"", "tc1_", token[:len(token)-1], token + "x", " " + token, strings.ToUpper(token), strings.Repeat("x", 1<<20)} {
		if _, _, ok := split(bad); ok {
			t.Errorf("%.80q passes", bad)
		}
	}
}

// Characters are equally likely, whatever the alphabet's length.
func TestDraw(t *testing.T) {
	t.Parallel()
	count := map[byte]int{}
	text, err := draw(rand.Reader, 1000, alphabet)
	if err != nil || len(text) != 1000 {
		t.Fatal(len(text), err)
	}
	all := make([]byte, 256*64)
	for i := range all {
		all[i] = byte(i)
	}
	text, err = draw(bytes.NewReader(all), len(alphabet)*4*64, alphabet) // every byte 64 times: 248 of 256 are usable
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		count[text[i]]++
	}
	for _, c := range []byte(alphabet) {
		if count[c] != 4*64 {
			t.Errorf("%c stands %d times", c, count[c])
		}
	}
	if _, err := draw(broken{}, 8, idAlphabet); err == nil {
		t.Error("a source that gives the same byte for ever is taken")
	}
	if _, err := draw(bytes.NewReader(nil), 8, idAlphabet); !errors.Is(err, io.EOF) {
		t.Errorf("an empty source: %v", err)
	}
}

type broken struct{}

func (broken) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0xff
	}
	return len(p), nil
}

func TestRedact(t *testing.T) {
	t.Parallel()
	token := join("k3v9x2ab", "0123456789ABCDEFabcdefGHIJKLMNop")
	for text, want := range map[string]string{
		"Bearer " + token + " x": "Bearer tc1_k3v9x2ab_… x",
		token + "," + token:      "tc1_k3v9x2ab_…,tc1_k3v9x2ab_…",
		token[:30]:               "tc1_k3v9x2ab_…",
		"tc1_abc":                "tc1_abc",
		"nothing":                "nothing",
		"tc1_k3v9x2ab_":          "tc1_k3v9x2ab_…",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// A refusal by form or checksum allocates nothing.
func TestRefusalsAreCheap(t *testing.T) {
	list := tenants(t, "a")
	s := open(t, vfs.NewMem(), &handClock{now: start}, list)
	_, token := create(t, s, Request{Name: "x", Kind: KindIngest, Tenant: tenant(t, list, "a"), Source: "s"})
	for _, bad := range []string{"x", strings.Repeat("x", tokenLength), token[:tokenLength-1] + "-", join("zzzzzzzz", strings.Repeat("0", secretChars))} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := s.Ingest(bad); !errors.Is(err, ingest.ErrToken) {
				t.Errorf("%q: %v", bad, err)
			}
		}); n > 0 {
			t.Errorf("%q costs %v allocations", bad, n)
		}
	}
}

func FuzzToken(f *testing.F) {
	good := join("k3v9x2ab", "0123456789ABCDEFabcdefGHIJKLMNop")
	f.Add(good)
	f.Add("tc1_k3v9x2ab_")
	f.Add(strings.Replace(good, "k", "K", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if id, secret, ok := split(text); ok && join(id, secret) != text {
			t.Errorf("%q is taken and is not what its parts make", text)
		}
		if red := Redact(text); strings.Contains(red, good) {
			t.Errorf("%q still holds a token", red)
		}
		if d, err := parse([]byte(text)); err == nil && d.Version != fileVersion {
			t.Errorf("%q is read as version %d", text, d.Version)
		}
	})
}

func BenchmarkIngest(b *testing.B) {
	list := tenants(b, "a")
	s := open(b, vfs.NewMem(), &handClock{now: start}, list)
	_, token := create(b, s, Request{Name: "x", Kind: KindIngest, Tenant: tenant(b, list, "a"), Source: "s"})
	for name, token := range map[string]string{"good": token, "malformed": "nonsense", "badsum": token[:tokenLength-1] + "-", "unknown": join("zzzzzzzz", strings.Repeat("0", secretChars))} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Ingest(token)
			}
		})
	}
}
