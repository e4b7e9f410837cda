package syslog

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
)

// Tables of UDP sockets, as proc(5) describes them.
const (
	table4 = "/proc/net/udp"
	table6 = "/proc/net/udp6"
)

// tableBytesMax bounds what is read of a table: 100,000 sockets.
const tableBytesMax = 16 << 20

// watch reads the kernel's counters until ctx ends, and once more then.
func (d *Datagram) watch(ctx context.Context) {
	var seen int64
	told := false
	for {
		stopped := env.Sleep(ctx, d.o.Env.Clock, dropsEvery) != nil
		n, err := kernelDrops(d.o.Env.FS, d.conn.LocalAddr())
		switch {
		case err != nil:
			// Once stopped, the socket is not in the table any more.
			if !told && !stopped {
				told = true
				d.o.Logger.Warn("drops of datagrams cannot be counted", "error", err)
			}
		case n > seen:
			d.o.Metrics.UDPDrops.Add(float64(n - seen))
			if d.o.Dropped != nil {
				d.o.Dropped(n - seen)
			}
			seen = n
		}
		if stopped {
			return
		}
	}
}

// kernelDrops returns how many datagrams for a socket of this local address
// the kernel has dropped since it was opened.
func kernelDrops(fs vfs.FS, local net.Addr) (int64, error) {
	want, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return 0, fmt.Errorf("the socket's address %q is not one of UDP", local.String())
	}
	var total int64
	found := false
	var failed error
	for _, name := range []string{table4, table6} {
		n, ok, err := tableDrops(fs, name, want)
		if err != nil {
			failed = err
		}
		total += n
		found = found || ok
	}
	switch {
	case found:
		return total, nil
	case failed != nil:
		return 0, fmt.Errorf("read the kernel's table of sockets: %w", failed)
	}
	return 0, fmt.Errorf("no socket of %s in %s", want, table4)
}

func tableDrops(fs vfs.FS, name string, want netip.AddrPort) (n int64, found bool, err error) {
	f, err := fs.Open(name)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, tableBytesMax))
	for lines.Scan() {
		drops, local, ok := tableLine(lines.Text())
		if ok && local.Port() == want.Port() && local.Addr().Unmap() == want.Addr().WithZone("").Unmap() {
			n += drops
			found = true
		}
	}
	return n, found, lines.Err()
}

// tableLine reads the local address and the drops, the last column, of a line.
func tableLine(line string) (drops int64, local netip.AddrPort, ok bool) {
	const columns = 13
	f := strings.Fields(line)
	if len(f) < columns {
		return 0, local, false
	}
	host, port, ok := strings.Cut(f[1], ":")
	if !ok {
		return 0, local, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return 0, local, false
	}
	// The address is printed as words in the machine's order of bytes, which is
	// least significant first wherever Tiercel is built for.
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		return 0, local, false
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return 0, local, false
	}
	drops, err = strconv.ParseInt(f[columns-1], 10, 64)
	if err != nil || drops < 0 {
		return 0, local, false
	}
	return drops, netip.AddrPortFrom(addr, uint16(p)), true
}
