package w3c

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

const head = "#Software: Example Server 1.0\r\n#Version: 1.0\r\n#Date: 2026-01-02 03:04:05\r\n#Fields: date time c-ip cs-uri-query cs(User-Agent) sc-status\r\n"

func TestRecords(t *testing.T) {
	t.Parallel()
	text := head +
		"2026-01-02 03:04:06 192.0.2.1 - Agent/1.0+(x) 200\r\n" +
		"2026-01-02 03:04:07 192.0.2.1 \"a \"\"b\"\" c\" \"-\" 404\r\n" +
		"2026-01-02 03:04:08 192.0.2.1\r\n" +
		"#Date: 2026-01-03 00:00:00\r\n#Fields: time x\r\n" +
		"00:00:01 a b\r\n\x00\xff\r\n"
	res := formattest.Text(t, Format(), text, format.Options{Name: "u_ex260102.log"})
	var got, problems []string
	for _, r := range res.Records {
		got = append(got, r.Time+" "+r.JSON)
	}
	for _, p := range res.Problems {
		problems = append(problems, p.Err.Error())
	}
	want := []string{
		`2026-01-02T03:04:06Z {"date":"2026-01-02","time":"03:04:06","c-ip":"192.0.2.1","cs-uri-query":null,"cs(User-Agent)":"Agent/1.0+(x)","sc-status":"200"}`,
		`2026-01-02T03:04:07Z {"date":"2026-01-02","time":"03:04:07","c-ip":"192.0.2.1","cs-uri-query":"a \"b\" c","cs(User-Agent)":"-","sc-status":"404"}`,
		`2026-01-02T03:04:08Z {"date":"2026-01-02","time":"03:04:08","c-ip":"192.0.2.1"}`,
		`2026-01-03T00:00:01Z {"time":"00:00:01","x":"a"}`,
		" {\"time\":\"\\u0000\uFFFD\"}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantProblems := []string{
		"it has 3 values, and the #Fields line names 6 columns",
		"it has 3 values, and the #Fields line names 2 columns",
		"it has 1 values, and the #Fields line names 2 columns",
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	formattest.Verbatim(t, []byte(text), res)
}

// The header holds over the ends of blocks.
func TestManyBlocks(t *testing.T) {
	t.Parallel()
	const n = 20_000
	res := formattest.Text(t, Format(), head+strings.Repeat("2026-01-02 03:04:06 192.0.2.1 q agent 200\n", n), format.Options{})
	if len(res.Records) != n || len(res.Problems) != 0 {
		t.Fatalf("%d records, %v", len(res.Records), res.Problems)
	}
	for _, r := range res.Records {
		if !strings.Contains(r.JSON, `"sc-status":"200"`) {
			t.Fatalf("%+v", r)
		}
	}
}

func FuzzW3C(f *testing.F) {
	f.Add([]byte(head + "2026-01-02 03:04:06 192.0.2.1 - \"a\"\"b\" 200\n"))
	f.Fuzz(func(t *testing.T, data []byte) { formattest.Fuzz(t, Format(), data, format.Options{}) })
}
