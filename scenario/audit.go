package scenario

import "strconv"

// auditKey is the key of the audit rules that caught a system call: where
// audit.log has room to say that it was generated.
const auditKey = "tiercel_scenario"

// auditLine begins a line of audit.log.
func auditLine(b []byte, kind string, h *host, at int64, serial uint64) []byte {
	b = append(b, "node="...)
	b = append(b, h.fqdn...)
	b = append(b, " type="...)
	b = append(b, kind...)
	b = append(b, " msg=audit("...)
	b = appendEpoch(b, at, 3)
	b = append(b, ':')
	b = strconv.AppendUint(b, serial, 10)
	return append(b, "): "...)
}

// uids of audited events: people have 1000 and up; -1 is written as the
// kernel writes it.
func (it *item) uid() uint64 {
	if it.user < 0 {
		return 0
	}
	return 1000 + uint64(it.user)
}

const unset = 4294967295

// quoteAudit writes a value as the audit system does: in quotes, or in
// hexadecimal when it holds blanks, quotes or bytes outside printable ASCII.
func quoteAudit(b, value []byte) []byte {
	for _, c := range value {
		if c <= ' ' || c == '"' || c > '~' {
			return hexAudit(b, value)
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"')
}

func hexAudit(b, value []byte) []byte {
	for _, c := range value {
		b = append(b, upperHex[c>>4], upperHex[c&15])
	}
	return b
}

// lastPart is the name of the program: what comm holds, at most 15 bytes
// (TASK_COMM_LEN).
func lastPart(image string) string {
	for i := len(image) - 1; i >= 0; i-- {
		if image[i] == '/' {
			image = image[i+1:]
			break
		}
	}
	return image[:min(len(image), 15)]
}

// auditCall is what the SYSCALL record of an item says.
func auditCall(k kind) (number, exit, items string, name string) {
	switch k {
	case auditFile:
		return "257", "3", "2", "openat"
	case auditConnect:
		return "42", "0", "0", "connect"
	case auditModule:
		return "313", "0", "0", "finit_module"
	}
	return "59", "0", "2", "execve"
}

// line is the command line of an audited process, its words between NULs, in
// memory that the next call reuses.
func (s *Scenario) line(it *item) []byte {
	text := it.proc.cmd
	if text == "" {
		text = it.proc.prog.cmd
	}
	s.scratch = s.expandFor(s.scratch[:0], it, it.user, it.proc.n, text, false)
	return s.scratch
}

// rights splits who somebody is since they logged on (auid) from the rights
// that a process runs with (uid).
func (it *item) rights() (auid, uid, session uint64) {
	auid, uid, session = it.uid(), it.uid(), it.logon
	if it.user < 0 {
		auid = unset
	}
	switch it.m {
	case asRoot:
		uid = 0
	case asWeb:
		uid = 33
	}
	if it.logon == 0 {
		auid, session = unset, unset
	}
	return auid, uid, session
}

// With which rights an audited process runs, in item.m.
const (
	asSelf = iota
	asRoot
	asWeb
)

// auditNative gives the event its serial. A time never goes back within a
// host's log: the kernel stamps records in order.
func (s *Scenario) auditNative(it *item) (*host, int64) {
	h := &s.fleet.hosts[it.host]
	h.audit++
	s.native = h.audit
	s.nativeAt = it.at + h.skew
	return h, s.nativeAt
}

// auditEvent writes all records of one event, as auditd does.
func (s *Scenario) auditEvent(b []byte, it *item) []byte {
	h, at := s.auditNative(it)
	n := s.native
	if it.kind == auditUser || it.kind == auditUnit {
		b = auditLine(b, it.s1, h, at, n)
		b = s.userRecord(b, it)
		return append(b, '\n')
	}
	number, exit, items, _ := auditCall(it.kind)
	auid, uid, session := it.rights()
	b = auditLine(b, "SYSCALL", h, at, n)
	b = append(b, "arch=c000003e syscall="...)
	b = append(b, number...)
	b = append(b, " success=yes exit="...)
	b = append(b, exit...)
	b = append(b, " a0=3 a1=7ffd5e30 a2=80041 a3=1b6 items="...)
	b = append(b, items...)
	b = append(b, " ppid="...)
	b = strconv.AppendUint(b, uint64(it.parent.pid), 10)
	b = append(b, " pid="...)
	b = strconv.AppendUint(b, uint64(it.proc.pid), 10)
	b = append(b, " auid="...)
	b = strconv.AppendUint(b, auid, 10)
	for _, key := range [...]string{" uid=", " gid=", " euid=", " suid=", " fsuid=", " egid=", " sgid=", " fsgid="} {
		b = append(b, key...)
		b = strconv.AppendUint(b, uid, 10)
	}
	b = append(b, " tty=(none) ses="...)
	b = strconv.AppendUint(b, session, 10)
	b = append(b, ` comm="`...)
	b = append(b, lastPart(it.proc.prog.image)...)
	b = append(b, `" exe="`...)
	b = append(b, it.proc.prog.image...)
	b = append(b, `" key="`+auditKey+"\"\n"...)
	switch it.kind {
	case auditExec:
		line := s.line(it)
		b = auditLine(b, "EXECVE", h, at, n)
		b = append(b, "argc="...)
		b = strconv.AppendInt(b, int64(countWords(line)), 10)
		start, arg := 0, int64(0)
		for i := 0; i <= len(line); i++ {
			if i < len(line) && line[i] != 0 {
				continue
			}
			b = append(b, " a"...)
			b = strconv.AppendInt(b, arg, 10)
			b = append(b, '=')
			b = quoteAudit(b, line[start:i])
			start, arg = i+1, arg+1
		}
		b = append(b, '\n')
		b = auditLine(b, "CWD", h, at, n)
		b = append(b, `cwd="`...)
		b = append(b, it.directory()...)
		b = append(b, "\"\n"...)
		b = auditLine(b, "PATH", h, at, n)
		b = append(b, `item=0 name="`...)
		b = append(b, it.proc.prog.image...)
		b = append(b, "\" inode="...)
		b = strconv.AppendUint(b, it.proc.prog.inode(), 10)
		b = append(b, " dev=fc:01 mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n"...)
		b = auditLine(b, "PROCTITLE", h, at, n)
		b = append(b, "proctitle="...)
		line = line[:min(len(line), proctitleBytesMax)]
		if countWords(line) == 1 {
			b = quoteAudit(b, line)
		} else {
			b = hexAudit(b, line)
		}
		b = append(b, '\n')
	case auditFile:
		b = auditLine(b, "CWD", h, at, n)
		b = append(b, `cwd="`...)
		b = append(b, it.directory()...)
		b = append(b, "\"\n"...)
		b = auditLine(b, "PATH", h, at, n)
		b = append(b, `item=1 name="`...)
		b = s.expandFor(b, it, it.user, it.n, it.s1, false)
		b = append(b, "\" inode="...)
		b = strconv.AppendUint(b, 100000+it.n%1000000, 10)
		b = append(b, " dev=fc:01 mode=0100644 ouid="...)
		b = strconv.AppendUint(b, uid, 10)
		b = append(b, " ogid="...)
		b = strconv.AppendUint(b, uid, 10)
		b = append(b, " rdev=00:00 nametype=CREATE cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0\n"...)
	case auditConnect:
		b = auditLine(b, "SOCKADDR", h, at, n)
		b = append(b, "saddr="...)
		b = appendSockaddr(b, it.ip, it.port)
		b = append(b, '\n')
	case auditModule:
		b = auditLine(b, "KERN_MODULE", h, at, n)
		b = append(b, `name="`...)
		b = append(b, it.s1...)
		b = append(b, "\"\n"...)
	}
	b = auditLine(b, "EOE", h, at, n)
	return append(b[:len(b)-1], '\n')
}

// proctitleBytesMax is where the kernel cuts the title (MAX_PROCTITLE_AUDIT_LEN).
const proctitleBytesMax = 128

func countWords(line []byte) int {
	n := 1
	for _, c := range line {
		if c == 0 {
			n++
		}
	}
	return n
}

func (p *program) inode() uint64 {
	return 4000 + uint64(len(p.image))*131 + uint64(p.image[len(p.image)-1])
}

func (it *item) directory() string {
	if it.m == asWeb {
		return "/var/www/html"
	}
	return "/"
}

// appendSockaddr writes a sockaddr_in: family 2 in the host's order, port and
// address in the network's, eight bytes of padding.
func appendSockaddr(b []byte, ip uint32, port uint16) []byte {
	b = append(b, "0200"...)
	b = appendUpperHex(b, uint64(port), 4)
	b = appendUpperHex(b, uint64(ip), 8)
	return append(b, "0000000000000000"...)
}

// userRecord writes the fields of a record from user space: s1 is its type,
// s2 the operation or the unit, s3 the program.
func (s *Scenario) userRecord(b []byte, it *item) []byte {
	auid, _, session := it.rights()
	b = append(b, "pid="...)
	b = strconv.AppendUint(b, uint64(it.proc.pid), 10)
	b = append(b, " uid=0 auid="...)
	b = strconv.AppendUint(b, auid, 10)
	b = append(b, " ses="...)
	b = strconv.AppendUint(b, session, 10)
	if it.kind == auditUnit {
		b = append(b, " msg='unit="...)
		b = append(b, it.s2...)
		return append(b, ` comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success'`...)
	}
	b = append(b, " msg='op="...)
	b = append(b, it.s2...)
	b = append(b, ` acct="`...)
	b = s.accountName(b, it)
	b = append(b, `" exe="`...)
	b = append(b, it.proc.prog.image...)
	b = append(b, `" hostname=`...)
	b = appendAddress(b, it.ip)
	b = append(b, " addr="...)
	b = appendAddress(b, it.ip)
	b = append(b, " terminal="...)
	b = append(b, it.s3...)
	return append(b, " res=success'"...)
}

func (s *Scenario) accountName(b []byte, it *item) []byte {
	if it.user < 0 {
		return append(b, "root"...)
	}
	return append(b, s.fleet.users[it.user].name...)
}

func appendAddress(b []byte, ip uint32) []byte {
	if ip == 0 {
		return append(b, '?')
	}
	return appendIP(b, ip)
}
