package pack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/event"
)

// OCSFVersion is the version of the schema that OCSF documents follow.
const OCSFVersion = "1.8.0"

// activityOther is OCSF's activity for what its list does not name.
const activityOther = 99

// ocsfClass is a class of OCSF that views may name.
type ocsfClass struct {
	uid      int
	name     string
	category int
	// required are attributes beyond the base event's, as paths.
	required []string
	// activities are the names by id, beside 0 Unknown and 99 Other.
	activities map[int]string
}

var ocsfCategories = map[int]string{1: "System Activity", 2: "Findings", 3: "Identity & Access Management", 4: "Network Activity", 5: "Discovery", 6: "Application Activity", 7: "Remediation"}

func classActivities(list string) map[int]string {
	out := map[int]string{}
	for _, item := range strings.Split(list, ",") {
		id, name, _ := strings.Cut(strings.TrimSpace(item), " ")
		n, _ := strconv.Atoi(id)
		out[n] = name
	}
	return out
}

// ocsfClasses are the classes of OCSF 1.8.0 that views map to, from
// github.com/ocsf/ocsf-schema at v1.8.0.
var ocsfClasses = func() map[int]ocsfClass {
	list := []ocsfClass{
		{1001, "File System Activity", 1, []string{"actor", "device", "file"}, classActivities("1 Create,2 Read,3 Update,4 Delete,5 Rename,6 Set Attributes,7 Set Security,8 Get Attributes,9 Get Security,10 Encrypt,11 Decrypt,12 Mount,13 Unmount,14 Open")},
		{1002, "Kernel Extension Activity", 1, []string{"actor", "device", "driver"}, classActivities("1 Load,2 Unload")},
		{1005, "Module Activity", 1, []string{"actor", "device", "module"}, classActivities("1 Load,2 Unload,3 Invoke")},
		{1006, "Scheduled Job Activity", 1, []string{"device", "job"}, classActivities("1 Create,2 Update,3 Delete,4 Enable,5 Disable,6 Start")},
		{1007, "Process Activity", 1, []string{"actor", "device", "process"}, classActivities("1 Launch,2 Terminate,3 Open,4 Inject,5 Set User ID")},
		{1008, "Event Log Activity", 1, []string{"device"}, classActivities("1 Clear,2 Delete,3 Export,4 Archive,5 Rotate,6 Start,7 Stop,8 Restart,9 Enable,10 Disable")},
		{1009, "Script Activity", 1, []string{"device", "script"}, classActivities("1 Execute")},
		{201001, "Registry Key Activity", 1, []string{"actor", "device", "reg_key"}, classActivities("1 Create,2 Read,3 Modify,4 Delete,5 Rename,6 Open,7 Restore,8 Import,9 Export")},
		{201002, "Registry Value Activity", 1, []string{"actor", "device", "reg_value"}, classActivities("1 Get,2 Set,3 Modify,4 Delete")},
		{201004, "Windows Service Activity", 1, []string{"device", "win_service"}, classActivities("1 Create,2 Reconfigure,3 Start,4 Stop,5 Pause,6 Continue,7 Delete")},
		{2004, "Detection Finding", 2, []string{"finding_info.uid"}, classActivities("1 Create,2 Update,3 Close")},
		{3001, "Account Change", 3, []string{"user"}, classActivities("1 Create,2 Enable,3 Password Change,4 Password Reset,5 Disable,6 Delete,7 Attach Policy,8 Detach Policy,9 Lock")},
		{3002, "Authentication", 3, []string{"user"}, classActivities("1 Logon,2 Logoff,3 Authentication Ticket,4 Service Ticket Request,5 Service Ticket Renew,6 Preauth,7 Account Switch")},
		{3003, "Authorize Session", 3, []string{"user"}, classActivities("1 Assign Privileges,2 Assign Groups")},
		{3006, "Group Management", 3, []string{"group"}, classActivities("1 Assign Privileges,2 Revoke Privileges,3 Add User,4 Remove User,5 Delete,6 Create")},
		{4001, "Network Activity", 4, nil, classActivities("1 Open,2 Close,3 Reset,4 Fail,5 Refuse,6 Traffic,7 Listen")},
		{4002, "HTTP Activity", 4, nil, classActivities("1 Connect,2 Delete,3 Get,4 Head,5 Options,6 Post,7 Put,8 Trace,9 Patch")},
		{4003, "DNS Activity", 4, nil, classActivities("1 Query,2 Response,6 Traffic")},
		{4004, "DHCP Activity", 4, nil, classActivities("1 Discover,2 Offer,3 Request,4 Decline,5 Ack,6 Nak,7 Release,8 Inform,9 Expire")},
		{4005, "RDP Activity", 4, nil, classActivities("1 Initial Request,2 Initial Response,3 Connect Request,4 Connect Response,5 TLS Handshake,6 Traffic,7 Disconnect,8 Reconnect")},
		{4006, "SMB Activity", 4, nil, classActivities("1 File Supersede,2 File Open,3 File Create,4 File Open If,5 File Overwrite,6 File Overwrite If")},
		{4007, "SSH Activity", 4, nil, classActivities("1 Open,2 Close,3 Reset,4 Fail,5 Refuse,6 Traffic,7 Listen")},
		{4008, "FTP Activity", 4, nil, classActivities("1 Put,2 Get,3 Poll,4 Delete,5 Rename,6 List")},
		{4009, "Email Activity", 4, nil, classActivities("1 Send,2 Receive,3 Scan,4 Trace")},
		{4013, "NTP Activity", 4, nil, classActivities("1 Symmetric Active Exchange,2 Symmetric Passive Response,3 Client Synchronization,4 Server Response,5 Broadcast,6 Control,7 Private Use Case")},
		{4014, "Tunnel Activity", 4, nil, classActivities("1 Open,2 Close,3 Renew")},
		{6008, "Application Error", 6, nil, classActivities("1 General Error,2 Translation Error")},
		{6003, "API Activity", 6, []string{"actor", "api", "src_endpoint"}, classActivities("1 Create,2 Read,3 Update,4 Delete")},
		{6005, "Datastore Activity", 6, []string{"actor", "src_endpoint"}, classActivities("1 Read,2 Update,3 Connect,4 Query,5 Write,6 Create,7 Delete,8 List,9 Encrypt,10 Decrypt")},
	}
	out := make(map[int]ocsfClass, len(list))
	for _, c := range list {
		out[c.uid] = c
	}
	return out
}()

// ocsfIntegers are the attributes, by their last name, that OCSF types as
// numbers.
var ocsfIntegers = map[string]bool{
	"pid": true, "tid": true, "port": true, "code": true, "size": true, "bytes": true, "bytes_in": true, "bytes_out": true,
	"packets": true, "status_id": true, "logon_type_id": true, "type_id": true, "severity_id": true, "rcode_id": true, "integrity_id": true,
	"direction_id": true, "count": true, "uid_number": true, "confidence_score": true,
}

// ocsfMap says what a view's events are in OCSF.
type ocsfMap struct {
	when     []condition
	any      [][]condition
	class    ocsfClass
	activity activityDoc
	fields   []ocsfField
	source   event.Lookup
}

type ocsfField struct {
	path   []string
	lookup event.Lookup
}

func (c *compiler) ocsf(d *ocsfDoc, v *view) *ocsfMap {
	class, ok := ocsfClasses[d.ClassUID]
	if !ok {
		c.fail(d.place, "ocsf: class_uid %d is not a class that can be mapped to; the classes are %s", d.ClassUID, classList())
		return nil
	}
	seen := func(f string) event.Lookup { return v.fieldLookup(c.pack, f) }
	m := &ocsfMap{class: class, activity: d.Activity, when: c.conditions(d.When, seen)}
	for _, a := range d.WhenAny {
		m.any = append(m.any, c.conditions(a, seen))
	}
	ids := []int{m.activity.Constant}
	for _, row := range m.activity.Table {
		ids = append(ids, row.id)
	}
	for _, id := range ids {
		if _, ok := class.activities[id]; !ok && id != 0 && id != activityOther {
			c.fail(d.place, "ocsf: class %d %s has no activity_id %d", class.uid, class.name, id)
		}
	}
	if m.activity.Field != "" {
		m.source = seen(m.activity.Field)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Fields)) {
		f := d.Fields[name]
		m.fields = append(m.fields, ocsfField{path: strings.Split(name, "."), lookup: c.viewLookup(&f, v)})
	}
	return m
}

// viewLookup compiles a mapping of ocsf, whose paths are fields of the view.
func (c *compiler) viewLookup(m *mapping, v *view) event.Lookup {
	if m.fn == "" && len(m.paths) == 1 {
		return v.fieldLookup(c.pack, m.paths[0])
	}
	if m.fn == "" {
		l := event.Lookup{Func: "first"}
		for _, p := range m.paths {
			l.Args = append(l.Args, v.fieldLookup(c.pack, p))
		}
		return l
	}
	l := c.lookup(&mapping{fn: m.fn, params: m.params, args: m.args, place: m.place}, c.path)
	for i := range m.args {
		if i < len(l.Args) {
			l.Args[i] = c.viewLookup(&m.args[i], v)
		}
	}
	return l
}

func classList() string {
	var out []string
	for _, uid := range slices.Sorted(maps.Keys(ocsfClasses)) {
		out = append(out, strconv.Itoa(uid))
	}
	return strings.Join(out, ", ")
}

// ocsfPlans holds a plan for each view that was asked for.
type ocsfPlans struct {
	mu    sync.Mutex
	plans map[int]*ocsfPlan
}

type ocsfPlan struct {
	plan *event.Plan
	maps []ocsfSlots
	host int
}

type ocsfSlots struct {
	*ocsfMap
	when     []int
	any      [][]int
	activity int
	slots    []int
}

func (s *Set) ocsfPlan(id int, v *view) *ocsfPlan {
	s.ocsf.mu.Lock()
	defer s.ocsf.mu.Unlock()
	if p := s.ocsf.plans[id]; p != nil {
		return p
	}
	p := &ocsfPlan{plan: event.NewPlan(Funcs())}
	slots := func(conditions []condition) (out []int) {
		for _, c := range conditions {
			out = append(out, p.plan.Slot(c.lookup))
		}
		return out
	}
	for _, m := range v.ocsf {
		o := ocsfSlots{ocsfMap: m, when: slots(m.when), activity: p.plan.Slot(m.source)}
		for _, a := range m.any {
			o.any = append(o.any, slots(a))
		}
		for _, f := range m.fields {
			o.slots = append(o.slots, p.plan.Slot(f.lookup))
		}
		p.maps = append(p.maps, o)
	}
	p.host = p.plan.Slot(v.Lookup("Computer"))
	if s.ocsf.plans == nil {
		s.ocsf.plans = map[int]*ocsfPlan{}
	}
	s.ocsf.plans[id] = p
	return p
}

// pick returns the first mapping whose conditions hold, or nil.
func (p *ocsfPlan) pick(r *event.Reader) *ocsfSlots {
	var fold []byte
	holds := func(conditions []condition, slots []int) bool {
		for i, slot := range slots {
			if !anyText(r.Texts(slot), conditions[i].globs, &fold) {
				return false
			}
		}
		return true
	}
	for i := range p.maps {
		m := &p.maps[i]
		ok := holds(m.ocsfMap.when, m.when) && len(m.any) == 0
		for j := range m.any {
			ok = ok || holds(m.ocsfMap.when, m.when) && holds(m.ocsfMap.any[j], m.any[j])
		}
		if ok {
			return m
		}
	}
	return nil
}

func anyText(texts [][]byte, g globs, fold *[]byte) bool {
	for _, t := range texts {
		if g.match(t, fold) {
			return true
		}
	}
	return false
}

// view returns the compiled view of that id.
func (s *Set) view(id int) (*Pack, *view) {
	if id < 0 {
		return nil, nil
	}
	for _, p := range s.packs {
		if id < len(p.views) {
			return p, p.views[id]
		}
		id -= len(p.views)
	}
	return nil, nil
}

// OCSF returns the record as an OCSF event in JSON: the class of the view, the
// base event's required attributes, those the view maps, all else below
// unmapped, and the hash of the raw bytes. A view without a class gives the
// Base Event (class_uid 0). It returns nil when the set has no such view. It is
// made on demand, for output, and allocates; safe for concurrent use.
func (s *Set) OCSF(rec *event.Record, view int) []byte {
	pack, v := s.view(view)
	if v == nil {
		return nil
	}
	p := s.ocsfPlan(view, v)
	r := p.plan.Reader()
	r.Bind(&rec.Tree)
	doc := map[string]any{
		"metadata": map[string]any{
			"version": OCSFVersion,
			"product": map[string]any{"name": pack.Name, "vendor_name": vendor(v)},
		},
		"severity_id":   1,
		"severity":      "Informational",
		"time":          rec.Time.UnixMilli(),
		"raw_data_size": len(rec.Raw),
		"raw_data_hash": map[string]any{"algorithm_id": 3, "algorithm": "SHA-256", "value": rawHash(rec.Raw)},
	}
	if rec.Time.IsZero() {
		doc["time"] = 0
	}
	class, activity := ocsfClass{name: "Base Event"}, 0
	used := map[int]bool{} // nodes whose values are mapped as they stand
	if m := p.pick(r); m != nil {
		class, activity = m.class, m.ocsfMap.activity.id(r, m.activity)
		for i, f := range m.fields {
			if texts := r.Texts(m.slots[i]); len(texts) > 0 {
				setPath(doc, f.path, ocsfValue(f.path, texts))
				for _, n := range r.Nodes(m.slots[i]) {
					used[int(n)] = true
				}
			}
		}
	}
	doc["class_uid"], doc["class_name"] = class.uid, class.name
	doc["category_uid"] = class.category
	if name, ok := ocsfCategories[class.category]; ok {
		doc["category_name"] = name
	} else {
		doc["category_name"] = "Uncategorized"
	}
	doc["activity_id"], doc["activity_name"] = activity, activityName(class, activity)
	doc["type_uid"] = class.uid*100 + activity
	if class.category == 1 {
		if _, ok := doc["device"]; !ok {
			device := map[string]any{"type_id": 0}
			if host := r.Texts(p.host); len(host) > 0 {
				device["hostname"] = string(host[0])
			}
			doc["device"] = device
		}
	}
	for _, path := range class.required {
		// A required object that the record says nothing of is there, empty.
		steps := strings.Split(path, ".")
		if len(steps) == 1 {
			if _, ok := doc[path]; !ok {
				doc[path] = map[string]any{}
			}
		} else if !hasPath(doc, steps) {
			setPath(doc, steps, rawHash(rec.Raw))
		}
	}
	if rest := unmapped(&rec.Tree, used); len(rest) > 0 {
		doc["unmapped"] = json.RawMessage(rest)
	}
	out, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("pack: OCSF document: %v", err)) // the parts are all JSON
	}
	return out
}

// unmapped returns the record as JSON without the values in used, and without
// the containers that are empty without them; nil when nothing is left. What a
// function made a value from stays, since the value does not hold all of it.
func unmapped(t *event.Tree, used map[int]bool) []byte {
	if t.Len() == 0 {
		return nil
	}
	out, _ := appendUnmapped(nil, t, 0, used)
	return out
}

func appendUnmapped(dst []byte, t *event.Tree, i int, used map[int]bool) ([]byte, bool) {
	kind := t.Kind(i)
	if used[i] {
		return dst, false
	}
	if kind != event.Object && kind != event.Array || t.End(i) == i+1 {
		return t.AppendJSON(dst, i), true
	}
	start := len(dst)
	open, closing := byte('{'), byte('}')
	if kind == event.Array {
		open, closing = '[', ']'
	}
	dst = append(dst, open)
	some := false
	for c := i + 1; c < t.End(i); c = t.End(c) {
		before := len(dst)
		if some {
			dst = append(dst, ',')
		}
		if kind == event.Object {
			dst = event.AppendQuoted(dst, t.Key(c))
			dst = append(dst, ':')
		}
		var kept bool
		if dst, kept = appendUnmapped(dst, t, c, used); !kept {
			dst = dst[:before]
		}
		some = some || kept
	}
	if !some {
		return dst[:start], false
	}
	return append(dst, closing), true
}

// id returns the activity of the bound record.
func (a *activityDoc) id(r *event.Reader, slot int) int {
	if a.Field == "" {
		return a.Constant
	}
	var fold []byte
	for _, text := range r.Texts(slot) {
		fold, _ = event.AppendFold(fold[:0], text)
		for i := range a.Table {
			if a.Table[i].glob.matchFolded(fold) {
				return a.Table[i].id
			}
		}
	}
	return a.Constant
}

func vendor(v *view) string {
	if v.Product != "" {
		return v.Product
	}
	return v.Pack
}

func rawHash(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func activityName(c ocsfClass, id int) string {
	switch id {
	case 0:
		return "Unknown"
	case activityOther:
		return "Other"
	}
	return c.activities[id]
}

func ocsfValue(path []string, texts [][]byte) any {
	last := path[len(path)-1]
	if ocsfIntegers[last] {
		if n, err := strconv.ParseInt(string(texts[0]), 0, 64); err == nil {
			return n
		}
	}
	if strings.HasSuffix(last, "s") && len(texts) > 1 {
		out := make([]string, len(texts))
		for i, t := range texts {
			out[i] = string(t)
		}
		return out
	}
	return string(texts[0])
}

func setPath(doc map[string]any, path []string, value any) {
	for _, p := range path[:len(path)-1] {
		next, ok := doc[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			doc[p] = next
		}
		doc = next
	}
	doc[path[len(path)-1]] = value
}

func hasPath(doc map[string]any, path []string) bool {
	for _, p := range path[:len(path)-1] {
		next, ok := doc[p].(map[string]any)
		if !ok {
			return false
		}
		doc = next
	}
	_, ok := doc[path[len(path)-1]]
	return ok
}
