package clients

import (
	"path/filepath"
	"testing"
)

// startSyslogNG starts syslog-ng on the events' file with a destination
// d_tiercel and the log path to it.
func startSyslogNG(t *testing.T, command string, to target, events []item, destination string) *program {
	t.Helper()
	write(t, filepath.Join(to.dir, "syslog-ng.conf"), `@version: 3.38
@include "scl.conf"
options { log-msg-size(65536); log-fifo-size(20000); };
source s_src { file("`+writeLines(t, to.dir, events)+`" flags(no-parse) log-iw-size(10000) log-fetch-limit(1000) follow-freq(0.2) program-override("client")); };
`+destination)
	return start(t, to.dir, "syslog-ng", nil, command, "-F", "--no-caps", "-f", filepath.Join(to.dir, "syslog-ng.conf"),
		"-R", filepath.Join(to.dir, "persist"), "-p", filepath.Join(to.dir, "pid"), "-c", filepath.Join(to.dir, "ctl"))
}

// syslog-ng over HTTP: with the configuration that print-agent prints, with its
// Elasticsearch destination, and to the HTTP Event Collector.
func TestSyslogNG(t *testing.T) {
	t.Parallel()
	report(t, "syslog-ng")
	command := need(t, "syslog-ng", "syslog-ng", "/usr/sbin/syslog-ng")
	need(t, "syslog-ng", "/usr/lib/syslog-ng/*/libhttp.so")
	const path = "log { source(s_src); destination(d_tiercel); flags(flow-control); };\n"
	for name, destination := range map[string]func(*testing.T, target) string{
		"ndjson": func(t *testing.T, to target) string {
			return adapt(t, printAgent(t, "syslog-ng", to), "reliable(yes)", `reliable(yes) dir("`+to.dir+`")`, "time-reopen(10)", "time-reopen(1)")
		},
		"elasticsearch": func(_ *testing.T, to target) string {
			return `destination d_tiercel {
    elasticsearch-http(url("` + to.url + `/_bulk") index("syslog-ng") type("") user("tiercel") password("` + to.token + `")
        batch-lines(500) batch-timeout(1000) time-reopen(1) retries(1000000)
        template("$(format-json --scope rfc5424 --key ISODATE --key MESSAGE)"));
};
` + path
		},
		"hec": func(_ *testing.T, to target) string {
			return `destination d_tiercel {
    http(url("` + to.url + `/services/collector/event") method("POST") headers("Authorization: Splunk ` + to.token + `")
        body('$(format-json host=$HOST source=syslog-ng event=$MESSAGE)') delimiter("\n")
        batch-lines(500) batch-timeout(1000) time-reopen(1) retries(1000000));
};
` + path
		},
	} {
		t.Run(name, func(t *testing.T) {
			deliver(t, client{
				name: "syslog-ng-" + name, kind: textLine, carries: holdsText,
				send: func(t *testing.T, to target, events []item) []*program {
					return []*program{startSyslogNG(t, command, to, events, destination(t, to))}
				},
			})
		})
	}
}
