package scenario

// activity lets one thing happen at s.now in a lane.
func (s *Scenario) activity(lane, siteIndex int) {
	f := &s.fleet
	switch lane {
	case lanePeople:
		users := f.sites[siteIndex].users
		s.person(users[s.r.below(len(users))])
	case laneWindows:
		// Servers are few and do more than desks.
		if s.r.chance(40) {
			s.windowsServer(f.windows[s.r.below(len(f.windows))])
			return
		}
		h := int32(s.r.below(len(f.hosts)))
		if f.hosts[h].linux() {
			s.linuxHost(h)
			return
		}
		s.machine(h)
	case laneLinux:
		s.linuxHost(f.linux[s.r.below(len(f.linux))])
	case laneVisitors:
		s.visitor(f.web[s.r.below(len(f.web))])
	default:
		s.cloud()
	}
}

// person lets somebody work at their desk.
func (s *Scenario) person(ui int32) {
	u := &s.fleet.users[ui]
	h := u.desk
	if u.until > s.now && max(u.shell.start+second, u.browser.start, u.mail.start) > s.now {
		return // the desktop, the browser or the mail is still starting
	}
	s.session(ui)
	n := uint64(s.r.below(900) + 100)
	s.pause(50, 900)
	switch k := s.r.below(100); {
	case k < 40:
		if u.browser.prog == nil {
			u.browser = s.spawn(h, ui, &u.shell, pBrowser, "", 0, u.logon)
			s.pause(300, 900)
		}
		s.now = max(s.now, u.browser.start+millisecond)
		tab := s.spawn(h, ui, &u.browser, pTab, "", n, u.logon)
		for range 1 + s.r.below(4) {
			s.visit(h, &u.browser, &visited[s.r.below(len(visited))], "/page/%n", 0, 0)
			s.pause(50, 800)
		}
		s.exit(h, &tab, 20000, 240000)
	case k < 52:
		if u.mail.prog == nil {
			u.mail = s.spawn(h, ui, &u.shell, pOutlook, "", 0, u.logon)
			s.pause(500, 2500)
		}
		s.now = max(s.now, u.mail.start+millisecond)
		s.visit(h, &u.mail, &placeMail, "", 0, 0)
	case k < 70:
		s.document(ui, n)
	case k < 80:
		logon := s.remoteLogon(ui, h, s.fleet.files, 3)
		s.pause(2, 30)
		share := event(securityShare, s.fleet.files, ui)
		share.ip, share.srcPort, share.s2, share.logon = s.fleet.hosts[h].ip, s.sourcePort(), "team", logon
		s.put(&share)
		s.logoff(s.fleet.files, ui, logon, 3, 5000, 60000)
	case k < 88:
		it := event(oktaEvent, h, ui)
		it.call, it.ip, it.s1, it.logon = &oktaSSO, s.fleet.hosts[h].ip, agents[0], u.logon
		s.visit(h, nil, &placeSSO, "", 0, 0)
		s.pause(40, 400)
		if s.r.chance(3) {
			it.call = &oktaPasswordWrong
			s.put(&it)
			s.pause(4000, 15000)
		}
		if s.r.chance(20) {
			it.call = &oktaSession
			s.put(&it)
			s.pause(2000, 9000)
			it.call = &oktaFactor
			s.put(&it)
			s.pause(100, 700)
		}
		it.call = &oktaSSO
		s.put(&it)
	case k < 90:
		// A password mistyped, then right.
		fail := event(securityLogonFailed, h, ui)
		fail.m = 7
		s.put(&fail)
		s.pause(2000, 8000)
		it := event(securityLogon, h, ui)
		it.m, it.logon = 7, s.nextLogon(h)
		s.put(&it)
		s.logoff(h, ui, it.logon, 7, 500, 2000)
	default:
		switch {
		case u.admin:
			s.administrator(ui, n)
		case u.developer:
			s.developer(ui, n)
		default:
			s.document(ui, n)
		}
	}
}

var documents = [...]*program{pWord, pExcel, pNotepad, pPdf}

// document lets somebody read and write one.
func (s *Scenario) document(ui int32, n uint64) {
	u := &s.fleet.users[ui]
	p := documents[s.r.below(len(documents))]
	doc := s.spawn(u.desk, ui, &u.shell, p, "", n, u.logon)
	if p == pWord || p == pExcel {
		s.pause(400, 1500)
		it := event(sysmonFile, u.desk, ui)
		it.proc, it.n, it.s1 = doc, n, `C:\Users\%u\AppData\Local\Temp\~DF%x.TMP`
		s.put(&it)
	}
	if s.r.chance(10) {
		s.pause(5000, 30000)
		s.spawn(u.desk, ui, &doc, pSplwow, "", 0, u.logon)
	}
	s.exit(u.desk, &doc, 60000, 900000)
}

// The commands of people who look after hosts. Some are near to what
// attackers do: that is what makes rules hard.
var adminCommands = [...]struct {
	prog *program
	cmd  string
}{
	{pPowershell, `powershell.exe -NoProfile -Command "Get-Service | Where-Object Status -eq Stopped"`},
	// "Get-Service | Out-File C:\Logs\services.txt", encoded.
	{pPowershell, `powershell.exe -NoProfile -EncodedCommand RwBlAHQALQBTAGUAcgB2AGkAYwBlACAAfAAgAE8AdQB0AC0ARgBpAGwAZQAgAEMAOgBcAEwAbwBnAHMAXABzAGUAcgB2AGkAYwBlAHMALgB0AHgAdAA=`},
	{pCertutil, ""},
	{pCertutil, `certutil -urlcache -f http://pki.example.com/root-%n.crl C:\Windows\Temp\root.crl`},
	{pSchtasks, `schtasks /create /tn Inventory /tr "C:\Program Files\Example Inventory\inventory.exe" /sc daily /st 03:00 /ru SYSTEM /f`},
	{pSchtasks, ""},
	{pReg, ""},
	{pReg, `reg export HKLM\SOFTWARE\Example C:\Logs\example-%n.reg /y`},
	{pWevtutil, ""},
	{pVssadmin, ""},
	{pNet, `net group "Domain Admins" /domain`},
	{pNet, `net user svc_backup /domain`},
	{pNltest, ""},
	{pWhoami, `whoami /groups`},
	{pIpconfig, ""},
	{pNtdsutil, `ntdsutil "ac i ntds" files info q q`},
}

var adminBlocks = [...]string{
	"Get-ADUser -Filter * -Properties PasswordLastSet | Export-Csv C:\\Logs\\users-%n.csv",
	"Invoke-Command -ComputerName %p -ScriptBlock { Get-HotFix }",
	"$client = New-Object Net.WebClient; $client.DownloadFile('https://packages.example.org/agent-%n.msi', 'C:\\Windows\\Temp\\agent.msi')",
	"Get-WinEvent -LogName Security -MaxEvents 100 | Group-Object Id",
}

// administrator lets somebody look after hosts.
func (s *Scenario) administrator(ui int32, n uint64) {
	u := &s.fleet.users[ui]
	h := u.desk
	switch s.r.below(4) {
	case 0, 1:
		shell := s.spawn(h, ui, &u.shell, pCmd, "", 0, u.logon)
		s.pause(30, 90)
		host := s.spawn(h, ui, &shell, pConhost, "", 0, u.logon)
		s.exit(h, &host, 120000, 200000)
		for range 1 + s.r.below(3) {
			s.pause(3000, 20000)
			c := &adminCommands[s.r.below(len(adminCommands))]
			p := s.spawn(h, ui, &shell, c.prog, c.cmd, n, u.logon)
			s.exit(h, &p, 200, 4000)
		}
		s.exit(h, &shell, 130000, 220000)
	case 2:
		ps := s.spawn(h, ui, &u.shell, pPowershell, "", 0, u.logon)
		for range 1 + s.r.below(3) {
			s.pause(3000, 20000)
			it := event(scriptBlock, h, ui)
			it.peer = s.fleet.windows[s.r.below(len(s.fleet.windows))]
			it.proc, it.n, it.s1 = ps, n, adminBlocks[s.r.below(len(adminBlocks))]
			s.put(&it)
		}
		s.exit(h, &ps, 20000, 60000)
	default:
		server := s.fleet.windows[s.r.below(len(s.fleet.windows))]
		client := s.newProcess(h, ui, pMstsc, "", 0)
		it := event(sysmonCreate, h, ui)
		it.proc, it.parent, it.logon, it.peer = client, u.shell, u.logon, server
		s.put(&it)
		s.pause(800, 3000)
		logon := s.remoteLogon(ui, h, server, 10)
		if s.r.chance(15) {
			s.pause(20000, 60000)
			group := event(securityGroup, server, ui)
			group.logon, group.n, group.s1, group.s2, group.s3 = logon, n, "svc_report", "Remote Desktop Users", "S-1-5-32-555"
			s.put(&group)
		}
		s.logoff(server, ui, logon, 10, 120000, 900000)
		s.exit(h, &client, 120000, 900000)
	}
}

// developer lets somebody work with the cloud and with Linux hosts.
func (s *Scenario) developer(ui int32, n uint64) {
	u := &s.fleet.users[ui]
	if s.r.chance(60) {
		for range 1 + s.r.below(5) {
			it := event(cloudCall, u.desk, ui)
			it.call = &developerCalls[s.r.below(len(developerCalls))]
			it.n, it.ip, it.s1 = n, net2|uint32(ui)&127, "aws-cli/2.31.0 md/awscrt#0.27.6 ua/2.1 os/windows"
			if s.r.chance(4) {
				it.call = &callDenied
			}
			s.put(&it)
			s.pause(400, 6000)
		}
		return
	}
	h := s.fleet.linux[s.r.below(len(s.fleet.linux))]
	session, shell := s.ssh(ui, h, s.fleet.hosts[u.desk].ip)
	for range 2 + s.r.below(5) {
		s.pause(1500, 15000)
		c := &shellCommands[s.r.below(len(shellCommands))]
		s.exec(h, ui, &shell, c.prog, c.cmd, n, session, c.rights)
	}
	s.sshEnd(ui, h, session)
}

// machine lets a Windows host look after itself.
func (s *Scenario) machine(h int32) {
	services, netsvcs := s.boot(h, bootServices), s.boot(h, bootNetsvcs)
	switch s.r.below(9) {
	case 0:
		task := pTaskhost
		if s.r.chance(10) {
			task = pDefrag
		}
		p := s.spawn(h, -1, &netsvcs, task, "", 0, systemLogon)
		s.exit(h, &p, 2000, 60000)
	case 1:
		it := event(systemState, h, -1)
		it.s1, it.s2 = "Background Intelligent Transfer Service", "running"
		s.put(&it)
		s.pause(60000, 300000)
		it.s2 = "stopped"
		s.put(&it)
	case 2:
		p := s.spawn(h, -1, &netsvcs, pUpdate, "", 0, systemLogon)
		s.pause(200, 900)
		s.visit(h, &netsvcs, &placeUpdate, "", 0, 0)
		s.exit(h, &p, 2000, 9000)
	case 3:
		engine := s.boot(h, bootMpEng)
		s.visit(h, &engine, &placeTelemetry, "", 0, 0)
		if s.r.chance(30) {
			// Protection reads the memory of LSASS, from a folder and with
			// rights that others are caught for.
			it := event(sysmonAccess, h, -1)
			it.proc, it.parent, it.s1 = engine, s.boot(h, bootLsass), "0x1010"
			it.s2 = `C:\Windows\SYSTEM32\ntdll.dll+9e834|C:\Windows\System32\KERNELBASE.dll+2c13e|C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26010.1\mpengine.dll+1a2b3c`
			s.put(&it)
		}
	case 4:
		p := s.spawn(h, -1, &netsvcs, pInventory, "", 0, systemLogon)
		s.pause(200, 900)
		s.visit(h, &p, &placeInventory, "", 0, 0)
		s.exit(h, &p, 2000, 20000)
	case 5:
		p := s.spawn(h, -1, &services, pTiWorker, "", 0, systemLogon)
		s.pause(500, 9000)
		it := event(sysmonRegistry, h, -1)
		it.proc, it.s1, it.s2 = p, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\SessionIdHigh`, "DWORD (0x01dc2f1e)"
		s.put(&it)
		s.exit(h, &p, 20000, 90000)
	case 6:
		it := event(securityLogon, h, -1)
		it.m, it.logon = 5, systemLogon
		s.put(&it)
		it.kind = securityPrivileges
		s.put(&it)
	case 7:
		// The host renews its ticket for a service of the domain.
		lsass := s.boot(h, bootLsass)
		dc := s.fleet.hosts[s.fleet.dc].ip
		conn := s.connect(h, &lsass, "dc-001."+dnsDomain, dc, 88, "krb_tcp", 0)
		s.pause(1, 20)
		it := event(securityTicket, s.fleet.dc, -1)
		it.peer = h
		it.s1, it.s2, it.m = "%p$", "dc-001$", 0x12
		it.ip, it.srcPort, it.n = s.fleet.hosts[h].ip, conn.srcPort, s.r.next()
		s.put(&it)
	default:
		p := s.spawn(h, -1, &netsvcs, pMpCmd, "", 0, systemLogon)
		s.exit(h, &p, 20000, 200000)
	}
}

// atNight is true in the small hours of a host's site.
func (s *Scenario) atNight(h int32) bool {
	hourOfDay := (s.now + s.fleet.sites[s.fleet.hosts[h].site].zone) / hour % 24
	return hourOfDay >= 1 && hourOfDay < 4
}

// windowsServer lets a server do its work; at night, backups.
func (s *Scenario) windowsServer(h int32) {
	switch {
	case s.atNight(h) && s.r.chance(60):
		agent := s.boot(h, bootBackup)
		p := s.spawn(h, -1, &agent, pWbadmin, "", 0, systemLogon)
		if s.r.chance(20) {
			s.pause(500, 3000)
			old := s.spawn(h, -1, &agent, pVssadmin, "vssadmin delete shadows /for=C: /oldest /quiet", 0, systemLogon)
			s.exit(h, &old, 500, 3000)
		}
		s.pause(200, 2000)
		s.connect(h, &agent, "fs-001."+dnsDomain, s.fleet.hosts[s.fleet.files].ip, 445, "smb", 2e9)
		s.exit(h, &p, 120000, 900000)
	case h == s.fleet.files && s.r.chance(15):
		netsvcs := s.boot(h, bootNetsvcs)
		p := s.spawn(h, -1, &netsvcs, pRobocopy, "", 0, systemLogon)
		s.exit(h, &p, 20000, 300000)
	case h == s.fleet.iis && s.r.chance(40):
		worker := s.boot(h, bootW3wp)
		it := event(sysmonFile, h, -1)
		it.proc, it.n, it.s1 = worker, uint64(s.r.below(1000)), `C:\inetpub\wwwroot\uploads\photo-%n.jpg`
		s.put(&it)
	case s.r.chance(4):
		it := event(systemService, h, -1)
		it.s1, it.s2 = "Example Inventory", `"C:\Program Files\Example Inventory\inventory.exe" --service`
		s.put(&it)
	default:
		s.machine(h)
	}
}

var pages = [...]string{"/", "/products", "/products?id=%n", "/about", "/login", "/static/app.js", "/static/style.css", "/search?q=%n", "/images/banner-%n.png", "/contact"}

// visitor lets a stranger read pages.
func (s *Scenario) visitor(h int32) {
	ip := net2 | uint32(1+s.r.below(250))
	agent := uint64(s.r.below(2))
	if s.r.chance(10) {
		agent = 3 // a monitor asks for the front page
	}
	for range 1 + s.r.below(5) {
		s.serve(h, ip, "GET", pages[s.r.below(len(pages))], agent)
		s.pause(100, 4000)
	}
}
