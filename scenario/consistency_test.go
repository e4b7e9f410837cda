package scenario

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// winEvent is what the test reads of an event of a Windows host.
type winEvent struct {
	Event struct {
		System struct {
			EventID       int
			EventRecordID uint64
			Channel       string
			Computer      string
		}
		EventData map[string]string
	}
}

// guidStart is the start of a process, which its GUID holds.
func guidStart(t *testing.T, guid string) time.Time {
	t.Helper()
	part := strings.Split(strings.Trim(guid, "{}"), "-")
	seconds, err := strconv.ParseInt(part[2]+part[1], 16, 64)
	if err != nil {
		t.Fatalf("GUID %s: %v", guid, err)
	}
	return time.Unix(seconds, 0)
}

// windowsWorld follows what Windows hosts say and finds contradictions.
type windowsWorld struct {
	t        *testing.T
	start    time.Time
	records  map[string]uint64 // by host and channel
	images   map[string]string // by host and process GUID
	pids     map[string]string
	logons   map[string]string // who, by host and logon id
	resolved map[string]string
}

func (w *windowsWorld) known(host, guid, pid, image string) {
	w.t.Helper()
	key := host + guid
	if guidStart(w.t, guid).Before(w.start) {
		return // since before the scenario
	}
	if w.images[key] != image || w.pids[key] != pid {
		w.t.Errorf("%s: process %s, pid %s, %s was started as pid %q, %q", host, guid, pid, image, w.pids[key], w.images[key])
	}
}

func (w *windowsWorld) see(e *Event) {
	t := w.t
	var v winEvent
	if err := json.Unmarshal(e.Raw, &v); err != nil && !strings.Contains(string(e.Raw), "UserData") {
		t.Fatalf("%v:\n%s", err, e.Raw)
	}
	sys, d := v.Event.System, v.Event.EventData
	host := sys.Computer
	if !strings.HasSuffix(host, ".example.com") {
		t.Errorf("computer %s", host)
	}
	channel := host + sys.Channel
	if last := w.records[channel]; last != 0 && sys.EventRecordID != last+1 {
		t.Errorf("%s %s: record %d after %d", host, sys.Channel, sys.EventRecordID, last)
	}
	w.records[channel] = sys.EventRecordID
	if sys.Channel == "Security" {
		switch sys.EventID {
		case 4624:
			w.logons[host+d["TargetLogonId"]] = d["TargetUserName"]
		case 4634:
			if who := w.logons[host+d["TargetLogonId"]]; who == "" || who != d["TargetUserName"] {
				t.Errorf("%s: %s logs off from %s, which is of %q", host, d["TargetUserName"], d["TargetLogonId"], who)
			}
		case 4688, 4662, 4672, 4732, 5140:
			id := d["SubjectLogonId"]
			if who := w.logons[host+id]; id != "0x3e7" && who != d["SubjectUserName"] {
				t.Errorf("%s: event %d of %s in session %s, which is of %q", host, sys.EventID, d["SubjectUserName"], id, who)
			}
		}
		return
	}
	if !strings.Contains(sys.Channel, "Sysmon") {
		return
	}
	switch sys.EventID {
	case 1:
		w.known(host, d["ParentProcessGuid"], d["ParentProcessId"], d["ParentImage"])
		if guid := host + d["ProcessGuid"]; w.images[guid] != "" {
			t.Errorf("%s twice", guid)
		}
		w.images[host+d["ProcessGuid"]], w.pids[host+d["ProcessGuid"]] = d["Image"], d["ProcessId"]
		if id := d["LogonId"]; id != "0x3e7" && d["User"] != domainName+`\`+w.logons[host+id] {
			t.Errorf("%s: process %s of %s in session %s, which is of %q", host, d["Image"], d["User"], id, w.logons[host+id])
		}
		if at := guidStart(t, d["ProcessGuid"]); at.After(e.Time) || e.Time.Sub(at) > 2*time.Second {
			t.Errorf("%s: process of %s starts at %s", host, at, e.Time)
		}
	case 10:
		w.known(host, d["SourceProcessGUID"], d["SourceProcessId"], d["SourceImage"])
	default:
		w.known(host, d["ProcessGuid"], d["ProcessId"], d["Image"])
		switch sys.EventID {
		case 22:
			w.resolved[host+d["QueryName"]] = d["QueryResults"]
		case 3:
			name := d["DestinationHostname"]
			if !strings.HasSuffix(name, dnsDomain) && !strings.Contains(w.resolved[host+name], d["DestinationIp"]) {
				t.Errorf("%s talks to %s at %s; it was told %q", host, name, d["DestinationIp"], w.resolved[host+name])
			}
		}
	}
}

// zeekEvent is what the test reads of Zeek.
type zeekEvent struct {
	UID      string `json:"uid"`
	From     string `json:"id.orig_h"`
	FromPort int    `json:"id.orig_p"`
	To       string `json:"id.resp_h"`
	ToPort   int    `json:"id.resp_p"`
}

var (
	auditSerial = regexp.MustCompile(`audit\((\d+\.\d+):(\d+)\)`)
	auditParent = regexp.MustCompile(` ppid=(\d+) pid=(\d+) `)
)

// What the logs of a day say fits together: record ids and serials increase
// by one, parents were started before their children, sessions before what
// happens in them, names were looked up before they were talked to, and every
// request has its connection.
func TestLogsFitTogether(t *testing.T) {
	t.Parallel()
	s := mustNew(t, Config{Seed: 4, Rate: 0.6, Hosts: 30, Skew: time.Minute})
	w := &windowsWorld{
		t: t, start: s.config.Start.Add(-s.config.Skew), records: map[string]uint64{}, images: map[string]string{}, pids: map[string]string{},
		logons: map[string]string{}, resolved: map[string]string{},
	}
	connections := map[string]zeekEvent{}
	serials := map[string]uint64{}
	pids := map[string]bool{}
	inside := map[string]bool{}
	for i := range s.fleet.hosts {
		inside[string(appendIP(nil, s.fleet.hosts[i].ip))] = true
	}
	var e Event
	for s.Next(&e) && !t.Failed() {
		switch {
		case strings.HasSuffix(e.Source, "/windows"):
			w.see(&e)
		case strings.HasPrefix(e.Source, "zeek/"):
			var z zeekEvent
			if err := json.Unmarshal(e.Raw, &z); err != nil {
				t.Fatalf("%v:\n%s", err, e.Raw)
			}
			if e.Source == "zeek/conn" {
				connections[z.UID] = z
			} else if connections[z.UID] != z {
				t.Errorf("%s of %+v, its connection is %+v", e.Source, z, connections[z.UID])
			}
			if !inside[z.From] && !inside[z.To] {
				t.Errorf("neither side of %+v is ours", z)
			}
		case strings.HasSuffix(e.Source, "/audit"):
			for _, line := range strings.Split(strings.TrimSpace(string(e.Raw)), "\n") {
				m := auditSerial.FindStringSubmatch(line)
				n, _ := strconv.ParseUint(m[2], 10, 64)
				if last := serials[e.Source]; last != 0 && n != last && n != last+1 {
					t.Errorf("%s: serial %d after %d", e.Source, n, last)
				}
				serials[e.Source] = n
				if p := auditParent.FindStringSubmatch(line); p != nil {
					if ppid, _ := strconv.Atoi(p[1]); ppid >= 3000 && !pids[e.Source+p[1]] {
						t.Errorf("%s: parent %s was never started:\n%s", e.Source, p[1], line)
					}
					if strings.Contains(line, "syscall=59 ") {
						pids[e.Source+p[2]] = true
					}
				}
			}
		default:
			if !json.Valid(e.Raw) {
				t.Errorf("no JSON:\n%s", e.Raw)
			}
		}
	}
	if len(w.images) < 2000 || len(connections) < 5000 || len(pids) < 500 {
		t.Errorf("only %d processes, %d connections, %d Linux processes", len(w.images), len(connections), len(pids))
	}
}
