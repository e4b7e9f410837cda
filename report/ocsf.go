package report

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

type ocsf struct {
	w       io.Writer
	version string
	buf     []byte
}

func newOCSF(w io.Writer, o Options) Writer { return &ocsf{w: w, version: o.Version} }

func (o *ocsf) Close(*pipeline.Stats) error { return nil }

// severityID is OCSF's severity_id by level: 1 Informational to 5 Critical.
var severityID = [...]int64{rule.Informational: 1, rule.Low: 2, rule.Medium: 3, rule.High: 4, rule.Critical: 5}

// Match writes a Detection Finding (class 2004, activity 1 Create) with the
// attributes of OCSF 1.8.0. A match without a time has time 0, since OCSF
// demands one, and says so under unmapped.
func (o *ocsf) Match(m *pipeline.Match) error {
	r := m.Rule
	var at int64
	if !m.Time.IsZero() {
		at = m.Time.UnixMilli()
	}
	b := append(o.buf[:0], `{"class_uid":2004,"category_uid":2,"activity_id":1,"type_uid":200401`...)
	b = appendIntMember(b, "severity_id", severityID[r.Level])
	b = appendIntMember(b, "status_id", 1)
	b = appendIntMember(b, "time", at)
	b = append(appendKey(b, "is_alert"), "true"...)
	b = append(appendKey(b, "metadata"), `{"version":"1.8.0","product":{"name":"Tiercel","vendor_name":"Tiercel"`...)
	b = appendTextMember(b, "version", o.version)
	b = append(b, "}}"...)

	b = append(appendKey(b, "finding_info"), '{')
	b = appendTextMember(b, "uid", findingUID(m))
	b = appendTextMember(b, "title", r.Title)
	if r.Description != "" {
		b = appendTextMember(b, "desc", r.Description)
	}
	if at != 0 {
		b = appendIntMember(b, "created_time", at)
	}
	b = append(appendKey(b, "analytic"), '{')
	b = appendTextMember(b, "name", r.Title)
	b = appendTextMember(b, "uid", "sigma:"+r.ID)
	b = append(b, `,"type_id":1,"type":"Rule"}`...)
	if attacks := appendAttacks(nil, r.Tags); attacks != nil {
		b = append(appendKey(b, "attacks"), attacks...)
	}
	b = append(b, '}')

	b = append(appendKey(b, "evidences"), `[{"data":{`...)
	b = appendEvidence(b, &m.Evidence)
	b = appendSource(appendKey(b, "source"), m.Source)
	b = appendFields(appendKey(b, "fields"), m.Fields)
	b = append(appendKey(b, "event"), m.Event...)
	b = append(b, "}}"...)
	for i := range m.Parts {
		if m.Parts[i] != m.Evidence {
			b = append(appendEvidence(append(b, `,{"data":{`...), &m.Parts[i]), "}}"...)
		}
	}
	b = append(b, ']')
	if m.Host != "" {
		b = append(appendKey(b, "resources"), `[{"type":"host"`...)
		b = appendTextMember(b, "name", m.Host)
		b = append(b, "}]"...)
	}
	b = append(appendKey(b, "unmapped"), '{')
	b = appendTextMember(b, "time_quality", m.TimeQuality.String())
	b = appendTextMember(b, "rule_author", r.Author)
	b = appendTextMember(b, "rule_license", r.License)
	b = appendTextMember(b, "rule_file", r.File)
	b = append(b, "}}\n"...)
	o.buf = b
	_, err := o.w.Write(b)
	return err
}

// appendEvidence writes what a record is known by again.
func appendEvidence(b []byte, e *pipeline.Evidence) []byte {
	b = appendTextMember(b, "event_id", e.ID.String())
	return appendTextMember(b, "raw_hash", "sha256:"+hex.EncodeToString(e.RawHash[:]))
}

// findingUID is the same for the same rule's semantics on the same record of
// the same path.
func findingUID(m *pipeline.Match) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %d", m.Rule.ID, m.Rule.SemanticHash, m.Source.Path, m.Source.Record, m.Source.Offset)
	return "f_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// tactics are the enterprise tactics of MITRE ATT&CK by the name that Sigma
// tags use.
var tactics = map[string][2]string{
	"reconnaissance":       {"TA0043", "Reconnaissance"},
	"resource-development": {"TA0042", "Resource Development"},
	"initial-access":       {"TA0001", "Initial Access"},
	"execution":            {"TA0002", "Execution"},
	"persistence":          {"TA0003", "Persistence"},
	"privilege-escalation": {"TA0004", "Privilege Escalation"},
	"defense-evasion":      {"TA0005", "Defense Evasion"},
	"credential-access":    {"TA0006", "Credential Access"},
	"discovery":            {"TA0007", "Discovery"},
	"lateral-movement":     {"TA0008", "Lateral Movement"},
	"collection":           {"TA0009", "Collection"},
	"command-and-control":  {"TA0011", "Command and Control"},
	"exfiltration":         {"TA0010", "Exfiltration"},
	"impact":               {"TA0040", "Impact"},
}

// appendAttacks writes one attack object for each technique among tags, each
// with the rule's tactics, since a tag does not say which belongs to which; one
// with the tactics alone when there is no technique; and nothing for neither.
func appendAttacks(b []byte, tags []string) []byte {
	var tactic, technique []string
	for _, tag := range tags {
		name, ok := strings.CutPrefix(strings.ToLower(tag), "attack.")
		if !ok {
			continue
		}
		name = strings.ReplaceAll(name, "_", "-")
		if t, known := tactics[name]; known {
			tactic = append(tactic, string(appendTextMember(appendTextMember([]byte{'{'}, "uid", t[0]), "name", t[1]))+"}")
		} else if len(name) >= 5 && name[0] == 't' && strings.Trim(name[1:], "0123456789.") == "" {
			technique = append(technique, strings.ToUpper(name))
		}
	}
	list := ""
	if len(tactic) > 0 {
		list = `"tactics":[` + strings.Join(tactic, ",") + "]"
	}
	if len(technique) == 0 {
		if list == "" {
			return nil
		}
		return append(append(append(b, "[{"...), list...), "}]"...)
	}
	b = append(b, '[')
	for i, t := range technique {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"technique":{"uid":`...)
		b = append(appendText(b, t), '}')
		if list != "" {
			b = append(append(b, ','), list...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}
