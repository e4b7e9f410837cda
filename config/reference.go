package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the reference page of the configuration in Markdown, without its
// title: one table for each section, from the tags of the struct.
func Reference() string {
	var b strings.Builder
	b.WriteString("A configuration is one YAML file, named with `--config` or `TIERCEL_CONFIG`. Without one the server runs with the\n" +
		"defaults below. The environment wins over the file, and a flag over both. A setting that is not inside a list can be\n" +
		"given as a variable: `TIERCEL_` and its path in capitals, as `TIERCEL_HTTP_LISTEN` for `http.listen`; the texts of a list\n" +
		"stand with commas between them, and any list can be written in brackets as in the file. `--set http.listen=127.0.0.1:9000`\n" +
		"does the same on the command line.\n\n" +
		"Unknown keys, keys that stand twice and values of another type are refused with their place. `tiercel config check`\n" +
		"says everything that is wrong; `tiercel config show` prints what is in force and where each value comes from.\n\n" +
		"Durations have units: `30s`, `5m`, `1h30m`, `7d`. Sizes too: `512KiB`, `64MiB`, `10GB`. A relative path in the file is\n" +
		"taken from the file's folder. A secret is written as `${env:NAME}` to take it from the environment.\n")
	b.WriteString("\n## Top level\n\n")
	referenceTable(&b, reflect.TypeFor[Config](), "")
	referenceSections(&b, reflect.TypeFor[Config](), "")
	return b.String()
}

// referenceSections writes the sections below t, each as a chapter.
func referenceSections(b *strings.Builder, t reflect.Type, prefix string) {
	for _, f := range fieldsOf(t) {
		path, inner := prefix+f.key, f.typ
		if inner.Kind() == reflect.Slice && section(inner.Elem()) {
			path, inner = path+"[]", inner.Elem()
		}
		if !section(inner) {
			continue
		}
		fmt.Fprintf(b, "\n## %s\n\n%s\n\n", path, f.doc)
		referenceTable(b, inner, path+".")
		referenceSections(b, inner, path+".")
	}
}

func referenceTable(b *strings.Builder, t reflect.Type, prefix string) {
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for _, f := range fieldsOf(t) {
		kind, standard := referenceKind(f), ""
		switch {
		case f.need:
			standard = "must be given"
		case f.standard != "":
			standard = "`" + f.standard + "`"
		}
		text := f.doc
		if section(f.typ) || f.typ.Kind() == reflect.Slice && section(f.typ.Elem()) {
			text += " See `" + prefix + f.key + "` below."
		}
		if len(f.oneof) > 0 {
			text += " One of `" + strings.Join(f.oneof, "`, `") + "`."
		}
		if f.max != "" {
			low := f.min
			if low == "" {
				low = "0"
			}
			text += " From `" + low + "` to `" + f.max + "`."
		}
		text = strings.ReplaceAll(text, "|", `\|`)
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.key, kind, standard, text)
	}
}

// referenceKind names a type in one or two words.
func referenceKind(f field) string {
	t, list := f.typ, ""
	if t.Kind() == reflect.Slice {
		t, list = t.Elem(), "list of "
	}
	var one, many string
	switch {
	case t == durationType:
		one, many = "duration", "durations"
	case t == bytesType:
		one, many = "size", "sizes"
	case t == pathType:
		one, many = "path", "paths"
	case t == secretType:
		one, many = "secret", "secrets"
	case t == prefixType:
		one, many = "network", "networks"
	case section(t):
		one, many = "map", "maps"
	default:
		switch t.Kind() {
		case reflect.Bool:
			one, many = "true or false", "truth values"
		case reflect.Int, reflect.Int64:
			one, many = "number", "numbers"
		default:
			one, many = "text", "texts"
		}
	}
	if list != "" {
		return list + many
	}
	return one
}
