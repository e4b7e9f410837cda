// Package segment is the embedded event log: [store.Log] as files that only
// grow, on a vfs.FS.
//
// All partitions share one sequence of segment files, so that one sync serves
// every append that waits; a partition is a name in the header of a frame and
// an index in memory. Append encodes in the caller's goroutine (compression,
// checksum of the payload) and queues; one committer goroutine takes what has
// queued while the last sync ran, gives each entry its offset, writes, syncs
// once, syncs the folder when the file is new, makes the entries visible to
// readers, and only then answers.
//
// # A failed write
//
// The kernel may drop pages whose sync failed and still report the next sync
// as good, so a failed write or sync ends its segment: everything that waited on
// it gets [store.ErrFailed], the file counts up to the position that was last
// known to be synced, and the next append opens a new file, whose header states
// that position. When the new file fails as well the log says so in
// [Stats.Failed], and each later append tries again. A disk without room is
// [store.ErrFull] as long as nothing of the entry can have become durable.
//
// # Files
//
// A segment is 0123456789abcdef.seg, its number in hexadecimal. Integers are
// little endian, checksums CRC-32C.
//
//	header, twice   64 bytes: magic "TIERCLOG", version u16, 0 u16, epoch u32,
//	                tag [8], number u64, number of the segment before u64, length
//	                of it that was synced u64, time i64 (ns), 0 u32, checksum u32
//	frames          each:
//	   0 tag [8]         random, one for each file
//	   8 checksum u32    of the header from 12 on, names and meta included
//	  12 kind u8         1 entry, 2 heads, 3 mark, 4 seal
//	  13 flags u8        1: the payload is S2 compressed
//	  14 meta length u16
//	  16 payload length in the file u32
//	  20 payload length when inflated u32
//	  24 payload checksum u32, of its bytes in the file
//	  28 epoch u32       counts the times the folder was opened for writing
//	  32 sequence u64    counts all entries of the log
//	  40 offset u64      in the partition
//	  48 position u64    of this frame in the file
//	  56 synced u64      what stood before this position was synced by then
//	  64 time i64 (ns)
//	  72 shard u32
//	  76 lengths of tenant, kind and source u8 each, 0 u8
//	  80 tenant, kind, source, meta, payload
//
// The names stand in every entry: batches are large, and no damage elsewhere
// can orphan an entry. Header and payload have checksums of their own, so that
// damage to a payload leaves partition, offset and meta known. The tag is what a
// reader looks for behind a damaged place. It cannot be guessed, so no payload
// can smuggle in a frame, and the position in the header keeps a copied frame from
// being taken for another.
//
// Heads, marks and seals carry partitions with the offset of their next entry.
// A heads frame with every partition begins a segment: offsets survive retention,
// and what is missing at the end of the segment before is noticed. A mark is
// written, not synced, when the log falls idle: it proves that all before it was
// synced, so that damage there cannot pass for a write that a power cut tore. A
// seal ends a segment that was closed in order.
//
// 0123456789abcdef.idx is the sealed segment's index with all metas. It is made
// from the segment and made again when it is missing or damaged.
//
// # Recovery
//
// Open reads the indexes, scans segments without one, and never changes a
// segment: appends go to a new file. A bad stretch with nothing behind it that
// proves it was synced is a torn write and is left out, with a note; any other is
// damage: the log goes on behind it, and [Log.Damage] names partition, offsets,
// file and position. A file by a newer version of the format is refused.
//
// # Limits
//
// Payloads and metas are bounded by package store, partitions by
// [PartitionsMax], what waits to be written by 256 MiB, open files by 16, the
// list of damages by 1,000 (the rest is counted). The index in memory takes 24
// bytes an entry: 1 GB for 45 million batches.
package segment
