package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/env"
)

// notifyWait bounds how long the service manager's socket may take.
const notifyWait = 5 * time.Second

// notifyManager tells the service manager how the process is doing, as
// READY=1 or STOPPING=1: one datagram to the socket that NOTIFY_SOCKET names
// (sd_notify(3)). Without that variable nobody asked and nothing is done. A path
// that begins with @ is in Linux' abstract namespace.
func notifyManager(ctx context.Context, network env.Network, getenv func(string) string, state string) error {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return fmt.Errorf("NOTIFY_SOCKET %q is no path and no abstract name; is the unit of Type=notify?", socket)
	}
	ctx, cancel := context.WithTimeout(ctx, notifyWait)
	defer cancel()
	conn, err := network.DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(deadline)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}
