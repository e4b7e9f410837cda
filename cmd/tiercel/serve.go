package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/engine/segment"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/format/hec"
	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/pipeline/stream"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/tracing"
)

// serveFlags are the flags of serve: a way to say without a file what is said
// most often.
type serveFlags struct {
	config configFlags
	listen string
	rules  []string
}

func newServe(p *process) *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Receive telemetry and detect in it as it comes",
		Long: "Serve takes events from the agents that are there already (Elasticsearch bulk, Splunk HEC, OTLP,\n" +
			"NDJSON, syslog, files), answers when they are safe on disk, and detects. Without any configuration it\n" +
			"keeps everything in one folder, listens on this machine alone and uses the shipped rules.",
		Example: "  tiercel serve\n" +
			"  tiercel serve --rules sigma/rules --data /var/lib/tiercel\n" +
			"  tiercel serve --config /etc/tiercel/tiercel.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("serve takes no arguments, and %q is one; a configuration is named with --config, a data folder with --data", report.Clean(args[0], 100))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.load(p)
			if err != nil {
				return err
			}
			return serveOn(c.Context(), p, cfg)
		},
	}
	f.config.register(c)
	flags := c.Flags()
	flags.StringVar(&f.listen, "listen", "", "`address` of the main port")
	flags.StringArrayVarP(&f.rules, "rules", "r", nil, "`path` of a file or folder of Sigma rules; repeatable (default: the shipped rules)")
	return c
}

// load makes the configuration of file, environment and flags.
func (f *serveFlags) load(p *process) (*config.Config, error) {
	more := &f.config.more
	if f.listen != "" {
		*more = append(*more, config.Flag{Name: "--listen", Key: "http.listen", Value: f.listen})
	}
	if len(f.rules) > 0 {
		*more = append(*more, config.Flag{Name: "--rules", Key: "content.rules", Value: yamlList(f.rules)})
	}
	cfg, warnings, err := f.config.load(p)
	if err != nil {
		return nil, &codedError{exitUsage, err}
	}
	for _, w := range warnings {
		fmt.Fprintf(p.stderr, "tiercel: %v\n", w)
	}
	return cfg, nil
}

// yamlList writes a list as the environment would.
func yamlList(list []string) string {
	quoted := make([]string, len(list))
	for i, text := range list {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// server is a running process: everything that serve opens, in one place.
type server struct {
	p       *process
	cfg     *config.Config
	world   env.Env
	logger  *slog.Logger
	tenants *event.Tenants
	metrics *metric.Set

	tokens     *access.Store
	log        *segment.Log
	records    *pebble.Engine
	detections *detection.Store
	quarantine *quarantine.Store
	node       *stream.Node
	gate       *ingest.Gate
	audit      *auditLog
	outbox     *outbox
	traces     *tracing.Tracer // nil is off
	endTraces  func(context.Context) error
	started    time.Time

	// addresses are those that were opened, by the setting that names them.
	addresses map[string]string
	// ready runs beside the rest once everything is open; may be nil.
	ready func(context.Context) error
}

func newServer(p *process, cfg *config.Config) *server {
	s := &server{
		p: p, cfg: cfg, world: p.world, metrics: metric.New(), started: p.world.Clock.Now(), addresses: make(map[string]string),
		logger: newLogger(p.stderr, cfg.Observability),
	}
	s.metrics.BuildInfo.WithLabelValues(version, revision()).Set(1)
	return s
}

// revision is the commit that the binary was built from, where that is known.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range info.Settings {
			if kv.Key == "vcs.revision" {
				return kv.Value
			}
		}
	}
	return ""
}

// serveGCPercent lets the heap double: batches are large and short-lived, and a
// collection for each of them would take a tenth of the processor.
const serveGCPercent = 100

// serve runs until ctx ends.
func (s *server) serve(ctx context.Context) error {
	debug.SetGCPercent(serveGCPercent)
	limitMemory()
	err := s.open()
	if err == nil {
		s.opened()
		err = s.run(ctx)
	}
	err = errors.Join(err, s.close())
	if err == nil {
		s.logger.Info("stopped")
	}
	return err
}

// reread is how many partitions are named that are read again after a start.
const reread = 20

// opened says what a start found.
func (s *server) opened() {
	c := s.node.Content()
	s.logger.Info("content loaded", "version", c.Version.String(), "rules", len(c.Sigma.Rules()), "correlations", len(c.Correlations), "disabled", len(c.Disabled), "refused", c.Refused)
	entries := int64(0)
	behind := s.node.Behind()
	for i, b := range behind {
		entries += b.Entries
		if i < reread {
			s.logger.Info("reading again", "partition", b.Partition.String(), "entries", b.Entries)
		}
	}
	s.logger.Info("recovered", "partitions", len(behind), "entries", entries)
}

func newLogger(w io.Writer, o config.Observability) *slog.Logger {
	var level slog.Level
	// The configuration has been checked: it is one of slog's names.
	_ = level.UnmarshalText([]byte(o.LogLevel))
	options := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(calm(slog.NewJSONHandler(w, options)))
	}
	return slog.New(calm(slog.NewTextHandler(w, options)))
}

// open opens the data folder and takes up what it holds.
func (s *server) open() error {
	var err error
	if s.tenants, err = event.NewTenants(s.cfg.TenantNames()); err != nil {
		return &codedError{exitUsage, err}
	}
	s.traces, s.endTraces, err = tracing.Start(context.Background(), tracing.Config{
		Endpoint: s.cfg.Observability.Traces.Endpoint, OneIn: s.cfg.Observability.Traces.OneIn, Version: version,
		Dial: s.world.Net.DialContext, Logger: s.logger, Now: s.world.Clock.Now,
	})
	if err != nil {
		return &codedError{exitUsage, err}
	}
	data := string(s.cfg.Data)
	fs := s.world.FS
	if err := openData(fs, data); err != nil {
		return err
	}
	s.log, err = segment.Open(segment.Config{
		FS: fs, Dir: fs.PathJoin(data, "log"), Clock: s.world.Clock, Rand: s.world.Rand, Tenants: s.tenants,
		SegmentBytes: int64(s.cfg.Log.SegmentBytes), Reserve: int64(s.cfg.Log.ReserveBytes), Logger: s.logger,
		Retention: segment.Retention{Bytes: int64(s.cfg.Log.RetentionBytes), Age: s.cfg.Log.RetentionAge},
		OnSync:    func(d time.Duration, _ int) { s.metrics.LogSync.Observe(d.Seconds()) },
		// What was acknowledged becomes detections also while new data is refused.
		Essential: func(p store.Partition) bool { return p.Kind == stream.KindMatches },
	})
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("open the log: %w", err)}
	}
	if s.records, err = s.openRecords(fs.PathJoin(data, "state")); err != nil {
		return err
	}
	if s.tokens, err = access.Open(fs, data, s.world.Clock, s.world.Rand, s.tenants); err != nil {
		return &codedError{exitInput, err}
	}
	s.detections = detection.Open(s.records, s.world.Clock)
	s.quarantine = quarantine.Open(s.records, s.world.Clock)
	s.audit = newAuditLog(s.records, s.logger)
	if s.outbox, err = newOutbox(s); err != nil {
		return err
	}
	s.node, err = stream.Start(stream.Config{
		Clock: s.world.Clock, Log: s.log, Records: s.records, Detections: s.detections, Quarantine: s.quarantine,
		Metrics: s.metrics, Logger: s.logger, Loader: &contentLoader{world: s.world, cfg: s.cfg.Content},
		Costs:  stream.CostLimits{Share: float64(s.cfg.Content.CostShare) / 100, P99: s.cfg.Content.CostP99},
		Format: formatByName, Detect: detectFormat, Tenants: s.tenants.All(),
		Settings: s.settings, Source: s.source, Outbox: s.outbox.writes, Traces: s.traces,
	})
	if err != nil {
		return err
	}
	if c := s.node.Content(); c != nil {
		logContent(s.logger, c.Problems)
	}
	s.gate, err = ingest.NewGate(ingest.GateConfig{
		Log: s.log, Clock: s.world.Clock, Metrics: s.metrics, Logger: s.logger, Backlog: s.node.Backlog, Duplicate: s.node.Duplicate, Traces: s.traces,
		BacklogBytesMax: int64(s.cfg.Limits.BacklogBytes), BytesInFlightMax: int64(s.cfg.Limits.InFlightBytes),
		Shards: func(t event.Tenant, source string) int { return s.cfg.Source(t.String(), source).Shards },
		Quota:  s.quota,
	})
	return err
}

// memTableBytes makes the documents fit into what is left of the disk when new
// data is refused: they take a log and two tables of this size at a time, the
// log in advance.
func memTableBytes(reserve int64) uint64 {
	const share, least = 16, 1 << 20
	return uint64(min(max(reserve/share, least), pebble.MemTableBytesDefault))
}

// openRecords opens the documents. Damaged ones are set aside: what the log
// still holds is decided again, which is better than not to start.
func (s *server) openRecords(dir string) (*pebble.Engine, error) {
	if err := roomToOpen(s.world.FS, dir); err != nil {
		return nil, err
	}
	cfg := pebble.Config{FS: s.world.FS, Dir: dir, Logger: s.logger, Clock: s.world.Clock, MemTableBytes: memTableBytes(int64(s.cfg.Log.ReserveBytes))}
	records, err := pebble.Open(cfg)
	if errors.Is(err, pebble.ErrDamaged) {
		if err := s.setAside(dir, err); err != nil {
			return nil, err
		}
		records, err = pebble.Open(cfg)
	}
	if err != nil {
		return nil, &codedError{exitInput, fmt.Errorf("open the state: %w", err)}
	}
	return records, nil
}

// traceWait bounds how long a stop waits for the last traces to be delivered.
const traceWait = 5 * time.Second

// close closes what open opened.
func (s *server) close() error {
	var errs []error
	if s.endTraces != nil {
		late, cancel := context.WithTimeout(context.Background(), traceWait)
		errs = append(errs, s.endTraces(late))
		cancel()
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.records != nil {
		errs = append(errs, s.records.Close())
	}
	return errors.Join(errs...)
}

func (s *server) settings(t event.Tenant) stream.Settings {
	out := stream.Settings{LagMax: s.cfg.Source(t.String(), "").LagMax}
	for i := range s.cfg.Tenants {
		if c := &s.cfg.Tenants[i]; c.Name == t.String() {
			out.Weight = float64(c.Weight)
		}
	}
	// One engine waits for all sources of a tenant: as long as the most patient
	// one may take.
	for i := range s.cfg.Sources {
		if c := &s.cfg.Sources[i]; c.Tenant == t.String() {
			out.LagMax = max(out.LagMax, c.LagMax)
			out.Sources = append(out.Sources, c.Name)
		}
	}
	return out
}

func (s *server) quota(t event.Tenant) ingest.Quota {
	for i := range s.cfg.Tenants {
		if c := &s.cfg.Tenants[i]; c.Name == t.String() {
			return ingest.Quota{EventsPerSecond: float64(c.Quota.EventsPerSecond), BytesPerSecond: float64(c.Quota.BytesPerSecond)}
		}
	}
	return ingest.Quota{}
}

// source is what the configuration says of a source.
func (s *server) source(t event.Tenant, name string) stream.Source {
	c := s.cfg.Source(t.String(), name)
	zone, err := time.LoadLocation(c.Zone)
	if err != nil { // checked with the configuration
		zone = time.UTC
	}
	var except []health.Interval
	for _, d := range c.Excepted() {
		except = append(except, health.Interval{From: d.From.Unix() / 60, To: d.To.Unix() / 60})
	}
	return stream.Source{
		Except: except,
		Pack:   c.Pack, Format: c.Format, Zone: zone, Lateness: c.Lateness, Cadence: c.Cadence,
		ExpectSilence: c.ExpectSilence, DropFields: c.DropFields, DetectOnly: c.DetectOnly, Filtered: c.FilteredChannels,
		Import: c.Files.Mode == "import" && len(c.Files.Paths) > 0,
	}
}

// liveFormats are formats that only senders' envelopes have.
func liveFormats() []format.Format { return []format.Format{hec.Format(), otlp.Format()} }

func formatByName(name string) (format.Format, bool) {
	for _, f := range liveFormats() {
		if f.Name == name {
			return f, true
		}
	}
	return formats.ByName(name)
}

func detectFormat(head []byte) (format.Format, bool) { return formats.Detect(head, "") }
