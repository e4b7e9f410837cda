// Package corpus holds the tests that need the public corpora: recorded
// attacks, regression logs of rules, and what a correct engine finds in them.
// It has no code; set TIERCEL_CORPUS to the unpacked corpora to run its tests.
package corpus
