package scenario

// shellCommands are what people type on Linux hosts.
var shellCommands = [...]struct {
	prog   *program
	cmd    string
	rights uint64
}{
	{pLs, argv("ls", "-l", "/var/log"), asSelf},
	{pDf, argv("df", "-h"), asSelf},
	{pGrep, argv("grep", "-c", "error %n", "/var/log/syslog"), asSelf},
	{pCat, argv("cat", "/etc/os-release"), asSelf},
	{pUname, argv("uname", "-a"), asSelf},
	{pId, argv("id"), asSelf},
	{pJournal, argv("journalctl", "-u", "nginx", "-n", "%n"), asSelf},
	{pCurl, argv("curl", "-fsSL", "-o", "/tmp/agent-%n.deb", "https://packages.example.org/agent-%n.deb"), asSelf},
	{pSudo, argv("sudo", "systemctl", "restart", "nginx"), asRoot},
	{pSudo, argv("sudo", "tail", "-n", "%n", "/var/log/auth.log"), asRoot},
	{pBash, argv("bash", "-c", "for f in /srv/data/*.csv; do wc -l \"$f\"; done"), asSelf},
	{pPython, argv("python3", "/srv/tools/report.py", "--day", "%n"), asSelf},
	{pFind, argv("find", "/srv/data", "-name", "*.tmp", "-mtime", "+7", "-delete"), asSelf},
}

// cronJobs run by the clock.
var cronJobs = [...]struct {
	prog *program
	cmd  string
}{
	{pLogrot, argv("/usr/sbin/logrotate", "/etc/logrotate.conf")},
	{pPython, argv("python3", "/srv/tools/collect.py", "--all")},
	{pFind, argv("find", "/var/tmp", "-type", "f", "-atime", "+10", "-delete")},
	{pCurl, argv("curl", "-fsS", "https://status.example.net/ping/%n")},
}

// userEvent queues a record of user space about a session.
func (s *Scenario) userEvent(h, ui int32, p *process, kind, op, terminal string, ip uint32, session uint64) {
	it := event(auditUser, h, ui)
	it.proc, it.s1, it.s2, it.s3, it.ip, it.logon = *p, kind, op, terminal, ip, session
	s.put(&it)
}

// ssh logs somebody in and starts their shell.
func (s *Scenario) ssh(ui, h int32, from uint32) (session uint64, shell process) {
	host := &s.fleet.hosts[h]
	host.sessions++
	session = uint64(host.sessions)
	daemon := s.linuxBoot(h, bootSshd)
	conn := event(zeekConn, h, -1)
	conn.ip, conn.port, conn.srcPort, conn.s1, conn.s3, conn.n = from, 22, s.sourcePort(), "ssh", inbound, s.r.next()
	s.put(&conn)
	s.pause(100, 700)
	child := s.exec(h, -1, &daemon, pSshd, "/usr/sbin/sshd\x00-D\x00-R", 0, 0, asSelf)
	s.pause(100, 700)
	s.userEvent(h, ui, &child, "USER_AUTH", "PAM:authentication", "ssh", from, 0)
	s.pause(1, 9)
	s.userEvent(h, ui, &child, "USER_ACCT", "PAM:accounting", "ssh", from, 0)
	s.pause(1, 9)
	s.userEvent(h, ui, &child, "USER_START", "PAM:session_open", "ssh", from, session)
	s.pause(20, 90)
	shell = s.exec(h, ui, &child, pBash, "", 0, session, asSelf)
	return session, shell
}

// sshEnd logs somebody out after a while.
func (s *Scenario) sshEnd(ui, h int32, session uint64) {
	s.pause(20000, 300000)
	daemon := s.linuxBoot(h, bootSshd)
	s.userEvent(h, ui, &daemon, "USER_END", "PAM:session_close", "ssh", 0, session)
}

// linuxHost lets a Linux host look after itself; at night, backups.
func (s *Scenario) linuxHost(h int32) {
	host := &s.fleet.hosts[h]
	systemd := s.linuxBoot(h, bootSystemd)
	switch k := s.r.below(100); {
	case s.atNight(h) && k < 40:
		root := s.exec(h, -1, &systemd, pDash, argv("sh", "/srv/backup/run.sh"), 0, 0, asRoot)
		s.pause(100, 900)
		s.exec(h, -1, &root, pTar, argv("tar", "-czf", "/srv/backup/etc.tar.gz", "/etc", "/srv/data"), 0, 0, asRoot)
		s.pause(2000, 60000)
		out := s.exec(h, -1, &root, pRsync, argv("rsync", "-a", "/srv/backup/", "backup@lnx-001.example.com:/srv/incoming/%h/"), 0, 0, asRoot)
		s.connect(h, &out, "", s.fleet.hosts[s.fleet.linux[0]].ip, 22, "ssh", 5e8)
	case k < 55:
		// Cron starts its jobs on the minute.
		if s.pace == paceFull {
			s.now += minute - s.now%minute + s.r.between(10, 400)*millisecond
		}
		host.sessions++
		session := uint64(host.sessions)
		cron := s.linuxBoot(h, bootCron)
		s.userEvent(h, -1, &cron, "USER_ACCT", "PAM:accounting", "cron", 0, session)
		s.pause(1, 9)
		s.userEvent(h, -1, &cron, "CRED_ACQ", "PAM:setcred", "cron", 0, session)
		s.pause(1, 9)
		s.userEvent(h, -1, &cron, "USER_START", "PAM:session_open", "cron", 0, session)
		s.pause(5, 40)
		shell := s.exec(h, -1, &cron, pDash, argv("/bin/sh", "-c", "/srv/tools/job-%n.sh"), uint64(s.r.below(9)), session, asRoot)
		s.pause(5, 40)
		c := &cronJobs[s.r.below(len(cronJobs))]
		job := s.exec(h, -1, &shell, c.prog, c.cmd, uint64(s.r.below(1000)), session, asRoot)
		if c.prog == pCurl {
			s.visit(h, &job, &visited[15], "", 0, 5)
		}
		s.pause(200, 5000)
		s.userEvent(h, -1, &cron, "USER_END", "PAM:session_close", "cron", 0, session)
	case k < 70:
		it := event(auditUnit, h, -1)
		it.proc, it.s1, it.s2 = systemd, "SERVICE_START", "sysstat-collect"
		s.put(&it)
		s.pause(200, 3000)
		it.s1 = "SERVICE_STOP"
		s.put(&it)
	case k < 78:
		apt := s.exec(h, -1, &systemd, pAptGet, argv("apt-get", "-qq", "update"), 0, 0, asRoot)
		s.visit(h, &apt, &placePackages, "/debian/dists/stable/InRelease", 0, 2)
		s.pause(500, 4000)
		it := event(auditFile, h, -1)
		it.proc, it.parent, it.n, it.s1, it.m = apt, systemd, s.r.next()&0xffff, "/var/lib/apt/lists/partial/InRelease-%n", asRoot
		s.put(&it)
	case host.role == linuxWeb && k < 92:
		php := s.linuxBoot(h, bootPhp)
		it := event(auditFile, h, -1)
		it.proc, it.parent, it.n, it.s1, it.m = php, systemd, s.r.next()&0xffff, "/var/www/html/uploads/photo-%n.jpg", asWeb
		s.serve(h, net2|uint32(1+s.r.below(250)), "POST", "/upload", uint64(s.r.below(2)))
		s.pause(10, 90)
		s.put(&it)
	default:
		it := event(auditUnit, h, -1)
		it.proc, it.s1, it.s2 = systemd, "SERVICE_START", "fwupd-refresh"
		s.put(&it)
	}
}
