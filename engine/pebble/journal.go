package pebble

import (
	"context"
	"fmt"
	"log/slog"
)

// messageBytesMax bounds one message of Pebble in the log.
const messageBytesMax = 1 << 10

// journal takes Pebble's messages.
type journal struct {
	log   *slog.Logger
	fatal func(error)
	// damaged is called for each damaged block.
	damaged func()
}

// fatal is what the journal panics with.
type fatal struct{ message string }

func (f *fatal) Error() string { return f.message }

func message(format string, args []any) string {
	m := fmt.Sprintf(format, args...)
	return m[:min(len(m), messageBytesMax)]
}

// Infof implements Pebble's logger.
func (j *journal) Infof(format string, args ...any) {
	if j.log.Enabled(context.Background(), slog.LevelDebug) {
		j.log.Debug("documents", "detail", message(format, args))
	}
}

// Errorf implements Pebble's logger.
func (j *journal) Errorf(format string, args ...any) {
	j.log.Warn("documents have trouble", "detail", message(format, args))
}

// Fatalf implements Pebble's logger, which must not return. A panic reaches the
// write that failed, where it becomes an error; in Pebble's own goroutines it ends
// the process.
func (j *journal) Fatalf(format string, args ...any) {
	f := &fatal{message(format, args)}
	j.fatal(f)
	j.log.Error("documents cannot be written", "detail", f.message)
	panic(f)
}
