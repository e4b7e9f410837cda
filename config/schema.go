package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/yamltree"
)

// field is one setting of a struct, from its tags.
type field struct {
	index    int
	key, doc string
	standard string // the tag default, or ""
	min, max string
	oneof    []string
	need     bool
	typ      reflect.Type
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
	pathType     = reflect.TypeFor[Path]()
	secretType   = reflect.TypeFor[Secret]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

// fieldsOf lists the settings of a struct of this package, in their order.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key := tag.Get("key")
		if key == "" {
			continue
		}
		f := field{
			index: i, key: key, doc: tag.Get("doc"), standard: tag.Get("default"), min: tag.Get("min"), max: tag.Get("max"),
			need: tag.Get("need") != "", typ: t.Field(i).Type,
		}
		if words := tag.Get("oneof"); words != "" {
			f.oneof = strings.Fields(words)
		}
		list = append(list, f)
	}
	return list
}

// section reports whether a setting is a map of settings.
func section(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != secretType && t != prefixType
}

// kindWords says what is to be written for a type.
func kindWords(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration with its unit, as 30s, 5m or 7d"
	case t == bytesType:
		return "a size, as 512KiB, 64MiB or 10GB"
	case t == prefixType:
		return "an address or a network, as 192.0.2.0/24"
	case t == pathType:
		return "a path"
	case t == secretType:
		return "text, best ${env:NAME}"
	case section(t):
		return "a map"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	}
	return "text"
}

// variable is the name of a setting in the environment.
func variable(path string) string {
	return "TIERCEL_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// setting is one value that the environment or a flag can give.
type setting struct {
	path  string
	field field
}

// settings lists what can be given from outside the file: every setting that
// is not inside a list.
func settings(t reflect.Type, prefix string) []setting {
	var list []setting
	for _, f := range fieldsOf(t) {
		path := prefix + f.key
		if section(f.typ) {
			list = append(list, settings(f.typ, path+".")...)
			continue
		}
		list = append(list, setting{path, f})
	}
	return list
}

// Keys lists the paths that the environment and flags can set, in the order of
// the reference page.
func Keys() []string {
	var keys []string
	for _, s := range settings(reflect.TypeFor[Config](), "") {
		keys = append(keys, s.path)
	}
	return keys
}

// standardNode is the default of a field as a tree. A tag that is not YAML is a
// fault of ours, which the tests see.
func standardNode(f field) *doctree.Node {
	docs, err := yamltree.Parse([]byte(f.standard))
	if err != nil || len(docs) != 1 {
		panic(fmt.Sprintf("config: the default of %s is not YAML: %q", f.key, f.standard))
	}
	return docs[0]
}
