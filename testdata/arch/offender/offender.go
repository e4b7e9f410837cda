// Package offender breaks the import rules, so that the architecture test can
// be shown to fail. Lines that must be reported end in "want".
package offender

import (
	"fmt"
	"net"       // want
	"net/http"  // want
	"net/netip"
	"os"        // want
	"time"

	"github.com/spf13/cobra"                 // want
	"github.com/tiercel-io/tiercel/clean"
	"github.com/tiercel-io/tiercel/offender" // want
)

var _ = fmt.Sprint
var _ netip.Addr
var _ net.IP
var _ os.FileMode
var _ http.Handler
var _ time.Duration
var _ cobra.Command
var _ = clean.X
var _ = offender.X
