// Package bench measures what Tiercel promises about speed and size, by
// processor time and next to a bare parse of the same bytes in the same run.
// It has benchmarks only; run them with `make bench` and TIERCEL_CORPUS set.
package bench
