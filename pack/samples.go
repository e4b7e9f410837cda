package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Bounds of one sample.
const (
	sampleBytesMax   = 4 << 20
	sampleRecordsMax = 10_000
)

// Report is what [Test] found.
type Report struct {
	// Packs are the packs tested, in the order of the paths.
	Packs []PackReport
}

// PackReport is the result of one pack.
type PackReport struct {
	// Pack is its name, File the pack file.
	Pack, File string
	// Samples and Records count what was read.
	Samples, Records int
	// Failures are the expectations that were not met.
	Failures []Failure
}

// Failure is one expectation that was not met.
type Failure struct {
	// File is the sample, Record the number of its record from 1, or 0 for the
	// sample as a whole.
	File   string
	Record int
	// Problem says what was expected and what there is.
	Problem string
}

func (f Failure) String() string {
	if f.Record == 0 {
		return f.File + ": " + f.Problem
	}
	return fmt.Sprintf("%s: record %d: %s", f.File, f.Record, f.Problem)
}

// Failed reports whether any expectation was not met.
func (r Report) Failed() bool {
	for _, p := range r.Packs {
		if len(p.Failures) > 0 {
			return true
		}
	}
	return false
}

// WriteTo writes the report as go test writes its own: a line a pack, below it
// what failed.
func (r Report) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	for _, p := range r.Packs {
		verdict := "ok  "
		switch {
		case len(p.Failures) > 0:
			verdict = "FAIL"
		case p.Samples == 0:
			verdict = "?   "
		}
		note := fmt.Sprintf("%d samples, %d records", p.Samples, p.Records)
		if p.Samples == 0 {
			note = "no samples"
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\n", verdict, p.Pack, note)
		for _, f := range p.Failures {
			fmt.Fprintf(&b, "    %s\n", f)
		}
	}
	n, err := w.Write(b.Bytes())
	return int64(n), err
}

// Test runs the samples of the packs at paths on fsys (see [Load]) through the
// whole set, embedded packs included, as scan would. Samples stand in the
// folder samples beside a pack file: any file with a file of its name and
// .expect.yml. The error is for what could not be read; unmet expectations are
// in the report.
func Test(fsys vfs.FS, paths []string) (Report, error) {
	var report Report
	if len(paths) == 0 {
		return report, errors.New("no pack to test: name a pack file or a folder with packs")
	}
	set, err := Load(fsys, paths)
	if err != nil {
		return report, err
	}
	files, err := packFiles(fsys, paths)
	if err != nil {
		return report, err
	}
	for _, file := range files {
		p, err := loadFile(fsys, file)
		if err != nil {
			return report, err
		}
		pr := PackReport{Pack: p.Name, File: file}
		if err := testPack(fsys, set, &pr); err != nil {
			return report, err
		}
		report.Packs = append(report.Packs, pr)
	}
	return report, nil
}

const expectSuffix = ".expect.yml"

func testPack(fsys vfs.FS, set *Set, pr *PackReport) error {
	folder := fsys.PathJoin(fsys.PathDir(pr.File), "samples")
	names, err := fsys.List(folder)
	if err != nil {
		return nil // a pack without samples is no error; the report says so
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasSuffix(name, expectSuffix) {
			continue
		}
		sample := fsys.PathJoin(folder, name)
		stem := name
		if i := strings.LastIndexByte(name, '.'); i > 0 {
			stem = name[:i]
		}
		expectFile := fsys.PathJoin(folder, stem+expectSuffix)
		if !exists(fsys, expectFile) {
			pr.Failures = append(pr.Failures, Failure{File: sample, Problem: "there is no " + stem + expectSuffix + " beside it that says what to expect"})
			continue
		}
		data, err := readFile(fsys, sample, sampleBytesMax)
		if err != nil {
			return err
		}
		text, err := readFile(fsys, expectFile, sampleBytesMax)
		if err != nil {
			return err
		}
		expect, err := readExpect(text)
		if err != nil {
			pr.Failures = append(pr.Failures, Failure{File: expectFile, Problem: err.Error()})
			continue
		}
		pr.Samples++
		t := sampleTest{set: set, report: pr, expect: expect, file: sample, name: name}
		t.run(data)
	}
	return nil
}

// expectation is an expect file.
type expectation struct {
	Origin    texts          `yaml:"origin"`
	Format    string         `yaml:"format"`
	Hint      string         `yaml:"hint"`
	Zone      string         `yaml:"zone"`
	Reference string         `yaml:"reference"`
	Records   []expectRecord `yaml:"records"`

	zone      *time.Location
	reference time.Time
}

type expectRecord struct {
	views  []string
	time   string
	fields map[string]map[string]texts // by logsource; "" is every view
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (r *expectRecord) UnmarshalYAML(n *yaml.Node) error {
	r.fields = map[string]map[string]texts{}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a record is a map of views, time and fields", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var err error
		switch name, logsource, at := strings.Cut(key.Value, "@"); {
		case key.Value == "views":
			err = value.Decode(&r.views)
		case key.Value == "time":
			r.time = value.Value
		case name == "fields" && (!at || logsource != ""):
			m := map[string]texts{}
			for j := 0; value.Kind == yaml.MappingNode && j+1 < len(value.Content); j += 2 {
				v := value.Content[j+1]
				if v.Tag == "!!null" {
					m[value.Content[j].Value] = nil
					continue
				}
				var list texts
				if err := v.Decode(&list); err != nil {
					return err
				}
				m[value.Content[j].Value] = list
			}
			r.fields[logsource] = m
		default:
			return fmt.Errorf("line %d: unknown key %q; a record has views, time, fields and fields@product/category/service", key.Line, key.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readExpect(text []byte) (*expectation, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	e := new(expectation)
	if err := dec.Decode(e); err != nil {
		return nil, err
	}
	if len(e.Origin) == 0 {
		return nil, errors.New("origin is missing: name the public document that describes the shape, or `invented`")
	}
	if len(e.Records) == 0 {
		return nil, errors.New("records is missing: list what each record must become")
	}
	if e.Zone != "" {
		t, err := time.Parse("-07:00", e.Zone)
		if err != nil {
			return nil, fmt.Errorf("zone %q: expected an offset such as +02:00", e.Zone)
		}
		_, offset := t.Zone()
		e.zone = time.FixedZone(e.Zone, offset)
	}
	if e.Reference != "" {
		t, err := time.Parse(time.RFC3339, e.Reference)
		if err != nil {
			return nil, fmt.Errorf("reference %q: expected a time such as 2026-03-01T00:00:00Z", e.Reference)
		}
		e.reference = t
	}
	return e, nil
}

// sampleTest runs one sample.
type sampleTest struct {
	set    *Set
	report *PackReport
	expect *expectation
	file   string
	name   string
	n      int
}

func (t *sampleTest) fail(record int, problem string, args ...any) {
	t.report.Failures = append(t.report.Failures, Failure{File: t.file, Record: record, Problem: fmt.Sprintf(problem, args...)})
}

func (t *sampleTest) run(data []byte) {
	f, err := sampleFormat(t.expect.Format, data, t.name)
	if err != nil {
		t.fail(0, "%v", err)
		return
	}
	plan := event.NewPlan(Funcs())
	router := t.set.Router(plan, RouterOptions{Zone: t.expect.zone, Reference: t.expect.reference})
	slots := make([]map[string]int, len(t.set.views))
	for id, v := range t.set.views {
		if v.Pack != t.report.Pack {
			continue
		}
		slots[id] = map[string]int{}
		names := logsourceNames(&v)
		for i := range t.expect.Records {
			for logsource, fields := range t.expect.Records[i].fields {
				if logsource != "" && !slices.Contains(names, logsource) {
					continue
				}
				for name := range fields {
					if _, ok := slots[id][name]; !ok {
						slots[id][name] = plan.Slot(v.Lookup(name))
					}
				}
			}
		}
	}
	session, reader := router.Session(), plan.Reader()
	err = readSample(f, data, format.Options{Zone: t.expect.zone, Reference: t.expect.reference, Name: t.name}, func(rec *event.Record) {
		t.n++
		if t.n > sampleRecordsMax {
			return
		}
		if t.expect.Hint != "" {
			rec.Hint = t.expect.Hint
		}
		if t.n > len(t.expect.Records) {
			return
		}
		t.record(&t.expect.Records[t.n-1], rec, session, reader, slots)
	})
	t.report.Records += t.n
	if err != nil {
		t.fail(0, "%v", err)
	}
	if t.n != len(t.expect.Records) {
		t.fail(0, "%d records are expected, the sample has %d", len(t.expect.Records), t.n)
	}
}

func (t *sampleTest) record(want *expectRecord, rec *event.Record, session *Session, reader *event.Reader, slots []map[string]int) {
	unparsed := session.Unparsed
	ids, p := session.Route(rec, reader)
	switch {
	case p == nil:
		if len(want.views) > 0 {
			t.fail(t.n, "no pack claims the record; it should be of %s", t.report.Pack)
		}
		return
	case p.Name != t.report.Pack:
		t.fail(t.n, "the record goes to pack %s instead of %s; give this one a higher priority or a narrower match", p.Name, t.report.Pack)
		return
	case session.Unparsed != unparsed:
		t.fail(t.n, "a step of parse does not fit the text")
	}
	var got []string
	for _, id := range ids {
		got = append(got, logsourceNames(&t.set.views[id])...)
	}
	sort.Strings(got)
	got = slices.Compact(got)
	views := slices.Clone(want.views)
	sort.Strings(views)
	if !slices.Equal(got, views) {
		t.fail(t.n, "views are %v, expected %v", got, views)
	}
	if want.time != "" {
		wanted, err := time.Parse(time.RFC3339Nano, want.time)
		if err != nil {
			t.fail(t.n, "time %q in the expect file: expected RFC 3339", want.time)
		} else if !rec.Time.Equal(wanted) {
			t.fail(t.n, "time is %s (%s), expected %s", rec.Time.UTC().Format(time.RFC3339Nano), rec.TimeQuality, want.time)
		}
	}
	for logsource, fields := range want.fields {
		seen := false
		for _, id := range ids {
			if logsource != "" && !slices.Contains(logsourceNames(&t.set.views[id]), logsource) {
				continue
			}
			seen = true
			t.fields(id, fields, reader, slots[id])
		}
		if !seen {
			t.fail(t.n, "fields@%s: the record has no such view", logsource)
		}
	}
}

func (t *sampleTest) fields(id int, want map[string]texts, reader *event.Reader, slots map[string]int) {
	names := make([]string, 0, len(want))
	for n := range want {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, name := range names {
		var got []string
		for _, b := range reader.Texts(slots[name]) {
			got = append(got, string(b))
		}
		if !slices.Equal(got, want[name]) {
			t.fail(t.n, "%s: field %s is %q, expected %q", t.set.views[id].Name, name, got, []string(want[name]))
		}
	}
}

// logsourceNames returns what a view proves as product/category/service.
func logsourceNames(v *event.View) []string {
	out := []string{v.Product + "/" + v.Category + "/" + v.Service}
	for _, a := range v.Aliases {
		out = append(out, a.Product+"/"+a.Category+"/"+a.Service)
	}
	return out
}

// readSample reads all records of data.
func readSample(f format.Format, data []byte, o format.Options, emit func(*event.Record)) error {
	splitter, parser := f.NewSplitter(bytes.NewReader(data), o), f.NewParser(o)
	var b format.Block
	for {
		err := splitter.Next(&b)
		for _, p := range b.Problems {
			return p
		}
		for _, frame := range b.Frames {
			if err := parser.Parse(&b, frame, emit); err != nil {
				return format.Problem{Offset: frame.Offset, Line: frame.Line, Err: err}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
