// Command tiercel scans logs with Sigma rules, and checks, explains and
// measures rules and packs.
//
// main only hands the process over to run, which tests call the same way: all
// that a verb touches comes in as an argument, and its exit code goes out as an
// error. Each verb has a file of its own; wire.go lists formats, packs and
// rules.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/tiercel-io/tiercel/env"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	err := run(ctx, process{
		args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdoutTerminal: terminal(os.Stdout), stderrTerminal: terminal(os.Stderr),
		getenv: os.Getenv, environ: os.Environ(), world: env.Real(),
	})
	os.Exit(exitCode(err))
}

// terminal reports whether f is a character device, as a terminal is.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
