// Package readlog reads the records that the log of a data folder holds, for tests
// that run a server from outside this module and then look at what it kept.
//
// Its test binary is the program: with TIERCEL_READLOG set to the data folder
// of a server that has stopped, and TIERCEL_READLOG_SOURCE to a source, it prints
// a line of JSON for each record in place of running its tests. "data" holds the
// record's bytes in Base64, "refused" is true for a piece that went to quarantine
// without becoming a record.
package readlog

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/engine/segment"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// record is one line of the output.
type record struct {
	Data    []byte `json:"data"`
	Refused bool   `json:"refused,omitempty"`
}

func TestMain(m *testing.M) {
	data := os.Getenv("TIERCEL_READLOG")
	if data == "" {
		os.Exit(m.Run())
	}
	if err := read(data, os.Getenv("TIERCEL_READLOG_SOURCE"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "readlog:", err)
		os.Exit(1)
	}
}

// What was appended is printed, with what was refused.
func TestRead(t *testing.T) {
	t.Parallel()
	world := env.Real()
	dir := t.TempDir()
	tenants, err := event.NewTenants([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	log, err := segment.Open(segment.Config{FS: world.FS, Dir: filepath.Join(dir, "log"), Clock: world.Clock, Rand: rand.Reader, Tenants: tenants, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	batch := ingest.Batch{
		Data:    []byte("one\ntwo\nbad\n"),
		Frames:  []format.Frame{{Start: 0, End: 3}, {Start: 4, End: 7}},
		Refused: []ingest.Refused{{Start: 8, End: 11, Reason: ingest.ReasonNotRecord}},
	}
	for _, source := range []string{"a", "b"} {
		entry := store.Entry{
			Partition: store.Partition{Tenant: tenants.All()[0], Kind: ingest.KindEvents, Source: source},
			Meta:      ingest.AppendMeta(nil, ingest.Meta{Kind: ingest.KindBatch, Records: 3, Bytes: len(batch.Data)}),
			Payload:   ingest.AppendPayload(nil, &batch),
		}
		if _, err := log.Append([]store.Entry{entry}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := read(dir, "a", &out); err != nil {
		t.Fatal(err)
	}
	const want = `{"data":"b25l"}` + "\n" + `{"data":"dHdv"}` + "\n" + `{"data":"YmFk","refused":true}` + "\n"
	if out.String() != want {
		t.Errorf("printed %s", out.String())
	}
}

// read prints the records of a source of the only tenant. A gap in the log is an
// error.
func read(data, source string, out io.Writer) (err error) {
	world := env.Real()
	tenants, err := event.NewTenants([]string{"local"})
	if err != nil {
		return err
	}
	log, err := segment.Open(segment.Config{FS: world.FS, Dir: filepath.Join(data, "log"), Clock: world.Clock, Rand: rand.Reader, Tenants: tenants, Reserve: -1})
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	defer func() { err = errors.Join(err, w.Flush(), log.Close()) }()
	lines := json.NewEncoder(w)
	for _, head := range log.Heads() {
		if head.Partition.Kind != ingest.KindEvents || head.Partition.Source != source {
			continue
		}
		for next := head.First; next < head.Next; {
			page, err := log.Read(head.Partition, next, 16<<20)
			if err != nil {
				return err
			}
			if len(page.Gaps) > 0 {
				return fmt.Errorf("the log has a gap: %+v", page.Gaps)
			}
			for _, entry := range page.Entries {
				meta, err := ingest.ParseMeta(entry.Meta)
				if err != nil {
					return err
				}
				if meta.Kind != ingest.KindBatch {
					continue
				}
				var batch ingest.Batch
				if err := ingest.ParsePayload(entry.Payload, meta, &batch); err != nil {
					return err
				}
				for _, f := range batch.Frames {
					if err := lines.Encode(record{Data: batch.Data[f.Start:f.End]}); err != nil {
						return err
					}
				}
				for _, r := range batch.Refused {
					if err := lines.Encode(record{Data: batch.Data[r.Start:r.End], Refused: true}); err != nil {
						return err
					}
				}
			}
			next = page.Next
		}
	}
	return nil
}
