package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/config"
)

// examine runs the doctor and returns its findings by what they are about.
func examine(t *testing.T, at time.Time, args ...string) (map[string]finding, int) {
	t.Helper()
	p, stdout, stderr := online(t, append([]string{"doctor", "--json", "--data", "data"}, args...)...)
	p.world.Clock = stoppedClock{fixedClock{}, at}
	code := exitCode(run(context.Background(), p))
	var out struct {
		OK       bool      `json:"ok"`
		Findings []finding `json:"findings"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if out.OK != (code == exitDone) {
		t.Errorf("ok is %v and the exit code %d", out.OK, code)
	}
	found := map[string]finding{}
	for _, f := range out.Findings {
		if old, twice := found[f.About]; !twice || old.State == findingOK {
			found[f.About] = f
		}
	}
	return found, code
}

type stoppedClock struct {
	fixedClock
	at time.Time
}

func (c stoppedClock) Now() time.Time { return c.at }

var examined = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func TestDoctorWithoutAServer(t *testing.T) {
	t.Parallel()
	found, code := examine(t, examined, "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=")
	if code != exitDone || found["server"].State != findingWarn || found["clock"].State != findingOK || found["configuration"].State != findingOK || found["data folder"].State != findingOK {
		t.Errorf("code %d, %+v", code, found)
	}
	found, code = examine(t, time.Unix(0, 0), "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=")
	if code != exitFailed || found["clock"].State != findingFail || found["clock"].Do == "" {
		t.Errorf("a clock of 1970: code %d, %+v", code, found["clock"])
	}
	found, code = examine(t, examined, "--set", "http.listen=8600")
	if code != exitFailed || !strings.Contains(found["configuration"].Text, "is not an address") {
		t.Errorf("code %d, %+v", code, found)
	}
	// The data folder is a file.
	found, code = examine(t, examined, "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=", "--set", "data=rule.yml")
	if code != exitFailed || found["data folder"].State != findingFail {
		t.Errorf("code %d, %+v", code, found["data folder"])
	}
}

// A listener that sends away who has no certificate is named.
func TestDoctorNamesCertificates(t *testing.T) {
	t.Parallel()
	d := &doctor{cfg: config.Default()}
	d.cfg.Receivers.Syslog = []config.Syslog{
		{Listen: ":514", Transport: "udp"},
		{Listen: ":6514", Transport: "tls", Certificates: make([]config.Certificate, 3)},
		{Listen: ":6515", Transport: "tls", TLS: config.TLS{Cert: "c", ClientCA: "ca"}},
		{Listen: ":6516", Transport: "tls"},
	}
	d.senders()
	want := []string{"syslog :6514: a sender needs a certificate that certificates names (3)", "syslog :6515: a sender needs a certificate of an authority in client_ca"}
	if len(d.found) != len(want) {
		t.Fatalf("found %+v", d.found)
	}
	for i, f := range d.found {
		if f.State != findingOK || f.About+": "+f.Text != want[i] || !strings.Contains(f.Do, "print-agent rsyslog") {
			t.Errorf("found %+v, want %s", f, want[i])
		}
	}
}

func TestDoctorAsksAServer(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return examined.Add(d).Format(time.RFC3339) }
	status := fmt.Sprintf(`{"version":%q,"uptime_seconds":60,"ready":false,"checks":[{"name":"log","ok":false,"detail":"disk is nearly full"},{"name":"rules","ok":true},{"name":"content","ok":true,"detail":"2 documents not used"}],"sources":[
		{"name":"good","tenant":"local","last_event":%q},{"name":"silent","tenant":"local","last_event":%q,"silent":true},{"name":"late","tenant":"local","last_event":%q,"lag_seconds":90},
		{"name":"new","tenant":"local"},{"name":"never","tenant":"local","silent":true},{"name":"future","tenant":"local","last_event":%q},{"name":"lost","tenant":"local","last_event":%q,"unaccounted":3},
		{"name":"odd","tenant":"local","last_event":%q,"events":400,"unrouted":300}]}`,
		version, at(0), at(-time.Hour), at(0), at(time.Hour), at(0), at(0))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/status" && r.Header.Get("Authorization") == "Bearer tok" {
			_, _ = io.WriteString(w, status)
		}
	}))
	defer s.Close()
	address := strings.TrimPrefix(s.URL, "http://")
	found, code := examine(t, examined, "--set", "http.listen="+address, "--set", "admin.listen=", "--token", "tok")
	if code != exitFailed {
		t.Errorf("the exit code is %d", code)
	}
	for about, want := range map[string]string{
		"port " + address + "/tcp": "ok a tiercel answers",
		"server":                   "fail it is not ready",
		"check log":                "fail disk is nearly full",
		"check content":            "warn 2 documents not used",
		"source local/good":        "ok the last event came",
		"source local/silent":      "fail it is silent",
		"source local/late":        "warn it is 1m30s behind",
		"source local/new":         "warn nothing has come yet",
		"source local/never":       "fail it is silent: nothing has come",
		"source local/future":      "fail its newest event",
		"source local/lost":        "fail 3 records",
		"source local/odd":         "warn no pack knows 75 % of its records",
	} {
		f := found[about]
		if !strings.HasPrefix(f.State+" "+f.Text, want) || f.State != findingOK && f.Do == "" {
			t.Errorf("%s: %+v, want %s", about, f, want)
		}
	}
	if _, there := found["check rules"]; there {
		t.Error("a check that holds is listed")
	}
	// A port that something else has.
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	address = strings.TrimPrefix(other.URL, "http://")
	found, code = examine(t, examined, "--set", "http.listen="+address, "--set", "admin.listen=")
	if f := found["port "+address+"/tcp"]; code != exitFailed || f.State != findingFail || !strings.Contains(f.Do, "choose another address") {
		t.Errorf("code %d, %+v", code, f)
	}
}
