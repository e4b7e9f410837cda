package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/ingest"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", ingest.EventBytesMax)
	type piece struct{ Reason, Text string }
	for _, c := range []struct {
		name, body string
		records    []string
		refused    []piece
		ops        string // of the items: c i u d, upper case when refused
	}{
		{name: "empty", body: ""},
		{name: "blank lines only", body: "\n \r\n\n"},
		{name: "two", body: "{\"create\":{}}\n{\"a\":1}\n{\"index\":{}}\n{\"a\":2}\n", records: []string{`{"a":1}`, `{"a":2}`}, ops: "ci"},
		{name: "no newline at the end", body: "{\"create\":{}}\n{\"a\":1}", records: []string{`{"a":1}`}, ops: "c"},
		{name: "CRLF", body: "{\"create\":{}}\r\n{\"a\":1}\r\n{\"create\":{}}\r\n{\"a\":2}\r\n", records: []string{`{"a":1}`, `{"a":2}`}, ops: "cc"},
		{name: "blank lines between", body: "\n{\"create\":{}}\n{\"a\":1}\n\n\r\n{\"create\":{}}\n{\"a\":2}\n\n", records: []string{`{"a":1}`, `{"a":2}`}, ops: "cc"},
		{name: "documents are not looked into", body: "{\"create\":{}}\nnot json \xff\n", records: []string{"not json \xff"}, ops: "c"},
		{name: "a document that looks like an action", body: "{\"create\":{}}\n{\"create\":{}}\n", records: []string{`{"create":{}}`}, ops: "c"},
		{
			name: "update and delete", body: "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n{\"delete\":{\"_id\":\"1\"}}\n{\"create\":{}}\n{\"a\":1}\n",
			records: []string{`{"a":1}`}, ops: "UDc",
			refused: []piece{{"unsupported", "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}"}, {"unsupported", `{"delete":{"_id":"1"}}`}},
		},
		{name: "no document at the end", body: "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n", records: []string{`{"a":1}`}, ops: "cC", refused: []piece{{"not_record", `{"create":{}}`}}},
		{name: "an update without a document", body: "{\"update\":{}}\n", ops: "U", refused: []piece{{"not_record", `{"update":{}}`}}},
		{name: "a blank document", body: "{\"create\":{}}\n\n{\"create\":{}}\n{\"a\":1}\n", records: []string{`{"a":1}`}, ops: "Cc", refused: []piece{{"not_record", `{"create":{}}`}}},
		{
			name: "a bad action with its document", body: "{\"create\":{}}\n{\"a\":1}\n{\"creat\":{}}\n{\"a\":2}\n{\"create\":{}}\n{\"a\":3}\n",
			records: []string{`{"a":1}`, `{"a":3}`}, ops: "cIc", refused: []piece{{"not_record", "{\"creat\":{}}\n{\"a\":2}"}},
		},
		{
			name: "a bad line between", body: "{\"create\":{}}\n{\"a\":1}\n!\n{\"create\":{}}\n{\"a\":3}\n",
			records: []string{`{"a":1}`, `{"a":3}`}, ops: "cIc", refused: []piece{{"not_record", "!"}},
		},
		{name: "a bad line at the end", body: "!", ops: "I", refused: []piece{{"not_record", "!"}}},
		{name: "at the limit of an event", body: "{\"create\":{}}\n" + large, records: []string{large}, ops: "c"},
		{name: "beyond the limit of an event", body: "{\"create\":{}}\n" + large + "x\n{\"create\":{}}\n{}\n", records: []string{"{}"}, ops: "Cc", refused: []piece{{"too_large", large[:ingest.RefusedBytesMax]}}},
		{name: "half a surrogate", body: `{"create":{"_id":"\ud800"}}` + "\n{}\n", ops: "C", refused: []piece{{"not_record", `{"create":{"_id":"\ud800"}}` + "\n{}"}}},
		{name: "a control in an index", body: `{"create":{"_index":"a\u000ab"}}` + "\n{}\n", ops: "C", refused: []piece{{"not_record", `{"create":{"_index":"a\u000ab"}}` + "\n{}"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var b bulk
			data := []byte(c.body)
			if !b.split(data, "u") {
				t.Fatal("too many items")
			}
			var records []string
			for _, f := range b.frames {
				records = append(records, string(data[f.Start:f.End]))
			}
			var refused []piece
			for _, r := range b.refused {
				refused = append(refused, piece{r.Reason, string(data[r.Start:r.End])})
			}
			ops := ""
			for _, it := range b.items {
				letter := opNames[it.op][:1]
				if it.refused {
					letter = strings.ToUpper(letter)
				}
				ops += letter
			}
			if !slices.Equal(records, c.records) {
				t.Errorf("records %.200q, want %.200q", records, c.records)
			}
			if d := cmp.Diff(c.refused, refused); d != "" {
				t.Errorf("refused (-want +got):\n%.600s", d)
			}
			if ops != c.ops {
				t.Errorf("items %s, want %s", ops, c.ops)
			}
		})
	}
}

func TestSplitCountsItems(t *testing.T) {
	t.Parallel()
	pairs := strings.Repeat("{\"create\":{}}\n{}\n", ingest.RequestEventsMax)
	var b bulk
	if !b.split([]byte(pairs), "") || len(b.frames) != ingest.RequestEventsMax {
		t.Errorf("%d frames at the limit", len(b.frames))
	}
	if b.split([]byte(pairs+"{\"create\":{}}\n{}\n"), "") {
		t.Error("one item more was taken")
	}
	if b.split([]byte(strings.Repeat(pairs, 10)), "") {
		t.Error("ten times the limit was taken")
	}
	if !b.split([]byte(pairs+"\n\n"), "") {
		t.Error("blank lines count")
	}
}

func TestIndicesBecomeBatches(t *testing.T) {
	t.Parallel()
	body := `{"create":{"_index":"a","_id":"1"}}` + "\n{\"n\":1}\n" +
		"!!!\n" +
		`{"create":{}}` + "\n{\"n\":2}\n" +
		`{"create":{"_index":"\u0061"}}` + "\n{\"n\":3}\n" +
		`{"delete":{"_index":"c","_id":"9"}}` + "\n"
	var b bulk
	if !b.split([]byte(body), "url") || b.one() {
		t.Fatalf("datasets %q", b.datasets)
	}
	parts, _, _ := b.parts(&ingest.Batch{Data: []byte(body), Source: "s"}, nil)
	var got []string
	keys := map[string]bool{}
	for _, p := range parts {
		keys[string(p.Key)] = true
		line := p.Dataset + ":"
		for i, f := range p.Frames {
			line += " " + string(p.Data[f.Start:f.End])
			if len(p.Native) > 0 {
				line += fmt.Sprintf("(%s)", p.Native[i])
			}
		}
		for _, r := range p.Refused {
			line += " -" + string(p.Data[r.Start:r.End])
		}
		got = append(got, line)
		if p.Source != "s" {
			t.Error("a part lost its source")
		}
	}
	want := []string{"a: {\"n\":1}(a\x001) {\"n\":3}() -!!!", `url: {"n":2}`, `c: -{"delete":{"_index":"c","_id":"9"}}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("parts (-want +got):\n%s", d)
	}
	if len(keys) != len(parts) {
		t.Error("two parts have one key")
	}
}

func TestManyIndicesShareOneBatch(t *testing.T) {
	t.Parallel()
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, "{\"create\":{\"_index\":\"i%d\"}}\n{\"n\":%d}\n", i%200, i)
	}
	var b bulk
	if !b.split([]byte(body.String()), "") {
		t.Fatal("too many")
	}
	parts, _, _ := b.parts(&ingest.Batch{Data: []byte(body.String())}, nil)
	if len(parts) != datasetsMax+1 || parts[datasetsMax].Dataset != "" {
		t.Errorf("%d parts", len(parts))
	}
	total := 0
	for _, p := range parts {
		total += p.Records()
	}
	if total != 1000 {
		t.Errorf("%d records of 1000", total)
	}
}

func TestSameDocumentsUnderTwoIndicesAreTwo(t *testing.T) {
	t.Parallel()
	body := []byte("{\"create\":{\"_index\":\"a\"}}\n{}\n{\"create\":{\"_index\":\"b\"}}\n{}\n")
	var b bulk
	b.split(body, "")
	parts, _, _ := b.parts(&ingest.Batch{Data: body}, nil)
	if len(parts) != 2 || bytes.Equal(parts[0].Key, parts[1].Key) {
		t.Errorf("%d parts with the same key", len(parts))
	}
	again, _, _ := b.parts(&ingest.Batch{Data: body}, make([]byte, 0, 9))
	if !bytes.Equal(parts[0].Key, again[0].Key) {
		t.Error("a body sent again has other keys")
	}
}

func TestFilterPath(t *testing.T) {
	t.Parallel()
	body := []byte("{\"create\":{\"_id\":\"1\"}}\n{}\n{\"delete\":{\"_id\":\"2\"}}\n")
	full := `{"took":5,"errors":false,"items":[{"create":{"_index":"u","_id":"1","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}},{"delete":{"_index":"u","_id":"2","_version":1,"result":"noop","_shards":{"total":0,"successful":0,"failed":0},"_seq_no":1,"_primary_term":1,"status":200}}]}`
	for query, want := range map[string]string{
		"":                          full,
		"pretty=true":               full,
		"filter_path=":              full,
		"filter_path=nonsense.path": full,
		"filter_path=-took":         full,
		"filter_path=%zz":           full,
		"filter_path=took":          `{"took":5}`,
		"filter_path=errors":        `{"errors":false}`,
		"filter_path=took,errors":   `{"took":5,"errors":false}`,
		"filter_path=errors,items.*.error,items.*.status":                                    `{"errors":false,"items":[{"create":{"status":201}},{"delete":{"status":200}}]}`,
		"filter_path=errors&filter_path=items.*._index":                                      `{"errors":false,"items":[{"create":{"_index":"u"}},{"delete":{"_index":"u"}}]}`,
		"filter_path=items.*.error,items.*.failure_store":                                    `{}`,
		"filter_path=items.*.error.type,items.*._id":                                         `{"items":[{"create":{"_id":"1"}},{"delete":{"_id":"2"}}]}`,
		"filter_path=items.*._shards,items.*._version,items.*.result":                        `{"items":[{"create":{"_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0}}},{"delete":{"_version":1,"result":"noop","_shards":{"total":0,"successful":0,"failed":0}}}]}`,
		"filter_path=items.*._seq_no,items.*._primary_term":                                  `{"items":[{"create":{"_seq_no":1,"_primary_term":1}},{"delete":{"_seq_no":1,"_primary_term":1}}]}`,
		"filter_path=took,errors,items":                                                      full,
		"filter_path=" + strings.Repeat("errors,", 1000) + "%0d%0aX-Evil:1,items.*.<script>": full,
	} {
		var b bulk
		b.split(body, "u")
		if got := string(b.appendAnswer(nil, body, quoted("u"), 7, 5, filterOf(query), nil)); got != want {
			t.Errorf("%.60s\n got %s\nwant %s", query, got, want)
		}
	}
}

// FuzzBulk checks that every action has one item, each item one frame or one
// refusal, that these are apart and inside the body, and that the answer is
// JSON with an item for each.
func FuzzBulk(f *testing.F) {
	f.Add([]byte("{\"create\":{}}\n{\"a\":1}\n{\"index\":{\"_index\":\"x\",\"_id\":\"\\u00e4\"}}\r\n{}\r\n"), "u")
	f.Add([]byte("{\"update\":{}}\n{}\n{\"delete\":{\"_id\":1}}\n!\n\n{\"create\":{\"_index\":\"b\"}}"), "")
	f.Add([]byte("{\"create\":{\"_index\":\"\\u0000\"}}\nx\n{\"create\":{\"_index\":\"a\"}}\nx"), "i\"")
	f.Fuzz(func(t *testing.T, data []byte, index string) {
		if !validIndex(index) {
			return
		}
		var b bulk
		before := bytes.Clone(data)
		if !b.split(data, index) {
			return
		}
		if !bytes.Equal(before, data) {
			t.Fatal("the body was changed")
		}
		if len(b.items) != len(b.frames)+len(b.refused) || len(b.native) != len(b.frames) {
			t.Fatalf("%d items, %d frames, %d refused, %d ids", len(b.items), len(b.frames), len(b.refused), len(b.native))
		}
		fi, ri, last := 0, 0, 0
		for _, it := range b.items {
			start, end := 0, 0
			if it.refused {
				start, end = b.refused[ri].Start, b.refused[ri].End
				ri++
			} else {
				start, end = b.frames[fi].Start, b.frames[fi].End
				fi++
			}
			if start < last || end <= start || end > len(data) {
				t.Fatalf("piece %d:%d behind %d of %d", start, end, last, len(data))
			}
			last = end
			if it.group < 0 || int(it.group) > len(b.datasets) {
				t.Fatalf("group %d of %d", it.group, len(b.datasets))
			}
		}
		for _, fr := range b.frames {
			if bytes.IndexByte(data[fr.Start:fr.End], '\n') >= 0 {
				t.Fatal("a frame of two lines")
			}
		}
		answer := b.appendAnswer(nil, data, quoted(index), 1, 0, keepAll, nil)
		if r := parseReply(t, answer); len(r.Items) != len(b.items) || r.Errors == nil || *r.Errors {
			t.Fatalf("%d items for %d", len(r.Items), len(b.items))
		}
		if some := b.appendAnswer(nil, data, quoted(index), 1, 0, keepIndex|keepID|keepStatus, nil); !json.Valid(some) {
			t.Fatalf("%s", some)
		}
		parts, _, _ := b.parts(&ingest.Batch{Data: data}, nil)
		counts := map[string]int{}
		for _, p := range parts {
			for _, fr := range p.Frames {
				counts[string(p.Data[fr.Start:fr.End])]++
			}
			for _, r := range p.Refused {
				counts["-"+string(p.Data[r.Start:r.End])]++
			}
		}
		whole := map[string]int{}
		for _, fr := range b.frames {
			whole[string(data[fr.Start:fr.End])]++
		}
		for _, r := range b.refused {
			whole["-"+string(data[r.Start:r.End])]++
		}
		if !maps.Equal(counts, whole) {
			t.Fatalf("the parts hold other pieces than the body")
		}
	})
}
