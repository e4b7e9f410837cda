package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Records is the contract of store.Records. open returns an empty store, whose
// clean-up it registers with t. The cases run in parallel.
func Records(t *testing.T, open func(t *testing.T) store.Records) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*testing.T, store.Records)
	}{
		{"a document is read as it was written", recordsRoundTrip},
		{"tenants, kinds and ids do not mix", recordsSeparate},
		{"a condition holds or nothing is written", recordsConditions},
		{"versions grow and are not given twice", recordsVersions},
		{"ranges are ordered byte by byte", recordsRanges},
		{"a scan does not see what is written meanwhile", recordsSnapshot},
		{"a range is deleted and no more", recordsDeleteRange},
		{"compare-and-set is exact under concurrency", recordsConcurrent},
		{"nothing is stored without tenant, kind and id", recordsRefuse},
		{"it agrees with a map", recordsModel},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// Tenants are three tenants for tests; the name of the second begins with that
// of the first.
func Tenants(t testing.TB) (a, b, c event.Tenant) {
	t.Helper()
	all, err := event.NewTenants([]string{"a", "ab", "c"})
	if err != nil {
		t.Fatal(err)
	}
	list := all.All()
	return list[0], list[1], list[2]
}

func ptr(n uint64) *uint64 { return &n }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Records, k store.Key) store.Document {
	t.Helper()
	d, err := s.Get(k)
	must(t, err)
	return d
}

// ids scans and returns what is there as "id=value".
func ids(t *testing.T, s store.Records, r store.Range) []string {
	t.Helper()
	var out []string
	must(t, s.Scan(r, func(d store.Document) bool {
		out = append(out, d.ID+"="+string(d.Value))
		return true
	}))
	return out
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func recordsRoundTrip(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	k := store.Key{Tenant: a, Kind: "k", ID: "id\x00\xff"}
	if _, err := s.Get(k); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a missing document: %v", err)
	}
	value := []byte("value")
	must(t, s.Apply([]store.Write{{Key: k, Value: value}}, store.Durable))
	value[0] = 'X' // the argument may be reused
	d := get(t, s, k)
	if d.ID != k.ID || string(d.Value) != "value" || d.Version == 0 {
		t.Errorf("got %+v", d)
	}
	d.Value[0] = 'Y' // the caller owns it
	if got := get(t, s, k); string(got.Value) != "value" {
		t.Errorf("the store's value changed to %q", got.Value)
	}
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte{}}}, store.Relaxed))
	if got := get(t, s, k); len(got.Value) != 0 {
		t.Errorf("an empty value reads %q", got.Value)
	}
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte("1")}, {Key: k, Value: []byte("2")}}, store.Relaxed))
	if got := get(t, s, k); string(got.Value) != "2" {
		t.Errorf("of two writes %q holds", got.Value)
	}
	must(t, s.Apply([]store.Write{{Key: k}}, store.Durable))
	if _, err := s.Get(k); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its deletion: %v", err)
	}
	must(t, s.Apply([]store.Write{{Key: k}}, store.Relaxed)) // once more
	must(t, s.Apply(nil, store.Durable))
	big := strings.Repeat("b", 3<<20)
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte(big)}}, store.Durable))
	if got := get(t, s, k); string(got.Value) != big {
		t.Error("a value of 3 MiB is not read as written")
	}
}

func recordsSeparate(t *testing.T, s store.Records) {
	a, b, c := Tenants(t)
	keys := []store.Key{
		{Tenant: a, Kind: "k", ID: "bx"},
		{Tenant: b, Kind: "k", ID: "x"},
		{Tenant: a, Kind: "kb", ID: "x"},
		{Tenant: a, Kind: "k", ID: "x"},
		{Tenant: c, Kind: "k", ID: "x"},
	}
	var writes []store.Write
	for i, k := range keys {
		writes = append(writes, store.Write{Key: k, Value: fmt.Append(nil, i)})
	}
	must(t, s.Apply(writes, store.Durable))
	for i, k := range keys {
		if got := get(t, s, k); string(got.Value) != fmt.Sprint(i) {
			t.Errorf("%v reads %q", k, got.Value)
		}
	}
	expect(t, "tenant a", ids(t, s, store.Range{Tenant: a, Kind: "k"}), []string{"bx=0", "x=3"})
	expect(t, "tenant ab", ids(t, s, store.Range{Tenant: b, Kind: "k"}), []string{"x=1"})
	must(t, s.DeleteRange(store.Range{Tenant: a, Kind: "k"}, store.Durable))
	expect(t, "tenant a, emptied", ids(t, s, store.Range{Tenant: a, Kind: "k"}), nil)
	expect(t, "tenant a, other kind", ids(t, s, store.Range{Tenant: a, Kind: "kb"}), []string{"x=2"})
	expect(t, "tenant ab", ids(t, s, store.Range{Tenant: b, Kind: "k"}), []string{"x=1"})
	expect(t, "tenant c", ids(t, s, store.Range{Tenant: c, Kind: "k"}), []string{"x=4"})
}

func recordsConditions(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	k := store.Key{Tenant: a, Kind: "k", ID: "x"}
	other := store.Key{Tenant: a, Kind: "k", ID: "y"}
	conflict := func(what string, w ...store.Write) {
		t.Helper()
		if err := s.Apply(w, store.Relaxed); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
	conflict("a version of none", store.Write{Key: k, Value: []byte("1"), If: ptr(1)})
	conflict("deleting a version of none", store.Write{Key: k, If: ptr(1)})
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte("1"), If: ptr(0)}}, store.Relaxed))
	first := get(t, s, k)
	conflict("none, where there is one",
		store.Write{Key: other, Value: []byte("never")}, store.Write{Key: k, Value: []byte("2"), If: ptr(0)})
	if _, err := s.Get(other); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a part of a refused call was written: %v", err)
	}
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte("2"), If: &first.Version}, {Key: other, Value: []byte("y"), If: ptr(0)}}, store.Relaxed))
	conflict("an older version", store.Write{Key: k, Value: []byte("3"), If: &first.Version})
	second := get(t, s, k)
	must(t, s.Apply([]store.Write{{Key: k, If: &second.Version}}, store.Relaxed))
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte("4"), If: ptr(0)}}, store.Relaxed))
	conflict("the version of an earlier life", store.Write{Key: k, Value: []byte("5"), If: &second.Version})
	// Conditions are judged by what stood before the call.
	must(t, s.Apply([]store.Write{{Key: k}}, store.Relaxed))
	must(t, s.Apply([]store.Write{{Key: k, Value: []byte("6"), If: ptr(0)}, {Key: k, Value: []byte("7"), If: ptr(0)}}, store.Relaxed))
	if got := get(t, s, k); string(got.Value) != "7" {
		t.Errorf("got %q", got.Value)
	}
}

func recordsVersions(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	k := store.Key{Tenant: a, Kind: "k", ID: "x"}
	var last uint64
	for i := range 20 {
		must(t, s.Apply([]store.Write{{Key: k, Value: []byte("same")}}, store.Relaxed))
		d := get(t, s, k)
		if d.Version <= last {
			t.Fatalf("version %d after %d", d.Version, last)
		}
		last = d.Version
		must(t, s.Scan(store.Range{Tenant: a, Kind: "k"}, func(d store.Document) bool {
			if d.Version != last {
				t.Errorf("a scan gives version %d, a read %d", d.Version, last)
			}
			return true
		}))
		if i%5 == 4 {
			must(t, s.Apply([]store.Write{{Key: k}}, store.Relaxed))
		}
	}
}

func recordsRanges(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	in := []string{"\x00", "a", "a\x00", "aa", "b", "b\xff", "c", "\xff", "\xff\xff"}
	var writes []store.Write
	for _, id := range slices.Backward(in) {
		writes = append(writes, store.Write{Key: store.Key{Tenant: a, Kind: "k", ID: id}, Value: []byte("v")})
	}
	must(t, s.Apply(writes, store.Relaxed))
	list := func(ids ...string) (out []string) {
		for _, id := range ids {
			out = append(out, id+"=v")
		}
		return out
	}
	all := store.Range{Tenant: a, Kind: "k"}
	expect(t, "all", ids(t, s, all), list(in...))
	for i, from := range in {
		for j, to := range in {
			r := all
			r.From, r.To = from, to
			want := list()
			if i < j {
				want = list(in[i:j]...)
			}
			expect(t, fmt.Sprintf("%q to %q", from, to), ids(t, s, r), want)
			r.Reverse = true
			slices.Reverse(want)
			expect(t, fmt.Sprintf("%q to %q backwards", from, to), ids(t, s, r), want)
		}
	}
	n := 0
	must(t, s.Scan(store.Range{Tenant: a, Kind: "k", From: "aaa", Reverse: true}, func(d store.Document) bool {
		n++
		return n < 2
	}))
	if n != 2 {
		t.Errorf("visited %d documents after saying stop at the second", n)
	}
}

func recordsSnapshot(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	for _, id := range []string{"a", "b", "c"} {
		must(t, s.Apply([]store.Write{{Key: store.Key{Tenant: a, Kind: "k", ID: id}, Value: []byte("old")}}, store.Relaxed))
	}
	r := store.Range{Tenant: a, Kind: "k"}
	var seen []string
	must(t, s.Scan(r, func(d store.Document) bool {
		seen = append(seen, d.ID+"="+string(d.Value))
		must(t, s.Apply([]store.Write{
			{Key: store.Key{Tenant: a, Kind: "k", ID: "c"}},
			{Key: store.Key{Tenant: a, Kind: "k", ID: "b"}, Value: []byte("new")},
			{Key: store.Key{Tenant: a, Kind: "k", ID: "d"}, Value: []byte("new")},
		}, store.Relaxed))
		return true
	}))
	expect(t, "during", seen, []string{"a=old", "b=old", "c=old"})
	expect(t, "after", ids(t, s, r), []string{"a=old", "b=new", "d=new"})
}

func recordsDeleteRange(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		must(t, s.Apply([]store.Write{{Key: store.Key{Tenant: a, Kind: "k", ID: id}, Value: []byte("v")}}, store.Relaxed))
	}
	all := store.Range{Tenant: a, Kind: "k"}
	must(t, s.DeleteRange(store.Range{Tenant: a, Kind: "k", From: "d", To: "a"}, store.Relaxed))
	expect(t, "an empty range", ids(t, s, all), []string{"a=v", "b=v", "c=v", "d=v"})
	must(t, s.DeleteRange(store.Range{Tenant: a, Kind: "k", From: "b", To: "d"}, store.Durable))
	expect(t, "the middle", ids(t, s, all), []string{"a=v", "d=v"})
	must(t, s.Apply([]store.Write{{Key: store.Key{Tenant: a, Kind: "k", ID: "c"}, Value: []byte("w"), If: ptr(0)}}, store.Relaxed))
	expect(t, "written again", ids(t, s, all), []string{"a=v", "c=w", "d=v"})
	must(t, s.DeleteRange(store.Range{Tenant: a, Kind: "k", From: "b"}, store.Relaxed))
	expect(t, "the end", ids(t, s, all), []string{"a=v"})
}

func recordsConcurrent(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	// Each call has documents enough that another can come between its check and
	// its write, were they not one.
	const workers, each, padding = 8, 25, 200
	k := store.Key{Tenant: a, Kind: "k", ID: "counter"}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := 0; i < each; {
				d, err := s.Get(k)
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				n := 0
				if err == nil {
					if _, err := fmt.Sscan(string(d.Value), &n); err != nil {
						t.Error(err)
						return
					}
				}
				writes := []store.Write{
					{Key: k, Value: fmt.Append(nil, n+1), If: &d.Version},
					{Key: store.Key{Tenant: a, Kind: "done", ID: fmt.Sprintf("%d/%d", w, i)}, Value: []byte("1"), If: ptr(0)},
				}
				for p := range padding {
					writes = append(writes, store.Write{Key: store.Key{Tenant: a, Kind: "padding", ID: fmt.Sprintf("%d/%d", w, p)}, If: ptr(0)})
				}
				err = s.Apply(writes, i%5 == 0)
				switch {
				case err == nil:
					i++
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if d := get(t, s, k); string(d.Value) != fmt.Sprint(workers*each) {
		t.Errorf("counted %s of %d", d.Value, workers*each)
	}
	if n := len(ids(t, s, store.Range{Tenant: a, Kind: "done"})); n != workers*each {
		t.Errorf("%d of %d calls left their mark", n, workers*each)
	}
}

func recordsRefuse(t *testing.T, s store.Records) {
	a, _, _ := Tenants(t)
	for _, k := range []store.Key{
		{Kind: "k", ID: "x"},
		{Tenant: a, ID: "x"},
		{Tenant: a, Kind: "k"},
		{Tenant: a, Kind: "k", ID: strings.Repeat("x", 1<<20)},
		{Tenant: a, Kind: strings.Repeat("k", 1<<20), ID: "x"},
	} {
		if err := s.Apply([]store.Write{{Key: k, Value: []byte("v")}}, store.Relaxed); err == nil {
			t.Errorf("%.40v was written", k)
		}
		if _, err := s.Get(k); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%.40v can be asked for: %v", k, err)
		}
	}
	for _, r := range []store.Range{{Kind: "k"}, {Tenant: a}} {
		if err := s.Scan(r, func(store.Document) bool { return true }); err == nil {
			t.Errorf("%v was scanned", r)
		}
		if err := s.DeleteRange(r, store.Relaxed); err == nil {
			t.Errorf("%v was deleted", r)
		}
	}
}

// recordsModel runs random calls against a map.
func recordsModel(t *testing.T, s store.Records) {
	a, b, _ := Tenants(t)
	scopes := []store.Range{{Tenant: a, Kind: "k"}, {Tenant: a, Kind: "l"}, {Tenant: b, Kind: "k"}}
	id := rapid.StringMatching(`[\x01abc]{1,3}`)
	rapid.Check(t, func(rt *rapid.T) {
		model := map[store.Key]string{}
		for _, r := range scopes {
			must(t, s.DeleteRange(r, store.Relaxed))
		}
		for range rapid.IntRange(1, 20).Draw(rt, "calls") {
			if rapid.IntRange(0, 9).Draw(rt, "call") == 0 {
				r := rapid.SampledFrom(scopes).Draw(rt, "scope")
				r.From, r.To = id.Draw(rt, "from"), id.Draw(rt, "to")
				must(t, s.DeleteRange(r, store.Relaxed))
				for k := range model {
					if k.Tenant == r.Tenant && k.Kind == r.Kind && k.ID >= r.From && k.ID < r.To {
						delete(model, k)
					}
				}
				continue
			}
			var writes []store.Write
			conflict := false
			for range rapid.IntRange(1, 4).Draw(rt, "writes") {
				r := rapid.SampledFrom(scopes).Draw(rt, "scope")
				w := store.Write{Key: store.Key{Tenant: r.Tenant, Kind: r.Kind, ID: id.Draw(rt, "id")}}
				if rapid.IntRange(0, 3).Draw(rt, "delete") > 0 {
					w.Value = []byte(rapid.StringMatching(`[xyz]{0,2}`).Draw(rt, "value"))
				}
				if rapid.Bool().Draw(rt, "if") {
					d, err := s.Get(w.Key)
					if _, have := model[w.Key]; have != (err == nil) {
						rt.Fatalf("%v: the model has it: %t, the store says %v", w.Key, have, err)
					}
					w.If = &d.Version
					if rapid.IntRange(0, 3).Draw(rt, "wrong") == 0 {
						w.If, conflict = ptr(d.Version+1), true
					}
				}
				writes = append(writes, w)
			}
			err := s.Apply(writes, store.Relaxed)
			if conflict != errors.Is(err, store.ErrConflict) || !conflict && err != nil {
				rt.Fatalf("conflict %t, got %v", conflict, err)
			}
			if conflict {
				continue
			}
			for _, w := range writes {
				if w.Value == nil {
					delete(model, w.Key)
				} else {
					model[w.Key] = string(w.Value)
				}
			}
		}
		for _, r := range scopes {
			var want []string
			for k, v := range model {
				if k.Tenant == r.Tenant && k.Kind == r.Kind {
					want = append(want, k.ID+"\x00"+v)
				}
			}
			slices.SortFunc(want, func(a, b string) int {
				x, _, _ := strings.Cut(a, "\x00")
				y, _, _ := strings.Cut(b, "\x00")
				return strings.Compare(x, y)
			})
			var got []string
			must(t, s.Scan(r, func(d store.Document) bool {
				got = append(got, d.ID+"\x00"+string(d.Value))
				return true
			}))
			if !slices.Equal(got, want) {
				rt.Fatalf("%v: got %q, want %q", r, got, want)
			}
		}
	})
}
