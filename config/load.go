package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/yamltree"
)

// Flag is one setting given on the command line.
type Flag struct {
	// Name is the flag as it was written, for messages: --listen.
	Name string
	// Key is the path of the setting and Value its text, as in the environment.
	Key, Value string
}

// FileVariable names the variable with the configuration file.
const FileVariable = "TIERCEL_CONFIG"

// Load makes the configuration from its defaults, the file at path, the
// variables of environ (NAME=value, as os.Environ gives them) and flags, and
// checks it. With an empty path the file is the one that [FileVariable] names,
// and without that there is none, which is a working configuration.
//
// An error about what was written is of type [Faults] and lists everything that
// is wrong; the Config is then nil. Files that the configuration names
// (certificates, secrets, content) are looked at, not kept open.
func Load(fs vfs.FS, path string, environ []string, flags []Flag) (*Config, []Warning, error) {
	env := variables(environ)
	d := &decoder{fs: fs, places: map[string]Place{}, getenv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
	c := &Config{places: d.places}
	root := reflect.ValueOf(c).Elem()
	d.defaults(root, "")
	if path == "" {
		path = env[FileVariable]
	}
	if path != "" {
		d.file(path, root)
	}
	d.environment(env, root)
	for _, f := range flags {
		d.flag(f, root)
	}
	if c.Data == "" {
		c.Data = dataFolder(fs, env)
	}
	c.fillTenants()
	d.secretFiles(c)
	warnings := append(d.warnings, c.doubts()...)
	faults := first(first(d.faults, Check(c)), checkFiles(fs, c))
	if len(faults) > 0 {
		return nil, warnings, faults[:min(len(faults), FaultsMax)]
	}
	return c, warnings, nil
}

// first adds to faults those of later checks that do not merely follow from one
// of them: that are about another setting and not about what holds it.
func first(faults, later Faults) Faults {
	out := faults
	for _, l := range later {
		follows := false
		for _, f := range faults {
			rest, ok := strings.CutPrefix(f.Key, l.Key)
			follows = follows || ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		}
		if !follows {
			out = append(out, l)
		}
	}
	return out
}

// Default is the configuration when nothing is given, but for Data, which is
// tiercel-data.
func Default() *Config {
	c, _, err := Load(vfs.NewMem(), "", nil, nil)
	if err != nil {
		panic(fmt.Sprintf("config: the defaults do not hold: %v", err))
	}
	return c
}

// defaultSource is an entry of sources with its defaults.
func defaultSource() Source {
	var s Source
	d := &decoder{places: map[string]Place{}}
	d.defaults(reflect.ValueOf(&s).Elem(), "")
	return s
}

func variables(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok {
			env[name] = value
		}
	}
	return env
}

// dataFolder follows the XDG base directory specification.
func dataFolder(fs vfs.FS, env map[string]string) Path {
	switch {
	case strings.HasPrefix(env["XDG_DATA_HOME"], "/"): // one that is relative is to be ignored
		return Path(fs.PathJoin(env["XDG_DATA_HOME"], "tiercel"))
	case env["HOME"] != "" && env["HOME"] != "/":
		return Path(fs.PathJoin(env["HOME"], ".local", "share", "tiercel"))
	case env["LocalAppData"] != "":
		return Path(fs.PathJoin(env["LocalAppData"], "tiercel"))
	}
	return "tiercel-data"
}

// file decodes the configuration file.
func (d *decoder) file(path string, root reflect.Value) {
	d.place, d.dir = Place{File: path}, d.fs.PathDir(path)
	defer func() { d.place, d.dir = Place{}, "" }()
	whole := func(msg, hint string) {
		d.faults = append(d.faults, Fault{Place: Place{File: path}, Msg: msg, Hint: hint})
	}
	data, err := readFile(d.fs, path, yamltree.FileBytesMax)
	if err != nil {
		whole(fmt.Sprintf("cannot be read: %v", err), "name the configuration file with --config or "+FileVariable)
		return
	}
	docs, err := yamltree.Parse(data)
	var e *yamltree.Error
	switch {
	case errors.As(err, &e):
		d.faults = append(d.faults, Fault{Place: Place{File: path, Line: e.Line, Column: e.Column}, Msg: e.Msg, Hint: e.Hint})
	case err != nil:
		whole(err.Error(), "")
	case len(docs) > 1:
		d.fault(docs[1], "", "remove the line ---", "the file has more than one document")
	case len(docs) == 1:
		d.mapping(docs[0], root, "")
	}
}

// environment takes the variables that are settings, and points at those that
// look as if they were meant to be. Others that begin with TIERCEL_ are left
// alone: orchestrators set TIERCEL_PORT and the like for a service of that name.
func (d *decoder) environment(env map[string]string, root reflect.Value) {
	known := settings(root.Type(), "")
	names := make([]string, 0, len(known))
	for _, s := range known {
		name := variable(s.path)
		names = append(names, name)
		if text, ok := env[name]; ok {
			d.place = Place{Name: name}
			d.given(s, text, root)
			delete(env, name)
		}
	}
	d.place = Place{}
	for _, name := range sortedKeys(env) {
		if !strings.HasPrefix(name, "TIERCEL_") || name == FileVariable || len(name) > 100 {
			continue
		}
		for _, known := range names {
			if doctree.EditDistance(name, known) <= 2 {
				d.warnings = append(d.warnings, Warning{Place: Place{Name: name}, Msg: "this variable is no setting", Hint: "did you mean " + known + "?"})
				break
			}
		}
	}
}

func (d *decoder) flag(f Flag, root reflect.Value) {
	d.place = Place{Name: f.Name}
	known := settings(root.Type(), "")
	for _, s := range known {
		if s.path == f.Key {
			d.given(s, f.Value, root)
			return
		}
	}
	var keys []string
	for _, s := range known {
		keys = append(keys, s.path)
	}
	hint := "the keys are in the reference of the configuration"
	if near := nearest(f.Key, keys); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	d.fault(&doctree.Node{}, "", hint, "unknown key %q", clip(f.Key))
}

// given decodes a value that has no file: a scalar as it is, a list of scalars
// with commas between them, any list as YAML in brackets.
func (d *decoder) given(s setting, text string, root reflect.Value) {
	d.outside = true
	defer func() { d.outside = false }()
	target := root
	t := root.Type()
	for _, key := range strings.Split(s.path, ".") {
		for _, f := range fieldsOf(t) {
			if f.key == key {
				target = target.Field(f.index)
				t = f.typ
				break
			}
		}
	}
	node := &doctree.Node{Value: text}
	if s.field.typ.Kind() == reflect.Slice {
		switch {
		case strings.HasPrefix(strings.TrimSpace(text), "["):
			docs, err := yamltree.Parse([]byte(text))
			if err != nil || len(docs) != 1 {
				d.fault(node, s.path, "write [first, second]", "%q is not a list", clip(text))
				return
			}
			node = docs[0]
		case section(s.field.typ.Elem()):
			d.fault(node, s.path, "write it as [{name: …}, …]", "%q is not a list", clip(text))
			return
		default:
			node = &doctree.Node{Kind: doctree.Sequence}
			for _, item := range strings.Split(text, ",") {
				if item = strings.TrimSpace(item); item != "" {
					node.Items = append(node.Items, &doctree.Node{Value: item})
				}
			}
		}
	}
	d.value(node, target, s.field, s.path)
}

// fillTenants names the only tenant where none is named.
func (c *Config) fillTenants() {
	defer c.fillCertificates()
	if len(c.Tenants) != 1 {
		return
	}
	only := c.Tenants[0].Name
	fill := func(name *string) {
		if *name == "" {
			*name = only
		}
	}
	for i := range c.Sources {
		fill(&c.Sources[i].Tenant)
	}
	for i := range c.Webhooks {
		fill(&c.Webhooks[i].Tenant)
	}
	for i := range c.Receivers.Syslog {
		fill(&c.Receivers.Syslog[i].Tenant)
	}
}

// fillCertificates gives the certificates of a syslog listener what they leave
// to it.
func (c *Config) fillCertificates() {
	for i := range c.Receivers.Syslog {
		s := &c.Receivers.Syslog[i]
		for j := range s.Certificates {
			entry := &s.Certificates[j]
			if entry.Tenant == "" {
				entry.Tenant = s.Tenant
			}
			if entry.Source == "" {
				entry.Source = s.Source
			}
		}
	}
}

// secretBytesMax bounds a file that holds a secret.
const secretBytesMax = 4 << 10

// secretFiles reads the secrets that stand in files of their own.
func (d *decoder) secretFiles(c *Config) {
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		if w.SecretFile == "" || w.Secret.IsSet() || len(w.Secrets) > 0 {
			continue // both is a fault, which Check names
		}
		key := fmt.Sprintf("webhooks[%d].secret_file", i)
		data, err := readFile(d.fs, string(w.SecretFile), secretBytesMax)
		lines := slices.DeleteFunc(strings.Split(string(data), "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
		switch {
		case err != nil:
			d.faults = append(d.faults, Fault{Place: c.Place(key), Key: key, Msg: fmt.Sprintf("the secret cannot be read: %v", err), Hint: "give the path of a file that the server may read"})
		case len(lines) == 0:
			d.faults = append(d.faults, Fault{Place: c.Place(key), Key: key, Msg: "the file is empty", Hint: "write the secret into it"})
		case len(lines) == 1:
			w.Secret = NewSecret(strings.TrimSpace(lines[0]))
		default:
			for _, line := range lines {
				w.Secrets = append(w.Secrets, NewSecret(strings.TrimSpace(line)))
			}
		}
	}
}

// readFile reads a file of at most bytesMax bytes.
func readFile(fs vfs.FS, path string, bytesMax int64) ([]byte, error) {
	info, err := fs.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("it is a folder")
	}
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, bytesMax+1))
	if err == nil && int64(len(data)) > bytesMax {
		err = fmt.Errorf("it has more than %d bytes", bytesMax)
	}
	return data, err
}

// Place says where a value comes from, or what it is best corrected at: the
// place of the path itself, or of the list or entry that holds it.
func (c *Config) Place(path string) Place {
	for {
		if p, ok := c.places[path]; ok && p != (Place{}) {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return Place{}
		}
		path = path[:cut]
	}
}
