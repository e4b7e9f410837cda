package json

import (
	"errors"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

type parser struct {
	rec  event.Record
	hint string
}

// Parse implements format.Parser: one record for each object in the frame. The
// zeros that a crash or a copy-and-truncate rotation leaves between records are
// passed over and reported.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	raw := b.Data[f.Start:f.End]
	start, zeros := skipZeros(raw, 0)
	for start < len(raw) {
		rec := &p.rec
		n, err := rec.Tree.ParseJSONPrefix(raw[start:])
		if err != nil {
			return moved(err, start)
		}
		if k := rec.Tree.Kind(0); k != event.Object {
			return fmt.Errorf("a record must be a JSON object, found %s %s", article(k), k)
		}
		rec.Raw = raw[start : start+n : start+n]
		rec.Format, rec.Hint = "json", p.hint
		rec.RecordID, rec.Group = 0, 0
		rec.Line, rec.Offset = f.Line, f.Offset+int64(start)
		rec.Time, rec.TimeQuality = time.Time{}, event.TimeMissing
		if !digest(&rec.Tree) {
			emit(rec)
		}
		var more int
		start, more = skipZeros(raw, start+n)
		zeros += more
	}
	if zeros > 0 {
		return fmt.Errorf("%d zero bytes stand where JSON should and are skipped", zeros)
	}
	return nil
}

// skipZeros returns the index of the first byte from i on that is neither white
// space nor zero, and how many were zero.
func skipZeros(b []byte, i int) (next, zeros int) {
	for i = skipSpace(b, i); i < len(b) && b[i] == 0; i = skipSpace(b, i+1) {
		zeros++
	}
	return i, zeros
}

// moved makes the position of a syntax error count from the frame's start.
func moved(err error, start int) error {
	var syntax *event.SyntaxError
	if start > 0 && errors.As(err, &syntax) {
		return &event.SyntaxError{Offset: syntax.Offset + start, Reason: syntax.Reason}
	}
	return err
}

func article(k event.Kind) string {
	if k == event.Array {
		return "an"
	}
	return "a"
}

// digest reports whether the tree is an AWS CloudTrail digest, which lists log
// files and their hashes and holds no event.
func digest(t *event.Tree) bool {
	return t.Len() > 1 && string(t.Key(1)) == "awsAccountId" &&
		t.Find(0, "digestS3Object") > 0 && t.Find(0, "digestStartTime") > 0
}
