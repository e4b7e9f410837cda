// Package metric is the one place where the metrics of the process are named.
//
// Metrics follow Prometheus' conventions: base units, _total for counters,
// labels from closed sets only (never a host, a user or the text of a rule). A
// source is named with its tenant: two tenants may each have one of that name.
// Both are bounded by the configuration and the tokens that were made.
// Latencies are native histograms. A Set is safe for concurrent use.
package metric

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Set holds the metrics of one process.
type Set struct {
	Registry *prometheus.Registry

	// Ingest, by protocol.
	IngestEvents     *prometheus.CounterVec // protocol, tenant, source
	IngestBytes      *prometheus.CounterVec // protocol, tenant, source
	IngestRequests   *prometheus.CounterVec // protocol, code
	IngestRejected   *prometheus.CounterVec // protocol, reason
	IngestDuplicates *prometheus.CounterVec // protocol
	IngestAck        *prometheus.HistogramVec
	UDPDrops         prometheus.Counter

	// The log.
	LogSync    prometheus.Histogram
	LogBytes   prometheus.Gauge
	LogDamaged prometheus.Counter
	DiskFree   prometheus.Gauge

	// The pipeline.
	Evaluated        *prometheus.CounterVec // tenant, source
	Late             *prometheus.CounterVec // tenant, source
	Quarantined      *prometheus.CounterVec // protocol, reason
	Flagged          *prometheus.CounterVec // reason
	GivenUp          *prometheus.CounterVec // kind
	Matches          prometheus.Counter
	Detections       *prometheus.CounterVec   // severity
	DetectionLatency prometheus.Histogram     // receive time to stored
	StageSeconds     *prometheus.HistogramVec // stage
	RuleEval         prometheus.Histogram     // one rule on one record, of sampled batches
	QueueDepth       *prometheus.GaugeVec     // stage
	QueueOldest      *prometheus.GaugeVec     // stage
	Unaccounted      *prometheus.GaugeVec     // tenant, source
	SourceLast       *prometheus.GaugeVec     // tenant, source
	SourceSilent     *prometheus.GaugeVec     // tenant, source
	RulesLoaded      *prometheus.GaugeVec     // state
	Groups           prometheus.Gauge
	EvictedGroups    prometheus.Counter

	// Outputs.
	OutboxPending   prometheus.Gauge
	WebhookAttempts *prometheus.CounterVec // result
	APIRequests     *prometheus.CounterVec // route, code

	BuildInfo *prometheus.GaugeVec // version, revision

	// Infos describes them, in the order in which they were made.
	Infos []Info
}

// Info describes a metric for the reference.
type Info struct {
	Name, Help string
	// Kind is counter, gauge or histogram.
	Kind string
	// Labels are its labels' names.
	Labels []string
}

// bucketFactor is the growth of a native histogram's buckets: 1.1 resolves
// 10 %, which is enough to see a p99 move.
const bucketFactor = 1.1

// bucketsMax bounds the buckets of one histogram; beyond it the resolution is
// halved.
const bucketsMax = 160

func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: name, Help: help, NativeHistogramBucketFactor: bucketFactor, NativeHistogramMaxBucketNumber: bucketsMax}
}

// New makes a set on a registry of its own.
func New() *Set {
	s := &Set{Registry: prometheus.NewRegistry()}
	note := func(kind, name, help string, labels ...string) {
		s.Infos = append(s.Infos, Info{Name: name, Help: help, Kind: kind, Labels: labels})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		note("counter", name, help, labels...)
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		s.Registry.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		note("gauge", name, help, labels...)
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		s.Registry.MustRegister(v)
		return v
	}
	histograms := func(name, help string, labels ...string) *prometheus.HistogramVec {
		note("histogram", name, help, labels...)
		v := prometheus.NewHistogramVec(histogram(name, help), labels)
		s.Registry.MustRegister(v)
		return v
	}
	one := func(name, help string) prometheus.Counter {
		note("counter", name, help)
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		s.Registry.MustRegister(c)
		return c
	}
	level := func(name, help string) prometheus.Gauge {
		note("gauge", name, help)
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		s.Registry.MustRegister(g)
		return g
	}
	single := func(name, help string) prometheus.Histogram {
		note("histogram", name, help)
		h := prometheus.NewHistogram(histogram(name, help))
		s.Registry.MustRegister(h)
		return h
	}

	s.IngestEvents = counter("tiercel_ingest_events_total", "Records acknowledged.", "protocol", "tenant", "source")
	s.IngestBytes = counter("tiercel_ingest_bytes_total", "Bytes of acknowledged batches, inflated.", "protocol", "tenant", "source")
	s.IngestRequests = counter("tiercel_ingest_requests_total", "Requests answered, by status code.", "protocol", "code")
	s.IngestRejected = counter("tiercel_ingest_rejected_total", "Requests refused.", "protocol", "reason")
	s.IngestDuplicates = counter("tiercel_ingest_duplicates_total", "Batches that had been stored already and were acknowledged again.", "protocol")
	s.IngestAck = histograms("tiercel_ingest_ack_seconds", "Time from the end of a request's body to its answer.", "protocol")
	s.UDPDrops = one("tiercel_ingest_udp_drops_total", "Datagrams that the kernel dropped before they were read.")

	s.LogSync = single("tiercel_wal_fsync_seconds", "Time of one sync of the log.")
	s.LogBytes = level("tiercel_log_bytes", "Bytes of the log on disk.")
	s.LogDamaged = one("tiercel_log_damaged_entries_total", "Entries of the log that could not be read back.")
	s.DiskFree = level("tiercel_disk_free_bytes", "Room on the data folder's disk.")

	s.Evaluated = counter("tiercel_detect_events_total", "Records evaluated.", "tenant", "source")
	s.Late = counter("tiercel_detect_late_events_total", "Records evaluated that came behind the watermark.", "tenant", "source")
	s.Flagged = counter("tiercel_ingest_flagged_events_total", "Records evaluated whose parsed form is doubtful: a field given twice, or text that is not Unicode.", "reason")
	s.Quarantined = counter("tiercel_quarantine_events_total", "Records put into quarantine.", "protocol", "reason")
	s.GivenUp = counter("tiercel_detect_given_up_events_total", "Events in several records that were given up before they were whole.", "kind")
	s.Matches = one("tiercel_detect_matches_total", "Matches found.")
	s.Detections = counter("tiercel_detections_total", "Detections first seen.", "severity")
	s.DetectionLatency = single("tiercel_detection_latency_seconds", "Time from receiving an event to the stored detection it led to.")
	s.StageSeconds = histograms("tiercel_stage_seconds", "Time that a batch spends in a stage.", "stage")
	s.RuleEval = single("tiercel_rule_eval_seconds", "Time that the condition of one rule takes on one record, where evaluations are timed: the beginning of each 32nd batch of a worker at least. It counts the records that bear a value which the rule needs; what all rules share (reading the record, the search for values) is not in it, one reading of the clock is.")
	s.QueueDepth = gauge("tiercel_queue_depth", "Batches that wait for a stage.", "stage")
	s.QueueOldest = gauge("tiercel_queue_oldest_seconds", "Age of the oldest batch that waits for a stage.", "stage")
	s.Unaccounted = gauge("tiercel_ledger_unaccounted_events", "Records received and not accounted for in settled minutes; anything but 0 is a fault.", "tenant", "source")
	s.SourceLast = gauge("tiercel_source_last_event_timestamp_seconds", "Receive time of the last record.", "tenant", "source")
	s.SourceSilent = gauge("tiercel_source_silent", "1 while a source is silent for longer than expected.", "tenant", "source")
	s.RulesLoaded = gauge("tiercel_rules_loaded", "Rules by state.", "state")
	s.Groups = level("tiercel_correlation_groups", "Groups that correlations hold.")
	s.EvictedGroups = one("tiercel_correlation_evicted_groups_total", "Groups given up for the budget.")

	s.OutboxPending = level("tiercel_outbox_pending", "Notifications that wait to be delivered.")
	s.WebhookAttempts = counter("tiercel_webhook_attempts_total", "Attempts to deliver a notification.", "result")
	s.APIRequests = counter("tiercel_api_requests_total", "Requests to the API.", "route", "code")

	s.BuildInfo = gauge("tiercel_build_info", "1, with the version.", "version", "revision")
	return s
}
