package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/doctree"
)

// decoder fills a Config from trees and notes where each value came from. It
// goes on after a fault, so that all are found.
type decoder struct {
	fs       vfs.FS
	getenv   func(string) (string, bool)
	places   map[string]Place
	faults   Faults
	warnings []Warning

	// place is where the tree being decoded comes from. Its line and column are
	// the node's when it has a file.
	place Place
	// dir is the folder of the file, against which paths in it are taken.
	dir string
	// outside is set for values of the environment and of flags, which have no
	// quotes to tell text from numbers.
	outside bool
}

func (d *decoder) at(n *doctree.Node) Place {
	p := d.place
	if p.File != "" {
		p.Line, p.Column = n.Line, n.Column
	}
	return p
}

func (d *decoder) fault(n *doctree.Node, path, hint, format string, args ...any) {
	if len(d.faults) < FaultsMax {
		d.faults = append(d.faults, Fault{Place: d.at(n), Key: path, Msg: fmt.Sprintf(format, args...), Hint: hint})
	}
}

// defaults sets every setting of a struct to its default.
func (d *decoder) defaults(v reflect.Value, prefix string) {
	outer := *d
	d.place, d.dir, d.outside = Place{}, "", false
	for _, f := range fieldsOf(v.Type()) {
		switch target := v.Field(f.index); {
		case section(f.typ):
			d.defaults(target, prefix+f.key+".")
		case f.standard != "":
			d.value(standardNode(f), target, f, prefix+f.key)
		}
	}
	d.place, d.dir, d.outside = outer.place, outer.dir, outer.outside
}

// mapping decodes a map into a struct.
func (d *decoder) mapping(n *doctree.Node, v reflect.Value, path string) {
	if n.Kind == doctree.Scalar && n.Type == doctree.Null && !n.Quoted {
		return // a section whose settings are all commented out
	}
	if n.Kind != doctree.Mapping {
		d.fault(n, path, "write its settings below it, indented", "this must be a map, not %s", n.Describe())
		return
	}
	fields := fieldsOf(v.Type())
	for _, pair := range n.Pairs {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == pair.Key.Value })
		if i < 0 {
			d.unknown(pair.Key, path, fields)
			continue
		}
		d.value(pair.Value, v.Field(fields[i].index), fields[i], join(path, fields[i].key))
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) unknown(key *doctree.Node, path string, fields []field) {
	var names []string
	for _, f := range fields {
		names = append(names, f.key)
	}
	hint := "its settings are " + strings.Join(names, ", ")
	if near := nearest(key.Value, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	d.fault(key, path, hint, "unknown key %q", clip(key.Value))
}

// value decodes one setting and notes its place.
func (d *decoder) value(n *doctree.Node, v reflect.Value, f field, path string) {
	if section(f.typ) {
		d.mapping(n, v, path)
		return
	}
	if f.typ.Kind() == reflect.Slice {
		d.list(n, v, f, path)
		return
	}
	if d.scalar(n, v, f, path) {
		d.places[path] = d.at(n)
	}
}

// list replaces a list as a whole.
func (d *decoder) list(n *doctree.Node, v reflect.Value, f field, path string) {
	if n.Kind != doctree.Sequence {
		if n.Kind == doctree.Scalar && n.Type == doctree.Null && !n.Quoted {
			return
		}
		hint := "write [" + clip(n.Compact()) + "]"
		if section(f.typ.Elem()) || n.Kind == doctree.Mapping {
			hint = "begin each entry with a dash"
		}
		d.fault(n, path, hint, "this must be a list, not %s", n.Describe())
		return
	}
	for old := range d.places { // an earlier list goes with all its entries
		if strings.HasPrefix(old, path+"[") {
			delete(d.places, old)
		}
	}
	d.places[path] = d.at(n)
	out := reflect.MakeSlice(f.typ, 0, len(n.Items))
	for i, item := range n.Items {
		where := fmt.Sprintf("%s[%d]", path, i)
		entry := reflect.New(f.typ.Elem()).Elem()
		d.places[where] = d.at(item)
		if section(f.typ.Elem()) {
			d.defaults(entry, where+".")
			d.mapping(item, entry, where)
			d.needed(item, entry, where)
		} else if !d.scalar(item, entry, field{key: f.key, oneof: f.oneof, typ: f.typ.Elem()}, where) {
			continue
		}
		out = reflect.Append(out, entry)
	}
	v.Set(out)
}

// needed names the values that an entry must have and has not.
func (d *decoder) needed(n *doctree.Node, entry reflect.Value, path string) {
	if n.Kind != doctree.Mapping {
		return
	}
	for _, f := range fieldsOf(entry.Type()) {
		if f.need && entry.Field(f.index).IsZero() && n.Get(f.key) == nil {
			d.fault(n, path, "add "+f.key+": …", "%s is missing", f.key)
		}
	}
}

// scalar decodes one value and reports whether it could.
func (d *decoder) scalar(n *doctree.Node, v reflect.Value, f field, path string) bool {
	bad := func() bool {
		d.fault(n, path, "write "+kindWords(f.typ), "this must be %s, not %s", shortKind(f.typ), n.Describe())
		return false
	}
	if n.Kind != doctree.Scalar {
		return bad()
	}
	if n.Type == doctree.Null && !n.Quoted && !d.outside {
		d.fault(n, path, "write "+kindWords(f.typ)+", or remove the line", "this has no value")
		return false
	}
	text := n.Value
	plain := d.outside || !n.Quoted
	switch {
	case f.typ == durationType:
		got, err := ParseDuration(text)
		if err != nil {
			d.fault(n, path, "write "+kindWords(f.typ), "%v", err)
			return false
		}
		low, high := f.durations()
		return d.bounded(n, path, f, got < low || f.max != "" && got > high, func() { v.SetInt(int64(got)) })
	case f.typ == bytesType:
		got, err := ParseBytes(text)
		if err != nil {
			d.fault(n, path, "write "+kindWords(f.typ), "%v", err)
			return false
		}
		low, high := f.sizes()
		return d.bounded(n, path, f, got < low || f.max != "" && got > high, func() { v.SetInt(int64(got)) })
	case f.typ == prefixType:
		p, err := parsePrefix(text)
		if err != nil {
			d.fault(n, path, "write "+kindWords(f.typ), "%q is not an address or a network", clip(text))
			return false
		}
		v.Set(reflect.ValueOf(p))
		return true
	}
	switch f.typ.Kind() {
	case reflect.Bool:
		if !plain || text != "true" && text != "false" {
			d.fault(n, path, "write true or false", "%q is not true or false", clip(text))
			return false
		}
		v.SetBool(text == "true")
		return true
	case reflect.Int, reflect.Int64:
		got, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !plain {
			d.fault(n, path, "write a whole number without quotes", "%q is not a whole number", clip(text))
			return false
		}
		low, high := f.numbers()
		return d.bounded(n, path, f, got < low || f.max != "" && got > high, func() { v.SetInt(got) })
	}
	if !d.outside && !n.Quoted && n.Type != doctree.String {
		d.fault(n, path, "put it in quotes if it is meant as text", "this must be text, not %s", n.Type)
		return false
	}
	return d.text(n, v, f, path)
}

// text decodes text, a path or a secret.
func (d *decoder) text(n *doctree.Node, v reflect.Value, f field, path string) bool {
	text := n.Value
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		d.fault(n, path, "remove it", "the text holds the control character %q", text[i:i+1])
		return false
	}
	if f.typ == secretType {
		return d.secret(n, v, path)
	}
	if strings.Contains(text, "${env:") {
		d.fault(n, path, "set "+variable(path)+" instead, if it is not inside a list", "${env:…} works in secrets only")
		return false
	}
	if len(f.oneof) > 0 && !slices.Contains(f.oneof, text) {
		hint := "choose from " + strings.Join(f.oneof, ", ")
		if near := nearest(text, f.oneof); near != "" {
			hint = fmt.Sprintf("did you mean %s? The choice is %s", near, strings.Join(f.oneof, ", "))
		}
		d.fault(n, path, hint, "%q is not known here", clip(text))
		return false
	}
	if f.typ == pathType && text != "" && d.place.File != "" && !filepath.IsAbs(text) {
		text = d.fs.PathJoin(d.dir, text)
	}
	v.SetString(text)
	return true
}

// secret takes a secret from the variable it names, or as it stands.
func (d *decoder) secret(n *doctree.Node, v reflect.Value, path string) bool {
	text := n.Value
	if rest, ok := strings.CutPrefix(text, "${env:"); ok {
		name, closed := strings.CutSuffix(rest, "}")
		if !closed || !variableName(name) {
			d.fault(n, path, "write ${env:NAME} and nothing else", "the reference to a variable is not complete")
			return false
		}
		value, set := d.getenv(name)
		if !set || value == "" {
			d.fault(n, path, "set it where the server is started, or use secret_file", "the environment has no variable %s", name)
			return false
		}
		text = value
	} else if strings.Contains(text, "${env:") {
		d.fault(n, path, "write ${env:NAME} and nothing else", "a secret is either a variable or text, not both")
		return false
	} else if d.place.File != "" && text != "" {
		d.warnings = append(d.warnings, Warning{
			Place: d.at(n), Key: path, Msg: "the secret stands in the file in clear",
			Hint: "write ${env:NAME}, or name a file in secret_file",
		})
	}
	v.Set(reflect.ValueOf(NewSecret(text)))
	return true
}

// variableName reports whether name can be a variable's.
func variableName(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func (d *decoder) bounded(n *doctree.Node, path string, f field, outside bool, set func()) bool {
	if outside {
		low := f.min
		if low == "" {
			low = "0"
		}
		d.fault(n, path, "write a value from "+low+" to "+f.max, "%s is out of bounds", clip(n.Value))
		return false
	}
	set()
	return true
}

func (f field) durations() (low, high time.Duration) {
	low, _ = ParseDuration(f.min)
	high, _ = ParseDuration(f.max)
	return low, high
}

func (f field) sizes() (low, high Bytes) {
	low, _ = ParseBytes(f.min)
	high, _ = ParseBytes(f.max)
	return low, high
}

func (f field) numbers() (low, high int64) {
	low, _ = strconv.ParseInt(f.min, 10, 64)
	high, _ = strconv.ParseInt(f.max, 10, 64)
	return low, high
}

// shortKind is kindWords without its examples.
func shortKind(t reflect.Type) string {
	words, _, _ := strings.Cut(kindWords(t), ",")
	return words
}

// parsePrefix reads a network, or an address as the network of one. Bits of
// the host are cleared.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
