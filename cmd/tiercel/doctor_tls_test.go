package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/env"
)

func TestDoctorReadsCertificates(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from, until := examined, examined.Add(90*24*time.Hour)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	fsys := vfs.NewMem()
	if err := errors.Join(
		writeFile(fsys, "c.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		writeFile(fsys, "k.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at          time.Time
		state, want string
	}{
		{from.Add(-time.Second), findingFail, "it is not valid before 2026-05-01T12:00:00Z (http.tls)"},
		{from, findingOK, "it is valid until 2026-07-30T12:00:00Z (http.tls)"},
		{until.Add(-certificateWarn), findingOK, "it is valid until"},
		{until.Add(-certificateWarn + time.Second), findingWarn, "it ends at 2026-07-30T12:00:00Z (http.tls)"},
		{until.Add(-time.Second), findingWarn, "it ends at"},
		{until, findingFail, "it ended at 2026-07-30T12:00:00Z; agents refuse it (http.tls)"},
	} {
		d := &doctor{p: &process{world: env.Env{FS: fsys, Clock: stoppedClock{at: c.at}}}, cfg: config.Default()}
		d.cfg.HTTP.TLS = config.TLS{Cert: "c.pem", Key: "k.pem"}
		d.certificates()
		if len(d.found) != 1 || d.found[0].State != c.state || d.found[0].About != "certificate c.pem" || !strings.HasPrefix(d.found[0].Text, c.want) || (c.state == findingOK) != (d.found[0].Do == "") {
			t.Errorf("at %v: %+v", c.at, d.found)
		}
	}
	d := &doctor{p: &process{world: env.Env{FS: fsys, Clock: stoppedClock{at: from}}}, cfg: config.Default()}
	if d.certificates(); len(d.found) > 0 {
		t.Errorf("without TLS: %+v", d.found)
	}
}
