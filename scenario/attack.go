package scenario

// Attack describes an attack that can be laid into a scenario.
type Attack struct {
	// Name is what Config.Attacks and Truth call it.
	Name string
	// About says in one line what happens.
	About string
	// Stages are its steps in their order.
	Stages []Stage
}

// Stage is one step of an attack.
type Stage struct {
	// Name is what Truth calls it; it is unique within the attack.
	Name string
	// Technique is the ATT&CK technique or sub-technique that it shows, as
	// T1110.003.
	Technique string
}

// Truth says to what an event belongs. It is shared by the events of a stage
// and must not be changed.
type Truth struct {
	// Attack, Stage and Technique are those of [List].
	Attack, Stage, Technique string
}

// stage is a step: do is called repeat times, every so often.
type stage struct {
	name, technique string
	// after is the pause before it, every the pause between repetitions; both
	// low and high, in milliseconds of an attack at full pace.
	after, every [2]int64
	repeat       int
	do           func(s *Scenario, r *running)
}

func minutes(low, high int64) [2]int64 { return [2]int64{low * 60000, high * 60000} }
func seconds(low, high int64) [2]int64 { return [2]int64{low * 1000, high * 1000} }

type attack struct {
	name, about string
	// length is more than it takes at full pace, in minutes: a span that is
	// too short for it is told faster.
	length int64
	begin  func(s *Scenario, r *running)
	stages []stage
}

// running is an attack at work: where it stands and what it holds.
type running struct {
	attack *attack
	truths []Truth
	rng    random
	pace   uint64
	stage  int
	round  int // of the stage's repetitions

	user, other int32 // victim and somebody else
	host, next  int32
	logon       uint64
	ip          uint32
	shell, tool process
}

// attacks lists what this package knows, by name.
var attacks = [...]*attack{
	&awsKeyLeak, &dnsTunnel, &iisWebShell, &insider, &kerberoasting,
	&linuxWebShell, &mfaFatigue, &passwordSpray, &ransomware, &rdpBruteForce,
}

// List describes the attacks, by name. The caller owns the list.
func List() []Attack {
	list := make([]Attack, len(attacks))
	for i, a := range attacks {
		list[i] = Attack{Name: a.name, About: a.about}
		for j := range a.stages {
			list[i].Stages = append(list[i].Stages, Stage{a.stages[j].name, a.stages[j].technique})
		}
	}
	return list
}

// Where in the span attacks lie, in hundredths: the first begins after
// firstAt, the last before firstAt+spread, and none takes longer than longest.
const (
	firstAt = 5
	spread  = 60
	longest = 30
)

// lay schedules the attacks over the span.
func (s *Scenario) lay(chosen []*attack) {
	span := s.end - s.start
	for i, a := range chosen {
		r := &running{attack: a, pace: paceFull}
		r.rng.state = mix(s.seed + 1)
		for j := range len(a.name) {
			r.rng.state = mix(r.rng.state ^ uint64(a.name[j]))
		}
		if room, need := span/100*longest, a.length*minute; room < need {
			r.pace = uint64(room/1024*paceFull) / uint64(need/1024)
		}
		for j := range a.stages {
			r.truths = append(r.truths, Truth{a.name, a.stages[j].name, a.stages[j].technique})
		}
		it := event(kindStage, -1, -1)
		it.at = s.start + span/100*firstAt + span/100*spread/int64(len(chosen))*int64(i)
		it.stage = r
		s.queue.push(&it)
	}
}

// step tells the next part of an attack and schedules what follows.
func (s *Scenario) step(at int64, r *running) {
	s.now, s.r, s.pace = at, &r.rng, r.pace
	if r.stage == 0 && r.round == 0 {
		n := len(s.fleet.users)
		r.user = int32(s.r.below(n))
		r.other = (r.user + 1) % int32(n)
		r.host = s.fleet.users[r.user].desk
		r.ip = net3 | uint32(10+s.r.below(200))
		if r.attack.begin != nil {
			r.attack.begin(s, r)
		}
	}
	st := &r.attack.stages[r.stage]
	s.truth = &r.truths[r.stage]
	st.do(s, r)
	s.truth = nil
	pause := st.every
	if r.round++; r.round >= st.repeat {
		r.round = 0
		if r.stage++; r.stage == len(r.attack.stages) {
			return
		}
		pause = r.attack.stages[r.stage].after
	}
	s.pause(pause[0], pause[1])
	it := event(kindStage, -1, -1)
	it.at, it.stage = s.now, r
	s.queue.push(&it)
}

// admin is somebody who looks after hosts, if anybody does.
func (s *Scenario) admin(start int32) int32 {
	n := int32(len(s.fleet.users))
	for i := range n {
		if u := (start + i) % n; s.fleet.users[u].admin {
			return u
		}
	}
	return start
}
