package event

import "slices"

// AppendJSONWithout appends the record as AppendJSON(dst, 0) does, but for the
// members at the given paths, keys joined by dots and compared exactly. Inside
// an array each item is searched.
func (t *Tree) AppendJSONWithout(dst []byte, paths []string) []byte {
	return t.appendWithout(dst, 0, "", paths)
}

func (t *Tree) appendWithout(dst []byte, i int, at string, paths []string) []byte {
	open, shut := byte('{'), byte('}')
	switch t.Kind(i) {
	case Object:
	case Array:
		open, shut = '[', ']'
	default:
		return t.AppendJSON(dst, i)
	}
	dst = append(dst, open)
	first := true
	for c := i + 1; c < t.End(i); c = t.End(c) {
		below := at
		if open == '{' {
			if below != "" {
				below += "."
			}
			below += string(t.Key(c))
			if slices.Contains(paths, below) {
				continue
			}
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if open == '{' {
			dst = append(AppendQuoted(dst, t.Key(c)), ':')
		}
		dst = t.appendWithout(dst, c, below, paths)
	}
	return append(dst, shut)
}
