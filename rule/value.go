package rule

import (
	"math"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// value builds one value, or returns nil after reporting why it cannot.
func (b *builder) value(c chain, n *doctree.Node) Value {
	if isNull(n) {
		return b.nullValue(c, n)
	}
	switch c.mode {
	case modeRegex:
		return b.regexValue(c, n)
	case modeExists:
		return b.existsValue(n)
	case modeFieldRef:
		return b.fieldRefValue(c, n)
	case modeText:
		return b.textValue(c, n)
	}
	// The modes left read one plain text, after placeholders.
	if !c.expand {
		return b.scalarValue(c, n, n.Value, n.Type)
	}
	alternatives := b.expand(n)
	out := make([]Value, 0, len(alternatives))
	for _, parts := range alternatives {
		text, ok := plain(parts)
		if !ok {
			b.report(n, CodeModifierValue, "remove the wildcards from the value or the list", "%s takes no wildcards", c.lastMode())
			return nil
		}
		if !b.chargeList(n, 1, len(text)) {
			return nil
		}
		v := b.scalarValue(c, n, text, doctree.Int)
		if v == nil {
			return nil
		}
		out = append(out, v)
	}
	return fold(n.Value, out)
}

func (b *builder) nullValue(c chain, n *doctree.Node) Value {
	if c.field == "" {
		b.report(n, CodeKeywordInvalid, "remove it, or quote it if the word is meant", "null cannot be a keyword")
		return nil
	}
	if c.mode != modeText || len(c.steps) > 0 || c.anchor != "" || c.expand || c.cased {
		b.report(n, CodeModifierValue, "write null without modifiers, or '' for the empty text", "null takes no modifiers but all and neq")
		return nil
	}
	return &NullValue{}
}

func (b *builder) existsValue(n *doctree.Node) Value {
	switch strings.ToLower(n.Value) {
	case "true", "false":
		if n.Type != doctree.Bool {
			b.report(n, CodeNumberText, "remove the quotes", "the value of exists is written as text")
		}
		return &Exists{V: strings.EqualFold(n.Value, "true")}
	}
	b.report(n, CodeModifierValue, "write true or false", "exists takes true or false, not %s", quote(n.Value))
	return nil
}

func (b *builder) fieldRefValue(c chain, n *doctree.Node) Value {
	field, ok := plain(ParsePattern(n.Value))
	if !ok || field == "" || n.Type != doctree.String {
		b.report(n, CodeFieldRefInvalid, "write the name of another field, without wildcards", "%s is not the name of a field", quote(n.Value))
		return nil
	}
	m := map[string]RefMode{"": RefEquals, "startswith": RefStartsWith, "endswith": RefEndsWith, "contains": RefContains}[c.anchor]
	return &FieldRef{Field: field, Mode: m, Cased: c.cased}
}

// scalarValue builds the value of a network, a comparison or a part of time.
func (b *builder) scalarValue(c chain, n *doctree.Node, text string, typ doctree.Type) Value {
	if c.mode == modeCIDR {
		p, masked, err := parseNetwork(text)
		if err != nil {
			b.report(n, CodeCIDRInvalid, "write it as 10.0.0.0/8 or fe80::/10", "%s is not a network: %s", quote(text), strings.TrimPrefix(err.Error(), "netip."))
			return nil
		}
		if masked {
			b.report(n, CodeCIDRHostBits, "write "+p.String(), "%s has bits beyond its prefix", quote(text))
		}
		return &CIDR{Prefix: p, Source: n.Value}
	}
	var canonical string
	ok := false
	switch typ {
	case doctree.Int, doctree.Float:
		canonical, ok = canonicalNumber(typ, text)
	case doctree.String:
		if j, isNumber := jsonNumber(text); isNumber && len(text) <= numberBytesMax {
			canonical, ok = canonicalNumber(doctree.Float, j)
			b.report(n, CodeNumberText, "remove the quotes", "the number %s is written as text", quote(text))
		}
	}
	if !ok {
		b.report(n, CodeModifierValue, "write a number", "%s takes a number, not %s", c.lastMode(), quote(text))
		return nil
	}
	if c.mode == modeCompare {
		return &Compare{Op: c.op, Canonical: canonical, Source: n.Value}
	}
	whole, err := strconv.ParseInt(canonical, 10, 64)
	if err != nil || whole == math.MinInt64 {
		b.report(n, CodeModifierValue, "write a whole number", "a part of time is a whole number, not %s", quote(text))
		return nil
	}
	lowHigh := [...][2]int64{Minute: {0, 59}, Hour: {0, 23}, Day: {1, 31}, Week: {1, 53}, Month: {1, 12}, Year: {0, 9999}}[c.unit]
	if whole < lowHigh[0] || whole > lowHigh[1] {
		b.report(n, CodeTimePartRange, "", "the number is %d, but that part of a time goes from %d to %d", whole, lowHigh[0], lowHigh[1])
	}
	return &TimePart{Unit: c.unit, Op: c.op, N: whole, Source: n.Value}
}

// textValue builds a value that is compared as text, or a number or truth
// value that no modifier turned into text.
func (b *builder) textValue(c chain, n *doctree.Node) Value {
	untouched := len(c.steps) == 0 && c.anchor == "" && c.field != ""
	if untouched {
		var v Value
		switch n.Type {
		case doctree.Bool:
			v = &Bool{V: strings.EqualFold(n.Value, "true")}
		case doctree.Int, doctree.Float:
			if canonical, ok := canonicalNumber(n.Type, n.Value); ok {
				v = &NumberValue{Canonical: canonical, Source: n.Value}
			}
		}
		if v != nil {
			if c.cased {
				b.report(n, CodeModifierNoEffect, "remove |cased, or quote the value", "cased has no effect on %s", n.Describe())
			}
			return v
		}
	}
	alternatives := [][]Part{ParsePattern(n.Value)}
	fromList := false
	if c.expand && n.Type == doctree.String {
		alternatives = b.expand(n)
		fromList = true
	}
	if c.field == "" && n.Value == "" {
		b.report(n, CodeKeywordInvalid, "remove it", "an empty keyword is in every event")
		return nil
	}
	for _, step := range c.steps {
		if alternatives = b.transform(step, alternatives, n); alternatives == nil {
			return nil
		}
		fromList = fromList || step != "windash"
	}
	out := make([]Value, 0, len(alternatives))
	for _, parts := range alternatives {
		source := n.Value
		if fromList && len(alternatives) > 1 {
			source = FormatPattern(parts)
		}
		switch {
		case c.anchor == "contains" || c.anchor == "" && c.field == "":
			parts = surround(parts, true, true)
		case c.anchor == "startswith":
			parts = surround(parts, false, true)
		case c.anchor == "endswith":
			parts = surround(parts, true, false)
		}
		if onlyStars(parts) && (c.anchor != "" || c.field == "") {
			b.report(n, CodePatternAll, "write '"+c.field+"|exists: true' if that is meant", "the pattern %s with %s matches every value that is present", quote(n.Value), orKeyword(c.anchor))
		}
		count := b.charge
		if c.expand && len(c.steps) == 0 {
			count = b.chargeList
		}
		if len(alternatives) > 1 && !count(n, 1, 0) {
			return nil
		}
		out = append(out, &Text{Parts: parts, Cased: c.cased, Source: source})
	}
	return fold(n.Value, out)
}

func orKeyword(anchor string) string {
	if anchor == "" {
		return "a keyword's search"
	}
	return anchor
}

// transform applies windash or an encoding to every alternative. It returns
// nil after reporting an error; placeholders without values give an empty
// slice.
func (b *builder) transform(step string, alternatives [][]Part, n *doctree.Node) [][]Part {
	out := make([][]Part, 0, len(alternatives))
	for _, parts := range alternatives {
		if step == "windash" {
			out = append(out, windash(parts))
			continue
		}
		spellings, ok := dashVariants(parts)
		if !ok {
			b.report(n, CodeEncodingWildcard, "remove windash, or split the value", "the dashes of the value have more than %d spellings to encode", dashVariantsMax)
			return nil
		}
		for _, s := range spellings {
			text, ok := plain(s)
			if !ok {
				b.report(n, CodeEncodingWildcard, `escape them as \* and \? if they are meant as text, or split the value`, "a value with wildcards cannot be encoded: %s", quote(n.Value))
				return nil
			}
			encoded, f := encode(step, text)
			if f != nil {
				b.reportFault(n, f)
				if severityOf(f.code) == Error {
					return nil
				}
			}
			for _, e := range encoded {
				if len(e) > ValueBytesMax {
					b.report(n, CodeValuesMany, "use a shorter value", "the encoded value is longer than %d bytes", ValueBytesMax)
					return nil
				}
				if !b.charge(n, 0, len(e)) {
					return nil
				}
				out = append(out, []Part{{Kind: Literal, Lit: e}})
			}
		}
	}
	return out
}

// fragmentBytesMin is the length below which a fragment of base64 is likely to
// occur by chance: 3 characters are in a random text of 256 KiB once.
const fragmentBytesMin = 4

func encode(step, text string) ([]string, *fault) {
	if text == "" {
		return nil, faultf(CodeEncodingShort, "write a value", "an empty value cannot be encoded")
	}
	switch step {
	case "utf16le":
		return []string{encodeUTF16(text, false, false)}, nil
	case "utf16be":
		return []string{encodeUTF16(text, true, false)}, nil
	case "utf16":
		return []string{encodeUTF16(text, false, true)}, nil
	case "base64":
		return []string{base64Padded(text)}, nil
	}
	fragments := base64Offsets(text)
	var f *fault
	for _, e := range fragments {
		if e == "" {
			return nil, faultf(CodeEncodingShort, "use a longer value", "the value %s is too short for base64offset: a fragment would be empty and match everything", quote(text))
		}
		if len(e) < fragmentBytesMin {
			f = faultf(CodeEncodingFragment, "use a longer value", "the value %s leaves a fragment of under %d characters (%s) in base64", quote(text), fragmentBytesMin, e)
		}
	}
	return fragments[:], f
}

func (b *builder) regexValue(c chain, n *doctree.Node) Value {
	if b.regexBudget < 0 {
		return nil // reported already
	}
	sources := []string{n.Value}
	if c.expand {
		sources = b.expandRegex(n)
	}
	out := make([]Value, 0, len(sources))
	for _, src := range sources {
		if !b.charge(n, 0, len(src)) {
			return nil
		}
		re, err := compileRegex(src, c.flags, c.anchor == "startswith", c.anchor == "endswith", &b.regexBudget)
		if err != nil {
			b.report(n, CodeRegexInvalid, err.hint, "%s", err.what)
			return nil
		}
		if len(sources) > 1 && !b.charge(n, 1, 0) {
			return nil
		}
		out = append(out, &Regexp{RE: re, Source: src})
	}
	return fold(n.Value, out)
}
