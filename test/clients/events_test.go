package clients

import (
	"fmt"
	"regexp"
	"strings"
)

// item is an event that a client is given to send.
type item struct {
	id   string
	text string
	// broken text is not valid UTF-8: a client may change it, so that only the
	// id must arrive.
	broken bool
}

// idPattern finds ids in whatever a client makes of a text.
var idPattern = regexp.MustCompile(`ev-[0-9]{6}-end`)

// mark stands in the texts that the rule of the tests is to find.
const mark = "marked-for-detection"

const (
	markEvery = 100
	// longText is longer than a datagram or a page, and below the 64 KiB that
	// syslog daemons take for a message.
	longText = 40_000
)

// textKind says what texts a client can carry.
type textKind int

const (
	// textLine is a line of a file: no line break, but bytes that are no UTF-8.
	textLine textKind = iota
	// textAny is any Unicode text.
	textAny
)

// makeEvents makes n events, a few of which are hard to carry.
func makeEvents(n int, kind textKind) []item {
	events := make([]item, n)
	for i := range events {
		e := item{id: fmt.Sprintf("ev-%06d-end", i)}
		rest := ""
		switch i % 8 {
		case 0:
			rest = "Accepted publickey for root from 192.0.2.7 port 50022 ssh2"
		case 1:
			rest = "Größe geprüft, 測試 完了, ✅ 🔥, e\u0301, \u00a0\u2028\ufeff"
		case 2:
			rest = `she said "no" and 'yes' \ \\ \n \u0041 {"a": [1, "x"]} %s %n $1 ${HOME} $(id) <b>&amp;</b>`
		case 3:
			rest = strings.Repeat("a rather long line ", 40)
		case 4:
			rest = "columns\tdivided\tby tabs   and   blanks"
		case 5:
			rest = `{"user":{"name":"Administrator","id":0},"ok":true,"list":[null,1.50,1e3]}`
		case 6:
			rest = "<34>1 2026-01-01T00:00:00Z fake-host fake - - - not the header"
		case 7:
			rest = "100% of 5 = 5; x=1, y='2' key=\"value with = sign\""
		}
		switch {
		case i%markEvery == markEvery-1:
			rest += " " + mark
		case i == 77:
			rest = strings.Repeat("0123456789abcdef ", longText/17)
		case i == 155 && kind == textLine:
			rest, e.broken = "broken \xff\xfe\xc3( \xed\xa0\x80 text", true
		case i == 155:
			rest = "first line\nsecond line\r\n\x01\x1b[31m\x00 third"
		}
		e.text = e.id + " " + rest
		events[i] = e
	}
	return events
}

// marked is how many of the first n events hold the mark.
func marked(n int) int { return n / markEvery }
