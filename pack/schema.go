package pack

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
)

//go:embed schema.json
var schemaJSON []byte

// Schema returns the JSON schema of a pack file (draft 2020-12), for editors
// and for the reference. The caller owns the copy.
func Schema() []byte { return bytes.Clone(schemaJSON) }

var compiledSchema = sync.OnceValue(func() *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err != nil {
		panic("pack: embedded schema: " + err.Error())
	}
	c := jsonschema.NewCompiler()
	const url = "https://tiercel.io/schema/pack.json"
	if err := c.AddResource(url, doc); err != nil {
		panic("pack: embedded schema: " + err.Error())
	}
	return c.MustCompile(url)
})

// checkSchema validates the document at root and returns every fault with its
// position in the file.
func checkSchema(root *yaml.Node) []*Error {
	value, err := plainValue(root, new(int))
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return []*Error{e}
		}
		return []*Error{{Problem: err.Error()}}
	}
	err = compiledSchema().Validate(value)
	if err == nil {
		return nil
	}
	var ve *jsonschema.ValidationError
	if !errors.As(err, &ve) {
		return []*Error{{Problem: err.Error()}}
	}
	var out []*Error
	var walk func(v *jsonschema.ValidationError)
	walk = func(v *jsonschema.ValidationError) {
		if len(v.Causes) > 0 {
			for _, c := range v.Causes {
				walk(c)
			}
			return
		}
		n := locate(root, v.InstanceLocation)
		// A leaf's message begins with its place as a JSON pointer.
		problem := v.Error()
		if _, after, ok := strings.Cut(problem, "': "); ok {
			problem = after
		}
		if extra, ok := v.ErrorKind.(*kind.AdditionalProperties); ok {
			for _, name := range extra.Properties {
				at := n
				if k := keyNode(n, name); k != nil {
					at = k
				}
				out = append(out, &Error{
					place:   place{at.Line, at.Column},
					Problem: fmt.Sprintf("unknown key %q%s; see the pack reference for the keys that may stand here", name, within(v.InstanceLocation)),
				})
			}
			return
		}
		out = append(out, &Error{place: place{n.Line, n.Column}, Problem: problem + within(v.InstanceLocation)})
	}
	walk(ve)
	return out
}

func within(path []string) string {
	if len(path) == 0 {
		return ""
	}
	var b bytes.Buffer
	b.WriteString(" in ")
	for i, p := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	return b.String()
}

// yamlNodesMax bounds a pack file after aliases are expanded, against files
// that grow without end when read. The largest embedded pack has some 5,000.
const yamlNodesMax = 200_000

// plainValue turns a YAML node into the values a JSON schema knows. Duplicate
// keys are refused.
func plainValue(n *yaml.Node, count *int) (any, error) {
	if *count++; *count > yamlNodesMax {
		return nil, &Error{place: place{n.Line, n.Column}, Problem: fmt.Sprintf("more than %d values once aliases are expanded", yamlNodesMax)}
	}
	switch n.Kind {
	case yaml.AliasNode:
		return plainValue(n.Alias, count)
	case yaml.DocumentNode:
		return plainValue(n.Content[0], count)
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if _, twice := m[k.Value]; twice {
				return nil, &Error{place: place{k.Line, k.Column}, Problem: fmt.Sprintf("key %q stands here twice", k.Value)}
			}
			v, err := plainValue(n.Content[i+1], count)
			if err != nil {
				return nil, err
			}
			m[k.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		s := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := plainValue(c, count)
			if err != nil {
				return nil, err
			}
			s = append(s, v)
		}
		return s, nil
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, &Error{place: place{n.Line, n.Column}, Problem: err.Error()}
		}
		return v, nil
	}
	return n.Value, nil
}

// locate follows an instance path into the file.
func locate(n *yaml.Node, path []string) *yaml.Node {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	for _, p := range path {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		next := (*yaml.Node)(nil)
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == p {
					next = n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(p); err == nil && i < len(n.Content) {
				next = n.Content[i]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

func keyNode(n *yaml.Node, name string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i]
		}
	}
	return nil
}
