package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Value is one effective setting.
type Value struct {
	// Key is its path, Text its value as the file would have it, with secrets
	// masked. Place says where it comes from.
	Key, Text string
	Place     Place
}

// Values lists every effective setting in the order of the reference page. A
// list of sections gives the settings of each entry, an empty list [].
func (c *Config) Values() []Value {
	var list []Value
	c.values(reflect.ValueOf(c).Elem(), "", &list)
	return list
}

func (c *Config) values(v reflect.Value, prefix string, list *[]Value) {
	for _, f := range fieldsOf(v.Type()) {
		path, value := prefix+f.key, v.Field(f.index)
		switch {
		case section(f.typ):
			c.values(value, path+".", list)
		case f.typ.Kind() == reflect.Slice && section(f.typ.Elem()) && value.Len() > 0:
			for i := range value.Len() {
				c.values(value.Index(i), fmt.Sprintf("%s[%d].", path, i), list)
			}
		default:
			*list = append(*list, Value{Key: path, Text: textOf(value), Place: c.valuePlace(path)})
		}
	}
}

// valuePlace is the place of exactly this value. Inside a list, a setting that
// its entry leaves out has its default, not the place of the entry.
func (c *Config) valuePlace(path string) Place { return c.places[path] }

// textOf writes a value as the file would have it.
func textOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case Bytes:
		return x.String()
	case Secret:
		if x.IsSet() {
			return x.String()
		}
		return `""`
	case netip.Prefix:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Slice:
		out := "["
		for i := range v.Len() {
			if i > 0 {
				out += ", "
			}
			out += textOf(v.Index(i))
		}
		return out + "]"
	}
	return quoted(v.String())
}

// quoted puts text in quotes unless it is plainly a word.
func quoted(s string) string {
	if s == "" {
		return `""`
	}
	for _, c := range []byte(s) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c == '/' || c == '.'
		if !word && (c < '0' || c > '9') {
			return strconv.Quote(s)
		}
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '-', c == '.', s == "true", s == "false", s == "null":
		return strconv.Quote(s)
	}
	return s
}

func sortedKeys(m map[string]string) []string {
	return slices.Sorted(maps.Keys(m))
}
