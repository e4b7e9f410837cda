// Package clean breaks nothing. The architecture test must stay silent on it.
package clean

import (
	"strings"
	"time"
)

// X shadows nothing.
var X = strings.ToUpper("x") + time.Time{}.String()

type os struct{}

// Open is a method of a local type called os, not the package.
func (os) Open() {}

func use(os os) { os.Open() }
