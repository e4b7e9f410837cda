// Package scenario generates labelled telemetry: what the hosts, the people
// and the cloud of a made-up company write in a span of time, with attacks
// laid into it, and the truth of which event belongs to which attack.
//
//	Config → New → Scenario.Next, event by event, in the order of time
//
// A scenario is a pure function of its configuration: the same seed and
// parameters give the same bytes on every machine. Background is drawn in
// lanes (people by site, machines, visitors, the cloud) whose weights follow
// the hours of each site; an activity lays its events into a queue, causes
// before effects, and an event is written when its time has come, which is
// when it gets its record id or serial. Memory is bounded by the fleet and the
// queue, not by the span. Everything is marked as generated (see [Mark]), names
// stand under example.com and its like (RFC 2606), and outside addresses are
// those of RFC 5737. A Scenario belongs to one goroutine.
package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says what to generate. The zero value of a field means its default.
type Config struct {
	// Seed chooses among scenarios of the same parameters.
	Seed uint64
	// Start is the time of the first event; the default is Monday, 2 March
	// 2026, 00:00 UTC. It must lie between 1971 and 2200.
	Start time.Time
	// Duration is the span of event time, one day by default, at least one
	// minute and at most ten years.
	Duration time.Duration
	// Rate is how many background events there are in a second of event time
	// on average over the span, 5 by default, from 0.001 to 1,000,000. How
	// they are spread over the span follows the hours of the sites. Events of
	// attacks are not counted in it.
	Rate float64
	// Hosts is the number of machines, 24 by default, from 6 to 50,000.
	Hosts int
	// Users is the number of people, by default as many as hosts, from 2 to
	// 200,000.
	Users int
	// Attacks are names of List, "all" or "none". Empty is all.
	Attacks []string
	// Late is the fraction of events, from 0 to 1, that are delivered late,
	// by up to LateMax.
	Late float64
	// LateMax is the longest delay of a late event, two minutes by default.
	LateMax time.Duration
	// Skew is the most by which the clock of a host, of the network sensor or
	// of a cloud is wrong, either way. Each is wrong by a time of its own,
	// always the same. At most 48 hours.
	Skew time.Duration
	// Laurel writes audit events as Laurel does, a JSON object each, instead
	// of the lines of audit.log.
	Laurel bool
}

// Event is one generated event.
type Event struct {
	// Source names the log that it stands in, as ws-001/windows, web-001/audit,
	// zeek/dns, aws/cloudtrail or okta/system.
	Source string
	// Format is json or auditd, as the formats of this module are called.
	Format string
	// Time is the time in the event, by its source's own clock.
	Time time.Time
	// Delivered is when it arrives, by a right clock. Events come from Next in
	// this order.
	Delivered time.Time
	// Index numbers events by the time they happened, from 0, without gaps,
	// whenever they are delivered.
	Index uint64
	// Raw is the event as its source writes it, with a newline at its end; an
	// event of audit.log has several lines. It is valid until the next call of
	// Next.
	Raw []byte
	// ID is the event's native id, unique in the scenario: source, channel and
	// record id, serial, uid or event id. It is valid as long as Raw.
	ID []byte
	// Truth says to which attack it belongs; nil is background. It is shared
	// and must not be changed.
	Truth *Truth
}

// Bounds of Config.
const (
	hostsMax     = 50_000
	usersMax     = 200_000
	durationMin  = time.Minute
	durationMax  = 10 * 366 * 24 * time.Hour
	rateMin      = 0.001
	rateMax      = 1e6
	skewMax      = 48 * time.Hour
	lateMaxMax   = 24 * time.Hour
	microseconds = 1e6
)

func (c *Config) setDefaults() {
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	}
	if c.Duration == 0 {
		c.Duration = 24 * time.Hour
	}
	if c.Rate == 0 {
		c.Rate = 5
	}
	if c.Hosts == 0 {
		c.Hosts = 24
	}
	if c.Users == 0 {
		c.Users = max(c.Hosts, 2)
	}
	if c.LateMax == 0 {
		c.LateMax = 2 * time.Minute
	}
}

func (c *Config) check() error {
	switch {
	case c.Start.Year() < 1971 || c.Start.Year() > 2200:
		return fmt.Errorf("scenario: start %s: it must lie between 1971 and 2200", c.Start.Format(time.RFC3339))
	case c.Duration < durationMin || c.Duration > durationMax:
		return fmt.Errorf("scenario: duration %s: it must be from one minute to ten years", c.Duration)
	case !(c.Rate >= rateMin && c.Rate <= rateMax):
		return fmt.Errorf("scenario: rate %v: it must be from %v to %.0f events a second", c.Rate, rateMin, rateMax)
	case c.Hosts < hostsMin || c.Hosts > hostsMax:
		return fmt.Errorf("scenario: %d hosts: there must be from %d to %d", c.Hosts, hostsMin, hostsMax)
	case c.Users < 2 || c.Users > usersMax:
		return fmt.Errorf("scenario: %d users: there must be from 2 to %d", c.Users, usersMax)
	case !(c.Late >= 0 && c.Late <= 1):
		return fmt.Errorf("scenario: late fraction %v: it must be from 0 to 1", c.Late)
	case c.LateMax < time.Millisecond || c.LateMax > lateMaxMax:
		return fmt.Errorf("scenario: longest delay %s: it must be from 1 ms to 24 hours", c.LateMax)
	case c.Skew < 0 || c.Skew > skewMax:
		return fmt.Errorf("scenario: skew %s: it must be from 0 to 48 hours", c.Skew)
	}
	return nil
}

// choose turns names into attacks, in the order of List.
func choose(names []string) ([]*attack, error) {
	if len(names) == 0 || slices.Contains(names, "all") {
		return attacks[:], nil
	}
	var chosen []*attack
	for _, a := range attacks {
		if slices.Contains(names, a.name) {
			chosen = append(chosen, a)
		}
	}
	for _, name := range names {
		if name == "none" && len(names) == 1 {
			continue
		}
		if !slices.ContainsFunc(chosen, func(a *attack) bool { return a.name == name }) {
			known := make([]string, len(attacks))
			for i, a := range attacks {
				known[i] = a.name
			}
			return nil, fmt.Errorf("scenario: there is no attack %q; there are %s, or all, or none alone", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// Scenario generates events. It belongs to one goroutine.
type Scenario struct {
	config     Config
	seed       uint64
	start, end int64
	fleet      fleet
	queue      queue
	rhythm     rhythm
	background random
	arrival    int64 // of the next activity

	// The activity that is being told; see emit.go.
	now   int64
	r     *random
	truth *Truth
	pace  uint64
	usual uint64 // pace of background in this span
	count int
	owed  int // events of evenings, which no activity has paid for yet

	// The event that is being written.
	due        item
	buf, id    []byte
	scratch    []byte
	channel    int
	native     uint64 // record id or serial
	nativeAt   int64
	nativeID   uint64 // number behind a UUID or uid
	cloudCount uint64
	index      uint64
	delivery   delivery

	sensorSkew, cloudSkew, oktaSkew int64
}

// New makes a scenario. The error says which parameter is out of its bounds
// and what they are.
func New(c Config) (*Scenario, error) {
	c.setDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	chosen, err := choose(c.Attacks)
	if err != nil {
		return nil, err
	}
	s := &Scenario{config: c, seed: mix(c.Seed ^ 0x7469657263656c), start: c.Start.UnixNano(), buf: make([]byte, 0, 4096), id: make([]byte, 0, 128)}
	s.end = s.start + int64(c.Duration)
	setup := random{s.seed}
	s.fleet = newFleet(&s.config, &setup)
	if c.Skew > 0 {
		s.sensorSkew = setup.between(-int64(c.Skew), int64(c.Skew))
		s.cloudSkew = setup.between(-int64(c.Skew), int64(c.Skew))
		s.oktaSkew = setup.between(-int64(c.Skew), int64(c.Skew))
	}
	s.background.state = setup.next()
	s.delivery.init(c.Late, int64(c.LateMax), setup.next())
	s.rhythm.microRate = uint64(c.Rate * microseconds)
	// What people do takes minutes. A span under an hour is told faster, so
	// that not too much of it would happen after the end.
	s.usual = paceFull
	if span := int64(c.Duration); span < hour {
		s.usual = uint64(span / (hour / paceFull))
	}
	s.newRhythm()
	s.lay(chosen)
	s.arrival = s.start
	return s, nil
}

// Queue lengths at which activities are told faster: events are due within
// seconds, so the first is reached at some 30,000 events a second. With the
// second one, whatever is queued is due at once.
const (
	queueBrisk = 1 << 16
	queueFull  = 1 << 18
	paceBrisk  = paceFull / 64
	paceNone   = 0
)

// arrive lets the next background activity happen.
func (s *Scenario) arrive() {
	s.now, s.r, s.truth, s.count, s.pace = s.arrival, &s.background, nil, 0, s.usual
	if n := s.queue.len(); n > queueFull {
		s.pace = paceNone
	} else if n > queueBrisk {
		s.pace = min(s.pace, paceBrisk)
	}
	lane, site := s.pick(s.now)
	s.activity(lane, site)
	s.arrival += max(s.gap(s.count+s.owed), 1)
	s.owed = 0
}

// Next writes the next event into e, or returns false when there is none.
func (s *Scenario) Next(e *Event) bool {
	for {
		next := s.peek()
		if next >= s.end {
			return s.delivery.due(forever, e)
		}
		if s.delivery.due(next, e) {
			return true
		}
		s.queue.pop(&s.due)
		it := &s.due
		switch it.kind {
		case kindStage:
			s.step(it.at, it.stage)
		case kindLogoffDue:
			if u := &s.fleet.users[it.user]; u.logon == it.logon && u.until != 0 {
				s.now, s.r, s.truth, s.pace = it.at, &s.background, nil, paceFull
				s.count = 0
				s.endSession(it.user)
				s.owed += s.count
			}
		default:
			s.write(e, it)
			if !s.delivery.hold(e, it.at) {
				return true
			}
		}
	}
}

const forever = 1<<63 - 1

// peek is the earliest time of what has not happened yet.
func (s *Scenario) peek() int64 {
	for s.arrival < s.end && (s.queue.len() == 0 || s.arrival <= s.queue.heap[0].at) {
		s.arrive()
	}
	if s.queue.len() == 0 {
		return forever
	}
	return s.queue.heap[0].at
}

// write makes the event of an item.
func (s *Scenario) write(e *Event, it *item) {
	e.Format, e.Truth = "json", it.truth
	e.Delivered = time.Unix(0, it.at).UTC()
	e.Index = s.index
	s.index++
	b, id := s.buf[:0], s.id[:0]
	at := it.at
	switch {
	case it.kind < auditExec:
		h := &s.fleet.hosts[it.host]
		b = s.window(b, it)
		e.Source, at = h.sources[sourceWindows], at+h.skew
		id = append(append(id, h.name...), '/')
		id = append(append(id, channelKeys[s.channel]...), '/')
		id = strconv.AppendUint(id, s.native, 10)
	case it.kind < cloudCall:
		h := &s.fleet.hosts[it.host]
		if s.config.Laurel {
			b = s.laurelEvent(b, it)
		} else {
			e.Format = "auditd"
			b = s.auditEvent(b, it)
		}
		e.Source, at = h.sources[sourceAudit], s.nativeAt
		id = append(append(id, h.name...), "/audit/"...)
		id = appendEpoch(id, at, 3)
		id = append(id, ':')
		id = strconv.AppendUint(id, s.native, 10)
	case it.kind == cloudCall:
		b = s.cloudtrail(b, it)
		e.Source, at = "aws/cloudtrail", at+s.cloudSkew
		id = appendUUID(append(id, "aws/"...), s.nativeID)
	case it.kind == oktaEvent:
		b = s.okta(b, it)
		e.Source, at = "okta/system", at+s.oktaSkew
		id = appendUUID(append(id, "okta/"...), s.nativeID)
	default:
		b = s.zeek(b, it)
		e.Source, at = zeekSources[it.kind], at+s.sensorSkew
		id = append(append(id, e.Source...), '/')
		id = appendUID(id, s.nativeID^s.seed)
	}
	e.Time = time.Unix(0, at).UTC()
	s.buf, s.id = b, id
	e.Raw, e.ID = b, id
}

var zeekSources = [...]string{zeekConn: "zeek/conn", zeekDNS: "zeek/dns", zeekHTTP: "zeek/http", zeekTLS: "zeek/ssl"}
