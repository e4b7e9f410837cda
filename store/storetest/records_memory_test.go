package storetest

import (
	"testing"

	"github.com/tiercel-io/tiercel/store"
)

func TestMemoryRecords(t *testing.T) {
	t.Parallel()
	Records(t, func(*testing.T) store.Records { return &Memory{} })
}
