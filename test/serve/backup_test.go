package serve

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A backup that is made under load is a server that was killed at that moment:
// what was acknowledged before is in it, and what senders send again is known.
func TestBackupUnderLoad(t *testing.T) {
	n := newNode(t, setup{})
	n.start()
	l := newLoad(n, 1)
	l.forSome(time.Second)
	finish := l.background()
	before := l.acked.Load()
	var backup struct{ Name string }
	if err := n.ask("POST", "/backup", map[string]string{"label": "under-load"}, &backup); err != nil {
		t.Fatal(err)
	}
	finish()
	l.end()
	n.account(l)
	n.judge(l.marks)

	restored := newNode(t, setup{})
	out, err := exec.Command(binary, "restore", filepath.Join(n.data, "backups", backup.Name), "--data", restored.data).CombinedOutput()
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, out)
	}
	restored.start()
	var c counts
	await(t, backWithin, "the copy accounts for what was acknowledged before", func() error {
		var err error
		c, err = restored.ledger()
		return err
	})
	t.Logf("%d events were acknowledged before the backup; the copy has %+v; %s", before, c, strings.TrimSpace(string(out)))
	// The same events once more, by the same clients: the copy knows those that
	// it has, and takes the others.
	again := newLoad(restored, 1)
	again.begin = l.begin
	again.rate = 0
	again.tokens = l.tokens
	again.until(l.next)
	again.end()
	if again.next != l.next || again.acked.Load() != l.acked.Load() {
		t.Fatalf("%d batches were sent again, and %d at first", again.next, l.next)
	}
	restored.account(again)
	restored.judge(again.marks)

	out, err = exec.Command(binary, "restore", filepath.Join(n.data, "backups", backup.Name), "--data", restored.data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is not empty") {
		t.Errorf("restore over a folder in use: %v\n%s", err, out)
	}
}
