package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// Fields of made-up events: one as a forwarder of Windows events writes it, one
// as an agent does.
var made = []string{
	`{"Message":"it says all again","Hostname":"a.example","RecordNumber":17,"Channel":"Security","EventTime":"2020-01-02 03:04:05","@timestamp":"2020-01-02T03:04:05.678Z","ProviderGuid":"{00000000-0000-0000-0000-000000000001}","EventID":4688}`,
	`{"Computer":"b.example","EventRecordID":"5","Channel":"Other","UtcTime":"2020-01-02 03:04:05.678","ProcessGuid":"{11111111-2222-3333-4444-555555555555}","EventID":1}`,
}

func madeTemplates(t *testing.T) *templates {
	t.Helper()
	channels := map[string]int{}
	out := &templates{}
	for _, line := range made {
		one, err := newTemplate([]byte(line), channels)
		if err != nil || one == nil {
			t.Fatalf("newTemplate(%s) = %v, %v", line, one, err)
		}
		out.quiet = append(out.quiet, one)
	}
	out.matching, out.channels = out.quiet, len(channels)
	return out
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	all := madeTemplates(t)
	p := patcher{unique: 0xabc}
	p.times(time.Date(2026, 11, 22, 1, 2, 3, 4_000_000, time.UTC))
	host := "ws-00000001.corp.example"
	want := []map[string]any{
		{
			"Hostname": host, "RecordNumber": 1_000_000_042.0, "Channel": "Security", "EventTime": "2026-11-22 01:02:03",
			"@timestamp": "2026-11-22T01:02:03.004Z", "ProviderGuid": "{00000000-0000-0000-0000-000000000001}", "EventID": 4688.0,
		},
		{
			"Computer": host, "EventRecordID": "1000000042", "Channel": "Other", "UtcTime": "2026-11-22 01:02:03.004",
			"ProcessGuid": "{11111111-2222-3333-4444-000000000abd}", "EventID": 1.0,
		},
	}
	for i, one := range all.quiet {
		line := p.append(nil, one, host, 42)
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		for key, value := range want[i] {
			if got[key] != value {
				t.Errorf("event %d: %s is %v, want %v", i, key, got[key], value)
			}
		}
		if len(got) != len(want[i]) {
			t.Errorf("event %d is %s", i, line)
		}
	}
}

// TestPartsAreLeftOut: one part of a script would wait for the others.
func TestPartsAreLeftOut(t *testing.T) {
	t.Parallel()
	one, err := newTemplate([]byte(`{"Hostname":"a","MessageTotal":"3"}`), map[string]int{})
	if one != nil || err != nil {
		t.Errorf("newTemplate = %v, %v, want nothing", one, err)
	}
}

// TestBody: what is sent inflates to pairs of lines, no two events are alike, and
// numbers of a host's channel have no holes.
func TestBody(t *testing.T) {
	t.Parallel()
	o := &options{matching: 50, hosts: 2, agents: 1, eventsMin: 50, eventsMax: 60}
	m := newMaker(madeTemplates(t), 0, o)
	seen := map[string]bool{}
	numbers := map[string][]float64{}
	for range 5 {
		var b body
		m.make(&b, nil)
		z, err := gzip.NewReader(bytes.NewReader(b.zipped))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n")
		if len(lines) != 2*b.events || b.events < 50 || b.events > 60 {
			t.Fatalf("%d lines for %d events", len(lines), b.events)
		}
		bytesOf := 0
		for pair := range slices.Chunk(lines, 2) {
			bytesOf += len(pair[1])
			if seen[pair[1]] {
				t.Errorf("sent twice: %s", pair[1])
			}
			seen[pair[1]] = true
			var e struct {
				Hostname     string
				RecordNumber float64
			}
			if err := json.Unmarshal([]byte(pair[1]), &e); err != nil {
				t.Fatalf("%s: %v", pair[1], err)
			}
			if e.Hostname != "" {
				numbers[e.Hostname] = append(numbers[e.Hostname], e.RecordNumber)
			}
		}
		if bytesOf != b.plain {
			t.Errorf("%d bytes of events, said to be %d", bytesOf, b.plain)
		}
	}
	for host, list := range numbers {
		for i := 1; i < len(list); i++ {
			if list[i] != list[i-1]+1 {
				t.Errorf("%s: %v follows %v", host, list[i], list[i-1])
			}
		}
	}
}

func TestFeedSeesMarks(t *testing.T) {
	t.Parallel()
	f := &feed{seen: map[string]sighting{}}
	now := time.Now()
	f.line([]byte(`{"id":"d1","reason":"on \"`+markHost(7)+`\""}`+"\n"), now)
	f.line([]byte(`{"id":"d2","reason":"on \"`+markHost(7)+`\""}`+"\n"), now.Add(time.Second))
	f.line([]byte("\n"), now)
	if s, ok := f.get(markHost(7)); !ok || s.id != "d1" || !s.at.Equal(now) {
		t.Errorf("seen %+v, %v", s, ok)
	}
	if f.all != 2 {
		t.Errorf("%d changes, want 2", f.all)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(100-i))
	}
	if p50, p99 := percentile(times, 0.5), percentile(times, 0.99); p50 != 51 || p99 != 100 {
		t.Errorf("p50 %d, p99 %d, want 51 and 100", p50, p99)
	}
	if percentile(nil, 0.5) != 0 {
		t.Error("the percentile of nothing is not 0")
	}
}
