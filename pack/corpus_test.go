package pack

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
)

// corpusRecordsMax bounds what is read of one file, to stay quick.
const corpusRecordsMax = 1500

// Every record of real Windows logs goes to the Windows pack, proves a view
// and has a time; views that name one event stand beside a service.
func TestRealWindowsRecordsAreRouted(t *testing.T) {
	t.Parallel()
	corpus := os.Getenv("TIERCEL_CORPUS")
	if corpus == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	var files []string
	for _, pattern := range []string{"regression/*/*/*/*/*.json", "regression/*/*/*/*.json", "regression/*/*/*/*/*/*.json", "regression/*/*/*/*/*/*.evtx", "windows-attacks/*/*.jsonl", "evtx/evtx2mitre/*/*.evtx"} {
		found, err := filepath.Glob(filepath.Join(corpus, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files", len(files))
	}
	set := embeddedForTest(t)
	plan := event.NewPlan(Funcs())
	session := set.Router(plan, RouterOptions{}).Session()
	reader := plan.Reader()
	records, qualities := 0, map[event.TimeQuality]int{}
	views := map[string]int{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = data[:min(len(data), 3<<20)]
		f, ok := formats.Detect(data[:min(len(data), 64<<10)], filepath.Base(file))
		if !ok {
			t.Fatalf("%s: no format", file)
		}
		n := 0
		// A file that was cut ends in the middle of a record: that error is expected.
		_ = readSample(f, data, format.Options{Name: filepath.Base(file)}, func(rec *event.Record) {
			if n++; n > corpusRecordsMax {
				return
			}
			ids, p := session.Route(rec, reader)
			if p == nil || p.Name != "windows" || len(ids) == 0 {
				t.Errorf("%s: record %d: pack %v, views %v: %.300s", filepath.Base(file), n, p, ids, rec.Tree.AppendJSON(nil, 0))
				return
			}
			records++
			qualities[rec.TimeQuality]++
			for _, id := range ids {
				views[set.Views()[id].Name]++
			}
		})
	}
	if qualities[event.TimeMissing] > 0 {
		t.Errorf("%d records have no time", qualities[event.TimeMissing])
	}
	t.Logf("%d records of %d files, times %v, %d views", records, len(files), qualities, len(views))
	if views["windows/process_creation#security-4688"] == 0 || views["windows/process_creation#sysmon"] == 0 || views["windows/ps_script"] == 0 {
		t.Errorf("views %v", views)
	}
}
