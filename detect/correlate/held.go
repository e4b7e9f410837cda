package correlate

// Groups returns how many groups the engine holds now. It looks at every shard
// of every detector, some microseconds for each of them: call it each second, not
// for each hit.
func (e *Engine) Groups() int {
	n := 0
	for _, d := range e.detectors {
		for i := range d.shards {
			n += d.shards[i].n
		}
	}
	return n
}
