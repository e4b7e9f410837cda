package scenario

var dnsTunnel = attack{
	name:   "dns-tunnel-beacon",
	about:  "A program calls home every minute, then carries data out in the names that it looks up",
	length: 100,
	begin:  func(s *Scenario, r *running) { s.session(r.user) },
	stages: []stage{
		{name: "loader", technique: "T1218.011", repeat: 1, do: func(s *Scenario, r *running) {
			u := &s.fleet.users[r.user]
			r.shell = s.spawn(r.host, r.user, &u.shell, pRundll, `rundll32.exe C:\Users\%u\AppData\Roaming\sync\sync.dll,Start`, 0, u.logon)
		}},
		{name: "beacon", technique: "T1071.001", repeat: 40, after: seconds(20, 60), every: seconds(57, 63), do: func(s *Scenario, r *running) {
			to := place{"api.sync.example.net", r.ip, 443}
			s.visit(r.host, &r.shell, &to, "", 0, 0)
		}},
		{name: "tunnel", technique: "T1071.004", repeat: 240, after: minutes(1, 5), every: [2]int64{500, 2500}, do: func(s *Scenario, r *running) {
			s.lookUp(r.host, &r.shell, labelName, r.ip)
		}},
	},
}
