package pack

import (
	"testing"
)

func TestEmbeddedPacksAreValid(t *testing.T) {
	t.Parallel()
	packs, err := loadEmbedded(true)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) == 0 {
		t.Fatal("no pack is embedded")
	}
}
