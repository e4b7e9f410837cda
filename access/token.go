package access

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// A token is tc1_<id>_<secret>_<sum>. The id is public: it stands in lists,
// logs and metrics. The secret has 32 characters of 62, which is 190 bits. The
// sum is that of all before it, so that what is no token, or was copied badly,
// is told from one by arithmetic alone.
const (
	prefix      = "tc1_"
	idLength    = 8
	secretChars = 32
	sumChars    = 6 // 62 to the power of 6 is more than 2 to the power of 32

	idAt        = len(prefix)
	secretAt    = idAt + idLength + 1
	sumAt       = secretAt + secretChars + 1
	tokenLength = sumAt + sumChars
)

const (
	alphabet   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendSum appends the sum of text in base 62, the most significant digit
// first.
func appendSum(b []byte, text string) []byte {
	// crc32.Checksum would want a slice, and with it an allocation for each
	// token that a stranger makes up.
	sum := ^uint32(0)
	for i := range len(text) {
		sum = castagnoli[byte(sum)^text[i]] ^ sum>>8
	}
	sum = ^sum
	var digits [sumChars]byte
	for i := sumChars - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%uint32(len(alphabet))]
		sum /= uint32(len(alphabet))
	}
	return append(b, digits[:]...)
}

// split takes a token apart. It reports false for everything that was not made
// by this package; it neither allocates nor hashes.
func split(token string) (id, secret string, ok bool) {
	if len(token) != tokenLength || token[:len(prefix)] != prefix || token[secretAt-1] != '_' || token[sumAt-1] != '_' {
		return "", "", false
	}
	var sum [sumChars]byte
	if string(appendSum(sum[:0], token[:sumAt-1])) != token[sumAt:] {
		return "", "", false
	}
	id, secret = token[idAt:secretAt-1], token[secretAt:sumAt-1]
	return id, secret, validID(id) && each(secret, alphabet)
}

func validID(id string) bool { return len(id) == idLength && each(id, idAlphabet) }

func each(text, of string) bool {
	for i := range len(text) {
		if strings.IndexByte(of, text[i]) < 0 {
			return false
		}
	}
	return true
}

// hashOf is what is kept of a secret. A fast hash is enough: nobody can try
// 2 to the power of 190 secrets, and a slow one would be work that strangers
// can order.
func hashOf(secret string) [sha256.Size]byte {
	var buf [secretChars]byte
	n := copy(buf[:], secret)
	return sha256.Sum256(buf[:n])
}

// draw takes n characters of an alphabet from random bytes, each as likely as
// the others.
func draw(random io.Reader, n int, of string) (string, error) {
	limit := 256 - 256%len(of) // bytes from here on would favour the first characters
	out := make([]byte, 0, n)
	buf := make([]byte, 64)
	// Each round keeps three of four bytes on average; a source that gives
	// none in a thousand rounds is broken.
	for range 1000 {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("read random bytes: %w", err)
		}
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, of[int(b)%len(of)])
			}
		}
		if len(out) == n {
			return string(out), nil
		}
	}
	return "", fmt.Errorf("the source of random bytes is broken: it gives no usable ones")
}

// join makes the token of an id and a secret.
func join(id, secret string) string {
	text := prefix + id + "_" + secret
	return string(appendSum([]byte(text+"_"), text))
}

// Redact replaces every token in a text by its public part, for messages that
// repeat what a client or a file said.
func Redact(text string) string {
	var b strings.Builder
	for {
		at := strings.Index(text, prefix)
		if at < 0 || len(text) < at+secretAt {
			b.WriteString(text)
			return b.String()
		}
		end := at + secretAt
		for end < len(text) && (text[end] == '_' || strings.IndexByte(alphabet, text[end]) >= 0) {
			end++
		}
		b.WriteString(text[:at+secretAt-1])
		b.WriteString("_…")
		text = text[end:]
	}
}
