package pack

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// routeTest routes records of JSON text and looks fields up.
type routeTest struct {
	tb      testing.TB
	set     *Set
	plan    *event.Plan
	session *Session
	reader  *event.Reader
	rec     event.Record
	fields  map[string]int
}

func newRouteTest(tb testing.TB, set *Set, opts RouterOptions, fields ...string) *routeTest {
	tb.Helper()
	plan := event.NewPlan(Funcs())
	rt := &routeTest{tb: tb, set: set, plan: plan, fields: map[string]int{}}
	router := set.Router(plan, opts)
	for i, v := range set.Views() {
		for _, f := range fields {
			rt.fields[v.Name+" "+f+" "+string(rune(i))] = plan.Slot(v.Lookup(f))
		}
	}
	rt.session = router.Session()
	rt.reader = plan.Reader()
	return rt
}

func (rt *routeTest) route(json string) []string {
	rt.tb.Helper()
	rt.rec.Reset([]byte(json))
	rt.rec.Format = "json"
	if err := rt.rec.Tree.ParseJSON([]byte(json)); err != nil {
		rt.tb.Fatalf("%s: %v", json, err)
	}
	ids, _ := rt.session.Route(&rt.rec, rt.reader)
	var names []string
	for _, id := range ids {
		names = append(names, rt.set.Views()[id].Name)
	}
	slices.Sort(names)
	return names
}

func (rt *routeTest) get(view, field string) string {
	rt.tb.Helper()
	for i, v := range rt.set.Views() {
		if v.Name != view {
			continue
		}
		slot, ok := rt.fields[v.Name+" "+field+" "+string(rune(i))]
		if !ok {
			rt.tb.Fatalf("field %s was not prepared", field)
		}
		var out []string
		for _, t := range rt.reader.Texts(slot) {
			out = append(out, string(t))
		}
		return strings.Join(out, " | ")
	}
	rt.tb.Fatalf("no view %s", view)
	return ""
}

func embeddedForTest(tb testing.TB) *Set {
	tb.Helper()
	set, err := Embedded()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

const process4688 = `{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing"}},"EventID":4688,"Channel":"Security","Computer":"ws1.example.test","TimeCreated":{"#attributes":{"SystemTime":"2026-03-01T10:20:30.1234567Z"}}},"EventData":{"SubjectUserSid":"S-1-5-21-1-2-3-1001","SubjectUserName":"ana","SubjectDomainName":"EXAMPLE","SubjectLogonId":"0x3e7","NewProcessId":"0x1a4","NewProcessName":"C:\\Windows\\System32\\cmd.exe","ProcessId":"0x10","ParentProcessName":"C:\\Windows\\explorer.exe","CommandLine":"cmd /c dir","MandatoryLabel":"S-1-16-12288","TargetUserName":"-","TargetDomainName":"-"}}}`

func TestSecurity4688IsProcessCreation(t *testing.T) {
	t.Parallel()
	rt := newRouteTest(t, embeddedForTest(t), RouterOptions{}, "Image", "ParentImage", "ProcessId", "ParentProcessId", "User", "IntegrityLevel", "LogonId", "NewProcessName", "OriginalFileName")
	got := rt.route(process4688)
	if want := []string{"windows/process_creation#security-4688", "windows/security"}; !slices.Equal(got, want) {
		t.Fatalf("views %q, want %q", got, want)
	}
	if rt.rec.TimeQuality != event.TimeParsed || rt.rec.Time.UnixNano() != 1772360430123456700 {
		t.Errorf("time %v %v", rt.rec.Time, rt.rec.TimeQuality)
	}
	for _, c := range []struct{ view, field, want string }{
		{"windows/process_creation#security-4688", "Image", `C:\Windows\System32\cmd.exe`},
		{"windows/process_creation#security-4688", "ProcessId", "420"},
		{"windows/process_creation#security-4688", "ParentProcessId", "16"},
		{"windows/process_creation#security-4688", "User", `EXAMPLE\ana`},
		{"windows/process_creation#security-4688", "IntegrityLevel", "High | S-1-16-12288"},
		{"windows/process_creation#security-4688", "LogonId", "0x3e7"},
		{"windows/process_creation#security-4688", "OriginalFileName", ""},
		{"windows/security", "ProcessId", "0x10"},
		{"windows/security", "NewProcessName", `C:\Windows\System32\cmd.exe`},
		{"windows/security", "Image", ""},
	} {
		if got := rt.get(c.view, c.field); got != c.want {
			t.Errorf("%s %s = %q, want %q", c.view, c.field, got, c.want)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	rt := newRouteTest(b, embeddedForTest(b), RouterOptions{})
	rt.route(process4688)
	b.ReportAllocs()
	for b.Loop() {
		if ids, _ := rt.session.Route(&rt.rec, rt.reader); len(ids) != 2 {
			b.Fatal(ids)
		}
	}
}

func BenchmarkRouteWithTime(b *testing.B) {
	rt := newRouteTest(b, embeddedForTest(b), RouterOptions{})
	rt.route(process4688)
	b.ReportAllocs()
	for b.Loop() {
		rt.rec.Time = time.Time{}
		if ids, _ := rt.session.Route(&rt.rec, rt.reader); len(ids) != 2 {
			b.Fatal(ids)
		}
	}
}
