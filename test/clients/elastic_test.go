package clients

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/esapi"
)

// bulkEvents are the events of one bulk request: several requests are more
// than the quota takes.
const bulkEvents = 200

// The official Go client, with one broken document in the middle.
func TestGoElasticsearch(t *testing.T) {
	t.Parallel()
	report(t, "go-elasticsearch")
	deliver(t, client{name: "go-elasticsearch", kind: textAny, send: sendGoElasticsearch, carries: holdsText, poison: 1})
}

func sendGoElasticsearch(t *testing.T, to target, events []item) []*program {
	c, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses: []string{to.url}, Username: "tiercel", Password: to.token, CompressRequestBody: true,
		RetryOnStatus: []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable},
		MaxRetries:    100, RetryBackoff: func(int) time.Duration { return 200 * time.Millisecond },
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := c.Info(); err != nil || answer.IsError() {
		t.Fatalf("handshake: %v %v", answer, err)
	}
	for first := 0; first < len(events); first += bulkEvents {
		batch := events[first:min(first+bulkEvents, len(events))]
		var body bytes.Buffer
		for i, e := range batch {
			if first == 2*bulkEvents && i == bulkEvents/2 {
				body.WriteString(`{"create":{}}` + "\n" + `{"message": "never closed` + "\n")
			}
			document, err := json.Marshal(map[string]any{"@timestamp": time.Now().UTC(), "message": e.text, "n": first + i})
			if err != nil {
				t.Fatal(err)
			}
			body.WriteString(`{"create":{}}` + "\n")
			body.Write(document)
			body.WriteByte('\n')
		}
		items := strings.Count(body.String(), "\n") / 2
		bulk := esapi.BulkRequest{Index: "logs-client-default", Body: bytes.NewReader(body.Bytes())}
		answer, err := bulk.Do(t.Context(), c)
		if err != nil {
			t.Fatalf("bulk: %v", err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var result struct {
			Errors bool
			Items  []map[string]struct{ Status int }
		}
		if err := json.Unmarshal(text, &result); err != nil || answer.IsError() || result.Errors || len(result.Items) != items {
			t.Fatalf("bulk of %s items: %s %.300s", strconv.Itoa(items), answer.Status(), text)
		}
	}
	return nil
}
