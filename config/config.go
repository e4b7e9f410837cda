// Package config is the configuration of the server: one documented struct,
// filled from its defaults, one YAML file, the environment and flags, the later
// winning over the earlier.
//
//	defaults ─▶ file ─▶ TIERCEL_* ─▶ flags ─▶ Config ─▶ Check
//
// No configuration at all is a complete, working one. Loading and checking are
// the same code: [Load] refuses what [Check] finds, and both give every fault
// with its place, not the first alone. The decoder is strict: an unknown key, a
// key given twice or a value of another type is a fault that says what to
// write. The reference page is made from the struct's tags by [Reference]:
//
//	key       the name in the file; the environment's is TIERCEL_ and the path in capitals
//	default   the value when nothing is given, as it would stand in the file
//	doc       what it means, in sentences
//	min, max  bounds of a number, a size or a duration
//	oneof     the words that are allowed, separated by spaces
//	need      "yes" for a value that an entry of a list must have
//
// A loaded Config is not changed any more and is then safe for concurrent use.
package config

import (
	"net/netip"
	"time"
)

// Bounds of a configuration; they keep a slip of the pen from becoming an
// outage.
const (
	// TenantsMax bounds the tenants of one server.
	TenantsMax = 1000
	// SourcesMax bounds the sources that are listed.
	SourcesMax = 10_000
	// ListenersMax bounds the syslog listeners.
	ListenersMax = 64
	// WebhooksMax bounds the webhooks.
	WebhooksMax = 100
	// ShardsMax bounds the partitions of one source.
	ShardsMax = 64
)

// Path names a file or folder. One that is relative is taken from the folder of
// the configuration file if it stands there, and from the working directory if
// it comes from the environment or a flag.
type Path string

// Bytes is a number of bytes, written as 512KiB, 64MiB or 10GB.
type Bytes int64

// Config is the whole configuration.
type Config struct {
	Data          Path          `key:"data" doc:"The folder that holds everything the server keeps. Empty means tiercel in the user's data folder (XDG_DATA_HOME, else .local/share of the home), or tiercel-data in the working directory when there is no home."`
	HTTP          HTTP          `key:"http" doc:"The main port: every HTTP receiver by path, the API and the health checks."`
	Admin         Admin         `key:"admin" doc:"The port for the operator of this machine."`
	Receivers     Receivers     `key:"receivers" doc:"Further ports for protocols that have one of their own by custom. The HTTP protocols are on the main port in any case."`
	Tenants       []Tenant      `key:"tenants" default:"[{name: local}]" doc:"The customers whose data is kept apart. Naming any replaces the default."`
	Sources       []Source      `key:"sources" doc:"Feeds whose settings differ from the defaults, files to follow, and whatever should be missed when it never comes. A token may name a source that is not listed; it then has the defaults below."`
	Content       Content       `key:"content" doc:"Rules, packs and lists: the same choices as those of 'tiercel scan'."`
	Limits        Limits        `key:"limits" doc:"What one client can make the server do."`
	Log           Log           `key:"log" doc:"The log that holds every acknowledged event."`
	Detections    Detections    `key:"detections" doc:"Detections that were made."`
	Quarantine    Quarantine    `key:"quarantine" doc:"Records that could not be evaluated, kept raw with the reason."`
	Webhooks      []Webhook     `key:"webhooks" doc:"Where detections are sent (Standard Webhooks 1.0)."`
	Auth          Auth          `key:"auth" doc:"Tokens. Every request that gives or takes data needs one; there is no switch for that."`
	Observability Observability `key:"observability" doc:"What the server says about itself."`

	// places says where values come from, by path.
	places map[string]Place
}

// HTTP is the main port.
type HTTP struct {
	Listen string `key:"listen" default:"127.0.0.1:8600" doc:"Address and port. An address other than loopback needs tls."`
	TLS    TLS    `key:"tls" doc:"The certificate of this port and of every port under receivers but those that have one of their own."`
}

// TLS is a certificate with its key, and whom to demand one from.
type TLS struct {
	Cert     Path `key:"cert" doc:"PEM file with the certificate and those that lead to its authority."`
	Key      Path `key:"key" doc:"PEM file with the private key of cert."`
	ClientCA Path `key:"client_ca" doc:"PEM file with authorities. When given, a client needs a certificate of one of them, and a token as well."`
}

// On reports whether a certificate is configured.
func (t TLS) On() bool { return t.Cert != "" }

// Admin is the operator's port.
type Admin struct {
	Listen string `key:"listen" default:"127.0.0.1:8601" doc:"Address and port of /metrics and /debug/pprof/, on loopback only since they ask for no token. Empty switches them off."`
}

// Receivers are ports beside the main one.
type Receivers struct {
	Elastic Elastic  `key:"elastic" doc:"The Elasticsearch bulk API."`
	HEC     HEC      `key:"hec" doc:"Splunk's HTTP Event Collector."`
	OTLP    OTLP     `key:"otlp" doc:"OpenTelemetry logs."`
	Syslog  []Syslog `key:"syslog" doc:"Syslog listeners. Plain syslog has no acknowledgement and no token, so a listener names the source."`
}

// Elastic is the port of the Elasticsearch bulk API.
type Elastic struct {
	Listen  string `key:"listen" doc:"Address and port, by custom port 9200. Empty leaves it to the main port."`
	Version string `key:"version" default:"8.19.0" doc:"The version that clients are told. Beats 8.0 to 8.10 refuse a server older than themselves."`
}

// HEC is the port of the HTTP Event Collector.
type HEC struct {
	Listen string `key:"listen" doc:"Address and port, by custom port 8088. Empty leaves it to the main port."`
}

// OTLP are the ports of OpenTelemetry.
type OTLP struct {
	GRPC string `key:"grpc" doc:"Address and port of OTLP over gRPC, by custom port 4317. Empty switches it off."`
	HTTP string `key:"http" doc:"Address and port of OTLP over HTTP, by custom port 4318. Empty leaves it to the main port."`
}

// Syslog is one syslog listener.
type Syslog struct {
	Listen    string         `key:"listen" need:"yes" doc:"Address and port, as 0.0.0.0:6514."`
	Transport string         `key:"transport" default:"tcp" oneof:"udp tcp tls" doc:"How messages come. TCP takes both framings of RFC 6587."`
	Tenant    string         `key:"tenant" doc:"Whose messages these are. Empty means the only tenant."`
	Source    string         `key:"source" default:"syslog" doc:"The source they belong to."`
	Clients   []netip.Prefix `key:"clients" doc:"Addresses and networks that may send; empty means any."`
	Insecure  bool           `key:"insecure" default:"false" doc:"Accepts that on an address other than loopback anyone on the way can read, change and forge what comes by udp or tcp."`
	TLS       TLS            `key:"tls" doc:"The certificate for transport tls. Empty means that of http. With client_ca a sender needs a certificate of one of its authorities."`

	Certificates []Certificate `key:"certificates" doc:"For transport tls: the certificates that may send, and as which source. Empty means every certificate that client_ca vouches for, or, without one, anyone."`
}

// Tenant is one customer.
type Tenant struct {
	Name   string `key:"name" need:"yes" doc:"1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit."`
	Weight int    `key:"weight" default:"1" min:"1" max:"1000" doc:"Its share of the workers while there is more to do than they can: twice the weight, twice the share."`
	Quota  Quota  `key:"quota" doc:"What it may send. Beyond it clients are told to come again later; nothing is dropped."`
}

// Quota bounds what a tenant may send.
type Quota struct {
	EventsPerSecond int64 `key:"events_per_second" default:"0" min:"0" max:"10000000" doc:"Events a second, on average over ten seconds. 0 means no bound."`
	BytesPerSecond  Bytes `key:"bytes_per_second" default:"0" min:"0" max:"10GiB" doc:"Bytes a second, inflated, on average over ten seconds. 0 means no bound."`
}

// Source is one feed of telemetry.
type Source struct {
	Name             string        `key:"name" need:"yes" doc:"1 to 64 of a-z, A-Z, 0-9, ., - and _, beginning with a letter or digit."`
	Tenant           string        `key:"tenant" doc:"Whose feed it is. Empty means the only tenant."`
	Pack             string        `key:"pack" doc:"The pack that reads its events. Empty means that each event tells."`
	Format           string        `key:"format" doc:"The format of its records. Empty means that the protocol and each record tell."`
	Zone             string        `key:"zone" default:"UTC" doc:"The time zone of times that name none, as Europe/Berlin."`
	Lateness         time.Duration `key:"lateness" default:"5m" min:"0s" max:"7d" doc:"How much later than its newest event an event may come and still count as in time. Detections are final that much later."`
	LagMax           time.Duration `key:"lag_max" default:"1h" min:"10s" max:"7d" doc:"How far the source may fall behind before the others stop waiting for it."`
	Cadence          time.Duration `key:"cadence" default:"0s" min:"0s" max:"31d" doc:"How often at least it sends. After twice that without an event it is reported as silent. 0s means that it is learned by the hour of the week; a source that stands here and has never sent anything is then reported after two days."`
	Silence          Silence       `key:"silence" doc:"Days on which it need not send."`
	ExpectSilence    bool          `key:"expect_silence" default:"false" doc:"Never reports it as silent: for sources that speak only when something is wrong."`
	Shards           int           `key:"shards" default:"1" min:"1" max:"64" doc:"Partitions of its log, for a source that is too much for one core. Events of one sender stay in one partition."`
	DropFields       []string      `key:"drop_fields" doc:"Fields, as paths of keys joined by dots, that are left out of what is kept of an event. Rules still see them; the ledger counts the bytes."`
	DetectOnly       bool          `key:"detect_only" default:"false" doc:"Evaluates its events and keeps nothing of them beyond the log but their hashes; the ledger counts the bytes."`
	FilteredChannels []string      `key:"filtered_channels" doc:"Windows channels and other numbered streams that the sender is known to filter, so that missing numbers in them are no gap. * means all."`
	Files            Files         `key:"files" doc:"Files on this machine that are read as this source."`
}

// Silence are days on which a source need not send.
type Silence struct {
	Except []string `key:"except" doc:"Days, as 2026-12-25, on which it is not reported as silent; they count for no silence, and nothing is learned of them."`
	Zone   string   `key:"zone" doc:"The time zone of the days, as Europe/Berlin. Empty means that of the source."`
}

// ExceptMax bounds the days of one source.
const ExceptMax = 1000

// Files are files to read.
type Files struct {
	Paths []Path        `key:"paths" doc:"Files, folders and patterns with * and ?."`
	Mode  string        `key:"mode" default:"follow" oneof:"follow import" doc:"follow reads what is added for as long as the server runs; import reads each file once, in order of time."`
	Poll  time.Duration `key:"poll" default:"1s" min:"100ms" max:"1h" doc:"How often to look for more."`
}

// Content is what the server detects with.
type Content struct {
	Rules        []Path        `key:"rules" doc:"Files and folders of Sigma rules. Empty means the shipped rules."`
	Packs        []Path        `key:"packs" doc:"Files and folders of packs, in addition to the shipped ones."`
	Profile      string        `key:"profile" doc:"Only the rules of a release package of SigmaHQ, as core or core+. Empty means every rule."`
	Overrides    Path          `key:"overrides" doc:"File of overrides. Empty means overrides.yml of a folder of rule sets."`
	Lookups      Path          `key:"lookups" doc:"Folder of lists for placeholders. Empty means lookups of a folder of rule sets."`
	Values       Path          `key:"values" doc:"YAML file with lists for placeholders."`
	Statuses     []string      `key:"statuses" default:"[stable, test, experimental]" oneof:"stable test experimental deprecated unsupported" doc:"The statuses of rules that are run."`
	Experimental bool          `key:"experimental" default:"false" doc:"Allows what Sigma does not define yet."`
	Reload       time.Duration `key:"reload" default:"5s" min:"0s" max:"1d" doc:"How often to look whether content has changed, for each thousand files of it. 0s means only when told to."`
	CostShare    int           `key:"cost_share" default:"5" min:"0" max:"100" doc:"Per cent of one core that a rule may take over a minute, when it also takes 50 µs or more for each record that it is asked of. Beyond it the rule is taken out until it is changed or released. 0 means no bound."`
	CostP99      time.Duration `key:"cost_p99" default:"10ms" min:"0s" max:"1m" doc:"What a rule may take for a record, but for one of a hundred. Beyond it the rule is taken out until it is changed or released. 0s means no bound."`
}

// Limits bound what one client can do.
type Limits struct {
	BodyBytes     Bytes         `key:"body_bytes" default:"64MiB" min:"2MiB" max:"64MiB" doc:"The body of one request, both as sent and inflated. Beyond it the answer is 413, which some clients never get over: do not go below what they send at once."`
	BodyRatio     int           `key:"body_ratio" default:"100" min:"10" max:"1000" doc:"How many times its size a compressed body may inflate to, once 1 MiB is out."`
	HeaderBytes   Bytes         `key:"header_bytes" default:"32KiB" min:"4KiB" max:"1MiB" doc:"Request line and headers together."`
	HeaderTimeout time.Duration `key:"header_timeout" default:"5s" min:"1s" max:"1m" doc:"How long the TLS handshake and the headers of a request may take."`
	BodyRate      Bytes         `key:"body_rate" default:"1KiB" min:"1" max:"1MiB" doc:"Bytes a second that a body must bring on average after its first ten seconds."`
	IdleTimeout   time.Duration `key:"idle_timeout" default:"60s" min:"1s" max:"1h" doc:"How long an idle connection is kept."`
	HTTP2Streams  int           `key:"http2_streams" default:"100" min:"1" max:"1000" doc:"Requests at a time on one HTTP/2 connection."`
	Connections   int           `key:"connections" default:"10000" min:"10" max:"1000000" doc:"Connections at a time on each port; more wait to be accepted."`
	InFlightBytes Bytes         `key:"in_flight_bytes" default:"256MiB" min:"64MiB" max:"64GiB" doc:"Bodies in memory at a time, over all clients. Beyond it requests are answered 429 or 503 before they are read."`
	BacklogBytes  Bytes         `key:"backlog_bytes" default:"16GiB" min:"64MiB" max:"64TiB" doc:"Acknowledged and not yet evaluated bytes on disk. Beyond it new data is refused until the workers have caught up."`
}

// Log is the log of events.
type Log struct {
	SegmentBytes   Bytes         `key:"segment_bytes" default:"64MiB" min:"1MiB" max:"1GiB" doc:"Size of one file. Retention removes whole files."`
	RetentionBytes Bytes         `key:"retention_bytes" default:"20GiB" min:"0" max:"1PiB" doc:"How much is kept, over all tenants. 0 means no bound. What is not evaluated yet is never removed."`
	RetentionAge   time.Duration `key:"retention_age" default:"7d" min:"0s" max:"3650d" doc:"How long it is kept. 0s means no bound."`
	ReserveBytes   Bytes         `key:"reserve_bytes" default:"512MiB" min:"16MiB" max:"1TiB" doc:"Free space on the disk below which new data is refused, so that detections, state and audit can still be written."`
}

// Detections are kept for so long.
type Detections struct {
	Retention time.Duration `key:"retention" default:"365d" min:"0s" max:"3650d" doc:"How long a detection is kept after its last change. 0s means for ever."`
}

// Quarantine keeps what could not be evaluated.
type Quarantine struct {
	Bytes Bytes `key:"bytes" default:"1GiB" min:"1MiB" max:"1TiB" doc:"How much of it is kept for each tenant. Beyond it the oldest goes, which the ledger says."`
}

// Webhook is one receiver of detections.
type Webhook struct {
	Name         string   `key:"name" need:"yes" doc:"1 to 64 of a-z, A-Z, 0-9, ., - and _, beginning with a letter or digit."`
	Tenant       string   `key:"tenant" doc:"Whose detections are sent. Empty means the only tenant."`
	URL          string   `key:"url" need:"yes" doc:"Where to: https, or http too with allow_private."`
	Secret       Secret   `key:"secret" doc:"What messages are signed with: whsec_ and base64 of 24 to 64 bytes. Write ${env:NAME} to take it from the environment."`
	Secrets      []Secret `key:"secrets" doc:"Several secrets in place of secret, at most 10: messages are signed with each, so that the receiver can change from one to the next."`
	SecretFile   Path     `key:"secret_file" doc:"File that holds the secret, in place of secret, or several, one a line."`
	MinLevel     string   `key:"min_level" default:"low" oneof:"informational low medium high critical" doc:"The lowest level that is sent."`
	Events       []string `key:"events" default:"[detection.created]" oneof:"detection.created detection.updated detection.superseded detection.closed" doc:"What is sent."`
	AllowPrivate bool     `key:"allow_private" default:"false" doc:"Allows a destination in private, loopback and link-local networks. Whoever can write url can then reach what this machine can."`
	Proxy        string   `key:"proxy" doc:"URL of an HTTP proxy that makes the connections to an https receiver, as http://proxy.example.org:3128; it may be in a private network. The receiver's name is looked up and judged here before each attempt; the proxy looks it up again, so what it then reaches only its own rules can bound. Proxies in variables are ignored."`
	ProxyAuth    Secret   `key:"proxy_auth" doc:"name:password for the proxy. Write ${env:NAME} to take it from the environment."`
}

// SigningSecrets are the secrets that messages are signed with, whichever key
// gave them.
func (w Webhook) SigningSecrets() []Secret {
	if len(w.Secrets) > 0 {
		return w.Secrets
	}
	return []Secret{w.Secret}
}

// SecretsMax bounds the secrets of one webhook.
const SecretsMax = 10

// Auth is about tokens.
type Auth struct {
	Lifetime          time.Duration  `key:"lifetime" default:"0s" min:"0s" max:"3650d" doc:"When new tokens expire if nothing else is said. 0s means never."`
	FailuresPerMinute int            `key:"failures_per_minute" default:"600" min:"1" max:"1000000" doc:"Requests with a bad token from one address, beyond which it is answered 429 for the rest of the minute."`
	TrustedProxies    []netip.Prefix `key:"trusted_proxies" doc:"Proxies whose X-Forwarded-For is believed. Others' is ignored."`
}

// Observability is what the server says about itself.
type Observability struct {
	LogLevel  string `key:"log_level" default:"info" oneof:"debug info warn error" doc:"The lowest level that is logged."`
	LogFormat string `key:"log_format" default:"text" oneof:"text json" doc:"How a line of the log is written."`
	Traces    Traces `key:"traces" doc:"OpenTelemetry traces of the server itself."`
}

// Traces is where traces go.
type Traces struct {
	Endpoint string `key:"endpoint" doc:"URL of an OTLP/HTTP endpoint, as http://127.0.0.1:4318. Empty switches traces off."`
	OneIn    int    `key:"one_in" default:"100" min:"1" max:"1000000" doc:"One of so many batches and requests is traced."`
}

// Source returns the settings of a source: those of the configuration, or the
// defaults for one that is not listed.
func (c *Config) Source(tenant, name string) Source {
	for i := range c.Sources {
		if c.Sources[i].Name == name && c.Sources[i].Tenant == tenant {
			return c.Sources[i]
		}
	}
	s := defaultSource()
	s.Name, s.Tenant = name, tenant
	return s
}

// TenantNames lists the tenants in the order of the configuration.
func (c *Config) TenantNames() []string {
	names := make([]string, len(c.Tenants))
	for i, t := range c.Tenants {
		names[i] = t.Name
	}
	return names
}
