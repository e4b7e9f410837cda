package api

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tiercel-io/tiercel/metric"
)

// scrapesMax bounds scrapes at the same time; a site has one or two Prometheus
// servers.
const scrapesMax = 4

// Admin returns the handler of the admin port: /metrics, and profiles of the
// process below /debug/pprof/. It asks for no token, since scrapers send none:
// the port is loopback unless the configuration says otherwise. Metrics are
// given as protobuf to those who accept it, which is how native histograms
// travel, else as OpenMetrics or text.
func Admin(set *metric.Set) http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{set.Registry, process}, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: scrapesMax,
	}))
	// The patterns have no method: go tool pprof posts to symbol.
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
