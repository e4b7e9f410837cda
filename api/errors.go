package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

// Code is the stable name of an error; clients compare it.
type Code string

// The codes of all errors.
const (
	CodeInvalid         Code = "invalid_request"
	CodeTenantRequired  Code = "tenant_required"
	CodeUnauthorized    Code = "unauthorized"
	CodeWriteForbidden  Code = "write_forbidden"
	CodeAdminRequired   Code = "admin_required"
	CodeTenantForbidden Code = "tenant_forbidden"
	CodeUnknownTenant   Code = "unknown_tenant"
	CodeNotFound        Code = "not_found"
	CodeMethod          Code = "method_not_allowed"
	CodeNotAcceptable   Code = "not_acceptable"
	CodeTimeout         Code = "request_timeout"
	CodeConflict        Code = "conflict"
	CodeTooLarge        Code = "body_too_large"
	CodeMediaType       Code = "unsupported_media_type"
	CodeBusy            Code = "busy"
	CodeInternal        Code = "internal"
	CodeUnsupported     Code = "unsupported"
	CodeUnavailable     Code = "unavailable"
	CodeDiskFull        Code = "disk_full"
)

// ErrorCode is a row of the table of errors.
type ErrorCode struct {
	Code   Code
	Status int
	// Message is what the client reads when there is nothing more special to
	// say; Advice says what to do.
	Message, Advice string
}

// ErrorCodes is the table of errors, from which the reference is made.
var ErrorCodes = []ErrorCode{
	{CodeInvalid, http.StatusBadRequest, "the request is not valid", "Correct what `details` names; unknown query keys and JSON keys are refused."},
	{CodeTenantRequired, http.StatusBadRequest, "the token may see several tenants, and none was chosen", "Add `?tenant=NAME`."},
	{CodeUnauthorized, http.StatusUnauthorized, "the token is missing, unknown, revoked or has expired", "Send `Authorization: Bearer TOKEN` with an admin token; `tiercel token` makes one."},
	{CodeWriteForbidden, http.StatusForbidden, "the token may only read", "Use a token that was made with permission to write."},
	{CodeAdminRequired, http.StatusForbidden, "this concerns the whole installation, and the token is for one tenant", "Use an admin token of all tenants."},
	{CodeTenantForbidden, http.StatusForbidden, "the token is for another tenant", "Leave `tenant` out, or use a token of that tenant."},
	{CodeUnknownTenant, http.StatusNotFound, "the configuration names no such tenant", "Choose one that the configuration lists under `tenants`."},
	{CodeNotFound, http.StatusNotFound, "there is no such thing", "Check the id and the tenant; what is older than the retention is gone."},
	{CodeMethod, http.StatusMethodNotAllowed, "the address does not take this method", "Use a method that the header `Allow` names."},
	{CodeNotAcceptable, http.StatusNotAcceptable, "there is no such representation", "Accept `application/json`."},
	{CodeTimeout, http.StatusRequestTimeout, "the body took too long", "Send it again, without pauses."},
	{CodeConflict, http.StatusConflict, "it was changed meanwhile, or is there already", "Read it again and decide anew."},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, "the body is larger than this route takes", "Send less, or nothing where the route takes no body."},
	{CodeMediaType, http.StatusUnsupportedMediaType, "the body is not of a type that is read here", "Send `Content-Type: application/json`."},
	{CodeBusy, http.StatusTooManyRequests, "too much is asked at once", "Come again after the seconds in the header `Retry-After`."},
	{CodeInternal, http.StatusInternalServerError, "something failed here", "Look at the server's log for the time of the request; it names the cause."},
	{CodeUnsupported, http.StatusNotImplemented, "this installation does not do that", "Configure what is needed for it."},
	{CodeUnavailable, http.StatusServiceUnavailable, "the store does not answer", "Look at `/readyz?verbose` and the server's log."},
	{CodeDiskFull, http.StatusInsufficientStorage, "the disk is nearly full", "Make room; it passes by itself."},
}

const errorDocs = "https://github.com/tiercel-io/tiercel/blob/main/docs/reference/api.md#"

// Bounds of what an error says about a request, which may be long.
const (
	detailsMax    = 20
	detailTextMax = 300
)

// Detail says what is wrong with one part of a request.
type Detail struct {
	Where   string `json:"where" doc:"The part, as query.limit or body.name."`
	Message string `json:"message"`
}

// ErrorBody is what stands under "error".
type ErrorBody struct {
	Code    Code     `json:"code" doc:"Stable name; compare this."`
	Message string   `json:"message" doc:"One sentence for people; it may change."`
	Doc     string   `json:"doc" doc:"Where the code is explained."`
	Details []Detail `json:"details,omitempty"`
}

// Error is the answer to a request that failed.
type Error struct {
	Body ErrorBody `json:"error"`

	status int
	wait   int // seconds for Retry-After, or 0
}

// Error implements error.
func (e *Error) Error() string { return string(e.Body.Code) + ": " + e.Body.Message }

// GetStatus is the HTTP status, for huma.
func (e *Error) GetStatus() int { return e.status }

// GetHeaders are the headers that go with it, for huma.
func (e *Error) GetHeaders() http.Header {
	h := http.Header{}
	if e.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(e.wait))
	}
	return h
}

// rowOf is the table's row of a code. Codes are constants of this package, so
// that a missing row is a fault of ours that a test finds.
func rowOf(code Code) ErrorCode {
	for _, row := range ErrorCodes {
		if row.Code == code {
			return row
		}
	}
	return ErrorCode{Code: CodeInternal, Status: http.StatusInternalServerError, Message: "something failed here"}
}

// refuse makes the error of a code; an empty message takes the table's.
func refuse(code Code, message string, details ...Detail) *Error {
	row := rowOf(code)
	if message == "" {
		message = row.Message
	}
	return &Error{Body: ErrorBody{Code: row.Code, Message: message, Doc: errorDocs + string(row.Code), Details: details}, status: row.Status}
}

// invalid is the error for one wrong part of a request.
func invalid(where, format string, args ...any) *Error {
	return refuse(CodeInvalid, "", Detail{Where: where, Message: fmt.Sprintf(format, args...)})
}

// faultOf turns an error of a store or a node into the client's. internal
// reports that its text is for the log only.
func faultOf(err error) (answer *Error, internal bool) {
	var own *Error
	var busy *ingest.Busy
	switch {
	case errors.As(err, &own):
		return own, false
	case errors.As(err, &busy):
		e := refuse(CodeBusy, "")
		e.wait = max(1, int(math.Ceil(busy.Wait.Seconds())))
		return e, false
	case errors.Is(err, detection.ErrCursor), errors.Is(err, quarantine.ErrCursor):
		return invalid("query.cursor", "it is not one that a page gave; start without it"), false
	case errors.Is(err, detection.ErrAmbiguous):
		return invalid("path.id", "more than one begins so; give more of it"), false
	case errors.Is(err, access.ErrInvalid):
		return refuse(CodeInvalid, "", Detail{Where: "body", Message: bounded(err.Error())}), false
	case errors.Is(err, store.ErrNotFound):
		return refuse(CodeNotFound, ""), false
	case errors.Is(err, store.ErrConflict):
		return refuse(CodeConflict, ""), false
	case errors.Is(err, store.ErrUnsupported):
		return refuse(CodeUnsupported, ""), false
	case errors.Is(err, store.ErrFull):
		return refuse(CodeDiskFull, ""), false
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed):
		return refuse(CodeUnavailable, ""), true
	}
	return refuse(CodeInternal, ""), true
}

// missing says what was not found, where that is what err says.
func missing(err error, message string) error {
	if errors.Is(err, store.ErrNotFound) {
		return refuse(CodeNotFound, message)
	}
	return err
}

// codeOfStatus is the code for an error that huma found: of the request's form
// only, since handlers' errors are of this package.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return CodeInvalid
	case http.StatusRequestEntityTooLarge:
		return CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return CodeMediaType
	case http.StatusNotAcceptable:
		return CodeNotAcceptable
	case http.StatusRequestTimeout:
		return CodeTimeout
	}
	return CodeInternal
}

// timeForm is how a time is written.
const timeForm = "it is not a time of RFC 3339, as 2026-03-01T09:30:00Z"

// translate is huma's transformer: its own errors become those of the table.
// The values that a request had are left out; they may be secrets.
func translate(_ huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	e := refuse(codeOfStatus(model.Status), "")
	if e.Body.Code == CodeInternal {
		return e, nil
	}
	for _, d := range model.Errors {
		if len(e.Body.Details) == detailsMax {
			break
		}
		message := d.Message
		if strings.HasPrefix(message, "invalid date/time for format") {
			message = timeForm // huma's own names a layout that only Go knows
		}
		e.Body.Details = append(e.Body.Details, Detail{Where: bounded(d.Location), Message: bounded(message)})
	}
	if len(e.Body.Details) == 0 && model.Detail != "" {
		e.Body.Details = []Detail{{Where: "body", Message: bounded(model.Detail)}}
	}
	return e, nil
}

// bounded cuts text of a request to what an answer repeats of it.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= detailTextMax {
		return text
	}
	cut := detailTextMax
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
