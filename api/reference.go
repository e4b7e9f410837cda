package api

import (
	"fmt"
	"strings"
)

// Reference returns the body of the API's reference page in Markdown, made from
// the tables of routes and errors. Each code of an error has a heading, to which
// the errors themselves point.
func Reference() string {
	var b strings.Builder
	b.WriteString("The whole of it is described by [openapi.json](openapi.json), which a server serves at `/api/openapi.json`.\n\n" +
		"Every other request carries `Authorization: Bearer TOKEN` with an admin token. A token of one tenant sees that tenant only. A token of\n" +
		"all tenants chooses one with `?tenant=NAME`, which may be left out where the configuration has just one, and where the table says\n" +
		"`any`. Unknown query keys and JSON keys are refused, and so are keys in other letters or given twice and text that is not Unicode. Times are RFC 3339; names end in their unit.\n\n" +
		"## Routes\n\n" +
		"`read` is for every admin token, `write` for those that may change something, `admin` for those of them that are for all tenants. A body\n" +
		"has at most as many bytes as the table says; beyond that the answer is 413.\n\n" +
		"| route | what | permission | tenant | body |\n|---|---|---|---|---|\n")
	for i := range routes {
		r := &routes[i]
		fmt.Fprintf(&b, "| `%s %s` | %s | %s | %s | %d |\n", r.method, r.path, r.summary, r.permission, r.scope, r.bodyMax)
	}
	b.WriteString("\nChanges, and attempts at them that were refused, are recorded in the audit log. Requests of one kind at the same time are bounded:")
	for i, c := range []cost{costScan, costHeavy, costStream, costLight} {
		var names []string
		for j := range routes {
			if routes[j].cost == c && c != costLight {
				names = append(names, "`"+routes[j].name+"`")
			}
		}
		list := strings.Join(names, ", ")
		if c == costLight {
			list = "all others"
		}
		mark := ";"
		if i == len(concurrency)-1 {
			mark = "."
		}
		fmt.Fprintf(&b, "\n%d of %s%s", concurrency[c], list, mark)
	}
	b.WriteString("\nBeyond that the answer is 429.\n\n## Probes and metrics\n\n" +
		"`/livez`, `/healthz` and `/-/healthy` say that the process answers, `/readyz` and `/-/ready` that it can do its work: 200 or 503, with\n" +
		"`?verbose` one line for each check. They need no token. The admin port, on loopback, serves `/metrics` (text, OpenMetrics, or protobuf with\n" +
		"native histograms) and `/debug/pprof/`.\n\n" +
		"## Errors\n\n" +
		"    {\"error\": {\"code\": \"not_found\", \"message\": \"…\", \"doc\": \"…\", \"details\": [{\"where\": \"query.limit\", \"message\": \"…\"}]}}\n\n" +
		"`code` is stable; `message` is for people and may change.\n")
	for _, row := range ErrorCodes {
		fmt.Fprintf(&b, "\n### %s\n\n%d: %s. %s\n", row.Code, row.Status, row.Message, row.Advice)
	}
	return b.String()
}
