// Package pipeline runs events through the stages. Its first job is [Scan]:
// files in, matches out, once, in order.
//
// A walker names files in a fixed order. Up to jobs files are open at a time;
// one goroutine for each cuts it into blocks, and jobs workers parse, route and
// match blocks in any order. One collector takes the results in the order of
// files and blocks, completes what spans records (script blocks logged in
// parts, records that stand for one event), and hands matches out. So the
// output does not depend on the number of jobs, nor on scheduling.
//
// Memory is bounded: each open file owns two blocks, and jobs*2 more are shared
// by whoever is fastest, so that one large file keeps every worker busy and
// a later file can never starve the one that the collector waits for.
//
// A panic in a splitter ends one file and in a parser or the engine one
// record; both are reported as problems with their position.
package pipeline
