package elastic

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// nowhere takes everything.
type nowhere struct{}

func (nowhere) Admit(event.Tenant, string, int64) (func(), error) { return func() {}, nil }
func (nowhere) Accept(context.Context, *ingest.Batch) error       { return nil }

// body500 is a bulk body of 500 documents of 1 kB, of which one word in noise is
// random.
func body500(noise int, action func(i int) string) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range 500 {
		b.WriteString(action(i))
		doc := fmt.Sprintf(`{"@timestamp":"2026-01-02T03:04:%02d.%03dZ","host":"ws-%04d","seq":%d,"image":"C:\\Windows\\System32\\cmd.exe","user":"u%d","data":"`, i%60, rng.IntN(1000), rng.IntN(5000), i, rng.IntN(300))
		b.WriteString(doc)
		for b.Len()%7 != 0 || len(doc) < 900 {
			word := [...]string{"process", "created", "with", "command", "line", "parent", "integrity"}[rng.IntN(7)]
			if rng.IntN(noise) == 0 {
				word = fmt.Sprintf("%08x", rng.Uint32())
			}
			b.WriteString(word + " ")
			doc += word + " "
		}
		b.WriteString("\"}\n")
	}
	return b.String()
}

func BenchmarkBulk(b *testing.B) {
	plainAction := func(int) string { return "{\"create\":{\"_index\":\"filebeat-7.17.29-2026.01.02\"}}\n" }
	withID := func(i int) string { return fmt.Sprintf("{\"create\":{\"_index\":\"logs\",\"_id\":\"doc-%d\"}}\n", i) }
	for _, c := range []struct {
		name, encoding string
		noise          int
		action         func(int) string
	}{{"gzip", "gzip", 4, plainAction}, {"gzipLessNoise", "gzip", 30, plainAction}, {"zstd", "zstd", 4, plainAction}, {"identity", "", 4, plainAction}, {"identityWithID", "", 4, withID}} {
		b.Run(c.name, func(b *testing.B) {
			text := body500(c.noise, c.action)
			sent := compressed(b, c.encoding, text)
			h := newBench(httpin.Options{Clock: env.Real().Clock}, nowhere{}).handler
			w := &discard{header: make(http.Header)}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/_bulk", bytes.NewReader(sent))
				r.Header.Set("Authorization", "Bearer "+goodToken)
				r.Header.Set("Content-Encoding", c.encoding)
				clear(w.header)
				h.ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/event")
			b.ReportMetric(float64(len(text))/float64(len(sent)), "ratio")
		})
	}
}

// BenchmarkSplitAndAnswer is what the handler costs besides inflating.
func BenchmarkSplitAndAnswer(b *testing.B) {
	data := []byte(body500(4, func(int) string { return "{\"create\":{\"_index\":\"filebeat-7.17.29-2026.01.02\"}}\n" }))
	var k bulk
	var out []byte
	for b.Loop() {
		k.split(data, "")
		out = k.appendAnswer(out[:0], data, nil, 1<<60, 1, keepAll, nil)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/event")
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
