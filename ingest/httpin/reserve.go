package httpin

import "github.com/tiercel-io/tiercel/ingest"

const (
	// ratioUsual is what a compressed body is taken to inflate to before it is
	// known: logs compress 5 to 15 times.
	ratioUsual = 16
	// unknownBytes is what a sink takes a body without a length for.
	unknownBytes = 1 << 20
)

// reserve is the room in the sink that a delivery has. It grows with what
// really comes: a length says little of a compressed body and may be missing.
type reserve struct {
	sink     ingest.Sink
	grant    ingest.Grant
	bytes    int64
	releases []func()
}

// hint is the room to ask for before anything of a body is known but its
// length, or -1.
func hint(length int64, encoding string, limit int64) int64 {
	if length <= 0 || encoding == "" {
		return length
	}
	return max(min(length*(ratioUsual+1), length+limit), firstBytes)
}

// open asks for the first room; the error is a *Fault.
func (r *reserve) open(hint int64) error {
	release, err := r.sink.Admit(r.grant.Tenant, r.grant.Source, hint)
	if err != nil {
		return AsFault(err)
	}
	r.bytes = hint
	if hint < 0 {
		r.bytes = unknownBytes
	}
	r.releases = append(r.releases, release)
	return nil
}

// atLeast makes the room n bytes; the error is a *Fault. A nil reserve has room
// for everything.
func (r *reserve) atLeast(n int64) error {
	if r == nil || n <= r.bytes {
		return nil
	}
	release, err := r.sink.Admit(r.grant.Tenant, r.grant.Source, n-r.bytes)
	if err != nil {
		return AsFault(err)
	}
	r.bytes = n
	r.releases = append(r.releases, release)
	return nil
}

func (r *reserve) close() {
	if r == nil {
		return
	}
	for _, release := range r.releases {
		release()
	}
	r.releases = nil
}
