package scenario

import "strconv"

// The kinds of events, named for what happens.
const (
	kindStage kind = iota // no event: the next step of an attack
	kindLogoffDue

	sysmonCreate
	sysmonConnect
	sysmonEnd
	sysmonAccess
	sysmonFile
	sysmonRegistry
	sysmonQuery

	securityLogon
	securityLogonFailed
	securityLogoff
	securityPrivileges
	securityProcess
	securityTGT
	securityTicket
	securityReplication
	securityGroup
	securityShare
	securityCleared

	systemService
	systemState
	scriptBlock

	auditExec
	auditFile
	auditConnect
	auditModule
	auditUser
	auditUnit

	cloudCall
	oktaEvent

	zeekConn
	zeekDNS
	zeekHTTP
	zeekTLS
)

// The channels of a Windows host, and the place of their record counters.
const (
	channelSecurity = iota
	channelSysmon
	channelSystem
	channelPowerShell
)

var providers = [...]string{
	channelSecurity:   `"Microsoft-Windows-Security-Auditing","Guid":"{54849625-5478-4994-A5BA-3E3B0328C30D}"`,
	channelSysmon:     `"Microsoft-Windows-Sysmon","Guid":"{5770385F-C22A-43E0-BF4C-06F5698FFBD9}"`,
	channelSystem:     `"Service Control Manager","Guid":"{555908D1-A6D7-4695-8E1E-26931D2012F4}"`,
	channelPowerShell: `"Microsoft-Windows-PowerShell","Guid":"{A0C1853B-5C40-4B15-8766-3CF1C58F985A}"`,
}

var channels = [...]string{
	channelSecurity: "Security", channelSysmon: "Microsoft-Windows-Sysmon/Operational",
	channelSystem: "System", channelPowerShell: "Microsoft-Windows-PowerShell/Operational",
}

// channelKeys name the channels in native ids.
var channelKeys = [...]string{channelSecurity: "security", channelSysmon: "sysmon", channelSystem: "system", channelPowerShell: "powershell"}

// winHead is what the System part of an event says, by kind.
type winHead struct {
	channel, id, version, level, task, opcode int
	keywords                                  string
}

const (
	keywordNone    = "0x8000000000000000"
	keywordSuccess = "0x8020000000000000"
	keywordFailure = "0x8010000000000000"
)

var winHeads = [...]winHead{
	sysmonCreate:        {channelSysmon, 1, 5, 4, 1, 0, keywordNone},
	sysmonConnect:       {channelSysmon, 3, 5, 4, 3, 0, keywordNone},
	sysmonEnd:           {channelSysmon, 5, 3, 4, 5, 0, keywordNone},
	sysmonAccess:        {channelSysmon, 10, 3, 4, 10, 0, keywordNone},
	sysmonFile:          {channelSysmon, 11, 2, 4, 11, 0, keywordNone},
	sysmonRegistry:      {channelSysmon, 13, 2, 4, 13, 0, keywordNone},
	sysmonQuery:         {channelSysmon, 22, 5, 4, 22, 0, keywordNone},
	securityLogon:       {channelSecurity, 4624, 2, 0, 12544, 0, keywordSuccess},
	securityLogonFailed: {channelSecurity, 4625, 0, 0, 12544, 0, keywordFailure},
	securityLogoff:      {channelSecurity, 4634, 0, 0, 12545, 0, keywordSuccess},
	securityPrivileges:  {channelSecurity, 4672, 0, 0, 12548, 0, keywordSuccess},
	securityProcess:     {channelSecurity, 4688, 2, 0, 13312, 0, keywordSuccess},
	securityTGT:         {channelSecurity, 4768, 0, 0, 14339, 0, keywordSuccess},
	securityTicket:      {channelSecurity, 4769, 0, 0, 14337, 0, keywordSuccess},
	securityReplication: {channelSecurity, 4662, 0, 0, 14080, 0, keywordSuccess},
	securityGroup:       {channelSecurity, 4732, 0, 0, 13826, 0, keywordSuccess},
	securityShare:       {channelSecurity, 5140, 1, 0, 12808, 0, keywordSuccess},
	securityCleared:     {channelSecurity, 1102, 0, 4, 104, 0, "0x4020000000000000"},
	systemService:       {channelSystem, 7045, 0, 4, 0, 0, "0x8080000000000000"},
	systemState:         {channelSystem, 7036, 0, 4, 0, 0, "0x8080000000000000"},
	scriptBlock:         {channelPowerShell, 4104, 1, 5, 2, 15, "0x0"},
}

// Mark says in every format that has room for it that an event was made by
// this package: a key of its own in JSON, the audit rule's key in audit.log.
const Mark = "tiercel scenario"

// window writes the event of a Windows host. Its form is that of EVTX
// converted to JSON: attributes of an element under #attributes, numbers of
// the System part as numbers, event data as text.
func (s *Scenario) window(b []byte, it *item) []byte {
	h := &s.fleet.hosts[it.host]
	head := &winHeads[it.kind]
	at := it.at + h.skew
	h.records[head.channel]++
	s.channel, s.native = head.channel, h.records[head.channel]
	b = append(b, `{"Event":{"System":{"Provider":{"#attributes":{"Name":`...)
	if it.kind == securityCleared {
		b = append(b, `"Microsoft-Windows-Eventlog","Guid":"{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}"`...)
	} else {
		b = append(b, providers[head.channel]...)
	}
	b = append(b, `}},"EventID":`...)
	id := head.id
	if it.kind == securityGroup && it.m != 0 {
		id = int(it.m)
	}
	b = strconv.AppendInt(b, int64(id), 10)
	b = append(b, `,"Version":`...)
	b = strconv.AppendInt(b, int64(head.version), 10)
	b = append(b, `,"Level":`...)
	b = strconv.AppendInt(b, int64(head.level), 10)
	b = append(b, `,"Task":`...)
	b = strconv.AppendInt(b, int64(head.task), 10)
	b = append(b, `,"Opcode":`...)
	b = strconv.AppendInt(b, int64(head.opcode), 10)
	b = append(b, `,"Keywords":"`...)
	b = append(b, head.keywords...)
	b = append(b, `","TimeCreated":{"#attributes":{"SystemTime":"`...)
	b = appendTime(b, at, 'T', 7)
	b = append(b, `Z"}},"EventRecordID":`...)
	b = strconv.AppendUint(b, s.native, 10)
	b = append(b, `,"Correlation":null,"Execution":{"#attributes":{"ProcessID":`...)
	pid := bootPID(bootLsass)
	switch head.channel {
	case channelSysmon:
		pid = sysmonPID
	case channelSystem:
		pid = bootPID(bootServices)
	case channelPowerShell:
		pid = it.proc.pid
	}
	b = strconv.AppendUint(b, uint64(pid), 10)
	b = append(b, `,"ThreadID":`...)
	b = strconv.AppendUint(b, 4*(300+s.native%400), 10)
	b = append(b, `}},"Channel":"`...)
	b = append(b, channels[head.channel]...)
	b = append(b, `","Computer":"`...)
	b = append(b, h.fqdn...)
	b = append(b, `","Security":`...)
	switch {
	case head.channel == channelSysmon:
		b = append(b, `{"#attributes":{"UserID":"S-1-5-18"}}`...)
	case head.channel == channelPowerShell && it.user >= 0:
		b = append(b, `{"#attributes":{"UserID":"`...)
		b = s.sid(b, it.user)
		b = append(b, `"}}`...)
	default:
		b = append(b, `null`...)
	}
	if it.kind == securityCleared {
		b = append(b, `},"UserData":{"LogFileCleared":{"#attributes":{"xmlns":"http://manifests.microsoft.com/win/2004/08/windows/eventlog"}`...)
		b = s.subject(b, it.user, it.logon)
		b = append(b, `}}},"generated_by":"`...)
		b = append(b, Mark...)
		return append(b, "\"}\n"...)
	}
	b = append(b, `},"EventData":{`...)
	switch head.channel {
	case channelSysmon:
		b = s.sysmon(b, it, h, at)
	case channelSecurity:
		b = s.security(b, it, h)
	case channelSystem:
		b = s.serviceManager(b, it)
	default:
		b = append(b, `"MessageNumber":"1","MessageTotal":"1","ScriptBlockText":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","ScriptBlockId":"`...)
		b = appendUUID(b, s.seed^s.native^h.guid)
		b = append(b, `","Path":"`...)
		b = s.expand(b, it, it.s2)
		b = append(b, '"')
	}
	b = append(b, `}},"generated_by":"`...)
	b = append(b, Mark...)
	return append(b, "\"}\n"...)
}

// sysmonPID is the process of Sysmon itself on every host.
const sysmonPID = 2804

// bootPID is the process id of one of bootPrograms.
func bootPID(i int) uint32 {
	if i == bootSystem {
		return 4
	}
	return uint32(400 + 48*i)
}

// expand fills in a text of the item as the inside of a JSON string.
func (s *Scenario) expand(b []byte, it *item, text string) []byte {
	return s.expandFor(b, it, it.user, it.n, text, true)
}

func (s *Scenario) expandFor(b []byte, it *item, userIndex int32, n uint64, text string, quoted bool) []byte {
	w := words{ip: it.ip, n: n, user: "SYSTEM"}
	if userIndex >= 0 {
		w.user = s.fleet.users[userIndex].name
	}
	if it.host >= 0 {
		w.host = s.fleet.hosts[it.host].name
	}
	if it.peer >= 0 {
		w.peer = s.fleet.hosts[it.peer].name
	}
	return w.expand(b, text, quoted)
}

func (s *Scenario) sid(b []byte, userIndex int32) []byte {
	if userIndex < 0 {
		return append(b, "S-1-5-18"...)
	}
	b = append(b, sidPrefix...)
	return strconv.AppendUint(b, s.fleet.users[userIndex].rid, 10)
}

// account appends DOMAIN\name as the inside of a JSON string.
func (s *Scenario) account(b []byte, userIndex int32) []byte {
	if userIndex < 0 {
		return append(b, `NT AUTHORITY\\SYSTEM`...)
	}
	b = append(b, domainName+`\\`...)
	return append(b, s.fleet.users[userIndex].name...)
}

// guid appends the GUID of a process as Sysmon makes it: the machine, the
// start in seconds, and a number of its own.
func (h *host) processGUID(b []byte, p *process) []byte {
	b = append(b, '{')
	b = appendUpperHex(b, h.guid, 8)
	b = append(b, '-')
	seconds := uint64((p.start + h.skew) / second)
	b = appendUpperHex(b, seconds, 4)
	b = append(b, '-')
	b = appendUpperHex(b, seconds>>16, 4)
	b = append(b, '-')
	b = appendUpperHex(b, p.serial, 4)
	b = append(b, '-')
	b = appendUpperHex(b, p.serial>>16, 12)
	return append(b, '}')
}

func (s *Scenario) commandLine(b []byte, it *item, p *process) []byte {
	text := p.cmd
	if text == "" {
		text = p.prog.cmd
	}
	return s.expandFor(b, it, p.user, p.n, text, true)
}

var (
	integrityNames = [...]string{medium: "Medium", high: "High", system: "System"}
	integritySIDs  = [...]string{medium: "S-1-16-8192", high: "S-1-16-12288", system: "S-1-16-16384"}
)

// processHead appends the members that name a process in Sysmon's events.
func (s *Scenario) processHead(b []byte, h *host, at int64, p *process) []byte {
	b = append(b, `"RuleName":"-","UtcTime":"`...)
	b = appendTime(b, at, ' ', 3)
	b = append(b, `","ProcessGuid":"`...)
	b = h.processGUID(b, p)
	b = append(b, `","ProcessId":"`...)
	b = strconv.AppendUint(b, uint64(p.pid), 10)
	b = append(b, `","Image":"`...)
	b = escape(b, p.prog.image)
	return append(b, '"')
}

func (s *Scenario) sysmon(b []byte, it *item, h *host, at int64) []byte {
	p := &it.proc
	if it.kind == sysmonRegistry {
		b = append(b, `"EventType":"SetValue",`...)
	}
	if it.kind == sysmonAccess {
		return s.sysmonAccess(b, it, h, at)
	}
	b = s.processHead(b, h, at, p)
	switch it.kind {
	case sysmonCreate:
		q := &it.parent
		b = append(b, `,"FileVersion":"10.0.26100.1","Description":"`...)
		b = append(b, p.prog.description...)
		b = append(b, `","Product":"`...)
		b = append(b, p.prog.product...)
		b = append(b, `","Company":"`...)
		b = append(b, p.prog.company...)
		b = append(b, `","OriginalFileName":"`...)
		b = append(b, p.prog.original...)
		b = append(b, `","CommandLine":"`...)
		b = s.commandLine(b, it, p)
		b = append(b, `","CurrentDirectory":"`...)
		if p.user >= 0 {
			b = append(b, `C:\\Users\\`...)
			b = append(b, s.fleet.users[p.user].name...)
			b = append(b, `\\`...)
		} else {
			b = append(b, `C:\\Windows\\system32\\`...)
		}
		b = append(b, `","User":"`...)
		b = s.account(b, p.user)
		b = append(b, `","LogonGuid":"{`...)
		b = appendUUID(b, it.logon^h.guid)
		b = append(b, `}","LogonId":"0x`...)
		b = strconv.AppendUint(b, it.logon, 16)
		if p.user >= 0 {
			b = append(b, `","TerminalSessionId":"1","IntegrityLevel":"`...)
		} else {
			b = append(b, `","TerminalSessionId":"0","IntegrityLevel":"`...)
		}
		b = append(b, integrityNames[p.prog.integrity]...)
		b = append(b, `","Hashes":"SHA256=`...)
		b = appendHash(b, p.prog.hash, 64)
		b = append(b, `,IMPHASH=`...)
		b = appendHash(b, ^p.prog.hash, 32)
		b = append(b, `","ParentProcessGuid":"`...)
		b = h.processGUID(b, q)
		b = append(b, `","ParentProcessId":"`...)
		b = strconv.AppendUint(b, uint64(q.pid), 10)
		b = append(b, `","ParentImage":"`...)
		b = escape(b, q.prog.image)
		b = append(b, `","ParentCommandLine":"`...)
		b = s.commandLine(b, it, q)
		b = append(b, `","ParentUser":"`...)
		b = s.account(b, q.user)
	case sysmonConnect:
		b = append(b, `,"User":"`...)
		b = s.account(b, p.user)
		b = append(b, `","Protocol":"tcp","Initiated":"true","SourceIsIpv6":"false","SourceIp":"`...)
		b = appendIP(b, h.ip)
		b = append(b, `","SourceHostname":"`...)
		b = append(b, h.fqdn...)
		b = append(b, `","SourcePort":"`...)
		b = strconv.AppendUint(b, uint64(it.srcPort), 10)
		b = append(b, `","SourcePortName":"-","DestinationIsIpv6":"false","DestinationIp":"`...)
		b = appendIP(b, it.ip)
		b = append(b, `","DestinationHostname":"`...)
		if it.s1 == "" {
			b = append(b, '-')
		} else {
			b = s.expand(b, it, it.s1)
		}
		b = append(b, `","DestinationPort":"`...)
		b = strconv.AppendUint(b, uint64(it.port), 10)
		b = append(b, `","DestinationPortName":"-`...)
	case sysmonEnd:
		b = append(b, `,"User":"`...)
		b = s.account(b, p.user)
	case sysmonFile:
		b = append(b, `,"TargetFilename":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","CreationUtcTime":"`...)
		b = appendTime(b, at, ' ', 3)
		b = append(b, `","User":"`...)
		b = s.account(b, p.user)
	case sysmonRegistry:
		b = append(b, `,"TargetObject":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","Details":"`...)
		b = s.expand(b, it, it.s2)
		b = append(b, `","User":"`...)
		b = s.account(b, p.user)
	case sysmonQuery:
		b = append(b, `,"QueryName":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","QueryStatus":"0","QueryResults":"::ffff:`...)
		b = appendIP(b, it.ip)
		b = append(b, `;","User":"`...)
		b = s.account(b, p.user)
	}
	return append(b, '"')
}

// sysmonAccess writes event 10: proc opens parent.
func (s *Scenario) sysmonAccess(b []byte, it *item, h *host, at int64) []byte {
	p, q := &it.proc, &it.parent
	b = append(b, `"RuleName":"-","UtcTime":"`...)
	b = appendTime(b, at, ' ', 3)
	b = append(b, `","SourceProcessGUID":"`...)
	b = h.processGUID(b, p)
	b = append(b, `","SourceProcessId":"`...)
	b = strconv.AppendUint(b, uint64(p.pid), 10)
	b = append(b, `","SourceThreadId":"`...)
	b = strconv.AppendUint(b, 4*(500+s.native%300), 10)
	b = append(b, `","SourceImage":"`...)
	b = escape(b, p.prog.image)
	b = append(b, `","TargetProcessGUID":"`...)
	b = h.processGUID(b, q)
	b = append(b, `","TargetProcessId":"`...)
	b = strconv.AppendUint(b, uint64(q.pid), 10)
	b = append(b, `","TargetImage":"`...)
	b = escape(b, q.prog.image)
	b = append(b, `","GrantedAccess":"`...)
	b = append(b, it.s1...)
	b = append(b, `","CallTrace":"`...)
	b = escape(b, it.s2)
	b = append(b, `","SourceUser":"`...)
	b = s.account(b, p.user)
	b = append(b, `","TargetUser":"`...)
	b = s.account(b, q.user)
	return append(b, '"')
}

func (s *Scenario) serviceManager(b []byte, it *item) []byte {
	if it.kind == systemState {
		b = append(b, `"param1":"`...)
		b = append(b, it.s1...)
		b = append(b, `","param2":"`...)
		b = append(b, it.s2...)
		return append(b, '"')
	}
	b = append(b, `"ServiceName":"`...)
	b = s.expand(b, it, it.s1)
	b = append(b, `","ImagePath":"`...)
	b = s.expand(b, it, it.s2)
	b = append(b, `","ServiceType":"user mode service","StartType":"demand start","AccountName":"LocalSystem"`...)
	return b
}
