package segment

import (
	"fmt"
	"slices"
)

// Damage is something that should be in the log and cannot be read.
type Damage struct {
	// Partition is the partition's name (tenant/kind/source/shard), empty when it
	// is not known. From <= offset < To are the entries concerned; they are equal
	// when no offset is known.
	Partition string
	From, To  int64
	// File is the segment's file name, Position where in it the damage begins and
	// Bytes how far it goes; 0 when it is not known.
	File     string
	Position int64
	Bytes    int64
	// Why is a sentence for people.
	Why string
	// Torn tells that it is a write that was cut off before it was acknowledged:
	// nothing that anybody was told to be safe.
	Torn bool
}

// String is for messages.
func (d Damage) String() string {
	at := fmt.Sprintf("%s at byte %d", d.File, d.Position)
	if d.Partition == "" {
		return fmt.Sprintf("%s: %s", at, d.Why)
	}
	return fmt.Sprintf("partition %q, offsets %d to %d, %s: %s", d.Partition, d.From, d.To-1, at, d.Why)
}

// damagesMax bounds the list of damages; what comes later is counted.
const damagesMax = 1000

// damages collects what was found, each thing once as long as there is room.
type damages struct {
	list  []Damage
	total int
	// entries counts the entries lost, torn writes apart.
	entries int64
}

func (d *damages) add(x Damage) bool {
	if slices.Contains(d.list, x) {
		return false
	}
	d.total++
	room := len(d.list) < damagesMax
	if !x.Torn {
		d.entries += x.To - x.From
	}
	if room {
		d.list = append(d.list, x)
	}
	return room
}
