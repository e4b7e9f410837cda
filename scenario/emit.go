package scenario

// What follows lays events into the queue at s.now, the time of the activity
// that is being told, and moves that time on. Events take their background or
// attack from s.truth, and their numbers from s.r.

const millisecond = int64(1e6)

// pause moves the time on by low to high milliseconds, at the pace of the
// activity.
func (s *Scenario) pause(low, high int64) {
	s.now += s.span(low, high)
}

// span is a time of low to high milliseconds at the pace of the activity; it
// is never zero, so that causes stay before effects.
func (s *Scenario) span(low, high int64) int64 {
	d := s.r.between(low*millisecond, high*millisecond)
	if s.pace != paceFull {
		d = int64(uint64(d)>>paceBits*s.pace + uint64(d)&(paceFull-1)*s.pace>>paceBits)
	}
	return d + 1
}

// The pace is a fraction of 2^16.
const (
	paceBits = 16
	paceFull = 1 << paceBits
)

// put queues an event at s.now. Every field that names nothing must be -1;
// see event.
func (s *Scenario) put(it *item) {
	it.at = s.now
	it.truth = s.truth
	s.count++
	s.queue.push(it)
}

// event is an empty item for a host and a user.
func event(k kind, h, u int32) item { return item{kind: k, host: h, user: u, peer: -1} }

// boot is one of the processes that a Windows host has run since it started.
func (s *Scenario) boot(h int32, i int) process {
	return process{prog: bootPrograms[i], pid: bootPID(i), start: s.fleet.hosts[h].boot, serial: uint64(i + 1), user: -1}
}

// linuxBoot is one of the processes of a Linux host.
func (s *Scenario) linuxBoot(h int32, i int) process {
	return process{prog: linuxBoot[i], pid: uint32(1 + 233*i), start: s.fleet.hosts[h].boot, serial: uint64(i + 1), user: -1}
}

// newProcess gives a process its numbers; it does not queue anything.
func (s *Scenario) newProcess(h, u int32, p *program, cmd string, n uint64) process {
	host := &s.fleet.hosts[h]
	host.processes++
	pid := uint32(5000 + host.processes*7919%15000*4)
	if host.linux() {
		pid = uint32(3000 + host.processes%4000000)
	}
	return process{prog: p, cmd: cmd, n: n, start: s.now, serial: host.processes, pid: pid, user: u}
}

// spawn starts a program. cmd "" is the program's usual command line. Servers
// also keep event 4688, as their audit policy says; Linux hosts tell it by
// their audit system, m saying with which rights.
func (s *Scenario) spawn(h, u int32, parent *process, p *program, cmd string, n, logon uint64) process {
	child := s.newProcess(h, u, p, cmd, n)
	host := &s.fleet.hosts[h]
	if logon == 0 && u < 0 {
		logon = systemLogon
	}
	it := event(sysmonCreate, h, u)
	it.proc, it.parent, it.logon, it.n = child, *parent, logon, n
	s.put(&it)
	if host.role != workstation {
		it.kind = securityProcess
		s.put(&it)
	}
	return child
}

// exit ends a process some time later without moving s.now.
func (s *Scenario) exit(h int32, p *process, low, high int64) {
	now := s.now
	s.pause(low, high)
	it := event(sysmonEnd, h, p.user)
	it.proc = *p
	s.put(&it)
	s.now = now
}

// exec starts a program on a Linux host.
func (s *Scenario) exec(h, u int32, parent *process, p *program, cmd string, n, session uint64, rights uint64) process {
	child := s.newProcess(h, u, p, cmd, n)
	it := event(auditExec, h, u)
	it.proc, it.parent, it.logon, it.m, it.n = child, *parent, session, rights, n
	s.put(&it)
	return child
}

// sourcePort is an ephemeral port of Windows and Linux alike.
func (s *Scenario) sourcePort() uint16 { return uint16(49152 + s.r.below(16000)) }

// lookUp asks the domain controller for a name, and gets ip.
func (s *Scenario) lookUp(h int32, p *process, name string, ip uint32) {
	it := event(zeekConn, h, -1)
	it.ip, it.port, it.srcPort, it.n = s.fleet.hosts[s.fleet.dc].ip, 53, s.sourcePort(), s.r.next()
	s.put(&it)
	dns := it
	dns.kind, dns.s1, dns.m = zeekDNS, name, uint64(ip)
	if name == labelName {
		dns.s2 = "TXT"
	}
	s.put(&dns)
	if p != nil && !s.fleet.hosts[h].linux() {
		s.pause(1, 30)
		q := event(sysmonQuery, h, p.user)
		q.proc, q.s1, q.n, q.ip = *p, name, it.n, ip
		s.put(&q)
	}
}

// labelName is the name that carries data out, a new one every time.
const labelName = "%l.t.example.net"

// connect opens a connection to a port; sent tells the bytes that go out, or
// 0 for what is usual. It returns the number of the connection.
func (s *Scenario) connect(h int32, p *process, name string, ip uint32, port uint16, service string, sent uint64) item {
	s.pause(1, 40)
	src := s.sourcePort()
	if p != nil {
		it := event(sysmonConnect, h, p.user)
		if s.fleet.hosts[h].linux() {
			it.kind = auditConnect
			it.logon = uint64(p.start) / uint64(minute) % 5000
		}
		it.proc, it.ip, it.port, it.srcPort, it.s1 = *p, ip, port, src, name
		s.put(&it)
	}
	conn := event(zeekConn, h, -1)
	conn.ip, conn.port, conn.srcPort, conn.s1, conn.n, conn.m = ip, port, src, service, s.r.next(), sent
	s.put(&conn)
	return conn
}

// visit looks up a place and talks to it. uri is for places without TLS.
func (s *Scenario) visit(h int32, p *process, to *place, uri string, sent uint64, agent uint64) {
	s.lookUp(h, p, to.name, to.ip)
	service := "ssl"
	if to.port == 80 {
		service = "http"
	}
	conn := s.connect(h, p, to.name, to.ip, to.port, service, sent)
	s.pause(2, 60)
	conn.at = s.now
	if to.port == 80 {
		conn.kind, conn.s1, conn.s2, conn.s3, conn.m = zeekHTTP, uri, "", to.name, agent
	} else {
		conn.kind, conn.s1, conn.m = zeekTLS, to.name, 0
	}
	s.put(&conn)
}

// serve is a request of a stranger to a web server.
func (s *Scenario) serve(h int32, ip uint32, method, uri string, agent uint64) {
	conn := event(zeekConn, h, -1)
	conn.ip, conn.port, conn.srcPort, conn.s1, conn.s3, conn.n = ip, 80, s.sourcePort(), "http", inbound, s.r.next()
	s.put(&conn)
	s.pause(1, 30)
	conn.kind, conn.s1, conn.s2, conn.m = zeekHTTP, uri, method, agent
	s.put(&conn)
}

// nextLogon is the id of a new logon session on a host.
func (s *Scenario) nextLogon(h int32) uint64 {
	host := &s.fleet.hosts[h]
	host.logons += 0x1000 + uint64(s.r.below(0x3000))
	return host.logons
}

// remoteLogon is a logon of u from one host at another, with the ticket that
// the domain controller gives for it; it returns the session.
func (s *Scenario) remoteLogon(u, from, to int32, kind uint64) uint64 {
	source := s.fleet.hosts[from].ip
	ticket := event(securityTicket, s.fleet.dc, u)
	ticket.peer = to
	ticket.ip, ticket.srcPort, ticket.s2, ticket.m, ticket.n = source, s.sourcePort(), "%p$", 0x12, s.r.next()
	s.put(&ticket)
	s.pause(2, 40)
	port, service := uint16(445), "smb"
	if kind == 10 {
		port, service = 3389, "rdp"
	}
	conn := s.connect(from, nil, "", s.fleet.hosts[to].ip, port, service, 0)
	s.pause(3, 60)
	logon := s.nextLogon(to)
	it := event(securityLogon, to, u)
	it.peer = from
	it.ip, it.srcPort, it.m, it.logon = source, conn.srcPort, kind, logon
	s.put(&it)
	if s.fleet.users[u].admin {
		it.kind = securityPrivileges
		s.put(&it)
	}
	return logon
}

// logoff ends a session some time later without moving s.now.
func (s *Scenario) logoff(h, u int32, logon, kind uint64, low, high int64) {
	now := s.now
	s.pause(low, high)
	it := event(securityLogoff, h, u)
	it.logon, it.m = logon, kind
	s.put(&it)
	s.now = now
}

// session makes sure that u is logged on at their desk, as they are from the
// first thing they do in the morning until the evening, and moves s.now
// behind it.
func (s *Scenario) session(ui int32) {
	u := &s.fleet.users[ui]
	h := u.desk
	if u.until > s.now+5*minute {
		s.now = max(s.now, u.shell.start+second)
		return
	}
	if u.until != 0 {
		s.endSession(ui)
	}
	truth := s.truth
	s.truth = nil // people log on whether they are attacked or not
	source := s.fleet.hosts[h].ip
	tgt := event(securityTGT, s.fleet.dc, ui)
	tgt.ip, tgt.srcPort, tgt.s2, tgt.m, tgt.n = source, s.sourcePort(), "krbtgt", 0x12, s.r.next()
	s.put(&tgt)
	s.pause(5, 60)
	tgt.kind, tgt.s2, tgt.peer = securityTicket, "%p$", h
	s.put(&tgt)
	s.pause(20, 200)
	u.logon = s.nextLogon(h)
	it := event(securityLogon, h, ui)
	it.m, it.logon = 2, u.logon
	s.put(&it)
	if u.admin {
		it.kind = securityPrivileges
		s.put(&it)
	}
	s.pause(100, 900)
	winlogon := s.boot(h, bootWinlogon)
	init := s.spawn(h, ui, &winlogon, pUserinit, sys32+"userinit.exe", 0, u.logon)
	s.pause(100, 900)
	u.shell = s.spawn(h, ui, &init, pExplorer, "", 0, u.logon)
	s.exit(h, &init, 3000, 9000)
	s.pause(800, 4000)
	s.spawn(h, ui, &u.shell, pOneDrive, "", 0, u.logon)
	s.pause(200, 2000)
	s.spawn(h, ui, &u.shell, pTeams, "", 0, u.logon)
	u.browser, u.mail = process{}, process{}

	site := &s.fleet.sites[s.fleet.hosts[h].site]
	local := s.now + site.zone
	evening := local - local%day + 17*hour + s.r.between(0, 100)*minute
	if evening < local+hour {
		evening = local + s.r.between(40, 120)*minute
	}
	u.until = evening - site.zone
	due := event(kindLogoffDue, h, ui)
	due.logon, due.at = u.logon, u.until
	s.queue.push(&due)
	s.truth = truth
}

// endSession logs u off now.
func (s *Scenario) endSession(ui int32) {
	u := &s.fleet.users[ui]
	truth := s.truth
	s.truth = nil
	for _, p := range [...]*process{&u.browser, &u.mail, &u.shell} {
		if p.prog != nil && p.start < s.now {
			it := event(sysmonEnd, u.desk, ui)
			it.proc = *p
			s.put(&it)
		}
	}
	it := event(securityLogoff, u.desk, ui)
	it.logon, it.m = u.logon, 2
	s.put(&it)
	u.until, u.browser, u.mail, u.shell = 0, process{}, process{}, process{}
	s.truth = truth
}
