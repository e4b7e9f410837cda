// Package ruleset is rule sets that a team lives with: content that comes from
// elsewhere and is updated there, next to what the team decided for itself.
//
// The flow is [Read], which takes what is usable of a folder, an archive or a
// git checkout and says what it left and why; [Compare], which says what an
// update changes; [Review], which says what becomes of the overrides; and
// [Store.Install], which makes it the state in use. A [Store] is a folder with
// one lock file, which names the state of each set by the hash of its content,
// and the states themselves, which are never changed once they are there. The
// lock file is replaced by a rename behind a sync, so that a crash leaves the
// state before or the one after, and [Store.Rollback] is such a rename too.
//
// [Overrides] and [Profile] are applied to documents when rules are loaded, by
// [Site.Prepare]; an update never writes what the team wrote. Files come from
// a vfs.FS and times are arguments; the network is never touched. Sources are
// bounded by [FilesMax], [FileBytesMax] and [SourceBytesMax]. A Store is for one
// goroutine; two processes exclude each other while they write.
package ruleset
