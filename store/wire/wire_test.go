package wire

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, list := rapid.String().Draw(t, "text"), rapid.SliceOf(rapid.String()).Draw(t, "list")
		flag, signed, unsigned := rapid.Bool().Draw(t, "flag"), rapid.Int64().Draw(t, "signed"), rapid.Uint64().Draw(t, "unsigned")
		b := AppendBool(AppendTexts(AppendText(nil, text), list), flag)
		b = binary.AppendUvarint(binary.AppendVarint(b, signed), unsigned)
		d := Decoder{B: b}
		if got := d.Text(); got != text {
			t.Fatalf("text %q, want %q", got, text)
		}
		if got := d.Texts(); !slices.Equal(got, list) {
			t.Fatalf("list %q, want %q", got, list)
		}
		if d.Bool() != flag || d.Varint() != signed || d.Uvarint() != unsigned || d.Failed || len(d.B) != 0 {
			t.Fatal("numbers or the end differ")
		}
		cut := Decoder{B: b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]}
		_, _, _, _, _ = cut.Text(), cut.Texts(), cut.Bool(), cut.Varint(), cut.Uvarint()
		if !cut.Failed {
			t.Fatal("a cut encoding was read without a fault")
		}
	})
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{1, 'a', 2, 1, 'b', 0, 1, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		d := Decoder{B: data}
		total := len(d.Text())
		for _, s := range d.Texts() {
			total += len(s)
		}
		total += len(d.Take(d.Count(4) * 4))
		if total > len(data) {
			t.Fatalf("%d bytes made of %d", total, len(data))
		}
	})
}
