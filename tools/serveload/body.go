package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/klauspost/compress/gzip"
)

var startOfTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// patcher makes new events of templates. It belongs to one goroutine.
type patcher struct {
	unique             uint64
	iso, millis, clock [32]byte
}

// times sets the time of the events that follow.
func (p *patcher) times(now time.Time) {
	now = now.UTC()
	now.AppendFormat(p.iso[:0], "2006-01-02T15:04:05.000Z")
	now.AppendFormat(p.millis[:0], "2006-01-02 15:04:05.000")
	now.AppendFormat(p.clock[:0], "2006-01-02 15:04:05")
}

const digits = "0123456789abcdef"

// append appends a new event.
func (p *patcher) append(dst []byte, t *template, host string, number uint64) []byte {
	at := len(dst)
	dst = append(dst, t.text...)
	text := dst[at:]
	for _, h := range t.patches {
		hole := text[h.at:]
		switch h.kind {
		case kindHost:
			copy(hole, host)
		case kindNumber:
			// The first digit is never 0, which JSON does not allow.
			for i, n := 9, number; i > 0; i, n = i-1, n/10 {
				hole[i] = digits[n%10]
			}
			hole[0] = '1'
		case kindUnique:
			for i, n := 11, p.unique; i >= 0; i, n = i-1, n>>4 {
				hole[i] = digits[n&15]
			}
		case kindClock:
			copy(hole, p.clock[:19])
		case kindMillis:
			copy(hole, p.millis[:23])
		case kindISO:
			copy(hole, p.iso[:24])
		}
	}
	p.unique++
	return dst
}

// maker makes the bodies of one agent, a forwarder of many hosts. It belongs to
// one goroutine.
type maker struct {
	patcher
	t        *templates
	rand     *rand.Rand
	hosts    []string
	numbers  [][]uint64 // by host and channel
	matching float64
	from, to int // events a request
	plain    []byte
	zip      *gzip.Writer
}

func newMaker(t *templates, agent int, o *options) *maker {
	m := &maker{t: t, rand: rand.New(rand.NewPCG(uint64(agent), 1)), matching: o.matching / 100, from: o.eventsMin, to: o.eventsMax}
	m.unique = uint64(agent+1) << 40
	for i := range o.hosts / o.agents {
		m.hosts = append(m.hosts, fmt.Sprintf("ws-%04d%04d.corp.example", agent, i))
		m.numbers = append(m.numbers, make([]uint64, t.channels))
	}
	m.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	return m
}

// body is one request.
type body struct {
	zipped []byte
	plain  int // bytes of the events
	events int
	marks  []mark
}

// mark is an event that causes a detection of its own.
type mark struct {
	template *template
	host     string
}

var action = []byte(`{"create":{"_index":"winlogbeat"}}` + "\n")

// make makes a request of fresh events, the marks among them, into b.
func (m *maker) make(b *body, marks []mark) {
	m.times(time.Now())
	b.events = m.from + m.rand.IntN(m.to-m.from+1)
	b.marks = append(b.marks[:0], marks...)
	m.plain = m.plain[:0]
	for i := range b.events {
		m.plain = append(m.plain, action...)
		if i < len(marks) {
			m.plain = m.patcher.append(m.plain, marks[i].template, marks[i].host, uint64(i))
		} else {
			from := m.t.quiet
			if m.rand.Float64() < m.matching {
				from = m.t.matching
			}
			t := from[m.rand.IntN(len(from))]
			host := m.rand.IntN(len(m.hosts))
			number := uint64(0)
			if t.channel >= 0 {
				m.numbers[host][t.channel]++
				number = m.numbers[host][t.channel]
			}
			m.plain = m.patcher.append(m.plain, t, m.hosts[host], number)
		}
		m.plain = append(m.plain, '\n')
	}
	b.plain = len(m.plain) - b.events*(len(action)+1)
	out := bytes.NewBuffer(b.zipped[:0])
	m.zip.Reset(out)
	_, _ = m.zip.Write(m.plain) // a buffer takes everything
	_ = m.zip.Close()
	b.zipped = out.Bytes()
}
