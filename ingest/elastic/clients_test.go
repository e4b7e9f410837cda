package elastic

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/tiercel-io/tiercel/ingest/httpin"
)

var madeID = regexp.MustCompile(`"_id":"[0-9a-z]{9,16}(-[0-9]+)?"`)

// compressed is body in an encoding.
func compressed(t testing.TB, encoding, body string) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "":
		return []byte(body)
	case "gzip":
		w, err = gzip.NewWriterLevel(&out, 1)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	case "snappy":
		w = s2.NewWriter(&out, s2.WriterSnappyCompat())
	default:
		t.Fatalf("no encoding %q", encoding)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestClients plays what each client sends, in order, and compares answers and
// what is stored. A file has sections "--- request [encoding]", "--- answer
// STATUS" with the headers that matter and the body ("*" for any), and
// "--- stored DATASET" with a line a record, "ID = " before those with one.
func TestClients(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &sink{}
			b := newBench(httpin.Options{}, s)
			var w *httptest.ResponseRecorder
			var want []string
			for _, section := range strings.Split(string(text), "\n--- ")[1:] {
				title, rest, _ := strings.Cut(section, "\n")
				if !strings.HasSuffix(rest, "\n") && rest != "" {
					rest += "\n"
				}
				kind, argument, _ := strings.Cut(title, " ")
				switch kind {
				case "request":
					w = play(t, b, argument, rest)
				case "answer":
					compareAnswer(t, w, argument, rest)
				case "stored":
					for record := range strings.Lines(rest) {
						want = append(want, argument+": "+strings.TrimSuffix(record, "\n"))
					}
				default:
					t.Fatalf("section %q", title)
				}
			}
			var got []string
			for _, k := range s.kept {
				if k.batch.Format != "json" || k.batch.Protocol != "elastic" || k.batch.Source != "windows" || k.batch.Tenant != acme {
					t.Errorf("batch %+v", k.batch)
				}
				for i, record := range k.records {
					if len(k.native) > 0 && k.native[i] != "" {
						record = k.native[i] + " = " + record
					}
					got = append(got, k.batch.Dataset+": "+record)
				}
			}
			// The batches of one request are stored in any order.
			slices.SortStableFunc(want, byDataset)
			slices.SortStableFunc(got, byDataset)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("stored (-want +got):\n%s", d)
			}
			if s.open != 0 {
				t.Errorf("%d admissions are not released", s.open)
			}
		})
	}
}

func byDataset(a, b string) int {
	a, _, _ = strings.Cut(a, ": ")
	b, _, _ = strings.Cut(b, ": ")
	return strings.Compare(a, b)
}

func play(t *testing.T, b *bench, encoding, text string) *httptest.ResponseRecorder {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	raw := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	sent := compressed(t, encoding, body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
	r.RemoteAddr = "192.0.2.7:4711"
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func compareAnswer(t *testing.T, w *httptest.ResponseRecorder, status, text string) {
	t.Helper()
	head, body, _ := strings.Cut("\n"+text, "\n\n")
	if got := fmt.Sprint(w.Code); got != status {
		t.Errorf("status %s, want %s: %s", got, status, w.Body)
	}
	for header := range strings.Lines(strings.TrimSpace(head)) {
		name, value, _ := strings.Cut(strings.TrimSpace(header), ": ")
		if name != "" && w.Header().Get(name) != value {
			t.Errorf("%s: %q, want %q", name, w.Header().Get(name), value)
		}
	}
	got := madeID.ReplaceAllString(w.Body.String(), `"_id":"*"`)
	switch body = strings.TrimSuffix(body, "\n"); body {
	case "*":
		if got == "" {
			t.Error("no body")
		}
	default:
		if strings.TrimSuffix(got, "\n") != body {
			t.Errorf("answer\n%s\nwant\n%s", got, body)
		}
	}
}
