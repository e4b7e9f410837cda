package detect

import (
	"math"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// A witness of a rule is a set of predicates of which at least one holds
// whenever the rule does. A rule is looked at only when one of its witnesses
// was seen, so the scan needs to find witnesses alone, a fraction of all
// predicates: of an AND it takes the operand whose witnesses are rarest, of an
// OR those of all operands. What is negated bears no witness.

// watchers lists for each predicate the local rules it is a witness of, in
// compressed rows: rules[start[p]:start[p+1]].
type watchers struct {
	start []int32
	rules []int32
}

func (w *watchers) of(pred int32) []int32 { return w.rules[w.start[pred]:w.start[pred+1]] }

// noWitness is the cost of an expression without witness.
var noWitness = math.Inf(1)

func (b *builder) chooseWitnesses() {
	costs := make([]float64, len(b.nodes))
	for i := range b.nodes { // operands stand before their operator
		n := &b.nodes[i]
		switch n.op {
		case opPred:
			costs[i] = b.rarity(n.a)
		case opNot:
			costs[i] = noWitness
		case opAnd:
			costs[i] = noWitness
			for _, k := range b.kids[n.a:n.b] {
				costs[i] = min(costs[i], costs[k])
			}
		case opOr:
			for _, k := range b.kids[n.a:n.b] {
				costs[i] += costs[k]
			}
		}
	}
	pairs := make([][]int32, len(b.preds)) // predicate → local rules
	for r := range b.roots {
		total := 0.0
		conds := b.kids[b.roots[r].first:b.roots[r].last]
		for _, c := range conds {
			total += costs[c]
		}
		if math.IsInf(total, 1) {
			b.always = append(b.always, int32(r))
			continue
		}
		for _, c := range conds {
			b.collect(c, costs, func(pred int32) {
				list := pairs[pred]
				if n := len(list); n == 0 || list[n-1] != int32(r) {
					pairs[pred] = append(list, int32(r))
				}
			})
		}
	}
	b.watched.start = make([]int32, len(b.preds)+1)
	for p, rules := range pairs {
		b.watched.start[p] = int32(len(b.watched.rules))
		b.watched.rules = append(b.watched.rules, rules...)
	}
	b.watched.start[len(b.preds)] = int32(len(b.watched.rules))
	b.buildScans(pairs)
}

// collect calls f with the witnesses of node n.
func (b *builder) collect(n int32, costs []float64, f func(pred int32)) {
	x := &b.nodes[n]
	switch x.op {
	case opPred:
		f(x.a)
	case opOr:
		for _, k := range b.kids[x.a:x.b] {
			b.collect(k, costs, f)
		}
	case opAnd:
		best := int32(-1)
		for _, k := range b.kids[x.a:x.b] {
			if best < 0 || costs[k] < costs[best] {
				best = k
			}
		}
		b.collect(best, costs, f)
	}
}

// rarity estimates how often a predicate holds, relative to others, so that
// the best witness of an AND can be chosen; it never changes what matches. A
// literal gets rarer with each character; one that many rules ask for (an image
// such as \powershell.exe) is likely to be common in events too.
func (b *builder) rarity(id int32) float64 {
	p := &b.preds[id]
	shared := 1 + float64(b.uses[id])/4 + 100*float64(usualHits(p))
	switch p.kind {
	case predNull:
		return noWitness
	case predExists:
		if !p.arg.(*rule.Exists).V {
			return noWitness
		}
		return 1e6
	case predEquals, predNumber:
		return 300 * shared * literalRarity(len(p.lit)+2)
	case predPrefix, predSuffix:
		return 400 * shared * literalRarity(len(p.lit)+1)
	case predContains:
		return 500 * shared * literalRarity(len(p.lit))
	case predGlob:
		return 700 * shared * literalRarity(len(longestLiteral(p.arg.(*glob))))
	case predRegexp:
		return 2000 * literalRarity(len(p.lit))
	case predBool:
		return 5e5
	}
	return 1e6
}

// usualHits returns how many of the usual values a literal predicate fits.
func usualHits(p *predicate) int {
	hits := 0
	for _, text := range usual() {
		switch p.kind {
		case predEquals:
			hits += truth(text == p.lit)
		case predPrefix:
			hits += truth(strings.HasPrefix(text, p.lit))
		case predSuffix:
			hits += truth(strings.HasSuffix(text, p.lit))
		case predContains:
			hits += truth(strings.Contains(text, p.lit))
		}
	}
	return hits
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// usual are folded values that any quiet host writes all day. What fits one of
// them is a poor witness.
var usual = sync.OnceValue(func() []string {
	values := []string{
		`C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule`,
		`C:\Windows\System32\svchost.exe`,
		`C:\Windows\System32\services.exe`,
		`C:\Windows\explorer.exe`,
		`C:\Windows\System32\lsass.exe`,
		`C:\Windows\System32\csrss.exe`,
		`C:\Windows\SysWOW64\rundll32.exe`,
		`C:\Windows\system32\cmd.exe /c "echo done > C:\Temp\out.txt"`,
		`C:\Windows\System32\cmd.exe`,
		`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`,
		`C:\Windows\System32\conhost.exe 0xffffffff -ForceV1`,
		`C:\Windows\System32\wbem\WmiPrvSE.exe -secured -Embedding`,
		`C:\Windows\System32\RuntimeBroker.exe -Embedding`,
		`C:\Windows\System32\taskhostw.exe`,
		`C:\Windows\System32\wevtutil.exe`,
		`C:\Program Files\Vendor\Agent\agent.exe --service --config "C:\ProgramData\Vendor\agent.json"`,
		`C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe --type=renderer --field-trial-handle=1820,i,0`,
		`C:\Users\user\AppData\Local\Microsoft\OneDrive\OneDrive.exe /background`,
		`C:\Users\user\Downloads\report.pdf`,
		`C:\Windows\System32\ntdll.dll`,
		`C:\Windows\System32\kernel32.dll`,
		`HKLM\System\CurrentControlSet\Services\bam\State\UserSettings`,
		`HKU\S-1-5-21-1-2-3-1001\Software\Microsoft\Windows\CurrentVersion\Explorer`,
		`NT AUTHORITY\SYSTEM`, `System`, `High`, `Medium`, `Microsoft Corporation`,
		`Microsoft® Windows® Operating System`, `DWORD (0x00000001)`, `0x1fffff`, `true`, `false`, `-`,
		`https://www.example.com/index.html?id=1`, `SeDebugPrivilege SeBackupPrivilege`,
		`GET`, `200`, `success`, `root`, `/usr/bin/bash`, `/usr/sbin/cron -f`,
	}
	for i := range values {
		values[i] = event.FoldString(values[i])
	}
	return values
})

// literalRarity falls from 1,000 for nothing to 1 for eight characters and
// more slowly after that.
func literalRarity(n int) float64 {
	switch {
	case n <= 8:
		return math.Pow(10, 3-3*float64(n)/8)
	default:
		return 8 / float64(n)
	}
}

// longestLiteral returns the longest literal of a pattern, or "".
func longestLiteral(g *glob) string {
	best := ""
	for _, s := range g.segments {
		for _, p := range s.parts {
			if len(p.Lit) > len(best) {
				best = p.Lit
			}
		}
	}
	return best
}
