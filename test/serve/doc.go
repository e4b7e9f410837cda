// Package serve tests the binary as users run it: `tiercel serve` is a child
// process on a folder of its own, fed over real connections by clients that
// keep what was not acknowledged, as agents do.
//
// What the tests do to it is what machines do: processes are killed, syncs
// fail, disks fill up, bits flip. What they hold it to is always the same:
// everything that was acknowledged is accounted for, and the detections are
// exactly those that a slow reading of the same events gives, each seen once.
// The package has no code but tests; they need a Linux machine, and those of a
// full disk and of failing syncs root and strace.
package serve
