package main

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/config"
)

// certificateWarn is how long before its end a certificate is told of: what
// renews them by itself does so at a third of their life, and the shortest in
// use live for some weeks.
const certificateWarn = 14 * 24 * time.Hour

// certificates says until when those of the ports are good: from then on every
// agent that checks them stays away.
func (d *doctor) certificates() {
	look := func(key string, c config.TLS) {
		if !c.On() {
			return
		}
		about := "certificate " + string(c.Cert)
		loaded, err := c.Load(d.p.world.FS)
		if err != nil || len(loaded.Certificates) == 0 || len(loaded.Certificates[0].Certificate) == 0 {
			return // a fault of the configuration, which is told as that
		}
		cert, err := x509.ParseCertificate(loaded.Certificates[0].Certificate[0])
		if err != nil {
			d.add(findingFail, about, fmt.Sprintf("it cannot be read: %v (%s)", err, key), "put another one there and start the server again")
			return
		}
		d.validity(about, key, cert.NotBefore, cert.NotAfter)
	}
	look("http.tls", d.cfg.HTTP.TLS)
	for i := range d.cfg.Receivers.Syslog {
		look(fmt.Sprintf("receivers.syslog[%d].tls", i), d.cfg.Receivers.Syslog[i].TLS)
	}
}

// validity judges the times of a certificate.
func (d *doctor) validity(about, key string, from, until time.Time) {
	const renew = "put a new one there and start the server again"
	now := d.p.world.Clock.Now()
	end := until.UTC().Format(time.RFC3339)
	switch {
	case now.Before(from):
		d.add(findingFail, about, fmt.Sprintf("it is not valid before %s (%s)", from.UTC().Format(time.RFC3339), key), "look at this machine's clock, or "+renew)
	case !now.Before(until):
		d.add(findingFail, about, fmt.Sprintf("it ended at %s; agents refuse it (%s)", end, key), renew)
	case until.Sub(now) < certificateWarn:
		d.add(findingWarn, about, fmt.Sprintf("it ends at %s (%s)", end, key), renew)
	default:
		d.add(findingOK, about, fmt.Sprintf("it is valid until %s (%s)", end, key), "")
	}
}
