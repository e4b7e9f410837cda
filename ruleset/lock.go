package ruleset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// LockName is the name of the lock file in a store's folder.
const LockName = "rulesets.lock"

// Limits of a store.
const (
	// SetsMax bounds the rule sets of one store.
	SetsMax = 100
	// StatesMax bounds the states kept of one set, the current one included;
	// each public one has some 15 MB.
	StatesMax = 5
	// lockBytesMax bounds the lock file.
	lockBytesMax = 4 << 20
)

// Lock is the content of a lock file: what is in use.
type Lock struct {
	// Version is that of the file's format.
	Version int `json:"version"`
	// Time is when the lock was changed last. Lists expire against it, so that
	// the same lock gives the same rules.
	Time time.Time `json:"time"`
	// Sets are in the order of their names.
	Sets []Set `json:"sets"`
	// Lookups maps the lists of that time to their hashes.
	Lookups map[string]string `json:"lookups,omitempty"`
}

// Set is one rule set.
type Set struct {
	Name string `json:"name"`
	// States are those kept, newest first; the first that is not rolled back
	// is the current one.
	States []State `json:"states"`
}

// State is the content of a set at a time.
type State struct {
	// Hash is that of its files, see [Hash].
	Hash   string     `json:"hash"`
	Source string     `json:"source"`
	Kind   SourceKind `json:"kind"`
	Commit string     `json:"commit,omitempty"`
	Time   time.Time  `json:"time"`
	// Files and Documents count what it holds.
	Files     int `json:"files"`
	Documents int `json:"documents"`
	// RolledBack marks a state that a rollback left; the next update drops it.
	RolledBack bool `json:"rolled_back,omitempty"`
}

// Set returns the set of that name, or nil.
func (l *Lock) Set(name string) *Set {
	for i := range l.Sets {
		if l.Sets[i].Name == name {
			return &l.Sets[i]
		}
	}
	return nil
}

// current is the index of the state in use, or -1.
func (s *Set) current() int {
	return slices.IndexFunc(s.States, func(x State) bool { return !x.RolledBack })
}

// Current returns the state in use, or nil.
func (s *Set) Current() *State {
	if s == nil {
		return nil
	}
	if i := s.current(); i >= 0 {
		return &s.States[i]
	}
	return nil
}

const lockVersion = 1

// parseLock reads a lock file and checks everything that becomes a path.
func parseLock(r io.Reader) (*Lock, error) {
	data, err := io.ReadAll(io.LimitReader(r, lockBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(data) > lockBytesMax {
		return nil, fmt.Errorf("it has more than %d bytes", lockBytesMax)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var l Lock
	if err := d.Decode(&l); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("something stands behind its end")
	}
	if l.Version != lockVersion {
		return nil, fmt.Errorf("its version is %d; this program reads %d", l.Version, lockVersion)
	}
	if len(l.Sets) > SetsMax {
		return nil, fmt.Errorf("it has more than %d rule sets", SetsMax)
	}
	seen := map[string]bool{}
	for i := range l.Sets {
		s := &l.Sets[i]
		if err := CheckName(s.Name); err != nil {
			return nil, err
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("it names the rule set %q twice", s.Name)
		}
		seen[s.Name] = true
		if len(s.States) > StatesMax || s.Current() == nil {
			return nil, fmt.Errorf("the rule set %q has %d states, of which one to %d and one in use are needed", s.Name, len(s.States), StatesMax)
		}
		for _, x := range s.States {
			if !isHash(x.Hash) {
				return nil, fmt.Errorf("the rule set %q has a state whose hash is none", s.Name)
			}
		}
	}
	return &l, nil
}

func (l *Lock) encode() ([]byte, error) {
	slices.SortFunc(l.Sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(l); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// nameBytesMax bounds the name of a set.
const nameBytesMax = 64

// CheckName checks the name of a rule set: lower-case letters, digits, dots,
// hyphens and underscores, beginning with a letter or digit.
func CheckName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	if name == "" || len(name) > nameBytesMax || strings.Trim(name, first+"._-") != "" || !strings.Contains(first, name[:1]) {
		return fmt.Errorf("%q is not the name of a rule set; use 1 to %d lower-case letters, digits, dots, hyphens and underscores", name, nameBytesMax)
	}
	return nil
}

// NameOf makes the name of a set from its source's path.
func NameOf(path string) string {
	path = strings.TrimRight(strings.ReplaceAll(path, `\`, "/"), "/")
	path = strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	for _, ext := range []string{".zip", ".gz", ".zst", ".bz2", ".tgz", ".tar"} {
		path = strings.TrimSuffix(path, ext)
	}
	var b strings.Builder
	for _, r := range path {
		ok := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case ok, b.Len() > 0 && strings.ContainsRune("._-", r):
			b.WriteRune(r)
		case r == '+':
			b.WriteString("-plus")
		case b.Len() > 0:
			b.WriteByte('-')
		}
		if b.Len() >= nameBytesMax {
			break
		}
	}
	name := b.String()
	if len(name) > nameBytesMax {
		name = name[:nameBytesMax]
	}
	if name == "" {
		return "rules"
	}
	return name
}
