package api

import "net/http"

// permission says which tokens may call a route.
type permission string

const (
	// permPublic needs no token: the answer is the same for everyone and holds
	// nothing of this installation.
	permPublic permission = "public"
	// permRead is for every token.
	permRead permission = "read"
	// permWrite is for tokens that may change something.
	permWrite permission = "write"
	// permAdmin is for tokens of all tenants that may change something.
	permAdmin permission = "admin"
)

// scope says which tenant a route is about.
type scope string

const (
	// scopeNone: no tenant's data is read or changed.
	scopeNone scope = "none"
	// scopeOne: one tenant's, the token's own or the one that is chosen.
	scopeOne scope = "one"
	// scopeAny: the token's own tenant, or the one that is chosen, or all of
	// them for a token that may see all.
	scopeAny scope = "any"
)

// cost is the class by which requests at the same time are bounded.
type cost string

const (
	// costLight: a lookup or a copy of figures in memory.
	costLight cost = "light"
	// costScan: ranges of documents are read.
	costScan cost = "scan"
	// costHeavy: rules are compiled, records evaluated, data copied.
	costHeavy cost = "heavy"
	// costStream: it lasts as long as the client wants.
	costStream cost = "stream"
)

// concurrency bounds the requests of a class at the same time; beyond it the
// answer is 429. One heavy request at a time leaves the cores to detection. A
// scan holds a page of documents, of some 100 kB each at most, in memory.
var concurrency = map[cost]int{costLight: 64, costScan: 8, costHeavy: 1, costStream: 64}

// bodyBytesMax is enough for every body of this API; a list of ids to try again
// is the longest.
const bodyBytesMax = 64 << 10

// route is a row of the table of routes: all that the guard in front of the
// handlers has to know.
type route struct {
	// name is the operation's id in OpenAPI, and the label of its metrics.
	name         string
	method, path string
	permission   permission
	scope        scope
	// bodyMax bounds the body in bytes; 0 takes none.
	bodyMax int64
	cost    cost
	// audit is the word in the audit log; every route that changes something
	// has one.
	audit          string
	tag            string
	summary, about string
}

func (r *route) pattern() string { return r.method + " " + r.path }

const v1 = "/api/v1"

// routes is the table. Nothing is served that does not stand here.
var routes = []route{
	{
		name: "openapi", method: http.MethodGet, path: "/api/openapi.json", permission: permPublic, scope: scopeNone, cost: costLight,
		tag: "about", summary: "This document", about: "OpenAPI 3.1; the same for every installation of a version.",
	},
	{
		name: "list-detections", method: http.MethodGet, path: v1 + "/detections", permission: permRead, scope: scopeOne, cost: costScan,
		tag: "detections", summary: "List detections", about: "The newest first by when they were first stored.",
	},
	{
		name: "get-detection", method: http.MethodGet, path: v1 + "/detections/{id}", permission: permRead, scope: scopeOne, cost: costLight,
		tag: "detections", summary: "One detection with its evidence",
	},
	{
		name: "follow-detections", method: http.MethodGet, path: v1 + "/detections/feed", permission: permRead, scope: scopeOne, cost: costStream,
		tag: "detections", summary: "Follow detections as they change",
		about: "A stream without end, as server-sent events, or as JSON lines when `Accept` is `application/x-ndjson`. Each line or event is a detection; " +
			"its number in the feed is `seq`. Come again with the last one as `after` to miss nothing. While there is nothing to tell, a comment (in JSON lines an empty line) is sent every 15 seconds.",
	},
	{
		name: "list-quarantine", method: http.MethodGet, path: v1 + "/quarantine", permission: permRead, scope: scopeOne, cost: costScan,
		tag: "quarantine", summary: "List records that could not be read", about: "The newest first, without their bytes.",
	},
	{
		name: "get-quarantined", method: http.MethodGet, path: v1 + "/quarantine/{id}", permission: permRead, scope: scopeOne, cost: costLight,
		tag: "quarantine", summary: "One record that could not be read", about: "With its bytes in base64, or with `raw=1` the bytes alone.",
	},
	{
		name: "retry-quarantined", method: http.MethodPost, path: v1 + "/quarantine/{id}/retry", permission: permWrite, scope: scopeOne, cost: costHeavy,
		audit: "quarantine.retry", tag: "quarantine", summary: "Try one record again",
	},
	{
		name: "retry-quarantine", method: http.MethodPost, path: v1 + "/quarantine/retry", permission: permWrite, scope: scopeOne, bodyMax: bodyBytesMax, cost: costHeavy,
		audit: "quarantine.retry", tag: "quarantine", summary: "Try records again", about: "Those with the ids that are given, or all that fit the filter, up to the limit.",
	},
	{
		name: "get-ledger", method: http.MethodGet, path: v1 + "/ledger", permission: permRead, scope: scopeOne, cost: costScan,
		tag: "ledger", summary: "Account for what was received", about: "received = evaluated + late + quarantined + damaged + unexplained, by minute of receive time and source. The range is the last hour unless it is given, and a month at most.",
	},
	{
		name: "get-gaps", method: http.MethodGet, path: v1 + "/ledger/gaps", permission: permRead, scope: scopeOne, cost: costScan,
		tag: "ledger", summary: "What is known to be missing", about: "Intervals in which a rule did not run, and numbers of senders that did not arrive. The range is the last day unless it is given, and a month at most.",
	},
	{
		name: "list-sources", method: http.MethodGet, path: v1 + "/sources", permission: permRead, scope: scopeAny, cost: costLight,
		tag: "status", summary: "How each source is doing",
	},
	{
		name: "rule-stats", method: http.MethodGet, path: v1 + "/rules/stats", permission: permRead, scope: scopeAny, cost: costLight,
		tag: "status", summary: "What rules cost and find", about: "Over all tenants, so a token of one tenant sees costs and states, but no counts of matches and detections.",
	},
	{
		name: "get-status", method: http.MethodGet, path: v1 + "/status", permission: permRead, scope: scopeAny, cost: costLight,
		tag: "status", summary: "How the process is doing",
	},
	{
		name: "reload", method: http.MethodPost, path: v1 + "/reload", permission: permAdmin, scope: scopeNone, cost: costHeavy,
		audit: "content.reload", tag: "operation", summary: "Read rules and packs again",
	},
	{
		name: "release-rule", method: http.MethodPost, path: v1 + "/rules/{id}/release", permission: permAdmin, scope: scopeNone, cost: costHeavy,
		audit: "rule.release", tag: "operation", summary: "Let a rule run again that was taken out for its cost", about: "Rules and packs are read again with it. The rule is measured anew, and taken out again when it still costs too much.",
	},
	{
		name: "list-tokens", method: http.MethodGet, path: v1 + "/tokens", permission: permAdmin, scope: scopeAny, cost: costLight,
		tag: "tokens", summary: "List tokens", about: "Never the tokens themselves.",
	},
	{
		name: "create-token", method: http.MethodPost, path: v1 + "/tokens", permission: permAdmin, scope: scopeAny, bodyMax: bodyBytesMax, cost: costLight,
		audit: "token.create", tag: "tokens", summary: "Make a token", about: "The answer holds the token in clear, this once. An ingest token is for one source of one tenant; an admin token is for the tenant that is chosen, or for all.",
	},
	{
		name: "revoke-token", method: http.MethodDelete, path: v1 + "/tokens/{id}", permission: permAdmin, scope: scopeAny, cost: costLight,
		audit: "token.revoke", tag: "tokens", summary: "Revoke a token", about: "At once and for good.",
	},
	{
		name: "list-webhooks", method: http.MethodGet, path: v1 + "/webhooks", permission: permRead, scope: scopeOne, cost: costScan,
		tag: "webhooks", summary: "List receivers and what waits for them",
	},
	{
		name: "retry-webhook", method: http.MethodPost, path: v1 + "/webhooks/{id}/retry", permission: permWrite, scope: scopeOne, cost: costLight,
		audit: "webhook.retry", tag: "webhooks", summary: "Deliver a notification again",
	},
	{
		name: "backup", method: http.MethodPost, path: v1 + "/backup", permission: permAdmin, scope: scopeNone, bodyMax: bodyBytesMax, cost: costHeavy,
		audit: "backup.create", tag: "operation", summary: "Write a backup", about: "Into the folder that the configuration names; the label becomes part of its name.",
	},
}
