// Package health finds out from the outside whether a source delivers what it
// should: numbers that are missing upstream ([Sequences]), sources that have
// fallen silent ([Silence]) and sources whose records no longer parse or carry
// the fields that rules need ([Drift]).
//
//	records ──Observe──▶ finder ──Settle/Check──▶ findings, each with a derived id
//
// The finders are pure: times come as arguments, the same calls give the same
// findings in the same order, and the caller serializes calls of one finder. A
// finder belongs to one tenant. Its state can be encoded and restored; state
// that is damaged is refused with [ErrState], and the finder then learns anew.
//
// All are bounded: what no longer fits is refused or forgotten, and counted.
// Which rules a finding leaves blind is for the caller to say, who knows the
// rules.
//
// Known limits. Silence knows the hours of a week and no calendar: a holiday on
// a working day is a silence unless it is excepted. Two machines that share host name and channel
// count in one stream and look like gaps; a filtered channel must be named in
// [SequencesConfig].
package health
