package pebble

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sealName is the file that a folder has while nobody has it open and it was
// closed in order: the hashes of the files whose end Pebble cannot tell from a
// torn write, its manifests and its logs. A flipped bit there would let it begin
// with an older list of tables, and without their documents.
const sealName = "SEAL"

// sealBytesMax bounds a seal: each of some ten files takes a hundred bytes.
const sealBytesMax = 1 << 20

// sealed reports whether a file is under the seal.
func sealed(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "MANIFEST-")
}

// sum makes the text of a seal: a line for each file, in order of name.
func sum(files vfs.FS, dir string) (string, error) {
	names, err := files.List(dir)
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		if !sealed(name) {
			continue
		}
		f, err := files.Open(files.PathJoin(dir, name))
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, bufio.NewReaderSize(f, 64<<10))
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %s\n", hex.EncodeToString(h.Sum(nil)), name)
	}
	return b.String(), nil
}

// seal writes the seal of a folder that was closed. Without one the next start
// trusts what it finds, so a failure costs nothing but that check.
//
// The names come first: a power cut that kept the seal and brought back a log
// that was removed before would make a sound folder look damaged.
func seal(files vfs.FS, dir string) error {
	if err := syncFolder(files, dir); err != nil {
		return fmt.Errorf("seal %q: %w", dir, err)
	}
	text, err := sum(files, dir)
	if err != nil {
		return fmt.Errorf("seal %q: %w", dir, err)
	}
	temp, name := files.PathJoin(dir, sealName+".new"), files.PathJoin(dir, sealName)
	f, err := files.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("seal %q: %w", dir, err)
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = files.Rename(temp, name)
	}
	if err == nil {
		err = syncFolder(files, dir)
	}
	if err != nil {
		return fmt.Errorf("seal %q: %w", dir, err)
	}
	return nil
}

// unseal checks the seal, if there is one, and takes it off before anything is
// written. Its error is ErrDamaged when a file is not what it was.
func unseal(files vfs.FS, dir string) error {
	name := files.PathJoin(dir, sealName)
	f, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	want, err := io.ReadAll(io.LimitReader(f, sealBytesMax))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	have, err := sum(files, dir)
	if err != nil {
		return err
	}
	if have != string(want) {
		return fmt.Errorf("%w: its manifest or its log is not what it was when it was closed", ErrDamaged)
	}
	if err := files.Remove(name); err != nil {
		return err
	}
	return syncFolder(files, dir)
}

func syncFolder(files vfs.FS, dir string) error {
	d, err := files.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
