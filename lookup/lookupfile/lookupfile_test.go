package lookupfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/lookup/lookupfile"
)

func write(t *testing.T, fs vfs.FS, name, text string) {
	t.Helper()
	if err := fs.MkdirAll(fs.PathDir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A folder is loaded; loaded again, changes count, and a list that was broken
// stays as it was last.
func TestReload(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	write(t, fs, "/l/Admins.users.txt", "alice\n")
	write(t, fs, "/l/Nets.cidr", "10.0.0.0/8\n")
	write(t, fs, "/l/Hosts.csv", "host,expires\na,2026-01-01\n")
	write(t, fs, "/l/.hidden.txt", "x\n")
	write(t, fs, "/l/readme.md", "x\n")
	write(t, fs, "/l/below/More.txt", "x\n")
	first, diags := lookupfile.Load(fs, "/l", nil)
	if len(diags) != 0 || len(first.Lists) != 3 || first.Lists[0].Name != "Admins" || first.Get("Nets") == nil || first.Get("More") != nil {
		t.Fatal(first, diags)
	}
	if got := strings.Join(first.Expiring(), ","); got != "Hosts" {
		t.Error(got)
	}
	if v := first.Values(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); len(v) != 3 || len(v["Hosts"].Values) != 0 || !v["Nets"].Literal {
		t.Error(v)
	}
	write(t, fs, "/l/Admins.users.txt", "alice\nbob\n")
	write(t, fs, "/l/Hosts.csv", "host\n\"broken\n")
	second, diags := lookupfile.Load(fs, "/l", first)
	if len(diags) != 1 || !strings.Contains(diags[0].String(), "Hosts.csv:2: error: this is not CSV") {
		t.Error(diags)
	}
	if second.Pins()["Hosts"] != first.Pins()["Hosts"] || second.Pins()["Admins"] == first.Pins()["Admins"] || second.Pins()["Nets"] != first.Pins()["Nets"] {
		t.Error(second.Pins())
	}
	if third, diags := lookupfile.Load(fs, "/gone", second); len(third.Lists) != 3 || len(diags) != 1 {
		t.Error(third, diags)
	}
	write(t, fs, "/l/Admins.csv", "user\ncarol\n")
	if _, diags := lookupfile.Load(fs, "/l", nil); len(diags) != 2 || !strings.Contains(diags[0].Message, "is that of") && !strings.Contains(diags[1].Message, "is that of") {
		t.Error(diags)
	}
}
