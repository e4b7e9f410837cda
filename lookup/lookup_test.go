package lookup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/lookup"
	"github.com/tiercel-io/tiercel/rule"
)

// parse parses a list and renders what was said of it.
func parse(t *testing.T, file, text string) (*lookup.List, []string) {
	t.Helper()
	l, diags := lookup.Parse(file, []byte(text))
	var out []string
	for _, d := range diags {
		out = append(out, fmt.Sprintf("%d %s", d.Line, d.Code))
	}
	return l, out
}

func values(l *lookup.List) []string {
	var out []string
	for _, e := range l.Entries {
		out = append(out, e.Value)
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	sha1 := strings.Repeat("ab", 20)
	for _, c := range []struct {
		name, file, text string
		want             string // name, type, values
		diags            string
	}{
		{"plain", "/l/Admins.txt", "# comment\nadmin*\n\n  root  \r\nbob # away\nadmin*\n", "Admins text admin*,root,bob", ""},
		{"bom and no end", "Admins.txt", "\ufeffalice", "Admins text alice", ""},
		{"empty", "Admins.txt", "# nobody\n", "Admins text ", ""},
		{"hash inside a value", "A.txt", "c#minor\n", "A text c#minor", ""},
		{"typed by name", "DCs.hosts.txt", "dc01.corp.example.\nWS-??\nbad host\n", "DCs hosts dc01.corp.example,WS-??", "3 lookup-row"},
		{"cidr", "Internal.cidr", "10.0.0.0/8\n10.1.2.3/16\n2001:db8::1\n::ffff:192.0.2.0/120\n10.0.0.0/33\nfe80::1%eth0\n", "Internal networks 10.0.0.0/8,10.1.0.0/16,2001:db8::1,192.0.2.0/24", "2 lookup-row,5 lookup-row,6 lookup-row"},
		{"hashes", "Bad.hashes.txt", strings.ToUpper(sha1) + "\n" + sha1 + "\n" + sha1[1:] + "\nzz" + sha1[2:] + "\n", "Bad hashes " + sha1, "3 lookup-row,4 lookup-row"},
		{"domains", "D.domains.txt", "example.org\n*.example.net\nmünchen.example\n.leading\na..b\n", "D domains example.org,*.example.net,münchen.example", "4 lookup-row,5 lookup-row"},
		{"users", "U.users.txt", "CORP\\svc-*\nCORP\\*\nCORP\\\\*\n", `U users CORP\svc-*,CORP\*,CORP\\*`, "2 lookup-row"},
		{"csv", "Svc.csv", "comment,User,expires\n\"a, b\",svc1,\nx,svc2,2026-03-01\ny,,\nz,svc3,soon\n# note,,\nshort\n", "Svc users svc1,svc2", "4 lookup-row,5 lookup-row,7 lookup-row"},
		{"csv by its first column", "X.csv", "thing,note\na,b\n", "X text a", ""},
		{"csv quoted over lines", "X.csv", "value,note\na,\"b\nc\"\n\"\",d\n", "X text a", "4 lookup-row"},
		{"type twice", "X.users.csv", "user\na\n", "X users a", ""},
		{"type against name", "X.users.csv", "host\na\n", "", "1 lookup-file"},
		{"no value column", "X.csv", "expires,note\n2026-01-01,a\n", "", "1 lookup-file"},
		{"no header", "X.csv", "", "", "1 lookup-file"},
		{"lone quote", "X.csv", "value\na\n\"b\nc\n", "", "3 lookup-file"},
		{"bad name", "1st.txt", "a\n", "", "0 lookup-file"},
		{"cidr against type", "X.hosts.cidr", "10.0.0.0/8\n", "", "0 lookup-file"},
		{"control character", "X.txt", "a\x00b\nc\xff\n", "X text ", "1 lookup-row,2 lookup-row"},
		{"long", "X.txt", strings.Repeat("a", lookup.ValueBytesMax+1) + "\n", "X text ", "1 lookup-row"},
		{"dots stay in the name", "corp.admins.txt", "a\n", "corp.admins text a", ""},
	} {
		l, diags := parse(t, c.file, c.text)
		if got := strings.Join(diags, ","); got != c.diags {
			t.Errorf("%s: diagnostics %q, want %q", c.name, got, c.diags)
		}
		got := ""
		if l != nil {
			got = l.Name + " " + l.Type.String() + " " + strings.Join(values(l), ",")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// An entry counts before the instant at which it expires; a date's day counts
// to its end in UTC; of two rows with one value the later end counts.
func TestExpiry(t *testing.T) {
	t.Parallel()
	l, diags := parse(t, "L.csv", `value,expires
always,
day,2026-03-01
instant,2026-03-01T12:00:00+02:00
twice,2026-01-01
twice,2026-12-31
open,2026-01-01
open,
`)
	if diags != nil || !l.Expiring {
		t.Fatal(diags, l)
	}
	for at, want := range map[string]string{
		"2025-12-31T00:00:00Z":           "always,day,instant,twice,open",
		"2026-03-01T09:59:59.999999999Z": "always,day,instant,twice,open",
		"2026-03-01T10:00:00Z":           "always,day,twice,open",
		"2026-03-01T23:59:59Z":           "always,day,twice,open",
		"2026-03-02T00:00:00Z":           "always,twice,open",
		"2027-01-01T00:00:00Z":           "always,open",
	} {
		asOf, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(l.Values(asOf).Values, ","); got != want {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
	if l, _ := parse(t, "L.txt", "a\n"); l.Expiring {
		t.Error("a list without ends expires")
	}
}

// The hash covers what the list says and nothing else.
func TestHash(t *testing.T) {
	t.Parallel()
	of := func(file, text string) string {
		l, _ := parse(t, file, text)
		return l.Hash
	}
	first := of("L.txt", "a\nb\n")
	for _, c := range []struct {
		file, text string
		same       bool
	}{
		{"/elsewhere/M.txt", "b\r\n# x\na\na", true},
		{"L.csv", "value,comment\nb,x\na,y\n", true},
		{"L.txt", "a\nb\nc\n", false},
		{"L.txt", "ab\n", false},
		{"L.users.txt", "a\nb\n", false},
		{"L.csv", "value,expires\na,2026-01-01\nb,\n", false},
	} {
		if got := of(c.file, c.text); (got == first) != c.same {
			t.Errorf("%s %q: same %v, want %v", c.file, c.text, got == first, c.same)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if _, diags := parse(t, "L.txt", strings.Repeat("x", lookup.FileBytesMax+1)); !slices.Equal(diags, []string{"0 lookup-file"}) {
		t.Error(diags)
	}
	_, diags := parse(t, "L.hosts.txt", strings.Repeat("a b\n", lookup.FaultsMax+5))
	if len(diags) != lookup.FaultsMax+1 {
		t.Errorf("%d diagnostics", len(diags))
	}
	var b strings.Builder
	for i := range lookup.EntriesMax + 1 {
		fmt.Fprintf(&b, "%d\n", i)
	}
	if _, diags := parse(t, "L.txt", b.String()); !slices.Equal(diags, []string{fmt.Sprintf("%d lookup-file", lookup.EntriesMax+1)}) {
		t.Error(diags)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("L.csv", "value,expires\na,2026-01-01\n\"b\n", int64(0))
	f.Add("L.cidr", "10.0.0.0/8\n::1\n", int64(1))
	f.Add("L.hashes.txt", "00\n", int64(2))
	f.Add("L.users.txt", "a\\*\n# b\n", int64(3))
	f.Fuzz(func(t *testing.T, file, text string, at int64) {
		l, diags := lookup.Parse(file, []byte(text))
		if l == nil {
			if len(diags) == 0 || diags[len(diags)-1].Severity != rule.Error {
				t.Fatal("refused without an error")
			}
			return
		}
		if len(l.Entries) > l.Rows-l.Refused || len(diags) > lookup.FaultsMax+1 {
			t.Fatalf("%d entries of %d rows, %d refused", len(l.Entries), l.Rows, l.Refused)
		}
		for _, d := range diags {
			if d.Severity == rule.Error {
				t.Fatal("an error, and yet a list")
			}
		}
		now := time.Unix(at, 0)
		if n := len(l.Values(now).Values); n > len(l.Entries) || !l.Expiring && n != len(l.Entries) {
			t.Fatalf("%d values of %d entries", n, len(l.Entries))
		}
		// What is kept is normal: written out and read again it is the same.
		var b strings.Builder
		b.WriteString("value\n")
		for _, e := range l.Entries {
			if !e.Expires.IsZero() {
				return
			}
			fmt.Fprintf(&b, "\"%s\"\n", strings.ReplaceAll(e.Value, `"`, `""`))
		}
		again, diags := lookup.Parse("L."+l.Type.String()+".csv", []byte(b.String()))
		if again == nil || len(again.Entries) != len(l.Entries) || again.Hash != l.Hash {
			t.Fatalf("not the same when read again: %v\n%q", diags, b.String())
		}
	})
}
