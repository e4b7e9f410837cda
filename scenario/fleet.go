package scenario

import (
	"strconv"
	"strings"
)

// role says what a host is for.
type role uint8

const (
	workstation role = iota
	domainController
	fileServer
	webServer // Windows, IIS
	linuxWeb
	linuxServer
)

// host is one machine and what its logs count.
type host struct {
	name, fqdn string // ws-001 and ws-001.example.com
	sources    [sourceCount]string
	role       role
	site       uint8
	ip         uint32
	guid       uint64 // seeds the GUIDs of its processes
	boot       int64  // when it started, before the scenario does
	skew       int64  // how much its clock is ahead, in nanoseconds
	records    [4]uint64
	audit      uint64 // serial of the audit system
	processes  uint64
	logons     uint64
	sessions   uint32 // of the Linux audit system
}

func (h *host) linux() bool { return h.role == linuxWeb || h.role == linuxServer }

// user is one person, the desk they sit at, and what runs there.
type user struct {
	name, upper string // ana.becker
	display     string // Ana Becker
	rid         uint64 // last part of the SID
	desk        int32
	admin       bool
	developer   bool

	until   int64 // end of the session; 0 when none was
	logon   uint64
	shell   process // explorer
	browser process
	mail    process
}

// process is one run of a program.
type process struct {
	prog   *program
	cmd    string // command line; see words. "" is the program's own
	n      uint64 // number for cmd
	start  int64
	serial uint64
	pid    uint32
	user   int32 // -1 for the system
}

// site is an office: the hosts and people there share a time zone.
type site struct {
	zone         int64 // nanoseconds east of UTC
	desks, users []int32
}

// The offices' zones, in minutes east of UTC. They have no summer time, so
// that a day is always 24 hours.
var zoneMinutes = [...]int64{60, -300, 0, 330, 540}

// accountID is the AWS account of the scenario, one of the numbers that AWS'
// own documentation uses for examples.
const accountID = "111122223333"

const (
	domainName = "EXAMPLE"
	dnsDomain  = "example.com"
	// sidPrefix is the domain's part of every SID.
	sidPrefix = "S-1-5-21-1004336348-1177238915-682003330-"
)

var (
	firstNames = strings.Fields("ana ben chloe dara elif finn grace hugo ines jonas kofi lena marc nina omar petra quinn rosa sven tara uma viktor wanda yusuf")
	lastNames  = strings.Fields("adler becker costa diaz ekberg fischer gupta hansen ito jansen kaya lindt moreau novak okafor petit quist rossi sato tanaka urban vogel weiss young")
)

// fleet is everything that has a log of its own.
type fleet struct {
	hosts   []host
	users   []user
	sites   []site
	windows []int32 // servers
	linux   []int32
	web     []int32 // hosts that serve pages to strangers
	dc      int32
	files   int32
	iis     int32
}

// hostsMin is the smallest fleet: a domain controller, a file server, a web
// server of either kind, and two desks.
const hostsMin = 6

func newFleet(c *Config, rng *random) fleet {
	var f fleet
	n := c.Hosts
	linux := max(1, n/6)
	servers := max(3, n/10)
	sites := 1
	if n >= 12 {
		sites = min(len(zoneMinutes), 1+n/12)
	}
	f.sites = make([]site, sites)
	for i := range f.sites {
		f.sites[i].zone = zoneMinutes[i] * minute
	}
	f.hosts = make([]host, n)
	start := c.Start.UnixNano()
	count := map[string]int{}
	for i := range f.hosts {
		h := &f.hosts[i]
		var prefix string
		switch {
		case i == 0:
			h.role, prefix = domainController, "dc"
		case i == 1:
			h.role, prefix = fileServer, "fs"
		case i == 2:
			h.role, prefix = webServer, "iis"
		case i < servers:
			h.role, prefix = fileServer, "app"
		case i == servers:
			h.role, prefix = linuxWeb, "web"
		case i < servers+linux:
			h.role, prefix = linuxServer, "lnx"
		default:
			h.role, prefix = workstation, "ws"
			h.site = uint8(i % sites)
			f.sites[h.site].desks = append(f.sites[h.site].desks, int32(i))
		}
		count[prefix]++
		number := strconv.Itoa(count[prefix])
		h.name = prefix + "-" + strings.Repeat("0", max(0, 3-len(number))) + number
		h.fqdn = h.name + "." + dnsDomain
		h.sources[sourceWindows] = h.name + "/windows"
		h.sources[sourceAudit] = h.name + "/audit"
		// 10.<site>.<high>.<low>; .0 to .9 are left to the network itself.
		h.ip = 10<<24 | uint32(h.site)<<16 | uint32(i/240)<<8 | uint32(10+i%240)
		h.guid = rng.next()
		// Booted one to thirty days before, whatever the clock says.
		h.boot = start - 2*int64(c.Skew) - rng.between(day, 30*day)
		h.records = [4]uint64{rng.next() % 1e6, rng.next() % 1e6, rng.next() % 1e5, rng.next() % 1e5}
		h.audit = rng.next() % 1e6
		h.processes, h.logons, h.sessions = 64, rng.next()%1e6+0x20000, uint32(rng.next()%1000)
		if c.Skew > 0 {
			h.skew = rng.between(-int64(c.Skew), int64(c.Skew))
		}
		switch {
		case h.linux():
			f.linux = append(f.linux, int32(i))
		case h.role != workstation:
			f.windows = append(f.windows, int32(i))
		}
	}
	f.dc, f.files, f.iis = 0, 1, 2
	f.web = []int32{2, int32(servers)}
	desks := n - servers - linux
	f.users = make([]user, c.Users)
	for i := range f.users {
		u := &f.users[i]
		first := firstNames[i%len(firstNames)]
		last := lastNames[(i+i/len(firstNames))%len(lastNames)]
		u.name = first + "." + last
		if round := i / (len(firstNames) * len(lastNames)); round > 0 {
			u.name += strconv.Itoa(round + 1)
		}
		u.upper = strings.ToUpper(u.name)
		u.display = strings.ToUpper(first[:1]) + first[1:] + " " + strings.ToUpper(last[:1]) + last[1:]
		u.rid = 1104 + uint64(i)
		u.desk = int32(servers + linux + i%desks)
		u.admin = i%8 == 3
		u.developer = i%5 == 2
		s := &f.sites[f.hosts[u.desk].site]
		s.users = append(s.users, int32(i))
	}
	return f
}

// The logs of a host.
const (
	sourceWindows = iota
	sourceAudit
	sourceCount
)
