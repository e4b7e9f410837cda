package httpin

import (
	"hash/fnv"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tiercel-io/tiercel/ingest"
)

// hopsMax bounds the proxies that are walked back through.
const hopsMax = 16

// Peer is the address a request comes from: that of the connection, or, when
// that is one of the proxies of [Options], the last one in X-Forwarded-For that
// is not. It is the zero Addr when the connection has none.
func (f *Front) Peer(r *http.Request) netip.Addr {
	var peer netip.Addr
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = ap.Addr().Unmap().WithZone("")
	} else if a, err := netip.ParseAddr(r.RemoteAddr); err == nil {
		peer = a.Unmap().WithZone("")
	}
	if len(f.o.Proxies) == 0 || !f.proxy(peer) {
		return peer
	}
	chain := strings.Join(r.Header["X-Forwarded-For"], ",")
	for range hopsMax {
		at := strings.LastIndexByte(chain, ',')
		hop, err := netip.ParseAddr(strings.TrimSpace(chain[at+1:]))
		if err != nil {
			return peer
		}
		peer = hop.Unmap().WithZone("")
		if at < 0 || !f.proxy(peer) {
			return peer
		}
		chain = chain[:at]
	}
	return peer
}

func (f *Front) proxy(a netip.Addr) bool {
	for _, p := range f.o.Proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Shard is the number that what one sender sends has in common: a hash of its
// address and of the public part of its token. It is the same in every run.
func Shard(peer netip.Addr, grant ingest.Grant) uint32 {
	h := fnv.New32a()
	address := peer.As16()
	_, _ = h.Write(address[:])
	_, _ = h.Write([]byte(grant.Token))
	return h.Sum32()
}
