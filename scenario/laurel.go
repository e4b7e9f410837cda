package scenario

import "strconv"

// laurelEvent writes an audited event as Laurel does: one JSON object for
// all its records, arguments as a list, and the parent's program, which the
// audit system itself does not know.
func (s *Scenario) laurelEvent(b []byte, it *item) []byte {
	h, at := s.auditNative(it)
	b = append(b, `{"ID":"`...)
	b = appendEpoch(b, at, 3)
	b = append(b, ':')
	b = strconv.AppendUint(b, s.native, 10)
	b = append(b, `","NODE":"`...)
	b = append(b, h.fqdn...)
	b = append(b, '"')
	auid, uid, session := it.rights()
	if it.kind == auditUser || it.kind == auditUnit {
		b = append(b, `,"`...)
		b = append(b, it.s1...)
		b = append(b, `":{"pid":`...)
		b = strconv.AppendUint(b, uint64(it.proc.pid), 10)
		b = append(b, `,"uid":0,"auid":`...)
		b = strconv.AppendUint(b, auid, 10)
		b = append(b, `,"ses":`...)
		b = strconv.AppendUint(b, session, 10)
		if it.kind == auditUnit {
			b = append(b, `,"unit":"`...)
			b = append(b, it.s2...)
			b = append(b, `","comm":"systemd","exe":"/usr/lib/systemd/systemd`...)
		} else {
			b = append(b, `,"op":"`...)
			b = append(b, it.s2...)
			b = append(b, `","acct":"`...)
			b = s.accountName(b, it)
			b = append(b, `","exe":"`...)
			b = append(b, it.proc.prog.image...)
			b = append(b, `","addr":"`...)
			b = appendAddress(b, it.ip)
			b = append(b, `","terminal":"`...)
			b = append(b, it.s3...)
		}
		b = append(b, `","res":"success"},"generated_by":"`...)
		b = append(b, Mark...)
		return append(b, "\"}\n"...)
	}
	number, exit, items, name := auditCall(it.kind)
	b = append(b, `,"SYSCALL":{"arch":"0xc000003e","syscall":`...)
	b = append(b, number...)
	b = append(b, `,"success":"yes","exit":`...)
	b = append(b, exit...)
	b = append(b, `,"items":`...)
	b = append(b, items...)
	b = append(b, `,"ppid":`...)
	b = strconv.AppendUint(b, uint64(it.parent.pid), 10)
	b = append(b, `,"pid":`...)
	b = strconv.AppendUint(b, uint64(it.proc.pid), 10)
	b = append(b, `,"auid":`...)
	b = strconv.AppendUint(b, auid, 10)
	for _, key := range [...]string{`,"uid":`, `,"gid":`, `,"euid":`} {
		b = append(b, key...)
		b = strconv.AppendUint(b, uid, 10)
	}
	b = append(b, `,"ses":`...)
	b = strconv.AppendUint(b, session, 10)
	b = append(b, `,"comm":"`...)
	b = append(b, lastPart(it.proc.prog.image)...)
	b = append(b, `","exe":"`...)
	b = append(b, it.proc.prog.image...)
	b = append(b, `","key":"`+auditKey+`","SYSCALL":"`...)
	b = append(b, name...)
	b = append(b, '"')
	if it.parent.prog != nil {
		b = append(b, `,"PPID":{"exe":"`...)
		b = append(b, it.parent.prog.image...)
		b = append(b, `"}`...)
	}
	b = append(b, '}')
	switch it.kind {
	case auditExec:
		line := s.line(it)
		b = append(b, `,"EXECVE":{"argc":`...)
		b = strconv.AppendInt(b, int64(countWords(line)), 10)
		b = append(b, `,"ARGV":["`...)
		b = escapeWords(b, line)
		b = append(b, `"]},"CWD":{"cwd":"`...)
		b = append(b, it.directory()...)
		b = append(b, `"},"PROCTITLE":{"ARGV":["`...)
		b = escapeWords(b, line[:min(len(line), proctitleBytesMax)])
		b = append(b, `"]}`...)
	case auditFile:
		b = append(b, `,"CWD":{"cwd":"`...)
		b = append(b, it.directory()...)
		b = append(b, `"},"PATH":[{"item":1,"name":"`...)
		b = s.expandFor(b, it, it.user, it.n, it.s1, true)
		b = append(b, `","nametype":"CREATE"}]`...)
	case auditConnect:
		b = append(b, `,"SOCKADDR":{"saddr":"`...)
		b = appendSockaddr(b, it.ip, it.port)
		b = append(b, `"}`...)
	case auditModule:
		b = append(b, `,"KERN_MODULE":{"name":"`...)
		b = append(b, it.s1...)
		b = append(b, `"}`...)
	}
	b = append(b, `,"generated_by":"`...)
	b = append(b, Mark...)
	return append(b, "\"}\n"...)
}

// escapeWords writes the words of a line as the inside of a list of JSON
// strings.
func escapeWords(b, line []byte) []byte {
	for _, c := range line {
		switch {
		case c == 0:
			b = append(b, `","`...)
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return b
}
