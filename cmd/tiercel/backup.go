package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/engine/segment"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/report"
)

// backup writes a copy of the data folder. State comes before the log: what the
// log has beyond it is read again, as after a crash.
func (s *server) backup(dir string) error {
	fsys := s.world.FS
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := s.records.Checkpoint(fsys.PathJoin(dir, "state")); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	if err := s.log.Checkpoint(fsys.PathJoin(dir, "log")); err != nil {
		return err
	}
	data := string(s.cfg.Data)
	if err := copyTree(fsys, fsys.PathJoin(data, "access"), fsys.PathJoin(dir, "access"), 0); err != nil {
		return fmt.Errorf("copy the tokens: %w", err)
	}
	// The version comes last: without it the folder is no backup.
	return copyOne(fsys, fsys.PathJoin(data, versionFile), dir, versionFile)
}

// copyDepthMax bounds the nesting of a data folder.
const copyDepthMax = 16

// copyTree copies a folder.
func copyTree(fsys vfs.FS, from, to string, depth int) error {
	if depth > copyDepthMax {
		return fmt.Errorf("%s is nested deeper than a data folder is", from)
	}
	names, err := fsys.List(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := fsys.MkdirAll(to, 0o700); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		path := fsys.PathJoin(from, name)
		info, err := fsys.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = copyTree(fsys, path, fsys.PathJoin(to, name), depth+1)
		} else if name != "LOCK" {
			err = copyOne(fsys, path, to, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyOne copies a file into a folder, durably.
func copyOne(fsys vfs.FS, from, dir, name string) error {
	r, err := fsys.Open(from)
	if err != nil {
		return err
	}
	w, err := fsys.Create(fsys.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.Copy(w, r)
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close(), r.Close()); err != nil {
		return err
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// inUse reports whether a server has a data folder open, and by what that is
// known. A folder without a lock is in nobody's use.
func inUse(fsys vfs.FS, dir string) (bool, error) {
	name := fsys.PathJoin(dir, "log", "LOCK")
	if _, err := fsys.Stat(name); err != nil {
		return false, nil
	}
	lock, err := fsys.Lock(name)
	if err != nil {
		return true, err
	}
	return false, lock.Close()
}

// measure counts the files of a folder and their bytes.
func measure(world env.Env, dir string) (files int, bytes uint64) {
	names, err := world.FS.List(dir)
	if err != nil {
		return 0, 0
	}
	for _, name := range names {
		path := world.FS.PathJoin(dir, name)
		info, err := world.FS.Stat(path)
		switch {
		case err != nil:
		case info.IsDir():
			f, b := measure(world, path)
			files, bytes = files+f, bytes+b
		default:
			files, bytes = files+1, bytes+uint64(info.Size())
		}
	}
	return files, bytes
}

func newBackup(p *process) *cobra.Command {
	var f clientFlags
	var label string
	c := &cobra.Command{
		Use:   "backup",
		Short: "Make a running server write a copy of its data",
		Long: "Backup makes the server write all that it keeps (events, detections, state, tokens) to a folder below\n" +
			"backups in its data folder, while it goes on. Copy that folder away; 'tiercel restore' makes a data folder of it.",
		Example: "  tiercel backup --label before-upgrade",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := f.connect(p)
			if err != nil {
				return err
			}
			var out api.Backup
			if err := cl.ask(c.Context(), "POST", "/backup", nil, struct {
				Label string `json:"label,omitempty"`
			}{label}, &out); err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s: %s, %s, on the server's machine\nCopy it to another disk; 'tiercel restore FOLDER --data NEW' makes a data folder of it\n",
				report.Clean(out.Folder, 1000), plural(out.Files, "file"), binarySize(out.Bytes))
			return err
		},
	}
	f.register(c)
	c.Flags().StringVar(&label, "label", "", "`name` of the copy (default: the time)")
	return c
}

func newRestore(p *process) *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make a data folder of a backup",
		Long: "Restore checks a folder that 'tiercel backup' wrote and copies it to a new data folder, with which\n" +
			"'tiercel serve' then starts. It never writes over anything.",
		Example: "  tiercel restore /mnt/backups/before-upgrade --data /var/lib/tiercel",
		Args:    oneArgument("the folder of a backup"),
		RunE: func(c *cobra.Command, args []string) error {
			var flags []config.Flag
			if data != "" {
				flags = append(flags, config.Flag{Name: "--data", Key: "data", Value: data})
			}
			cfg, _, err := config.Load(p.world.FS, "", p.environ, flags)
			if err != nil {
				return &codedError{exitUsage, err}
			}
			return restore(p, args[0], string(cfg.Data))
		},
	}
	c.Flags().StringVar(&data, "data", "", "new data `folder`")
	return c
}

func restore(p *process, from, to string) error {
	fsys := p.world.FS
	if _, err := fsys.Stat(fsys.PathJoin(from, versionFile)); err != nil {
		return &codedError{exitInput, fmt.Errorf("%s is no whole backup: %w; name the folder that 'tiercel backup' wrote", from, err)}
	}
	if err := checkVersion(fsys, from); err != nil {
		return err
	}
	// What a server changes meanwhile would be copied half old, half new.
	if held, err := inUse(fsys, from); held {
		return usageError("%s is the data folder of a server that runs, and no backup: %v\nMake one with 'tiercel backup', or stop the server", from, err)
	}
	found, err := segment.Verify(fsys, fsys.PathJoin(from, "log"))
	if err != nil {
		return &codedError{exitInput, err}
	}
	for _, d := range found.Damage {
		fmt.Fprintf(p.stderr, "tiercel: %s\n", d)
	}
	if names, err := fsys.List(to); err == nil && len(names) > 0 {
		return usageError("%s is not empty; name a new folder, so that nothing is overwritten", to)
	}
	// The version comes last, so that a copy that was cut short is no data
	// folder that a server would take up.
	for _, name := range []string{"log", "state", "access"} {
		if err := copyTree(fsys, fsys.PathJoin(from, name), fsys.PathJoin(to, name), 0); err != nil {
			return &codedError{exitInput, fmt.Errorf("copy %s: %w", name, err)}
		}
	}
	if err := copyOne(fsys, fsys.PathJoin(from, versionFile), to, versionFile); err != nil {
		return &codedError{exitInput, err}
	}
	_, err = fmt.Fprintf(p.stdout, "%s: the log has %d entries in %s; start it with 'tiercel serve --data %s'\n", to, found.Entries, plural(found.Segments, "file"), to)
	if err == nil && found.Damages > 0 {
		return &codedError{exitInput, fmt.Errorf("the log of the backup has %s; what is sound was restored", plural(found.Damages, "damaged place"))}
	}
	return err
}
