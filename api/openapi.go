package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/quarantine"
)

// documentVersion is the version of the API, not of the program, so that the
// document changes only when the API does.
const documentVersion = "1.0.0"

const securityName = "token"

func humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Tiercel", Version: documentVersion,
				Description: "Detections, quarantine, ledger and operation of a running Tiercel.\n\n" +
					"Every request but for this document carries `Authorization: Bearer TOKEN`. A token of one tenant sees that tenant only; " +
					"a token of all tenants chooses one with `?tenant=NAME`, which may be left out where the configuration has just one. " +
					"Unknown query keys and JSON keys are refused, and so are keys in other letters or given twice and text that is not Unicode. Times are RFC 3339; names end in their unit.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					securityName: {Type: "http", Scheme: "bearer", Description: "An admin token."},
				},
			},
			Security: []map[string][]string{{securityName: {}}},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{translate},
	}
}

// operation is a row of the table as huma wants it.
func operation(r *route) huma.Operation {
	return huma.Operation{
		OperationID: r.name, Method: r.method, Path: r.path, Summary: r.summary, Description: r.about, Tags: []string{r.tag},
		// The guard has read the body and kept it within the bound; huma
		// refuses what reaches its own.
		MaxBodyBytes: r.bodyMax + 1, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{"default": errorResponse()},
		Extensions: map[string]any{
			"x-permission": string(r.permission), "x-tenant": string(r.scope), "x-body-bytes-max": r.bodyMax, "x-cost": string(r.cost),
		},
	}
}

func errorResponse() *huma.Response {
	return &huma.Response{
		Description: "The request failed; `code` says why.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Ref: "#/components/schemas/Error"}}},
	}
}

// tidy takes huma's own errors out of the document and puts this API's in, and
// describes the one route that huma does not serve.
func tidy(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas
	delete(schemas.Map(), "ErrorModel")
	delete(schemas.Map(), "ErrorDetail")
	schemas.Schema(reflect.TypeFor[Error](), true, "Error")
	describeStream(doc, v1+"/detections/feed", map[string]reflect.Type{
		"text/event-stream": reflect.TypeFor[detection.Detection](), "application/x-ndjson": reflect.TypeFor[detection.Detection](),
	})
	describeStream(doc, v1+"/quarantine/{id}", map[string]reflect.Type{
		"application/json": reflect.TypeFor[quarantine.Entry](), "application/octet-stream": nil,
	})
	code := schemas.Map()["ErrorBody"].Properties["code"]
	for _, row := range ErrorCodes {
		code.Enum = append(code.Enum, string(row.Code))
	}
	for _, schema := range schemas.Map() {
		neverNull(schema)
	}
	for i := range routes {
		if r := &routes[i]; r.permission == permPublic {
			op := operation(r)
			op.Security = []map[string][]string{} // none
			op.Responses["200"] = &huma.Response{
				Description: "The document", Content: map[string]*huma.MediaType{"application/openapi+json": {Schema: &huma.Schema{Type: huma.TypeObject}}},
			}
			doc.AddOperation(&op)
		}
	}
}

// describeStream says what a route answers whose handler writes by itself. A
// nil type is bytes.
func describeStream(doc *huma.OpenAPI, path string, types map[string]reflect.Type) {
	answer := &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{}}
	for name, t := range types {
		schema := &huma.Schema{Type: huma.TypeString, Format: "binary"}
		if t != nil {
			schema = doc.Components.Schemas.Schema(t, true, t.Name())
		}
		answer.Content[name] = &huma.MediaType{Schema: schema}
	}
	doc.Paths[path].Get.Responses["200"] = answer
}

// neverNull says of lists that they are lists: an empty one is sent as [].
func neverNull(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	neverNull(s.Items)
	for _, p := range s.Properties {
		neverNull(p)
	}
}

// Document returns the OpenAPI 3.1 document, indented, with a line feed at its
// end. It is the same for every installation.
func Document() ([]byte, error) {
	s, _, err := build(Config{})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return nil, fmt.Errorf("indent the OpenAPI document: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
