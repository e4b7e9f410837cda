// Package correlate is stage 2 of detection: it turns matches into detections.
// Correlations count, order and compare matches in event time; a rule of its
// own makes an episode of its matches. Both are the same thing here, a
// [Detector] over groups of hits.
//
// # What a detection is
//
// A hit is one match: a rule, an event id, an event time, and the values of the
// fields that detectors ask for. Hits are ordered by (time, sequence, event
// id), never by arrival; the sequence is the event's own number where its
// source has one, else 0. A detector takes the hits of its rules apart by its
// group key, values case-folded, and decides each group by itself:
//
// A sliding detector (event_count, value_count and value_sum with gt and gte
// only; temporal and temporal_ordered without `not` and with gt and gte only;
// rules of their own, as event_count gte 1) walks the hits of a group in order.
// At hit i the window holds the hits j ≤ i with t(j) ≥ t(i) − T. When the
// condition holds and no episode is open, one opens with hit i as its anchor,
// the hits in the window as its evidence and their number as its count. While
// it stays open, each further hit at which the condition holds adds one to
// count and evidence. It closes, and the group is armed again: before hit i,
// when t(i) − t(i−1) > T, or when t(i) − t(anchor) > max(24 h, T), and then no
// hit before i counts again; and at hit i, when the condition does not hold.
// With reset_on_fire it closes at once and no hit up to the anchor counts
// again.
//
// A windowed detector (every other condition: lt, lte, eq, neq, averages,
// percentiles, medians, `not`) opens a window [t, t+T] with the first hit that
// is in none, decides it when the watermark reaches t+T, and opens the next
// with the first hit behind it. The anchor is the hit that opened it, the evidence
// all hits in it. Absence,
// temporal_ordered with `a and not b`, opens with a hit of the first rule named
// without not, and holds when the rules without not follow in order and no hit
// of a rule with not comes after the opening hit within the window.
//
// The value at hit i is: for event_count the number of distinct event ids; for
// value_count the number of distinct folded values, or tuples; for value_sum,
// avg, percentile and median the figure over numeric values, numbers spelled as
// text included; an event without all the fields, or without any number among
// their values, is no hit of such a detector at all; of an array each element
// counts; for temporal the number of distinct rules; for temporal_ordered
// the condition holds when the window has hits of rules 1…n, each later in order
// than the one before and none the same event (its thresholds say no more than
// that); the episode opens with the hits from the start of the latest such
// chain to hit i. Percentiles interpolate
// linearly between closest ranks: rank = p/100·(n−1).
//
// One event counts once for a detector even if it matches several of its
// rules; for temporal types it may stand for several rules. An event delivered
// again counts once.
//
// # Provisional and final
//
// What the hits known so far say is emitted at once as provisional. When the
// watermark has passed a hit, nothing can come before it any more: its part of
// the walk is committed, and the episode it opened is final. A hit within the
// lateness that moves an anchor supersedes the provisional detection; nobody
// is notified twice, since the notification's key is the ordinal of the episode
// among those of its group that are not final yet. Final detections therefore
// depend on the set of hits alone: not on their order, the batches, or the
// number of partitions.
//
// A hit older than the watermark is late. It is counted and handed to the late
// queue, and joins the windows that are still held; what opens with its help is
// marked late. Of a rule of its own it opens an episode however late it is,
// unless an episode of its group is final and open: that stands, its anchor too,
// and counts the hit, whose id comes last in the evidence. Such a hit that is
// delivered again when its group is forgotten is told again under the same id:
// whoever keeps detections takes no phase back.
//
// # Chains
//
// An episode that opens is a hit for the correlations that name its
// correlation: its time, sequence and event id are those of the event that
// completed it, its fields the group key's and, for others, that event's. A
// windowed detector completes with the last hit of the window. Updates are no
// hits.
//
// The package is pure: no clock, no I/O, no goroutine, and nothing in its
// output depends on the order of a map. An [Engine] belongs to one goroutine.
package correlate
