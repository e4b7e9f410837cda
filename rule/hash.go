package rule

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// hashTexts writes texts so that no two lists of them have one encoding: each
// behind its length.
func hashTexts(h hash.Hash, texts ...string) {
	var buf [binary.MaxVarintLen64]byte
	for _, t := range texts {
		h.Write(buf[:binary.PutUvarint(buf[:], uint64(len(t)))])
		_, _ = io.WriteString(h, t)
	}
}

// semanticVersion stands in front of every semantic hash. It changes when the
// encoding does, and with it every detection id.
const semanticVersion = "tiercel-rule-1"

// semanticHash combines the digests of sections. The sections of a rule are
// its logsource (category, product, service) and detection, as encoded by
// doctree.Node.Hash, followed by those of the filters applied, sorted by their
// digests. The contents of value lists do not count: they are settings of a
// site, and an edited list would give every old detection a new identity.
func semanticHash(sections []digest) string {
	h := sha256.New()
	hashTexts(h, semanticVersion)
	for _, d := range sections {
		hashTexts(h, string(d[:]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// derivedID is the id of a document without one: the UUID version 5 of its
// canonical encoding in a namespace made for it.
func derivedID(n *doctree.Node) string {
	content := digestOf(n)
	return uuid5(uuid5Namespace, content[:])
}

// uuid5Namespace is the UUID version 5 of "tiercel.io" in the DNS namespace of
// RFC 9562.
var uuid5Namespace = func() [16]byte {
	dns := [16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	return uuid5Bytes(dns, []byte("tiercel.io"))
}()

func uuid5Bytes(namespace [16]byte, name []byte) (u [16]byte) {
	h := sha1.New()
	h.Write(namespace[:])
	h.Write(name)
	copy(u[:], h.Sum(nil))
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

func uuid5(namespace [16]byte, name []byte) string {
	u := uuid5Bytes(namespace, name)
	s := hex.EncodeToString(u[:])
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// isUUID reports whether s is a UUID in its usual form, of any version.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9' || s[i] < '0') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func digestOfText(s string) digest { return sha256.Sum256([]byte(s)) }

// IsID reports whether s can be the id of a document: a UUID of any version.
func IsID(s string) bool { return isUUID(s) }

// DerivedID returns the UUID version 5 for content that has no id of its own,
// in the namespace of the ids of documents without one.
func DerivedID(content string) string { return uuid5(uuid5Namespace, []byte(content)) }
