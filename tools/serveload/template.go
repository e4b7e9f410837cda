package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// kind says what is patched into an event at one place. Each has one length,
// so that a copy of the template needs no shifting.
type kind byte

const (
	kindHost   kind = iota // name of the host
	kindNumber             // number of the record in its channel
	kindUnique             // the last group of a GUID
	kindClock              // 2006-01-02 15:04:05
	kindMillis             // 2006-01-02 15:04:05.000
	kindISO                // 2006-01-02T15:04:05.000Z
)

var widths = map[kind]int{kindHost: hostWidth, kindNumber: 10, kindUnique: 12, kindClock: 19, kindMillis: 23, kindISO: 24}

const hostWidth = len("ws-00000000.corp.example")

type patch struct {
	at   int
	kind kind
}

// template is an event of the corpus, ready to be made into new ones.
type template struct {
	text    []byte
	patches []patch
	// channel numbers the record's channel, -1 when it has no number.
	channel int
	matches bool
}

// hostKeys name the host that wrote the event; numberKeys hold its number
// there; timeKeys are set to now.
var (
	hostKeys   = []string{"Hostname", "Computer"}
	numberKeys = []string{"RecordNumber", "EventRecordID"}
	timeKeys   = []string{"@timestamp", "EventTime", "EventReceivedTime", "TimeCreated", "UtcTime"}
)

// templates are what the load is made of.
type templates struct {
	quiet, matching []*template
	channels        int
	// bytesMax is the largest event taken, mean the mean of all in bytes.
	bytesMax int
	mean     float64
}

// loadTemplates takes events from all over the corpus. The rendered message,
// which repeats the fields, is left out, and so are events above a size that
// is chosen such that the mean is meanBytes, and script blocks in several parts,
// since only one of the parts would come.
func loadTemplates(dir string, meanBytes float64) (*templates, error) {
	lines, err := sample(dir)
	if err != nil {
		return nil, err
	}
	t := &templates{}
	channels := map[string]int{}
	var all []*template
	for _, line := range lines {
		one, err := newTemplate(line, channels)
		if err != nil {
			continue // not an object; the corpus has none of use to the load
		}
		if one != nil {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no event was found below %s; set TIERCEL_CORPUS to the unpacked corpora", dir)
	}
	slices.SortStableFunc(all, func(a, b *template) int { return len(a.text) - len(b.text) })
	sum, n := 0, 0
	for n < len(all) && (n < 100 || float64(sum+len(all[n].text)) <= meanBytes*float64(n+1)) {
		sum += len(all[n].text)
		n++
	}
	t.quiet, t.channels = all[:n], len(channels)
	t.bytesMax, t.mean = len(all[n-1].text), float64(sum)/float64(n)
	return t, nil
}

// sampleEvery leaves some 20,000 of the corpus' events: more than any window
// of a compressor holds.
const sampleEvery = 15

func sample(dir string) ([][]byte, error) {
	var out [][]byte
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".jsonl") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if n++; n%sampleEvery == 0 {
				out = append(out, bytes.TrimSpace(line))
			}
		}
		return nil
	})
	return out, err
}

// newTemplate makes a template of one event; nil means that it is not fit.
func newTemplate(line []byte, channels map[string]int) (*template, error) {
	t := &template{channel: -1}
	channel := ""
	d := json.NewDecoder(bytes.NewReader(line))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	t.text = append(t.text, '{')
	numbered := false
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		key := tok.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		switch key {
		case "Message", "message":
			continue
		case "MessageTotal":
			if strings.Trim(string(value), `"`) != "1" {
				return nil, nil
			}
		case "Channel":
			channel = string(value)
		}
		if len(t.text) > 1 {
			t.text = append(t.text, ',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		t.text = append(append(t.text, name...), ':')
		t.value(key, value)
		numbered = numbered || slices.Contains(numberKeys, key)
	}
	t.text = append(t.text, '}')
	if numbered {
		at, ok := channels[channel]
		if !ok {
			at = len(channels)
			channels[channel] = at
		}
		t.channel = at
	}
	return t, nil
}

// value appends a member's value, with a hole where it is to be rewritten.
func (t *template) value(key string, value json.RawMessage) {
	text := strings.Trim(string(value), `"`)
	quoted := strings.HasPrefix(string(value), `"`)
	hole := func(before string, k kind, after string) {
		if quoted {
			before, after = `"`+before, after+`"`
		}
		t.text = append(t.text, before...)
		t.patches = append(t.patches, patch{len(t.text), k})
		t.text = append(t.text, strings.Repeat("0", widths[k])...)
		t.text = append(t.text, after...)
	}
	switch {
	case quoted && slices.Contains(hostKeys, key):
		hole("", kindHost, "")
	case slices.Contains(numberKeys, key):
		hole("", kindNumber, "")
	case quoted && slices.Contains(timeKeys, key):
		switch {
		case strings.Contains(text, "T"):
			hole("", kindISO, "")
		case strings.Contains(text, "."):
			hole("", kindMillis, "")
		default:
			hole("", kindClock, "")
		}
	case quoted && unique(key, text):
		body, brace := strings.CutSuffix(text, "}")
		end := ""
		if brace {
			end = "}"
		}
		hole(body[:len(body)-widths[kindUnique]], kindUnique, end)
	default:
		t.text = append(t.text, value...)
	}
}

// unique tells GUIDs of one process, session or script from those of providers,
// which stay.
func unique(key, text string) bool {
	k := strings.ToLower(key)
	if k == "providerguid" || !strings.HasSuffix(k, "guid") && k != "activityid" && k != "scriptblockid" {
		return false
	}
	text = strings.Trim(text, "{}")
	return len(text) == 36 && strings.Count(text, "-") == 4
}

// divide finds out which templates match, by a scan with the same rules.
func (t *templates) divide(binary, dir string, rules []string) error {
	var text bytes.Buffer
	blank := patcher{unique: 1}
	blank.times(startOfTime)
	all := t.quiet
	for _, one := range all {
		text.Write(blank.append(nil, one, "ws-00000000.corp.example", 1))
		text.WriteByte('\n')
	}
	path := filepath.Join(dir, "templates.jsonl")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return err
	}
	args := []string{"scan", path, "--output", "jsonl"}
	for _, r := range rules {
		args = append(args, "--rules", r)
	}
	var faults bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stderr = &faults
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	matched := make([]bool, len(all))
	in := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var m struct {
			Source struct {
				Line int `json:"line"`
			} `json:"source"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			return fmt.Errorf("read a match of the scan: %w", err)
		}
		if n := m.Source.Line; n >= 1 && n <= len(matched) {
			matched[n-1] = true
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("scan the templates: %w: %s", err, faults.Bytes())
	}
	t.quiet = nil
	for i, one := range all {
		if one.matches = matched[i]; one.matches {
			t.matching = append(t.matching, one)
		} else {
			t.quiet = append(t.quiet, one)
		}
	}
	if len(t.quiet) == 0 || len(t.matching) == 0 {
		return fmt.Errorf("of %d events %d match: no mix can be made of them", len(all), len(t.matching))
	}
	return os.Remove(path)
}
