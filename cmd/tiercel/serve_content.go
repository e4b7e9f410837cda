package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/pipeline/stream"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules"
	"github.com/tiercel-io/tiercel/store/wire"
)

// contentLoader makes the content of a server. What it reads it keeps, so that
// an offset of the log can always be met by the rules it met at first.
type contentLoader struct {
	world env.Env
	cfg   config.Content
}

// flags are the choices of the configuration as those of a scan.
func (l *contentLoader) flags() *contentFlags {
	f := &contentFlags{
		values: string(l.cfg.Values), statuses: l.cfg.Statuses, experimental: l.cfg.Experimental,
		site: siteFlags{profile: l.cfg.Profile, overrides: string(l.cfg.Overrides), lookups: string(l.cfg.Lookups)},
	}
	for _, p := range l.cfg.Rules {
		f.rules = append(f.rules, string(p))
	}
	for _, p := range l.cfg.Packs {
		f.packs = append(f.packs, string(p))
	}
	return f
}

// Load implements stream.Loader.
func (l *contentLoader) Load() (*stream.Content, error) {
	kept := &keepingFS{FS: l.world.FS, files: map[string][]byte{}}
	world := l.world
	world.FS = kept
	c, err := l.make(world)
	if err != nil {
		return nil, err
	}
	c.Archive = kept.archive()
	sum := sha256.New()
	sum.Write(c.Archive)
	if err := l.hashOwn(sum); err != nil {
		return nil, err
	}
	sum.Sum(c.Version[:0])
	return c, nil
}

// hashOwn adds what is inside the binary and decides: the shipped rules, and for
// packs and engine the program's version.
func (l *contentLoader) hashOwn(sum hash.Hash) error {
	fmt.Fprintf(sum, "%s\x00%v\x00%v\x00%s", version, l.cfg.Statuses, l.cfg.Experimental, l.cfg.Profile)
	if len(l.cfg.Rules) > 0 {
		return nil
	}
	return fs.WalkDir(rules.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(rules.FS, name)
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(data))
		sum.Write(data)
		return err
	})
}

// Revive implements stream.Loader. The choices of the configuration are those
// of now; what the binary ships is its own.
func (l *contentLoader) Revive(archive []byte) (*stream.Content, error) {
	world := l.world
	files := vfs.NewMem()
	world.FS = files
	if err := unpackArchive(files, archive); err != nil {
		return nil, err
	}
	c, err := l.make(world)
	if err != nil {
		return nil, err
	}
	c.Archive = archive
	return c, nil
}

// problemsListed bounds the messages about content that are kept.
const problemsListed = 100

// problemsLogged bounds the lines that one content may add to the log; the API
// lists more of them.
const problemsLogged = 10

// logContent says which documents are not used, and why: a rule that is refused
// looks like one that finds nothing.
func logContent(logger *slog.Logger, problems []string) {
	for _, problem := range problems[:min(len(problems), problemsLogged)] {
		logger.Warn("a document of the content is not used", "problem", problem)
	}
}

func (l *contentLoader) make(world env.Env) (*stream.Content, error) {
	f := l.flags()
	res, err := f.load(world)
	if err != nil {
		return nil, err
	}
	if len(res.Set.Rules) == 0 {
		return nil, noRules(res)
	}
	set, err := f.packSet(world)
	if err != nil {
		return nil, err
	}
	c := &stream.Content{
		Sigma: pipeline.NewSigma(res.Set.Rules, set, nil), Correlations: res.Set.Correlations, Suppress: f.site.suppression(),
		Disabled: map[string]string{}, Refused: res.Refused,
	}
	for _, d := range res.Set.Disabled {
		c.Disabled[d.ID] = string(d.Reason)
	}
	for _, d := range res.Diagnostics {
		if d.Severity == rule.Error && len(c.Problems) < problemsListed {
			c.Problems = append(c.Problems, d.String())
		}
	}
	return c, nil
}

// keepingFS keeps the bytes of every file that is read through it. It is safe
// for concurrent use.
type keepingFS struct {
	vfs.FS

	mu    sync.Mutex
	files map[string][]byte
}

// Open implements vfs.FS.
func (k *keepingFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := k.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	data, err := io.ReadAll(io.LimitReader(f, contentFileMax+1))
	if err == nil && len(data) > contentFileMax {
		err = fmt.Errorf("%s has more than %d MiB, which is no file of rules, packs or lists", name, contentFileMax>>20)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.files[name] = data
	k.mu.Unlock()
	return k.FS.Open(name, opts...)
}

// contentFileMax bounds one file of content: the largest lists of indicators
// have some ten MiB.
const contentFileMax = 64 << 20

// IsLink implements env.Links.
func (k *keepingFS) IsLink(name string) bool {
	links, ok := k.FS.(env.Links)
	return ok && links.IsLink(name)
}

// archive is everything that was read, in order of name.
func (k *keepingFS) archive() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	dst := binary.AppendUvarint(nil, uint64(len(k.files)))
	for _, name := range slices.Sorted(maps.Keys(k.files)) {
		dst = wire.AppendText(wire.AppendText(dst, name), k.files[name])
	}
	return dst
}

var errArchive = errors.New("the kept content cannot be read")

// unpackArchive writes what archive returned to a file system in memory.
func unpackArchive(files vfs.FS, archive []byte) error {
	d := wire.Decoder{B: archive}
	for range d.Count(2) {
		name, data := d.Text(), d.Bytes()
		if d.Failed {
			return errArchive
		}
		dir := path.Dir(strings.ReplaceAll(name, `\`, "/"))
		if err := files.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		f, err := files.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, bytes.NewReader(data))
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if d.Failed {
		return errArchive
	}
	return nil
}
