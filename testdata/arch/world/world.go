// Package world uses everything that only package env may use. Lines that
// must be reported end in "want".
package world

import (
	crand "crypto/rand"
	"math/rand"
	rand2 "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	clock "time"
	. "time" // want
)

func offend() {
	clock.Now()              // want
	clock.Since(clock.Time{}) // want
	clock.Until(clock.Time{}) // want
	clock.Sleep(1)           // want
	<-clock.After(1)         // want
	clock.NewTimer(1)        // want
	clock.Tick(1)            // want
	f := clock.Now           // want
	f()
	os.Open("x")                 // want
	os.OpenFile("x", 0, 0)       // want
	os.Create("x")               // want
	os.ReadFile("x")             // want
	os.WriteFile("x", nil, 0)    // want
	os.ReadDir("x")              // want
	os.Stat("x")                 // want
	os.Remove("x")               // want
	os.RemoveAll("x")            // want
	os.Rename("x", "y")          // want
	os.Mkdir("x", 0)             // want
	os.MkdirAll("x", 0)          // want
	os.Getenv("x")               // want
	os.Exit(1)                   // want
	_ = os.Stdin                 // want
	exec.Command("x")            // want
	filepath.WalkDir("x", nil)   // want
	filepath.Glob("x")           // want
	net.Dial("tcp", "x")         // want
	net.DialTimeout("", "", 1)   // want
	net.Listen("tcp", "x")       // want
	net.LookupHost("x")          // want
	_ = http.DefaultClient       // want
	http.Get("x")                // want
	http.Post("x", "", nil)      // want
	rand.Int()                   // want
	rand.Shuffle(1, nil)         // want
	rand2.IntN(1)                // want
	crand.Read(nil)              // want
}

func fine() {
	_ = clock.Unix(0, 0)
	_ = clock.Second
	_ = os.ErrNotExist
	_ = os.ModeDir
	_ = filepath.Join("a", "b")
	_ = rand.New(rand.NewSource(1))
	_ = rand2.New(rand2.NewPCG(1, 2))
	_ = net.ParseIP("::1")
	_ = http.StatusOK
}
