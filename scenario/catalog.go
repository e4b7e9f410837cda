package scenario

import "strings"

// program is a file that runs: what Sysmon says of it and how it is started
// by default.
type program struct {
	image, original, description, product, company, cmd string
	// integrity is 0 for medium, 1 for high, 2 for system.
	integrity uint8
	hash      uint64
}

const (
	medium uint8 = iota
	high
	system
)

const (
	sys32   = `C:\Windows\System32\`
	pf      = `C:\Program Files\`
	windows = "Microsoft Windows Operating System"
	office  = "Microsoft Office"
	vendor  = "Microsoft Corporation"
)

func prog(image, original, description, product, company, cmd string, integrity uint8) *program {
	p := &program{image: image, original: original, description: description, product: product, company: company, cmd: cmd, integrity: integrity}
	for i := range len(image) {
		p.hash = mix(p.hash + uint64(image[i]))
	}
	return p
}

func winProg(file, original, description, cmd string, integrity uint8) *program {
	return prog(sys32+file, original, description, windows, vendor, cmd, integrity)
}

// The programs of Windows hosts, by what starts them.
var (
	pSystem   = prog(`System`, "-", "-", "-", "-", "", system)
	pWininit  = winProg("wininit.exe", "WinInit.exe", "Windows Start-Up Application", "wininit.exe", system)
	pWinlogon = winProg("winlogon.exe", "WINLOGON.EXE", "Windows Logon Application", "winlogon.exe", system)
	pServices = winProg("services.exe", "services.exe", "Services and Controller app", sys32+"services.exe", system)
	pLsass    = winProg("lsass.exe", "lsass.exe", "Local Security Authority Process", sys32+"lsass.exe", system)
	pNetsvcs  = winProg("svchost.exe", "svchost.exe", "Host Process for Windows Services", sys32+"svchost.exe -k netsvcs -p -s Schedule", system)
	pDnscache = winProg("svchost.exe", "svchost.exe", "Host Process for Windows Services", sys32+"svchost.exe -k NetworkService -p -s Dnscache", system)
	pWmi      = winProg(`wbem\WmiPrvSE.exe`, "Wmiprvse.exe", "WMI Provider Host", sys32+`wbem\wmiprvse.exe -secured -Embedding`, system)
	pSpool    = winProg("spoolsv.exe", "spoolsv.exe", "Spooler SubSystem App", sys32+"spoolsv.exe", system)
	pMpEng    = prog(`C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26010.1\MsMpEng.exe`, "MsMpEng.exe", "Antimalware Service Executable", windows, vendor, `"C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26010.1\MsMpEng.exe"`, system)
	pW3wp     = winProg(`inetsrv\w3wp.exe`, "w3wp.exe", "IIS Worker Process", sys32+`inetsrv\w3wp.exe -ap "DefaultAppPool" -v "v4.0"`, system)
	pBackup   = prog(pf+`Example Backup\agent.exe`, "agent.exe", "Backup agent", "Example Backup", "Example Software", `"C:\Program Files\Example Backup\agent.exe" --service`, system)

	pUserinit = winProg("userinit.exe", "USERINIT.EXE", "Userinit Logon Application", sys32+"userinit.exe", medium)
	pExplorer = prog(`C:\Windows\explorer.exe`, "EXPLORER.EXE", "Windows Explorer", windows, vendor, `C:\Windows\Explorer.EXE`, medium)
	pOneDrive = prog(`C:\Program Files\Microsoft OneDrive\OneDrive.exe`, "OneDrive.exe", "Microsoft OneDrive", "Microsoft OneDrive", vendor, `"C:\Program Files\Microsoft OneDrive\OneDrive.exe" /background`, medium)
	pBrowser  = prog(pf+`Google\Chrome\Application\chrome.exe`, "chrome.exe", "Google Chrome", "Google Chrome", "Google LLC", `"C:\Program Files\Google\Chrome\Application\chrome.exe"`, medium)
	pTab      = prog(pBrowser.image, "chrome.exe", "Google Chrome", "Google Chrome", "Google LLC", `"C:\Program Files\Google\Chrome\Application\chrome.exe" --type=renderer --lang=en-US --renderer-client-id=%n`, medium)
	pOutlook  = prog(pf+`Microsoft Office\root\Office16\OUTLOOK.EXE`, "Outlook.exe", "Microsoft Outlook", office, vendor, `"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE"`, medium)
	pWord     = prog(pf+`Microsoft Office\root\Office16\WINWORD.EXE`, "WinWord.exe", "Microsoft Word", office, vendor, `"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "C:\Users\%u\Documents\report-%n.docx"`, medium)
	pExcel    = prog(pf+`Microsoft Office\root\Office16\EXCEL.EXE`, "Excel.exe", "Microsoft Excel", office, vendor, `"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE" "\\fs-001\team\budget-%n.xlsx"`, medium)
	pNotepad  = winProg("notepad.exe", "NOTEPAD.EXE", "Notepad", `"C:\Windows\System32\notepad.exe" C:\Users\%u\Documents\notes-%n.txt`, medium)
	pPdf      = prog(pf+`Adobe\Acrobat DC\Acrobat\Acrobat.exe`, "Acrobat.exe", "Adobe Acrobat", "Adobe Acrobat", "Adobe Inc.", `"C:\Program Files\Adobe\Acrobat DC\Acrobat\Acrobat.exe" "C:\Users\%u\Documents\invoice-%n.pdf"`, medium)
	pTeams    = prog(pf+`WindowsApps\MSTeams_26010.1\ms-teams.exe`, "ms-teams.exe", "Microsoft Teams", "Microsoft Teams", vendor, `"C:\Program Files\WindowsApps\MSTeams_26010.1\ms-teams.exe"`, medium)
	pSplwow   = prog(`C:\Windows\splwow64.exe`, "splwow64.exe", "Print driver host for applications", windows, vendor, `C:\Windows\splwow64.exe 12288`, medium)

	pCmd        = winProg("cmd.exe", "Cmd.Exe", "Windows Command Processor", `"C:\Windows\System32\cmd.exe"`, medium)
	pPowershell = winProg(`WindowsPowerShell\v1.0\powershell.exe`, "PowerShell.EXE", "Windows PowerShell", `"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"`, medium)
	pConhost    = winProg("conhost.exe", "CONHOST.EXE", "Console Window Host", `\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1`, medium)
	pNet        = winProg("net.exe", "net.exe", "Net Command", "net use", medium)
	pIpconfig   = winProg("ipconfig.exe", "ipconfig.exe", "IP Configuration Utility", "ipconfig /all", medium)
	pWhoami     = winProg("whoami.exe", "whoami.exe", "whoami - displays logged on user information", "whoami", medium)
	pCertutil   = winProg("certutil.exe", "CertUtil.exe", "CertUtil.exe", "certutil -hashfile setup-%n.msi SHA256", medium)
	pSchtasks   = winProg("schtasks.exe", "schtasks.exe", "Task Scheduler Configuration Tool", "schtasks /query /fo LIST", medium)
	pReg        = winProg("reg.exe", "reg.exe", "Registry Console Tool", `reg query HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall /s`, medium)
	pWevtutil   = winProg("wevtutil.exe", "wevtutil.exe", "Eventing Command Line Utility", "wevtutil qe System /c:50 /rd:true /f:text", medium)
	pVssadmin   = winProg("vssadmin.exe", "VSSADMIN.EXE", "Command Line Interface for Microsoft Volume Shadow Copy Service", "vssadmin list shadows", system)
	pRundll     = winProg("rundll32.exe", "RUNDLL32.EXE", "Windows host process (Rundll32)", `rundll32.exe shell32.dll,Control_RunDLL`, medium)
	pMstsc      = winProg("mstsc.exe", "mstsc.exe", "Remote Desktop Connection", `"C:\Windows\System32\mstsc.exe" /v:%p`, medium)
	pNltest     = winProg("nltest.exe", "nltestrk.exe", "Microsoft Logon Server Test Utility", "nltest /dsgetdc:example.com", medium)
	pNtdsutil   = winProg("ntdsutil.exe", "ntdsutil.exe", "NT5DS", "ntdsutil", high)
	pTaskhost   = winProg("taskhostw.exe", "taskhostw.exe", "Host Process for Windows Tasks", "taskhostw.exe SYSTEM", system)
	pDefrag     = winProg("Defrag.exe", "Defrag.EXE", "Disk Defragmenter Module", sys32+"defrag.exe -c -h -o -$", system)
	pUpdate     = winProg("UsoClient.exe", "UsoClient", "UsoClient", sys32+"usoclient.exe StartScan", system)
	pMpCmd      = prog(`C:\ProgramData\Microsoft\Windows Defender\Platform\4.18.26010.1\MpCmdRun.exe`, "MpCmdRun.exe", "Microsoft Malware Protection Command Line Utility", windows, vendor, `MpCmdRun.exe -Scan -ScheduleJob -RestrictPrivileges`, system)
	pWbadmin    = winProg("wbadmin.exe", "WBADMIN.EXE", "Command Line Interface for Microsoft BLB Backup", "wbadmin start backup -backupTarget:\\\\fs-001\\backup -include:C: -quiet", system)
	pRobocopy   = winProg("Robocopy.exe", "robocopy.exe", "Microsoft Robocopy", `robocopy D:\team \\fs-001\archive\team /MIR /R:2 /LOG+:C:\Logs\archive.log`, system)
	pTiWorker   = prog(`C:\Windows\servicing\TrustedInstaller.exe`, "TrustedInstaller.exe", "Windows Modules Installer", windows, vendor, `C:\Windows\servicing\TrustedInstaller.exe`, system)
	pInventory  = prog(pf+`Example Inventory\inventory.exe`, "inventory.exe", "Inventory", "Example Inventory", "Example Software", `"C:\Program Files\Example Inventory\inventory.exe" --upload https://inventory.example.com/v1`, system)
)

// The processes that every Windows host has run since it started. Their
// places are their serial numbers.
var bootPrograms = [...]*program{pSystem, pWininit, pWinlogon, pServices, pLsass, pNetsvcs, pDnscache, pWmi, pSpool, pMpEng, pW3wp, pBackup}

const (
	bootSystem = iota
	bootWininit
	bootWinlogon
	bootServices
	bootLsass
	bootNetsvcs
	bootDnscache
	bootWmi
	bootSpool
	bootMpEng
	bootW3wp
	bootBackup
)

// Programs of Linux hosts. Words of a command line stand between NULs.
var (
	pSystemd = &program{image: "/usr/lib/systemd/systemd", cmd: "/sbin/init"}
	pCron    = &program{image: "/usr/sbin/cron", cmd: argv("/usr/sbin/CRON", "-f", "-P")}
	pSshd    = &program{image: "/usr/sbin/sshd", cmd: "sshd: %u [priv]"}
	pNginx   = &program{image: "/usr/sbin/nginx", cmd: "nginx: worker process"}
	pPhp     = &program{image: "/usr/sbin/php-fpm8.3", cmd: "php-fpm: pool www"}
	pBash    = &program{image: "/usr/bin/bash", cmd: "-bash"}
	pDash    = &program{image: "/usr/bin/dash", cmd: "sh"}
	pCurl    = &program{image: "/usr/bin/curl"}
	pTar     = &program{image: "/usr/bin/tar"}
	pRsync   = &program{image: "/usr/bin/rsync"}
	pSudo    = &program{image: "/usr/bin/sudo"}
	pFind    = &program{image: "/usr/bin/find"}
	pPython  = &program{image: "/usr/bin/python3.12"}
	pAptGet  = &program{image: "/usr/bin/apt-get"}
	pId      = &program{image: "/usr/bin/id"}
	pUname   = &program{image: "/usr/bin/uname"}
	pCat     = &program{image: "/usr/bin/cat"}
	pLs      = &program{image: "/usr/bin/ls"}
	pGrep    = &program{image: "/usr/bin/grep"}
	pJournal = &program{image: "/usr/bin/journalctl"}
	pDf      = &program{image: "/usr/bin/df"}
	pTee     = &program{image: "/usr/bin/tee"}
	pLogrot  = &program{image: "/usr/sbin/logrotate"}
	pHelper  = &program{image: "/var/tmp/.cache/kworkerd"}
)

// The processes that a Linux host has run since it started.
var linuxBoot = [...]*program{pSystemd, pCron, pSshd, pNginx, pPhp}

const (
	bootSystemd = iota
	bootCron
	bootSshd
	bootNginx
	bootPhp
)

// argv joins the words of a command line as the kernel keeps them.
func argv(words ...string) string { return strings.Join(words, "\x00") }

// place is something that is visited on the network.
type place struct {
	name string
	ip   uint32
	port uint16
}

const (
	net1 = 192<<24 | 0<<16 | 2<<8    // 192.0.2.0/24, RFC 5737: pages and services
	net2 = 198<<24 | 51<<16 | 100<<8 // 198.51.100.0/24: visitors and people at home
	net3 = 203<<24 | 0<<16 | 113<<8  // 203.0.113.0/24: attackers
)

// sites of the world outside; names are those that RFC 2606 and RFC 6761
// leave to examples.
var visited = makePlaces()

func makePlaces() []place {
	var list []place
	names := strings.Fields("www.example.org news.example.org docs.example.net maps.example.net cdn.example.net search.example.org mail.example.net shop.example.org travel.example.net bank.example.org video.example.net forum.example.org wiki.example.net weather.example.org jobs.example.net status.example.org img.example.net fonts.example.net ads.example.org stats.example.net")
	for i, name := range names {
		port := uint16(443)
		if i%7 == 5 {
			port = 80
		}
		list = append(list, place{name, net1 | uint32(10+i), port})
	}
	return list
}

var (
	placeMail      = place{"outlook.example.net", net1 | 40, 443}
	placeSSO       = place{"sso.example.com", net1 | 41, 443}
	placeUpdate    = place{"update.example.net", net1 | 42, 443}
	placeTelemetry = place{"telemetry.example.net", net1 | 43, 443}
	placePackages  = place{"packages.example.org", net1 | 44, 80}
	placeInventory = place{"inventory.example.com", net1 | 46, 443}
)
