package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/env"
)

func TestNotifyManager(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	notify := func(socket, state string) error {
		return notifyManager(t.Context(), env.Real().Net, func(string) string { return socket }, state)
	}
	for _, state := range []string{"READY=1", "STOPPING=1"} {
		if err := notify(path, state); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		n, err := manager.Read(got)
		if err != nil || string(got[:n]) != state {
			t.Errorf("got %q: %v", got[:n], err)
		}
	}
	if err := notify("", "READY=1"); err != nil {
		t.Errorf("nobody asked: %v", err)
	}
	for socket, want := range map[string]string{path + "-gone": "tell the service manager READY=1", "relative": "is no path"} {
		if err := notify(socket, "READY=1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("socket %q: %v", socket, err)
		}
	}
}
