// Package detect decides which rules a record meets.
//
// [Compile] turns rules and views into one program a view: the conditions as
// trees over numbered predicates, in which equal questions of different rules
// are one. For each rule it chooses a witness, a set of predicates of which at
// least one holds whenever the rule does, preferring rare ones; only witnesses
// are indexed. A [Matcher] then reads each field that bears a witness once:
//
//   - the value is folded into a buffer, eight bytes at a time;
//   - one map lookup finds the literals it equals, one table lookup for each
//     key length those it begins or ends with;
//   - a slide over its bytes finds the literals inside it: each literal stands
//     under one of its four-byte grams, a bitmap that fits the first-level
//     cache says which grams are of interest, and what passes is compared.
//
// Rules whose witness was found, a few in a thousand, are candidates, and their
// trees are evaluated: cheap operands first, each predicate at most once a
// record, regular expressions last and only when the text they require was
// seen. The index and the trees only ever save work: the differential test
// compares them with an evaluation that has neither.
//
// The package is pure: no clock, no I/O, no goroutine, and its answer for a
// record depends on nothing but the record, the rules and the views. An
// [Engine] is immutable and shared; a Matcher belongs to one goroutine and
// allocates nothing on its way once its buffers have grown.
package detect
