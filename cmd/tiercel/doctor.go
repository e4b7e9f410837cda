package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/report"
)

// The states of a finding.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingFail = "fail"
)

// finding is one line of the doctor.
type finding struct {
	State string `json:"state"`
	// About is what was looked at.
	About string `json:"about"`
	Text  string `json:"text"`
	// Do says what to do about it; empty when all is well.
	Do string `json:"do,omitempty"`
}

const (
	// doctorWait bounds one question to a port or a server.
	doctorWait = 5 * time.Second
	// lagWarn is a lag at which detections are noticeably late.
	lagWarn = time.Minute
	// clockSkewMax is how far a source's newest event may lie in the future.
	clockSkewMax = 5 * time.Minute
)

// clockFloor is before this program was written: a clock that shows less was
// never set.
var clockFloor = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// doctor collects findings.
type doctor struct {
	p      *process
	cfg    *config.Config
	client clientFlags
	found  []finding
	// serving is set when a tiercel answers on the main port.
	serving bool
}

func (d *doctor) add(state, about, text, do string) {
	d.found = append(d.found, finding{state, about, report.Clean(text, 500), do})
}

func newDoctor(p *process) *cobra.Command {
	var f configFlags
	var cl clientFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with a server and its surroundings",
		Long: "Doctor checks the configuration, the data folder, the disk, the clock, the ports and their certificates,\n" +
			"and asks a server that runs for its checks, silent sources and lag. Each line says what to do. It exits\n" +
			"with 1 when something fails.",
		Example: "  tiercel doctor -c /etc/tiercel/tiercel.yaml\n  tiercel doctor --json | jq '.findings[] | select(.state != \"ok\")'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &doctor{p: p, client: cl}
			d.run(c.Context(), &f)
			return d.print(asJSON)
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&cl.server, "server", "", "`URL` of the server (default: what the configuration listens on)")
	flags.StringVar(&cl.token, "token", "", "admin `token` (default TIERCEL_TOKEN, else what serve left in the data folder for its own user)")
	flags.StringVar(&cl.ca, "ca", "", "PEM `file` of the authority of the server's certificate (default: the system's)")
	flags.BoolVar(&asJSON, "json", false, "print as JSON")
	return c
}

func (d *doctor) run(ctx context.Context, f *configFlags) {
	cfg, warnings, err := f.load(d.p)
	for _, w := range warnings {
		d.add(findingWarn, "configuration", w.String(), "")
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			d.add(findingFail, "configuration", line, "")
		}
		return // nothing else is known
	}
	d.cfg = cfg
	d.add(findingOK, "configuration", "it is sound", "")
	d.clock()
	d.folder()
	d.ports(ctx)
	d.certificates()
	d.senders()
	d.server(ctx)
}

// clock judges the clock by itself; events are compared with it in server.
func (d *doctor) clock() {
	if now := d.p.world.Clock.Now(); now.Before(clockFloor) {
		d.add(findingFail, "clock", "it shows "+now.UTC().Format(time.RFC3339), "set it, best by NTP: event times are judged by it")
		return
	}
	d.add(findingOK, "clock", "it shows "+d.p.world.Clock.Now().UTC().Format(time.RFC3339), "")
}

// probeName is a file that is written and removed again.
const probeName = ".doctor"

// folder checks that the data folder can be written and how much room is left.
func (d *doctor) folder() {
	fs, dir := d.p.world.FS, string(d.cfg.Data)
	info, err := fs.Stat(dir)
	where := dir
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.add(findingOK, "data folder", dir+" does not exist yet; serve makes it", "")
		for where = fs.PathDir(where); where != fs.PathDir(where); where = fs.PathDir(where) {
			if _, err := fs.Stat(where); err == nil {
				break
			}
		}
	case err != nil:
		d.add(findingFail, "data folder", err.Error(), "let this user read and write it, or choose another with --data")
		return
	case !info.IsDir():
		d.add(findingFail, "data folder", dir+" is a file", "choose a folder with --data")
		return
	default:
		if err := probe(fs, fs.PathJoin(dir, probeName)); err != nil {
			d.add(findingFail, "data folder", "it cannot be written: "+err.Error(), "let this user write it, make room, or choose another with --data")
			return
		}
		d.add(findingOK, "data folder", dir+" can be written", "")
	}
	usage, err := fs.GetDiskUsage(where)
	if err != nil {
		d.add(findingWarn, "disk", "its free space is not known: "+err.Error(), "")
		return
	}
	free, reserve := config.Bytes(min(usage.AvailBytes, 1<<62)), d.cfg.Log.ReserveBytes
	text := fmt.Sprintf("%s free, %s held in reserve", binarySize(uint64(free)), binarySize(uint64(reserve)))
	switch {
	case free < reserve:
		d.add(findingFail, "disk", text+"; new data is refused", "make room, or lower log.retention_bytes")
	case free < 2*reserve:
		d.add(findingWarn, "disk", text+"; new data will be refused soon", "make room, or lower log.retention_bytes")
	default:
		d.add(findingOK, "disk", text, "")
	}
}

// binarySize writes a size for a glance: 512 bytes, 12.5 KiB, 61.2 GiB.
func binarySize(bytes uint64) string {
	if bytes < 1<<10 {
		return plural(int(bytes), "byte")
	}
	value, unit := float64(bytes)/(1<<10), 0
	for ; value >= 1023.95 && unit < 4; unit++ {
		value /= 1 << 10
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + [...]string{"KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
}

// probe writes, syncs and removes a file.
func probe(fs vfs.FS, name string) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte("tiercel\n"))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), fs.Remove(name))
}

// ports checks that each configured address is free or answered by a tiercel.
func (d *doctor) ports(ctx context.Context) {
	for _, l := range d.cfg.Listeners() {
		about := "port " + l.Address + "/" + l.Network
		limited, cancel := context.WithTimeout(ctx, doctorWait)
		err := d.bind(limited, l)
		if err == nil {
			d.add(findingOK, about, "it is free ("+l.Key+")", "")
			cancel()
			continue
		}
		ours := l.Key == "http.listen" && d.answers(limited, l)
		cancel()
		switch {
		case ours:
			d.serving = true
			d.add(findingOK, about, "a tiercel answers", "")
		case l.Key != "http.listen" && d.serving:
			d.add(findingOK, about, "it is in use while a tiercel runs ("+l.Key+")", "")
		default:
			d.add(findingFail, about, l.Key+" cannot be opened: "+err.Error(), "end the program that has it, or choose another address")
		}
	}
}

// senders says which listeners send away who has no certificate: without one an
// agent sees no more than a connection that is closed.
func (d *doctor) senders() {
	for _, s := range d.cfg.Receivers.Syslog {
		if !d.cfg.DemandsCertificate(s) {
			continue
		}
		whose := "of an authority in client_ca"
		if n := len(s.Certificates); n > 0 {
			whose = fmt.Sprintf("that certificates names (%d)", n)
		}
		d.add(findingOK, "syslog "+s.Listen, "a sender needs a certificate "+whose, "'tiercel config print-agent rsyslog' shows where it belongs")
	}
}

// bind opens an address and closes it again.
func (d *doctor) bind(ctx context.Context, l config.Listener) error {
	var c io.Closer
	var err error
	if l.Network == "udp" {
		c, err = d.p.world.Net.ListenPacket(ctx, "udp", l.Address)
	} else {
		c, err = d.p.world.Net.Listen(ctx, "tcp", l.Address)
	}
	if err != nil {
		return err
	}
	return c.Close()
}

// answers reports whether a tiercel serves the main port. /livez needs no
// token; with TLS the certificate is not judged, since nothing is sent.
func (d *doctor) answers(ctx context.Context, l config.Listener) bool {
	base := addressFor(d.cfg, "api")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/livez", nil)
	if err != nil {
		return false
	}
	via := &http.Transport{DialContext: d.p.world.Net.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	if l.TLS {
		conn, err := d.p.world.Net.DialContext(ctx, "tcp", strings.TrimPrefix(base, "https://"))
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	answer, err := via.RoundTrip(req)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// server asks a server for what it knows of itself.
func (d *doctor) server(ctx context.Context) {
	if d.client.server == "" {
		if !d.serving {
			d.add(findingWarn, "server", "none is running at "+d.cfg.HTTP.Listen, "start one with 'tiercel serve'")
			return
		}
		d.client.server = addressFor(d.cfg, "api")
	}
	d.client.data = string(d.cfg.Data)
	server, err := d.client.connect(d.p)
	if err != nil {
		what, advice, _ := strings.Cut(err.Error(), "\n")
		d.add(findingWarn, "server", "it cannot be asked: "+what, firstOf(advice, "give an admin token with --token or TIERCEL_TOKEN"))
		return
	}
	var status api.StatusReport
	limited, cancel := context.WithTimeout(ctx, doctorWait)
	defer cancel()
	if err := server.ask(limited, http.MethodGet, "/status", nil, nil, &status); err != nil {
		if err.Error() == "" {
			err = fmt.Errorf("no answer within %s", doctorWait)
		}
		what, advice, _ := strings.Cut(err.Error(), "\n")
		d.add(findingFail, "server", what, firstOf(strings.ReplaceAll(advice, "\n", "; "), "look at its log"))
		return
	}
	d.status(&status)
}

// status judges what a server says.
func (d *doctor) status(s *api.StatusReport) {
	up := time.Duration(s.UptimeSeconds * float64(time.Second)).Truncate(time.Second)
	d.add(findingOK, "server", fmt.Sprintf("version %s, up for %s", s.Version, up), "")
	if s.Version != version {
		d.add(findingWarn, "server", fmt.Sprintf("this program is version %s", version), "use one version on both sides")
	}
	if !s.Ready {
		d.add(findingFail, "server", "it is not ready", "see its checks")
	}
	for _, c := range s.Checks {
		about := "check " + report.Clean(c.Name, 80)
		switch {
		case !c.OK:
			d.add(findingFail, about, firstOf(c.Detail, "it does not hold"), "look at the server's log")
		case c.Name == checkCost:
			d.add(findingWarn, about, c.Detail, "change them so that they cost less, or let them run again with 'tiercel rule release ID'")
		case c.Detail != "":
			d.add(findingWarn, about, c.Detail, "look at the server's log")
		}
	}
	now := d.p.world.Clock.Now()
	for _, src := range s.Sources {
		about := "source " + report.Clean(src.Tenant+"/"+src.Name, 150)
		lag := time.Duration(src.LagSeconds * float64(time.Second)).Truncate(time.Second)
		switch {
		case src.LastEvent.IsZero() && src.Silent:
			d.add(findingFail, about, "it is silent: nothing has come for longer than it should take", "look at the agent, its address and its token; rules that need this source see nothing")
		case src.LastEvent.IsZero():
			d.add(findingWarn, about, "nothing has come yet", "check the agent's address and token: 'tiercel send' tries them")
		case src.LastEvent.Sub(now) > clockSkewMax:
			d.add(findingFail, about, "its newest event came at "+src.LastEvent.UTC().Format(time.RFC3339)+", which is in the future", "set the clocks of this machine and of the server, best by NTP")
		case src.Silent:
			d.add(findingFail, about, "it is silent: the last event came at "+src.LastEvent.UTC().Format(time.RFC3339), "look at the agent; rules that need this source see nothing")
		case lag > lagWarn:
			d.add(findingWarn, about, fmt.Sprintf("it is %s behind", lag), "give the server more cores, or the source more shards; 'tiercel stats' shows the costly rules")
		default:
			d.add(findingOK, about, fmt.Sprintf("the last event came at %s, lag %s", src.LastEvent.UTC().Format(time.RFC3339), lag), "")
		}
		if share := unknown(&src); share > 0 {
			d.add(findingWarn, about, fmt.Sprintf("no pack knows %d %% of its records, so no rule is asked of those", share), "try 'tiercel scan' with some of them, and set the source's format or pack, or write a pack")
		}
		if src.Unaccounted != 0 {
			d.add(findingFail, about, fmt.Sprintf("%d records are received and not accounted for", src.Unaccounted), "this is a fault of Tiercel: keep the data folder and report it")
		}
	}
}

// print writes the findings, the worst deciding the exit code.
func (d *doctor) print(asJSON bool) error {
	failed := false
	for _, f := range d.found {
		failed = failed || f.State == findingFail
	}
	if asJSON {
		e := json.NewEncoder(d.p.stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{!failed, d.found}); err != nil {
			return err
		}
	} else {
		for _, f := range d.found {
			line := fmt.Sprintf("%-4s  %s: %s", f.State, f.About, f.Text)
			if f.Do != "" {
				line += "; " + f.Do
			}
			fmt.Fprintln(d.p.stdout, line)
		}
	}
	if failed {
		return &codedError{exitFailed, nil}
	}
	return nil
}
