package stream

import (
	"fmt"
	"strings"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// ruleIntegrity is the id of what raises detections about doubtful records.
const ruleIntegrity = "tiercel.health.integrity"

// integrityID begins the ids of the states of the sources of a scope. The NULs
// keep the names apart.
func (s *scope) integrityID() string { return "integrity\x00" + s.partition.Source + "\x00" }

// openIntegrity takes up what is known of doubtful records. A state that is lost
// costs what was counted of an open finding.
func (s *scope) openIntegrity() error {
	t, prefix := s.partition.Tenant, s.integrityID()
	s.integrity = health.NewIntegrity(health.IntegrityConfig{Tenant: t})
	err := s.node.records.Scan(store.Range{Tenant: t, Kind: kindHealth, From: prefix, To: strings.TrimSuffix(prefix, "\x00") + "\x01"}, func(d store.Document) bool {
		if err := s.integrity.Restore(d.Value); err != nil {
			s.node.logger.Error("what was known of the doubtful records of a source is lost", "partition", s.partition.String(), "error", err.Error())
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("read what is known of doubtful records: %w", err)
	}
	return nil
}

// doubtful takes the flagged records of sections: it raises detections for their
// sources, and returns what to write with them.
func (s *scope) doubtful(sections []*Section) (list []*detection.Detection, writes []store.Write) {
	for _, x := range sections {
		c := &x.Counts
		s.integrity.Observe(&health.Batch{
			Source: x.Source, Producer: producer(x.Source, x.Shard), Offset: x.Offset, Received: x.Received,
			Records: c.Evaluated + c.Late, Flagged: c.Flagged, DuplicateFields: c.DuplicateFields, InvalidTexts: c.InvalidTexts,
			Example: health.Example{ID: x.Doubtful.ID, Index: x.Doubtful.Index, Key: x.Doubtful.Key, Time: x.Doubtful.Time}, Last: x.Last,
		})
	}
	for _, f := range s.integrity.Findings() {
		list = append(list, describeDoubtful(s.partition.Tenant, &f))
	}
	for _, state := range s.integrity.Changed() {
		writes = append(writes, store.Write{Key: store.Key{Tenant: s.partition.Tenant, Kind: kindHealth, ID: s.integrityID() + state.Source}, Value: state.State})
	}
	return list, writes
}

// describeDoubtful makes the detection of a finding.
func describeDoubtful(t event.Tenant, f *health.Doubtful) *detection.Detection {
	d := &detection.Detection{
		ID: f.ID.String(), Revision: fmt.Sprintf("%s-%d", f.ID, f.Flagged), Phase: "final", NotifyKey: f.ID.String(), Count: f.Flagged,
		Rule:      detection.Rule{ID: ruleIntegrity, Title: "Records of a source are doubtful", Kind: "health", Level: "medium"},
		FirstTime: at(f.Since), LastTime: at(f.Until), AnchorTime: at(f.Since),
		Group: []detection.Field{{Field: "source", Value: f.Source}},
	}
	i := strings.LastIndexByte(f.Producer, '#')
	shard := 0
	if _, err := fmt.Sscanf(f.Producer[i+1:], "%d", &shard); err == nil {
		d.Evidence = []detection.Evidence{{
			EventID: f.Example.ID.String(), Source: f.Source, Offset: f.Offset, Index: f.Example.Index, Time: at(f.Example.Time), Received: at(f.Since),
			Partition: store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: f.Source, Shard: shard}.String(),
		}}
	}
	d.Reason = fmt.Sprintf("of %d records of source %s, %d can be read in more than one way or not as they were written", f.Records, quoted(f.Source), f.Flagged)
	var kinds []string
	if f.DuplicateFields > 0 {
		kinds = append(kinds, fmt.Sprintf("%d have a field twice, which may hide it from a filter or from another program; rules match any of its values", f.DuplicateFields))
	}
	if f.InvalidTexts > 0 {
		kinds = append(kinds, fmt.Sprintf("%d have text that is not Unicode, shown with U+FFFD in its place", f.InvalidTexts))
	}
	d.Reason += ": " + strings.Join(kinds, "; ") + fmt.Sprintf("; the first is event %s", f.Example.ID)
	if f.Example.Key != "" {
		d.Reason += ", with the field " + quoted(f.Example.Key)
	}
	if f.Over > 0 {
		d.Phase, d.LastTime = "closed", at(f.Over)
		d.Reason += "; no more came"
	}
	return d
}
