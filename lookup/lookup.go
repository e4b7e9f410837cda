// Package lookup is named lists: users, hosts, networks, hashes, domains and
// plain texts that rules ask for by placeholders. It parses lists from bytes,
// normalises and checks each entry by the list's type, and gives the values
// that are valid at a time.
//
// A list is parsed once and then immutable and safe for concurrent use; a
// changed file becomes a new list. Each has a hash of what it says, which pins
// it for a replay. Whether an entry has expired is decided against a time that
// the caller names, never the clock, so that one list and one time always give
// the same values. The package is pure: package lookupfile reads folders.
// [EntriesMax], [FileBytesMax] and [ValueBytesMax] bound a list.
package lookup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/rule"
)

// Limits of one list.
const (
	// FileBytesMax bounds the file of a list.
	FileBytesMax = 32 << 20
	// EntriesMax bounds the entries of a list: what one rule may use.
	EntriesMax = rule.ListValuesMax
	// ValueBytesMax bounds one value; a path or a command line fits.
	ValueBytesMax = 4 << 10
	// FaultsMax bounds the bad rows that are reported one by one.
	FaultsMax = 100
)

// Type says what the entries of a list are, and so how they are checked and
// written.
type Type uint8

// The types.
const (
	// Text is anything; * and ? are wildcards, read by Sigma's escapes.
	Text Type = iota
	// Users are names of accounts, with wildcards: adm*, CORP\svc-*.
	Users
	// Hosts are names of hosts, with wildcards; a final dot is dropped.
	Hosts
	// Domains are names of domains, with wildcards; a final dot is dropped.
	Domains
	// Networks are IPv4 and IPv6 networks or addresses, for the modifier cidr.
	Networks
	// Hashes are MD5, SHA-1, SHA-256, SHA-384 or SHA-512 in hexadecimal.
	Hashes
)

var typeNames = [...]string{"text", "users", "hosts", "domains", "networks", "hashes"}

// String returns the plural that names the type in file names: "users".
func (t Type) String() string { return typeNames[t] }

// Types are all types.
func Types() []Type { return []Type{Text, Users, Hosts, Domains, Networks, Hashes} }

// ParseType reads a type's name, in the plural or the singular.
func ParseType(s string) (Type, bool) {
	s = strings.ToLower(s)
	for i, n := range typeNames {
		singular := strings.TrimSuffix(n, "s")
		if n == "hashes" {
			singular = "hash"
		}
		if s == n || s == singular {
			return Type(i), true
		}
	}
	return 0, false
}

// Entry is one value of a list.
type Entry struct {
	// Value is normalised by the list's type.
	Value string
	// Expires is the first instant at which the entry does not count any more;
	// the zero time never comes.
	Expires time.Time
	// Line is where it stands, from 1.
	Line int
}

// List is a named list.
type List struct {
	// Name is what a placeholder calls it.
	Name string
	// File is where it was read.
	File string
	Type Type
	// Entries are in the order of the file, each value once.
	Entries []Entry
	// Hash is lower-case hex SHA-256 of type and entries, whatever their
	// order, comments and further columns are.
	Hash string
	// Expiring reports that some entry expires.
	Expiring bool
	// Rows and Refused count the rows with a value and those of them that were
	// bad; what is left besides Entries stood twice.
	Rows, Refused int
}

// Values returns the entries that count at asOf. An entry counts before the
// instant at which it expires. Lists that do not expire ignore asOf.
func (l *List) Values(asOf time.Time) rule.ValueList {
	out := rule.ValueList{Literal: l.Type == Networks || l.Type == Hashes, Values: make([]string, 0, len(l.Entries))}
	for i := range l.Entries {
		if e := &l.Entries[i]; e.Expires.IsZero() || asOf.Before(e.Expires) {
			out.Values = append(out.Values, e.Value)
		}
	}
	return out
}

// hashVersion stands in front of every hash and changes with its encoding.
const hashVersion = "tiercel-lookup-1"

func (l *List) hash() string {
	order := slices.Clone(l.Entries)
	slices.SortFunc(order, func(a, b Entry) int { return strings.Compare(a.Value, b.Value) })
	h := sha256.New()
	var buf []byte
	text := func(s string) {
		buf = binary.AppendUvarint(buf[:0], uint64(len(s)))
		h.Write(append(buf, s...))
	}
	text(hashVersion)
	text(l.Type.String())
	for i := range order {
		text(order[i].Value)
		if order[i].Expires.IsZero() {
			text("")
		} else {
			text(order[i].Expires.UTC().Format(time.RFC3339Nano))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Set is several lists, by name.
type Set struct {
	// Lists are in the order of their names, which differ.
	Lists []*List
}

// Get returns the list of that name, or nil.
func (s *Set) Get(name string) *List {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.Lists, name, func(l *List, n string) int { return strings.Compare(l.Name, n) })
	if !ok {
		return nil
	}
	return s.Lists[i]
}

// Expiring names the lists whose values depend on the time, in order.
func (s *Set) Expiring() []string {
	var names []string
	for _, l := range s.Lists {
		if l.Expiring {
			names = append(names, l.Name)
		}
	}
	return names
}

// Values returns all lists as they stand at asOf, for rule.Options.
func (s *Set) Values(asOf time.Time) map[string]rule.ValueList {
	out := make(map[string]rule.ValueList, len(s.Lists))
	for _, l := range s.Lists {
		out[l.Name] = l.Values(asOf)
	}
	return out
}

// Pins maps each list's name to its hash.
func (s *Set) Pins() map[string]string {
	out := make(map[string]string, len(s.Lists))
	for _, l := range s.Lists {
		out[l.Name] = l.Hash
	}
	return out
}
