package clients

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// rsyslogd is where rsyslog is: installed, or unpacked beside syslog-ng, whose
// package excludes it.
func rsyslogd(t *testing.T) (command, modules string) {
	t.Helper()
	unpacked := filepath.Join(cache, "rsyslog")
	command = need(t, "rsyslog", filepath.Join(unpacked, "usr", "sbin", "rsyslogd"), "rsyslogd", "/usr/sbin/rsyslogd")
	root := "/"
	if strings.HasPrefix(command, unpacked) {
		root = unpacked
	}
	return command, filepath.Dir(need(t, "rsyslog", filepath.Join(root, "usr", "lib", "*", "rsyslog", "omelasticsearch.so")))
}

// startRsyslog starts rsyslog on the events' file with some actions.
func startRsyslog(t *testing.T, to target, events []item, actions string) *program {
	t.Helper()
	command, modules := rsyslogd(t)
	config := `global(workDirectory="` + to.dir + `" maxMessageSize="64k")
module(load="imfile")
input(type="imfile" file="` + writeLines(t, to.dir, events) + `" tag="client:")
` + actions
	write(t, filepath.Join(to.dir, "rsyslog.conf"), config)
	return start(t, to.dir, "rsyslog", nil, command, "-n", "-M", modules,
		"-f", filepath.Join(to.dir, "rsyslog.conf"), "-i", filepath.Join(to.dir, "rsyslog.pid"))
}

// rsyslog's Elasticsearch output, with the configuration that print-agent
// prints.
func TestRsyslogElasticsearch(t *testing.T) {
	t.Parallel()
	report(t, "rsyslog omelasticsearch")
	rsyslogd(t)
	deliver(t, client{
		// After a refusal it sends the messages of the batch one by one.
		name: "rsyslog-elasticsearch", kind: textLine, carries: holdsText, regroups: true, verbatim: true,
		send: func(t *testing.T, to target, events []item) []*program {
			actions := adapt(t, printAgent(t, "rsyslog", to), "/var/spool/rsyslog", to.dir)
			return []*program{startRsyslog(t, to, events, actions)}
		},
	})
}

// rsyslog's forwarding by TCP, in both framings. Plain syslog has no answers:
// the server makes it wait.
func TestRsyslogForward(t *testing.T) {
	t.Parallel()
	report(t, "rsyslog omfwd")
	rsyslogd(t)
	for _, framing := range []string{"traditional", "octet-counted"} {
		t.Run(framing, func(t *testing.T) {
			deliver(t, client{
				name: "rsyslog-tcp", kind: textLine, carries: endsWith, unacknowledged: true, verbatim: true,
				send: func(t *testing.T, to target, events []item) []*program {
					host, port, err := net.SplitHostPort(to.syslog)
					if err != nil {
						t.Fatal(err)
					}
					return []*program{startRsyslog(t, to, events, `action(type="omfwd" target="`+host+`" port="`+port+`" protocol="tcp"
    tcp_framing="`+framing+`" template="RSYSLOG_SyslogProtocol23Format" queue.type="LinkedList" action.resumeRetryCount="-1")
`)}
				},
			})
		})
	}
}

// endsWith reports whether a syslog message is the text.
func endsWith(record []byte, text string) bool {
	return bytes.HasSuffix(bytes.TrimRight(record, "\n"), []byte(" "+text))
}
