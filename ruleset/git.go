package ruleset

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gitFileBytesMax bounds what is read of a checkout's bookkeeping. The packed
// references of a large repository have some MiB.
const gitFileBytesMax = 32 << 20

// commit returns the commit that a folder is a checkout of, or "" when it is
// none. It reads the layout of gitrepository-layout(5): .git is the repository
// or names it, HEAD is a commit or names a reference, and a reference is a file
// of its own or a line of packed-refs. Tables of references in another format
// (reftable) are an error, not a guess.
func commit(fs vfs.FS, dir string) (string, error) {
	git := fs.PathJoin(dir, ".git")
	info, err := fs.Stat(git)
	if err != nil {
		return "", nil //nolint:nilerr // no checkout
	}
	if !info.IsDir() {
		text, err := readText(fs, git)
		if err != nil {
			return "", err
		}
		target, ok := strings.CutPrefix(text, "gitdir:")
		if !ok {
			return "", errors.New(".git is a file that names no repository")
		}
		git = resolve(fs, dir, strings.TrimSpace(target))
	}
	// A linked worktree has its HEAD here and its branches in the repository
	// that it belongs to.
	common := git
	if text, err := readText(fs, fs.PathJoin(git, "commondir")); err == nil {
		common = resolve(fs, git, text)
	}
	head, err := readText(fs, fs.PathJoin(git, "HEAD"))
	if err != nil {
		return "", err
	}
	const refsMax = 5 // as many as git follows
	for range refsMax {
		ref, symbolic := strings.CutPrefix(head, "ref:")
		if !symbolic {
			if !isCommit(head) {
				return "", errors.New("HEAD is neither a commit nor a reference")
			}
			return head, nil
		}
		ref = strings.TrimSpace(ref)
		if _, err := cleanPath(ref); err != nil || !strings.HasPrefix(ref, "refs/") {
			return "", errors.New("HEAD names a reference that is none")
		}
		if head, err = reference(fs, git, common, ref); err != nil {
			return "", err
		}
	}
	return "", errors.New("references lead to each other")
}

func reference(fs vfs.FS, git, common, ref string) (string, error) {
	for _, base := range []string{git, common} {
		if text, err := readText(fs, fs.PathJoin(base, ref)); err == nil {
			return text, nil
		}
	}
	packed, err := readText(fs, fs.PathJoin(common, "packed-refs"))
	if err == nil {
		for line := range strings.Lines(packed) {
			id, name, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name == ref && isCommit(id) {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("the reference %q is not there; make a commit, or check a commit out", ref)
}

func resolve(fs vfs.FS, base, target string) string {
	if strings.HasPrefix(target, "/") || len(target) > 1 && target[1] == ':' {
		return target
	}
	return fs.PathJoin(base, target)
}

func readText(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, gitFileBytesMax))
	return strings.TrimSpace(string(data)), err
}

// isCommit reports whether s is the id of a commit: SHA-1 or SHA-256.
func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}
