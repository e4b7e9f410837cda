package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// readLog returns the records that a data folder's log holds for a source, in
// order: those that were framed, and the pieces that were refused.
func readLog(t *testing.T, data, source string) (records, refused [][]byte) {
	t.Helper()
	var failure bytes.Buffer
	read := exec.Command(reader)
	read.Env = append(os.Environ(), "TIERCEL_READLOG="+data, "TIERCEL_READLOG_SOURCE="+source)
	read.Stderr = &failure
	out, err := read.Output()
	if err != nil {
		t.Fatalf("read the log: %v %s", err, failure.String())
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r struct {
			Data    []byte
			Refused bool
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Refused {
			refused = append(refused, r.Data)
		} else {
			records = append(records, r.Data)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return records, refused
}

// holdsText reports whether a JSON document has a string that is the text, at
// any depth.
func holdsText(record []byte, text string) bool {
	var document any
	if json.Unmarshal(record, &document) != nil {
		return false
	}
	var walk func(any) bool
	walk = func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == text
		case []any:
			for _, x := range v {
				if walk(x) {
					return true
				}
			}
		case map[string]any:
			for _, x := range v {
				if walk(x) {
					return true
				}
			}
		}
		return false
	}
	return walk(document)
}
