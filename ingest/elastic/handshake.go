package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// answers are the constants of the handshake.
type answers struct {
	root, license, xpack, health []byte
	version                      string
}

// The build that clients are told; they show it and decide nothing by it.
const (
	buildHash = "0000000000000000000000000000000000000000"
	buildDate = "2026-01-01T00:00:00.000000000Z"
	nodeID    = "tiercel000000000000000"
)

func newAnswers(version, uuid string) answers {
	v, u := quoted(version), quoted(uuid)
	return answers{
		version: string(v),
		root: fmt.Appendf(nil, `{"name":"tiercel","cluster_name":"tiercel","cluster_uuid":"%s","version":{"number":"%s","build_flavor":"default","build_type":"tar","build_hash":"%s","build_date":"%s","build_snapshot":false,"lucene_version":"9.12.0","minimum_wire_compatibility_version":"7.17.0","minimum_index_compatibility_version":"7.0.0"},"tagline":"You Know, for Search"}`,
			u, v, buildHash, buildDate),
		license: fmt.Appendf(nil, `{"license":{"uid":"%s","type":"basic","status":"active","mode":"basic","issued_to":"tiercel","issuer":"tiercel","max_nodes":1000,"start_date_in_millis":-1,"expiry_date_in_millis":4000000000000}}`, u),
		xpack: fmt.Appendf(nil, `{"build":{"hash":"%s","date":"%s"},"license":{"uid":"%s","type":"basic","mode":"basic","status":"active"},"features":{"data_streams":{"available":true,"enabled":true},"ilm":{"available":true,"enabled":true},"security":{"available":true,"enabled":true}},"tagline":"You know, for X"}`,
			buildHash, buildDate, u),
		health: []byte(`{"cluster_name":"tiercel","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1,"active_primary_shards":1,"active_shards":1,"relocating_shards":0,"initializing_shards":0,"unassigned_shards":0,"delayed_unassigned_shards":0,"number_of_pending_tasks":0,"number_of_in_flight_fetch":0,"task_max_waiting_in_queue_millis":0,"active_shards_percent_as_number":100.0}`),
	}
}

// handshake serves the routes that begin with an underscore.
func (h *handler) handshake(w http.ResponseWriter, r *http.Request, grant ingest.Grant, path []string) {
	switch route := strings.Join(path, "/"); {
	case route == "_license":
		h.fixed(w, r, h.answers.license)
	case route == "_xpack":
		h.fixed(w, r, h.answers.xpack)
	case route == "_cluster/health" || len(path) == 3 && strings.HasPrefix(route, "_cluster/health/"):
		h.fixed(w, r, h.answers.health)
	case route == "_cat/health":
		h.catHealth(w, r)
	case route == "_nodes/http" || route == "_nodes/_all/http":
		h.nodes(w, r)
	case len(path) == 3 && (path[0] == "_ilm" && path[1] == "policy" || path[0] == "_ingest" && path[1] == "pipeline"):
		h.setup(w, r, key{grant.Tenant, path[0] + "/" + path[1], path[2]})
	case len(path) == 2 && (path[0] == "_index_template" || path[0] == "_template" || path[0] == "_component_template" || path[0] == "_data_stream"):
		h.setup(w, r, key{grant.Tenant, path[0], path[1]})
	default:
		h.unknown(w, r)
	}
}

// catHealth answers a line for people, or JSON when that is asked for.
func (h *handler) catHealth(w http.ResponseWriter, r *http.Request) {
	if !h.reads(w, r) {
		return
	}
	now := h.gate.Clock().Now().UTC()
	if r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "json") {
		h.answer(w, r, http.StatusOK, fmt.Appendf(nil, `[{"epoch":"%d","timestamp":"%s","cluster":"tiercel","status":"green","node.total":"1","node.data":"1","shards":"1","pri":"1","relo":"0","init":"0","unassign":"0","pending_tasks":"0","max_task_wait_time":"-","active_shards_percent":"100.0%%"}]`, now.Unix(), now.Format(time.TimeOnly)), nil)
		return
	}
	w.Header()["Content-Type"] = plain
	h.answer(w, r, http.StatusOK, fmt.Appendf(nil, "%d %s tiercel green 1 1 1 1 0 0 0 0 - 100.0%%\n", now.Unix(), now.Format(time.TimeOnly)), nil)
}

// hostBytesMax bounds a host that is echoed: a DNS name and a port.
const hostBytesMax = 253 + 6

// nodes tells a client that sniffs the one address it already uses.
func (h *handler) nodes(w http.ResponseWriter, r *http.Request) {
	if !h.reads(w, r) {
		return
	}
	host := r.Host
	if len(host) > hostBytesMax {
		host = ""
	}
	h.answer(w, r, http.StatusOK, fmt.Appendf(nil, `{"_nodes":{"total":1,"successful":1,"failed":0},"cluster_name":"tiercel","nodes":{"%s":{"name":"tiercel","version":"%s","roles":["data","ingest","master"],"http":{"bound_address":["%s"],"publish_address":"%[3]s","max_content_length_in_bytes":%d}}}}`,
		nodeID, h.answers.version, quoted(host), ingest.BodyBytesMax), nil)
}

// acknowledged answers what clients set up.
var acknowledged = []byte(`{"acknowledged":true}`)

// setup serves policies, templates, pipelines and data streams: what a client
// puts is remembered, so that it finds it again, and has no effect.
func (h *handler) setup(w http.ResponseWriter, r *http.Request, k key) {
	if !validIndex(k.name) {
		h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonRequest, "the path names what cannot be a name"))
		return
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		if !h.memory.begin(k.tenant) {
			h.fail(w, r, &ingest.Busy{Wait: time.Second, Why: "too many templates come at once"})
			return
		}
		defer h.memory.end(k.tenant)
		body, err := h.gate.Small(w, r, setupBytesMax)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		defer body.Release()
		object := bytes.TrimSpace(body.B)
		if len(object) > 0 && (object[0] != '{' || !json.Valid(object)) {
			h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "the body is not a JSON object"))
			return
		}
		h.memory.put(k, object)
		h.answer(w, r, http.StatusOK, acknowledged, nil)
	case http.MethodGet, http.MethodHead:
		body, ok := h.memory.get(k)
		if !ok {
			// Clients ask before they put: this is no refusal.
			h.answer(w, r, http.StatusNotFound, errorBody(http.StatusNotFound, "resource_not_found_exception", "there is none of this name"), nil)
			return
		}
		h.answer(w, r, http.StatusOK, shown(k, body), nil)
	default:
		h.method(w, r, "GET, HEAD, PUT, POST")
	}
}

// shown is the form in which Elasticsearch shows what was put.
func shown(k key, body string) []byte {
	name := quoted(k.name)
	switch k.kind {
	case "_index_template", "_component_template":
		return fmt.Appendf(nil, `{"%ss":[{"name":"%s","%[1]s":%[3]s}]}`, k.kind[1:], name, body)
	case "_data_stream":
		return fmt.Appendf(nil, `{"data_streams":[{"name":"%s","timestamp_field":{"name":"@timestamp"},"indices":[],"generation":1,"status":"GREEN","template":"%[1]s"}]}`, name)
	case "_ilm/policy":
		inner := strings.TrimSuffix(strings.TrimPrefix(body, "{"), "}")
		if inner = strings.TrimSpace(inner); inner != "" {
			inner = "," + inner
		}
		return fmt.Appendf(nil, `{"%s":{"version":1,"modified_date":"%s"%s}}`, name, buildDate, inner)
	}
	return fmt.Appendf(nil, `{"%s":%s}`, name, body)
}
