package report

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"

	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

//go:embed page/page.css
var pageCSS string

//go:embed page/page.js
var pageJS string

// html writes one page that opens offline: matches and rules as two blocks of
// JSON, a script that shows them a page at a time, and a content security
// policy that allows that script and that style by hash and nothing else, no
// connection included. "<" never stands in the blocks, so no event can end
// them.
type html struct {
	w     *bufio.Writer
	buf   []byte
	n     int
	rules []*rule.Rule
	index map[*rule.Rule]int
}

func newHTML(w io.Writer, _ Options) Writer {
	return &html{w: bufio.NewWriter(w), index: make(map[*rule.Rule]int)}
}

func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (h *html) begin() {
	fmt.Fprintf(h.w, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Tiercel: matches</title>
<style>%s</style>
</head>
<body>
<h1>Matches</h1>
<p class="note">Times are UTC. Click a match for its details, a bar for its time. Values that decided are marked.</p>
<div class="filters" id="levels"></div>
<div class="filters">
<select id="rule" aria-label="rule"><option value="">all rules</option></select>
<select id="host" aria-label="host"><option value="">all hosts</option></select>
<input type="search" id="text" placeholder="text in event, rule or path" aria-label="search">
<button id="all">all times</button>
</div>
<svg id="timeline" role="img" aria-label="matches over time"></svg>
<div class="axis"><span id="first"></span><span id="last"></span></div>
<div class="pages"><button id="previous">previous</button><span id="count"></span><button id="next">next</button></div>
<table>
<thead><tr><th>time</th><th>level</th><th>rule</th><th>host</th><th>source</th></tr></thead>
<tbody id="rows"></tbody>
</table>
<script type="application/json" id="matches">[`, hashSource(pageCSS), hashSource(pageJS), pageCSS)
}

// inScript appends JSON text so that it may stand in a script element.
func inScript(dst, json []byte) []byte {
	return append(dst, bytes.ReplaceAll(json, []byte("<"), []byte(`\u003c`))...)
}

func (h *html) Match(m *pipeline.Match) error {
	if h.n == 0 {
		h.begin()
	} else {
		h.w.WriteByte(',')
	}
	h.n++
	at, known := h.index[m.Rule]
	if !known {
		at = len(h.rules)
		h.index[m.Rule] = at
		h.rules = append(h.rules, m.Rule)
	}
	b := append(h.buf[:0], "\n["...)
	b = append(appendText(b, timeText(m)), ',')
	b = append(appendText(b, m.TimeQuality.String()), ',')
	b = append(strconv.AppendInt(b, int64(at), 10), ',')
	b = append(appendText(b, m.Host), ',')
	b = append(appendText(b, m.Source.Path), ',')
	b = append(appendText(b, m.Source.Format), ',')
	b = append(strconv.AppendQuote(b, count(m.Source.Record)), ',')
	b = append(strconv.AppendInt(b, m.Source.Line, 10), ',')
	b = append(strconv.AppendInt(b, m.Source.Offset, 10), ',')
	b = append(appendFields(b, m.Fields), ',')
	b = append(appendText(b, string(m.Event)), ']')
	h.buf = b
	_, err := h.w.Write(inScript(nil, b))
	return err
}

func (h *html) Close(*pipeline.Stats) error {
	if h.n == 0 {
		h.begin()
	}
	h.w.WriteString("\n]</script>\n<script type=\"application/json\" id=\"rules\">[")
	for i, r := range h.rules {
		if i > 0 {
			h.w.WriteByte(',')
		}
		b := append(h.buf[:0], "\n{"...)
		b = appendTextMember(b, "id", r.ID)
		b = appendTextMember(b, "title", r.Title)
		b = appendTextMember(b, "level", r.Level.String())
		b = appendTextMember(b, "author", r.Author)
		b = appendTextMember(b, "license", r.License)
		b = appendTextMember(b, "file", r.File)
		b = appendTextMember(b, "description", r.Description)
		b = appendTexts(appendKey(b, "tags"), r.Tags)
		b = appendTexts(appendKey(b, "falsePositives"), r.FalsePositives)
		b = appendTexts(appendKey(b, "references"), r.References)
		b = append(b, '}')
		h.buf = b
		h.w.Write(inScript(nil, b))
	}
	fmt.Fprintf(h.w, "\n]</script>\n<script>%s</script>\n</body>\n</html>\n", pageJS)
	return h.w.Flush()
}
