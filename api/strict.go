package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// bodyDepthMax bounds the nesting of a body; those of this API have two levels.
const bodyDepthMax = 64

// strict refuses a body that could be read in two ways: text that is not
// Unicode, which decoders replace; a member given twice, of which each decoder
// takes another; and one in other letters than it is called by, which some take
// for it. What is not JSON is left to the decoder, which says where.
func strict(body []byte) *Error {
	if !utf8.Valid(body) {
		return invalid("body", "it is not UTF-8")
	}
	refusal, _ := strictValue(json.NewDecoder(bytes.NewReader(body)), "body", 0)
	return refusal
}

// strictValue reads one value. ok is false at the end of what is JSON.
func strictValue(d *json.Decoder, where string, depth int) (refusal *Error, ok bool) {
	token, err := d.Token()
	if err != nil {
		return nil, false
	}
	if text, isText := token.(string); isText {
		return strictText(where, text), true
	}
	if depth == bodyDepthMax {
		return invalid("body", "it is nested more than %d levels deep", bodyDepthMax), true
	}
	switch token {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for d.More() {
			token, err := d.Token()
			key, isText := token.(string)
			if err != nil || !isText {
				return nil, false
			}
			at := where + "." + bounded(key)
			switch {
			case strictText(where, key) != nil:
				return strictText(where, key), true
			case key != strings.ToLower(key):
				return invalid(at, "unexpected property; all are in lower case"), true
			case seen[key]:
				return invalid(at, "it is given twice"), true
			}
			seen[key] = true
			if refusal, ok := strictValue(d, at, depth+1); refusal != nil || !ok {
				return refusal, ok
			}
		}
	case json.Delim('['):
		for d.More() {
			if refusal, ok := strictValue(d, where, depth+1); refusal != nil || !ok {
				return refusal, ok
			}
		}
	default:
		return nil, true
	}
	_, err = d.Token()
	return nil, err == nil
}

// strictText refuses what stands for text that was none: half of a surrogate
// pair.
func strictText(where, text string) *Error {
	if strings.ContainsRune(text, utf8.RuneError) {
		return invalid(where, "it is not Unicode text")
	}
	return nil
}
