package pack

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// eachSampleRecord routes every record of every sample of the repository.
func eachSampleRecord(t *testing.T, set *Set, f func(name string, rec *event.Record, views []int, p *Pack)) {
	t.Helper()
	files, err := filepath.Glob("packs/*/samples/*.expect.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		expect, err := readExpect(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		samples, _ := filepath.Glob(strings.TrimSuffix(file, expectSuffix) + ".*")
		for _, sample := range samples {
			if strings.HasSuffix(sample, expectSuffix) {
				continue
			}
			data, err := readFile(vfs.Default, sample, sampleBytesMax)
			if err != nil {
				t.Fatal(err)
			}
			fm, err := sampleFormat(expect.Format, data, sample)
			if err != nil {
				t.Fatal(err)
			}
			plan := event.NewPlan(Funcs())
			session := set.Router(plan, RouterOptions{Zone: expect.zone, Reference: expect.reference}).Session()
			reader := plan.Reader()
			err = readSample(fm, data, format.Options{Reference: expect.reference, Name: filepath.Base(sample)}, func(rec *event.Record) {
				if expect.Hint != "" {
					rec.Hint = expect.Hint
				}
				views, p := session.Route(rec, reader)
				f(sample, rec, views, p)
			})
			if err != nil {
				t.Errorf("%s: %v", sample, err)
			}
		}
	}
}

// What OCSF 1.8.0 demands of every class, and beyond that of each.
func TestOCSFRequiredAttributes(t *testing.T) {
	t.Parallel()
	set := embeddedForTest(t)
	seen := map[int]bool{}
	eachSampleRecord(t, set, func(name string, rec *event.Record, views []int, _ *Pack) {
		for _, id := range views {
			text := set.OCSF(rec, id)
			var doc map[string]any
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
			for _, path := range []string{"activity_id", "category_uid", "class_uid", "metadata.product", "metadata.version", "severity_id", "time", "type_uid", "raw_data_hash.value"} {
				if !hasPath(doc, strings.Split(path, ".")) {
					t.Errorf("%s: %s: required attribute %s is missing", name, set.Views()[id].Name, path)
				}
			}
			class, activity := int(doc["class_uid"].(float64)), int(doc["activity_id"].(float64))
			seen[class] = true
			if got := int(doc["type_uid"].(float64)); got != class*100+activity {
				t.Errorf("%s: type_uid %d of class %d, activity %d", name, got, class, activity)
			}
			if class%1000000 != 0 && int(doc["category_uid"].(float64)) != ocsfClasses[class].category {
				t.Errorf("%s: category of class %d is %v", name, class, doc["category_uid"])
			}
			for _, path := range ocsfClasses[class].required {
				if !hasPath(doc, strings.Split(path, ".")) {
					t.Errorf("%s: %s: class %d needs %s", name, set.Views()[id].Name, class, path)
				}
			}
		}
	})
	for _, class := range []int{1001, 1002, 1005, 1006, 1007, 1008, 1009, 2004, 3001, 3002, 4001, 4002, 4003, 6003, 201001, 201002, 201004} {
		if !seen[class] {
			t.Errorf("no sample becomes class %d", class)
		}
	}
}

func TestOCSFMapsAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	set := embeddedForTest(t)
	rt := newRouteTest(t, set, RouterOptions{})
	rt.route(process4688)
	var doc struct {
		ClassUID int `json:"class_uid"`
		TypeUID  int `json:"type_uid"`
		Process  struct {
			PID     int `json:"pid"`
			CmdLine string
			File    struct{ Path, Name string }
		}
		Unmapped struct {
			Event struct{ EventData map[string]any }
		}
	}
	for id, v := range set.Views() {
		if v.Name != "windows/process_creation#security-4688" {
			continue
		}
		if err := json.Unmarshal(set.OCSF(&rt.rec, id), &doc); err != nil {
			t.Fatal(err)
		}
	}
	if doc.ClassUID != 1007 || doc.TypeUID != 100701 || doc.Process.PID != 420 || doc.Process.File.Path != `C:\Windows\System32\cmd.exe` || doc.Process.File.Name != "cmd.exe" {
		t.Errorf("%+v", doc)
	}
	if _, twice := doc.Unmapped.Event.EventData["NewProcessName"]; twice {
		t.Error("NewProcessName is mapped and must not be unmapped as well")
	}
	if doc.Unmapped.Event.EventData["MandatoryLabel"] != "S-1-16-12288" {
		t.Error("MandatoryLabel is not mapped as it stands and must be kept")
	}
	if set.OCSF(&rt.rec, -1) != nil || set.OCSF(&rt.rec, len(set.Views())) != nil {
		t.Error("a view that is not there has no document")
	}
}
