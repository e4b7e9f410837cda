package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/rules/rulecase"
)

func newRuleNew(p *process) *cobra.Command {
	var logsource, dir string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a rule with its cases, to be filled in",
		Long: "New makes the folder NAME with rule.yml, under a fresh random id, and " + rulecase.FileName + ". For the\n" +
			"usual logsources the cases hold an event in its source's shape and pass as they are; for\n" +
			"others they say what to fill in. Nothing that exists is overwritten.",
		Example: "  tiercel rule new office-starts-shell --logsource windows/process_creation\n" +
			"  tiercel rule new key-made --logsource product=aws,service=cloudtrail --dir rules",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !plainName(args[0]) {
				return usageError("rule new needs one NAME of letters, digits, - and _: it names a folder")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := parseLogsource(logsource)
			if err != nil {
				return err
			}
			return writeNewRule(p, dir, args[0], l)
		},
	}
	c.Flags().StringVar(&logsource, "logsource", "", "what the rule asks of events: `product/category` or product/category/service with any part empty, or product=…,category=…,service=…")
	c.Flags().StringVar(&dir, "dir", ".", "`folder` to make the rule's folder in")
	return c
}

func plainName(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

// logsourceParts are product, category and service, lower-case.
type logsourceParts [3]string

var logsourceKeys = [3]string{"product", "category", "service"}

// parseLogsource reads --logsource. Of two parts the second may be a category
// or a service: it is a service where a starter knows it as one.
func parseLogsource(text string) (logsourceParts, error) {
	var l logsourceParts
	bad := func() (logsourceParts, error) {
		return l, usageError("--logsource %q is not understood; write windows/process_creation, aws//cloudtrail or product=aws,service=cloudtrail", text)
	}
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return l, usageError("rule new needs --logsource, as windows/process_creation or product=aws,service=cloudtrail")
	}
	if strings.Contains(text, "=") {
		for _, part := range strings.Split(text, ",") {
			key, value, ok := strings.Cut(part, "=")
			at := slices.Index(logsourceKeys[:], strings.TrimSpace(key))
			if value = strings.TrimSpace(value); !ok || at < 0 || !logsourceWord(value) {
				return bad()
			}
			l[at] = value
		}
		return l, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) > 3 {
		return bad()
	}
	for i, part := range parts {
		if part != "" && !logsourceWord(part) {
			return bad()
		}
		l[i] = part
	}
	if len(parts) == 2 && starterOf(l) == nil && starterOf(logsourceParts{l[0], "", l[1]}) != nil {
		l[1], l[2] = "", l[1]
	}
	if l == (logsourceParts{}) {
		return bad()
	}
	return l, nil
}

func logsourceWord(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// starter is an event in a source's own shape with a field to ask for.
type starter struct {
	logsource    logsourceParts
	field, value string
	other        string // a value that does not match
	event        string // YAML under `event:`, ${value} where the value stands
}

// windowsStarter is an event of a Windows channel with one field of its data.
func windowsStarter(l logsourceParts, channel, provider, id, field, value, other string) starter {
	return starter{l, field, value, other, `Event:
  System:
    Provider: {'#attributes': {Name: ` + provider + `}}
    EventID: ` + id + `
    Channel: ` + channel + `
    Computer: WS-104.corp.example.com
    TimeCreated: {'#attributes': {SystemTime: '2026-11-22T08:00:00Z'}}
  EventData:
    ` + field + `: '${value}'
`}
}

var starters = []starter{
	windowsStarter(logsourceParts{"windows", "process_creation"}, "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "1", "CommandLine", "example.exe -argument", "example.exe"),
	windowsStarter(logsourceParts{"windows", "file_event"}, "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "11", "TargetFilename", `C:\Example\file.txt`, `C:\Example\file.log`),
	windowsStarter(logsourceParts{"windows", "registry_set"}, "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "13", "TargetObject", `HKLM\SOFTWARE\Example\Value`, `HKLM\SOFTWARE\Example\Other`),
	windowsStarter(logsourceParts{"windows", "network_connection"}, "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon", "3", "DestinationIp", "203.0.113.9", "192.0.2.9"),
	windowsStarter(logsourceParts{"windows", "", "security"}, "Security", "Microsoft-Windows-Security-Auditing", "4624", "TargetUserName", "example", "somebody"),
	windowsStarter(logsourceParts{"windows", "", "system"}, "System", "Service Control Manager", "7045", "ServiceName", "example", "another"),
	{logsourceParts{"aws", "", "cloudtrail"}, "eventName", "CreateAccessKey", "ListAccessKeys", `eventVersion: '1.11'
eventTime: '2026-11-22T08:00:00Z'
eventSource: iam.amazonaws.com
eventName: '${value}'
userIdentity: {type: IAMUser, arn: 'arn:aws:iam::111122223333:user/example'}
sourceIPAddress: 203.0.113.9
`},
	{logsourceParts{"okta", "", "okta"}, "eventType", "user.session.start", "user.session.end", `eventType: '${value}'
published: '2026-11-22T08:00:00Z'
actor: {alternateId: example@example.com}
outcome: {result: SUCCESS}
`},
	{logsourceParts{"m365", "", "audit"}, "Operation", "FileDownloaded", "FileAccessed", `CreationTime: '2026-11-22T08:00:00'
Operation: '${value}'
RecordType: 6
Workload: SharePoint
UserId: example@example.com
`},
	{logsourceParts{"kubernetes", "", "audit"}, "objectRef.resource", "secrets", "pods", `kind: Event
apiVersion: audit.k8s.io/v1
auditID: 2793364a-3da5-4b3f-8189-35b340eab91e
stage: ResponseComplete
verb: get
requestURI: /api/v1/example
objectRef: {resource: '${value}'}
requestReceivedTimestamp: '2026-11-22T08:00:00Z'
`},
	{logsourceParts{"zeek", "", "dns"}, "query", "example.net", "example.org", `_path: dns
ts: '2026-11-22T08:00:00Z'
uid: Cexample
id.orig_h: 10.0.0.9
id.resp_h: 10.0.0.53
query: '${value}'
qtype: 1
`},
	{logsourceParts{"zeek", "", "conn"}, "id.resp_h", "203.0.113.9", "192.0.2.9", `_path: conn
ts: '2026-11-22T08:00:00Z'
uid: Cexample
id.orig_h: 10.0.0.9
id.resp_h: '${value}'
conn_state: SF
`},
}

func starterOf(l logsourceParts) *starter {
	for i := range starters {
		if starters[i].logsource == l {
			return &starters[i]
		}
	}
	return nil
}

func writeNewRule(p *process, dir, name string, l logsourceParts) error {
	files := p.world.FS
	folder := files.PathJoin(dir, name)
	if _, err := files.Stat(folder); err == nil {
		return usageError("%s exists already; choose another name, or remove it", folder)
	}
	id, err := newUUID(p.world.Rand)
	if err != nil {
		return &codedError{exitFailed, fmt.Errorf("make an id: %w", err)}
	}
	if err := files.MkdirAll(folder, 0o755); err != nil {
		return &codedError{exitFailed, fmt.Errorf("make the folder: %w", err)}
	}
	date := p.world.Clock.Now().UTC().Format("2006-01-02")
	s := starterOf(l)
	for _, f := range []struct{ name, text string }{
		{"rule.yml", newRuleText(name, id, date, l, s)}, {rulecase.FileName, newCasesText(id, s)},
	} {
		if err := writeFile(files, files.PathJoin(folder, f.name), f.text); err != nil {
			return &codedError{exitFailed, errors.Join(fmt.Errorf("write %s", f.name), err)}
		}
	}
	next := "its cases pass; write the rule, then cases for what it must and must not match"
	if s == nil {
		next = "no event of this logsource is known here; put one into the cases, then write the rule"
	}
	_, err = fmt.Fprintf(p.stdout, "made %s with rule.yml and %s; %s\nrun: tiercel rule test %s\n", folder, rulecase.FileName, next, folder)
	return err
}

// newUUID makes a random UUID (RFC 9562, version 4).
func newUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

func newRuleText(name, id, date string, l logsourceParts, s *starter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "title: %s\nid: '%s'\nstatus: experimental\n", strings.NewReplacer("-", " ", "_", " ").Replace(name), id)
	b.WriteString("description: |\n  What is seen, why it matters, and what to look at next.\n")
	fmt.Fprintf(&b, "references:\n  - https://attack.mitre.org/\nauthor: ''\ndate: %s\n", date)
	b.WriteString("tags: []  # attack.<tactic> and attack.tNNNN\nlogsource:\n")
	for i, key := range logsourceKeys {
		if l[i] != "" {
			fmt.Fprintf(&b, "  %s: '%s'\n", key, l[i])
		}
	}
	field, value := "FieldName", "value"
	if s != nil {
		field, value = s.field, s.value
	}
	fmt.Fprintf(&b, "detection:\n  selection:\n    %s: '%s'\n  condition: selection\n", field, value)
	b.WriteString("falsepositives:\n  - What else looks like this, and what to do about it\nlevel: low\n")
	return b.String()
}

func newCasesText(id string, s *starter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule: '%s'\ncases:\n", id)
	event := func(value string) {
		if s == nil {
			fmt.Fprintf(&b, "      # Put an event here as its source writes it; a line of text goes under `text` with\n      # `format`: auditd, syslog or text.\n      - event:\n          FieldName: '%s'\n", value)
			return
		}
		b.WriteString("      - event:\n")
		for line := range strings.Lines(strings.ReplaceAll(s.event, "${value}", value)) {
			b.WriteString("          " + line)
		}
	}
	match, miss := "value", "another value"
	if s != nil {
		match, miss = s.value, s.other
	}
	b.WriteString("  - name: What the rule is for\n    events:\n")
	event(match)
	b.WriteString("    matches: 1\n  - name: Nearly the same, and harmless\n    events:\n")
	event(miss)
	b.WriteString("    matches: 0\n")
	return b.String()
}
