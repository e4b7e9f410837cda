package stream

import (
	"fmt"

	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

const (
	// leadBytes is how much of the log in front of what is evaluated again is
	// read too, for the parts of events that began there: what an assembler
	// holds.
	leadBytes = 16 << 20
	// againSections is how many sections one write of what is evaluated again
	// holds.
	againSections = 256
)

// gap passes over offsets that cannot be read. A change of content is told by
// its meta alone; sections are found again once it is known whose are missing.
func (s *scope) gap(g *store.Gap) error {
	s.node.logger.Error("matches cannot be read; they are found again", "partition", s.partition.String(), "from", g.From, "to", g.To, "why", g.Why)
	s.gapped = true
	for offset := g.From; offset < g.To && len(g.Metas) > 0; offset++ {
		if meta := g.Metas[offset]; len(meta) > 0 && meta[0] == metaContent {
			if err := s.turn(meta); err != nil {
				return err
			}
		}
	}
	return nil
}

// again applies what stage 1 finds in the entries of an events partition, from
// one offset up to another, by evaluating them once more: what it wrote of them
// cannot be read back. They are decided as they were the first time, but that
// parts of events further back than leadBytes are given up.
func (s *scope) again(source string, shard int, from, to int64, c *commit) error {
	n := s.node
	p := store.Partition{Tenant: s.partition.Tenant, Kind: ingest.KindEvents, Source: source, Shard: shard}
	for _, h := range n.log.Heads() {
		if h.Partition == p && from < h.First {
			n.logger.Error("entries that should be evaluated again were removed by retention", "partition", p.String(), "from", from, "to", min(h.First, to))
			from = h.First
		}
	}
	if from >= to {
		return nil
	}
	first, content, err := s.lead(p, from)
	if err != nil {
		return fmt.Errorf("find what stood before offset %d of %v: %w", from, p, err)
	}
	n.logger.Warn("entries are evaluated again", "partition", p.String(), "from", from, "to", to)
	f := &feed{partition: p, source: n.source(p.Tenant, source), watermark: never}
	f.sequences = health.NewSequences(sequencesConfig(f.source))
	f.settle(content)
	w := newWorker(n.cfg.Format, n.cfg.Detect, func() int64 { return n.clock.Now().UnixNano() }, nil)
	for offset := first; offset < to; offset++ {
		if offset == from {
			f.watermark = s.engine.Heard(s.source(producer(source, shard)))
		}
		t := &task{feed: f, offset: offset, through: offset + 1}
		if err := n.evaluate(w, t, func() {}); err != nil {
			return err
		}
		x, err := f.collect(t, n.contents.get)
		if err != nil {
			return err
		}
		if offset < from {
			continue
		}
		s.apply(x, c)
		if len(c.sections) >= againSections {
			if err := s.commit(c); err != nil {
				return err
			}
			*c = commit{}
		}
	}
	return nil
}

// lead returns where to begin reading a partition so that what was under way at
// an offset is known, and the content that decides there.
func (s *scope) lead(p store.Partition, from int64) (int64, *Content, error) {
	type entry struct {
		offset  int64
		bytes   int
		content *Version // before it; nil is not known
	}
	var (
		entries []entry
		bytes   int
		content *Version
	)
	err := s.node.log.Metas(p, 0, func(offset int64, meta []byte) bool {
		if offset >= from {
			return false
		}
		m, err := ingest.ParseMeta(meta)
		if err != nil {
			return true
		}
		entries = append(entries, entry{offset, m.Bytes, content})
		for bytes += m.Bytes; bytes > leadBytes; entries = entries[1:] {
			bytes -= entries[0].bytes
		}
		if m.Kind == ingest.KindContent {
			v := Version(m.Key)
			content = &v
		}
		return true
	})
	if err != nil {
		return 0, nil, err
	}
	first := from
	if len(entries) > 0 {
		first, content = entries[0].offset, entries[0].content
	}
	if content == nil {
		return first, s.content, nil
	}
	c, err := s.node.contents.get(*content)
	return first, c, err
}

// tail applies what the last sections in the log would have said when they
// cannot be read and none comes behind them. It reports whether it did, or has to
// be called again because something came meanwhile.
func (s *scope) tail() (bool, error) {
	written := map[*feed]int64{}
	for _, f := range s.node.scheduler.all() {
		if f.tenant() == s.partition.Tenant && f.source.scope() == s.partition.Source {
			f.mu.Lock()
			written[f] = f.written
			f.mu.Unlock()
		}
	}
	// What was written by now is read, or there is more to read.
	for _, h := range s.node.log.Heads() {
		if h.Partition == s.partition && h.Next > s.next {
			return true, nil
		}
	}
	s.gapped = false
	c := &commit{}
	for f, to := range written {
		from, known := s.marks[producer(f.partition.Source, f.partition.Shard)]
		if !known {
			from = f.since
		}
		if from >= to {
			continue
		}
		if err := s.again(f.partition.Source, f.partition.Shard, from, to, c); err != nil {
			return false, err
		}
	}
	if len(c.sections) == 0 {
		return false, nil
	}
	return true, s.commit(c)
}
