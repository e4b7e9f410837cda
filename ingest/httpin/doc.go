// Package httpin is what the receivers that speak HTTP share: whose a request
// is, whether there is room for it, and its body as one piece of memory.
//
//	Harden ─▶ Authenticate ─▶ Receive (Admit, read, inflate) ─▶ Accept ─▶ Answer
//
// A [Front] belongs to the process; a [Gate] is the front for one protocol and
// has its metrics. Everything that goes wrong is a [Fault] with the status that
// fits and a reason from a closed set; each receiver says it in the words of
// its own protocol. Memory is bounded by what the sink admits and by
// [Options.BodyBytesMax]: a body is read whole before it is inflated, so that
// the ratio is judged on what was really sent. A Front and its Gates are safe
// for concurrent use.
package httpin
