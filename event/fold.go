package event

import (
	"encoding/binary"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Fold returns the representative of r under Unicode simple case folding: the
// least code point of its orbit, so that r and s fold alike exactly when
// unicode.SimpleFold leads from one to the other. ASCII letters fold to upper
// case. No normalisation takes place, and ß, ss, İ and i stay four things.
func Fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}
	if r > foldRuneMax {
		return r
	}
	page := foldPages()[r>>8]
	if page == nil {
		return r
	}
	return page[r&0xff]
}

// foldRuneMax is the last code point with case: Adlam ends at U+1E943.
const foldRuneMax = 0x1ffff

// foldPages holds, for each run of 256 code points in which any one folds to
// another, what they fold to. It takes some 40 KB, made on first use.
var foldPages = sync.OnceValue(func() *[foldRuneMax>>8 + 1]*[256]rune {
	var pages [foldRuneMax>>8 + 1]*[256]rune
	for r := rune(utf8.RuneSelf); r <= foldRuneMax; r++ {
		least := r
		for s := unicode.SimpleFold(r); s != r; s = unicode.SimpleFold(s) {
			least = min(least, s)
		}
		if least == r {
			continue
		}
		page := pages[r>>8]
		if page == nil {
			page = new([256]rune)
			for i := range page {
				page[i] = r&^0xff + rune(i)
			}
			pages[r>>8] = page
		}
		page[r&0xff] = least
	}
	return &pages
})

// AppendFold appends s folded code point by code point (see [Fold]) and
// reports whether the result has bytes beyond ASCII. Each byte of invalid
// UTF-8 becomes U+FFFD.
func AppendFold(dst, s []byte) (folded []byte, nonASCII bool) {
	n := len(dst)
	if cap(dst)-n < len(s) {
		grown := make([]byte, n, 2*cap(dst)+len(s))
		copy(grown, dst)
		dst = grown
	}
	out := dst[n : n+len(s)]
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		if w&lanes80 != 0 {
			break
		}
		binary.LittleEndian.PutUint64(out[i:], upper8(w))
	}
	for ; i < len(s) && s[i] < utf8.RuneSelf; i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		out[i] = c
	}
	dst = dst[:n+i]
	for i < len(s) {
		if c := s[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r = Fold(r); r >= utf8.RuneSelf {
			nonASCII = true
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst, nonASCII
}

// upper8 turns the ASCII lower-case letters among eight ASCII bytes into upper
// case, all lanes at once: a byte is a letter when adding 0x1f carries it past
// 0x7f and adding 0x05 does not.
func upper8(w uint64) uint64 {
	isLower := ((w + lanes01*(0x80-'a')) &^ (w + lanes01*(0x80-'z'-1))) & lanes80
	return w - isLower>>2
}

// FoldString returns s folded as [AppendFold] does.
func FoldString(s string) string {
	b, _ := AppendFold(nil, []byte(s))
	return string(b)
}
