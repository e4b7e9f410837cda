package scenario

import "strconv"

// systemLogon is the logon id of the system's own session on every host.
const systemLogon = 0x3e7

// subject appends who did it, preceded by a comma.
func (s *Scenario) subject(b []byte, userIndex int32, logon uint64) []byte {
	b = append(b, `,"SubjectUserSid":"`...)
	b = s.sid(b, userIndex)
	b = append(b, `","SubjectUserName":"`...)
	if userIndex < 0 {
		b = append(b, `SYSTEM","SubjectDomainName":"NT AUTHORITY`...)
		logon = systemLogon
	} else {
		b = append(b, s.fleet.users[userIndex].name...)
		b = append(b, `","SubjectDomainName":"`+domainName...)
	}
	b = append(b, `","SubjectLogonId":"0x`...)
	b = strconv.AppendUint(b, logon, 16)
	return append(b, '"')
}

// target appends the account that is logged on: the user, the account named
// in s1, or the system.
func (s *Scenario) target(b []byte, it *item) []byte {
	b = append(b, `"TargetUserSid":"`...)
	switch {
	case it.kind == securityLogonFailed:
		b = append(b, "S-1-0-0"...)
	case it.s1 != "":
		b = append(b, sidPrefix...)
		b = strconv.AppendUint(b, 2100+it.n%64, 10)
	default:
		b = s.sid(b, it.user)
	}
	b = append(b, `","TargetUserName":"`...)
	switch {
	case it.s1 != "":
		b = s.expand(b, it, it.s1)
		b = append(b, `","TargetDomainName":"`+domainName+`"`...)
	case it.user >= 0:
		b = append(b, s.fleet.users[it.user].name...)
		b = append(b, `","TargetDomainName":"`+domainName+`"`...)
	default:
		b = append(b, `SYSTEM","TargetDomainName":"NT AUTHORITY"`...)
	}
	return b
}

// from appends where a request came from.
func (s *Scenario) from(b []byte, it *item) []byte {
	b = append(b, `,"IpAddress":"`...)
	if it.ip == 0 {
		return append(b, `-","IpPort":"-"`...)
	}
	b = appendIP(b, it.ip)
	b = append(b, `","IpPort":"`...)
	b = strconv.AppendUint(b, uint64(it.srcPort), 10)
	return append(b, '"')
}

const noSubject = `"SubjectUserSid":"S-1-0-0","SubjectUserName":"-","SubjectDomainName":"-","SubjectLogonId":"0x0",`

// security writes the data of an event of the Security channel. For logons m
// is the logon type, s1 an account that is no user of the fleet, logon the
// session.
func (s *Scenario) security(b []byte, it *item, h *host) []byte {
	switch it.kind {
	case securityLogon:
		b = append(b, noSubject...)
		b = s.target(b, it)
		b = append(b, `,"TargetLogonId":"0x`...)
		b = strconv.AppendUint(b, it.logon, 16)
		b = append(b, `","LogonType":"`...)
		b = strconv.AppendUint(b, it.m, 10)
		b = append(b, `","LogonProcessName":"`...)
		switch it.m {
		case 3:
			b = append(b, `Kerberos","AuthenticationPackageName":"Kerberos`...)
		case 5:
			b = append(b, `Advapi  ","AuthenticationPackageName":"Negotiate`...)
		default:
			b = append(b, `User32 ","AuthenticationPackageName":"Negotiate`...)
		}
		b = append(b, `","WorkstationName":"`...)
		if it.peer >= 0 {
			b = append(b, s.fleet.hosts[it.peer].name...)
		} else {
			b = append(b, '-')
		}
		b = append(b, `","LogonGuid":"{`...)
		b = appendUUID(b, it.logon^h.guid)
		b = append(b, `}","TransmittedServices":"-","LmPackageName":"-","KeyLength":"0","ProcessId":"0x0","ProcessName":"-"`...)
		b = s.from(b, it)
		return append(b, `,"ImpersonationLevel":"%%1833","ElevatedToken":"%%1843"`...)
	case securityLogonFailed:
		b = append(b, noSubject...)
		b = s.target(b, it)
		b = append(b, `,"Status":"0xc000006d","FailureReason":"%%2313","SubStatus":"0xc000006a","LogonType":"`...)
		b = strconv.AppendUint(b, it.m, 10)
		b = append(b, `","LogonProcessName":"NtLmSsp ","AuthenticationPackageName":"NTLM","WorkstationName":"`...)
		if it.peer >= 0 {
			b = append(b, s.fleet.hosts[it.peer].name...)
		} else {
			b = append(b, '-')
		}
		b = append(b, `","TransmittedServices":"-","LmPackageName":"-","KeyLength":"0","ProcessId":"0x0","ProcessName":"-"`...)
		return s.from(b, it)
	case securityLogoff:
		b = s.target(b, it)
		b = append(b, `,"TargetLogonId":"0x`...)
		b = strconv.AppendUint(b, it.logon, 16)
		b = append(b, `","LogonType":"`...)
		b = strconv.AppendUint(b, it.m, 10)
		return append(b, '"')
	case securityPrivileges:
		b = append(b, `"PrivilegeList":"SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeRestorePrivilege\n\t\t\tSeTakeOwnershipPrivilege\n\t\t\tSeDebugPrivilege\n\t\t\tSeImpersonatePrivilege"`...)
		return s.subject(b, it.user, it.logon)
	case securityProcess:
		p, q := &it.proc, &it.parent
		b = append(b, `"NewProcessId":"0x`...)
		b = strconv.AppendUint(b, uint64(p.pid), 16)
		b = append(b, `","NewProcessName":"`...)
		b = escape(b, p.prog.image)
		b = append(b, `","TokenElevationType":"%%1936","ProcessId":"0x`...)
		b = strconv.AppendUint(b, uint64(q.pid), 16)
		b = append(b, `","CommandLine":"`...)
		b = s.commandLine(b, it, p)
		b = append(b, `","TargetUserSid":"S-1-0-0","TargetUserName":"-","TargetDomainName":"-","TargetLogonId":"0x0","ParentProcessName":"`...)
		b = escape(b, q.prog.image)
		b = append(b, `","MandatoryLabel":"`...)
		b = append(b, integritySIDs[p.prog.integrity]...)
		b = append(b, '"')
		return s.subject(b, p.user, it.logon)
	case securityTGT, securityTicket:
		return s.kerberos(b, it)
	case securityReplication:
		b = append(b, `"ObjectServer":"DS","ObjectType":"%{19195a5b-6da0-11d0-afd3-00c04fd930c9}","ObjectName":"%{b6c4b9d6-5f57-4c3b-9a61-0f7f3c1f2e10}","OperationType":"Object Access","HandleId":"0x0","AccessList":"%%7688\n\t\t\t\t","AccessMask":"0x100","Properties":"%%7688\n\t\t{`...)
		b = append(b, it.s2...)
		b = append(b, `}\n\t{19195a5b-6da0-11d0-afd3-00c04fd930c9}","AdditionalInfo":"-","AdditionalInfo2":"","SubjectUserSid":"`+sidPrefix...)
		b = strconv.AppendUint(b, 2100+it.n%64, 10)
		b = append(b, `","SubjectUserName":"`...)
		b = append(b, it.s1...)
		b = append(b, `","SubjectDomainName":"`+domainName+`","SubjectLogonId":"0x`...)
		b = strconv.AppendUint(b, it.logon, 16)
		return append(b, '"')
	case securityGroup:
		b = append(b, `"MemberName":"CN=`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `,CN=Users,DC=example,DC=com","MemberSid":"`+sidPrefix...)
		b = strconv.AppendUint(b, 2100+it.n%64, 10)
		b = append(b, `","TargetUserName":"`...)
		b = append(b, it.s2...)
		b = append(b, `","TargetDomainName":"`+domainName+`","TargetSid":"`...)
		b = append(b, it.s3...)
		b = append(b, `","PrivilegeList":"-"`...)
		return s.subject(b, it.user, it.logon)
	default: // securityShare
		b = append(b, `"ObjectType":"File"`...)
		b = s.from(b, it)
		b = append(b, `,"ShareName":"\\\\*\\`...)
		b = append(b, it.s2...)
		b = append(b, `","ShareLocalPath":"\\??\\D:\\`...)
		b = append(b, it.s2...)
		b = append(b, `","AccessMask":"0x1","AccessList":"%%4416\n\t\t\t\t"`...)
		return s.subject(b, it.user, it.logon)
	}
}

// kerberos writes the data of a ticket: s2 is the service, m the encryption.
func (s *Scenario) kerberos(b []byte, it *item) []byte {
	b = append(b, `"TargetUserName":"`...)
	if it.s1 != "" {
		b = s.expand(b, it, it.s1)
	} else if it.user >= 0 {
		b = append(b, s.fleet.users[it.user].name...)
	}
	if it.kind == securityTicket {
		b = append(b, `@EXAMPLE.COM`...)
	}
	b = append(b, `","TargetDomainName":"EXAMPLE.COM","ServiceName":"`...)
	b = s.expand(b, it, it.s2)
	b = append(b, `","ServiceSid":"`+sidPrefix...)
	b = strconv.AppendUint(b, 1000+it.n%64, 10)
	b = append(b, `","TicketOptions":"0x40810000","Status":"0x0","TicketEncryptionType":"0x`...)
	b = strconv.AppendUint(b, it.m, 16)
	if it.kind == securityTGT {
		b = append(b, `","PreAuthType":"2`...)
	} else {
		b = append(b, `","LogonGuid":"{`...)
		b = appendUUID(b, it.n^it.logon)
		b = append(b, `}","TransmittedServices":"-`...)
	}
	b = append(b, `","IpAddress":"::ffff:`...)
	b = appendIP(b, it.ip)
	b = append(b, `","IpPort":"`...)
	b = strconv.AppendUint(b, uint64(it.srcPort), 10)
	return append(b, '"')
}
