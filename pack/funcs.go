package pack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/event"
)

// Function describes a function of mappings, for the reference.
type Function struct {
	// Name is what a pack writes after func.
	Name string
	// About says what it makes of its arguments.
	About string
	// ArgsMin to ArgsMax arguments and ParamsMin to ParamsMax parameters are
	// taken.
	ArgsMin, ArgsMax, ParamsMin, ParamsMax int

	fn    event.Func
	check func(params []string) error
}

// listMax is the bound of functions that take any number of arguments or
// parameters.
const listMax = 1024

var functions = map[string]Function{
	"args_join":       {About: "all values of the argument, as of an array of program arguments, joined by the parameter (a space when there is none)", ArgsMin: 1, ArgsMax: 1, ParamsMax: 1, fn: argsJoin},
	"basename":        {About: "what follows the last / or \\", ArgsMin: 1, ArgsMax: 1, fn: each(basename)},
	"const":           {About: "the parameters, whatever the event", ParamsMin: 1, ParamsMax: listMax, fn: constant},
	"device_to_drive": {About: `\device\harddiskvolumeN\x as C:\x: the volume's number does not tell its letter, and rules name paths of the system drive`, ArgsMin: 1, ArgsMax: 1, fn: each(deviceToDrive)},
	"extension":       {About: "what follows the last dot of the last path element, without a query", ArgsMin: 1, ArgsMax: 1, fn: each(extension)},
	"first":           {About: "the values of the first argument that has any", ArgsMin: 1, ArgsMax: 16, fn: first},
	"hex_to_decimal":  {About: "0x1a4 as 420; decimal digits as they are; anything else unchanged", ArgsMin: 1, ArgsMax: 1, fn: each(hexToDecimal)},
	"hex_to_text":     {About: "the text that a run of hexadecimal digits encodes, as auditd writes arguments with blanks; NULs become spaces; anything else unchanged", ArgsMin: 1, ArgsMax: 1, fn: each(hexToText)},
	"join":            {About: "the first values of all arguments joined by the parameter, when every argument has one", ArgsMin: 1, ArgsMax: 16, ParamsMin: 1, ParamsMax: 1, fn: join},
	"keyword_mask":    {About: "the keywords of a Windows event as the log writes them, 0x8010000000000000: from a signed number or from the names of the audit keywords", ArgsMin: 1, ArgsMax: 1, fn: each(keywordMask)},
	"lookup":          {About: "the value that a parameter KEY=VALUE gives for the argument, keys compared case-folded; a key given twice makes two values; *=VALUE is for any other, * alone keeps it", ArgsMin: 1, ArgsMax: 1, ParamsMin: 1, ParamsMax: listMax, fn: lookupTable, check: checkTable},
	"lower":           {About: "ASCII letters in lower case", ArgsMin: 1, ArgsMax: 1, fn: each(lower)},
	"not_dash":        {About: "the values that are neither empty nor a dash", ArgsMin: 1, ArgsMax: 1, fn: notDash},
	"percent_decode":  {About: "%41 as A, once; what is no escape stays", ArgsMin: 1, ArgsMax: 1, fn: each(percentDecode)},
	"nth":             {About: "the value with the parameter's number, from 0, of an array", ArgsMin: 1, ArgsMax: 1, ParamsMin: 1, ParamsMax: 1, fn: nth, check: checkNumber},
	"present":         {About: "the parameters whose arguments, one for each, are there", ArgsMin: 1, ArgsMax: 64, ParamsMin: 1, ParamsMax: 64, fn: present},
	"query_values":    {About: "of a query string and the request's full target: both, each as written and percent-decoded once [D51]", ArgsMin: 2, ArgsMax: 2, fn: queryValues},
	"query_of":        {About: "what follows the first ? of a URL or request target", ArgsMin: 1, ArgsMax: 1, fn: queryOf},
	"regex_group":     {About: "what the first group of the parameter, an RE2 pattern, finds", ArgsMin: 1, ArgsMax: 1, ParamsMin: 1, ParamsMax: 1, fn: regexGroup, check: checkRegex},
	"registry_path":   {About: `\REGISTRY\MACHINE\… and \REGISTRY\USER\… as HKLM\… and HKU\…, with the second argument as the value's name; a path through ControlSet00N also as CurrentControlSet`, ArgsMin: 1, ArgsMax: 2, fn: registryPath},
	"replace_prefix":  {About: "FROM=TO replaces the prefix FROM, compared case-folded; the first that fits", ArgsMin: 1, ArgsMax: 1, ParamsMin: 1, ParamsMax: listMax, fn: replacePrefix, check: checkPairs},
	"select":          {About: "of the second argument's values those whose counterparts in the first, an array beside it, equal the parameter; all of them when the two do not pair up", ArgsMin: 2, ArgsMax: 2, ParamsMin: 1, ParamsMax: 1, fn: selectPaired},
	"sockaddr_ip":     {About: "the address in the hexadecimal socket address of an audit record", ArgsMin: 1, ArgsMax: 1, fn: each(sockaddrIP)},
	"sockaddr_port":   {About: "the port in the hexadecimal socket address of an audit record", ArgsMin: 1, ArgsMax: 1, fn: each(sockaddrPort)},
	"split":           {About: "the piece with the second parameter's number, from 0, of the value cut at the first parameter; negative numbers count from the end", ArgsMin: 1, ArgsMax: 1, ParamsMin: 2, ParamsMax: 2, fn: split, check: checkSplit},
	"tagged_hash":     {About: "hashes of which each argument holds one as ALG=HEX, joined by commas as Sysmon does; the parameters name the algorithms", ArgsMin: 1, ArgsMax: 8, ParamsMin: 1, ParamsMax: 8, fn: taggedHash},
	"host_of_address": {About: "an address without its port: 192.0.2.1:443 and [2001:db8::1]:443; any other text stays", ArgsMin: 1, ArgsMax: 1, fn: each(hostOfAddress)},
	"map_value":       {About: "the TEXT of the first parameter PATTERN=TEXT that fits a value, compared case-folded with * for any run; & in TEXT stands for the value, an empty TEXT drops it", ArgsMin: 1, ArgsMax: 1, ParamsMin: 1, ParamsMax: listMax, fn: mapValue, check: checkMapValue},
	"named_value":     {About: "of objects that hold a name and a value, the value of one name; the parameters are the name, the key of the names and the keys of values", ArgsMin: 1, ArgsMax: 1, ParamsMin: 3, ParamsMax: 16, fn: namedValue},
	"pim_alert_kind":  {About: "the kind of a Microsoft privileged identity alert, from the OData types of its incidents (first argument) or the id of its definition (second)", ArgsMin: 2, ArgsMax: 2, fn: pimAlertKind},
	"plus_as_space":   {About: "each value, and once more with plus signs as blanks when it has some and no blank", ArgsMin: 1, ArgsMax: 1, fn: plusAsSpace},
	"request_target":  {About: "a path and a query (a dash or nothing for none) joined by ?", ArgsMin: 2, ArgsMax: 2, fn: requestTarget},
	"success_unless":  {About: "the first parameter when the first argument has a value and the second none, the second parameter when both have one", ArgsMin: 2, ArgsMax: 2, ParamsMin: 2, ParamsMax: 2, fn: successUnless},
	"union":           {About: "the values of all arguments, each text once", ArgsMin: 1, ArgsMax: 16, fn: union},
	"url_host":        {About: "the host of a URL or of host:port", ArgsMin: 1, ArgsMax: 1, fn: each(urlHost)},
	"url_path":        {About: "the path of a URL or request target", ArgsMin: 1, ArgsMax: 1, fn: each(urlPath)},
	"url_target":      {About: "path and query of a URL or request target", ArgsMin: 1, ArgsMax: 1, fn: each(urlTarget)},
	"whole_url":       {About: "of a host and a request target the URL under the parameter's scheme, and the target alone; a target that is a URL already stays one", ArgsMin: 2, ArgsMax: 2, ParamsMin: 1, ParamsMax: 1, fn: wholeURL},
}

// Funcs returns the functions that packs' lookups name, for [event.NewPlan].
func Funcs() map[string]event.Func {
	out := make(map[string]event.Func, len(functions))
	for name, f := range functions {
		out[name] = f.fn
	}
	return out
}

// Functions lists the functions by name, for the reference.
func Functions() []Function {
	var out []Function
	for _, name := range functionNames() {
		f := functions[name]
		f.Name = name
		out = append(out, f)
	}
	return out
}

func functionNames() []string {
	out := make([]string, 0, len(functions))
	for name := range functions {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// buffers holds scratch space for functions: what is given to emit escapes, so
// a local array would be allocated for each value.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// bufferBytesKept bounds what a buffer in the pool holds on to.
const bufferBytesKept = 64 << 10

func takeBuffer() *[]byte { return buffers.Get().(*[]byte) }

// giveBuffer returns a buffer whose memory is now that of used.
func giveBuffer(b *[]byte, used []byte) {
	if cap(used) <= bufferBytesKept {
		*b = used[:0]
		buffers.Put(b)
	}
}

// equalFold compares with ASCII letters folded; keys of packs are ASCII.
func equalFold(s string, b []byte) bool {
	if len(s) != len(b) {
		return false
	}
	for i := range b {
		x, y := s[i], b[i]
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

// each makes a Func of one that appends what it makes of one value; ok false
// drops the value.
func each(f func(dst, in []byte) ([]byte, bool)) event.Func {
	return func(in [][][]byte, _ []string, emit func([]byte)) {
		b := takeBuffer()
		out := *b
		for _, v := range in[0] {
			made, ok := f(out[:0], v)
			if ok {
				out = made
				emit(made)
			}
		}
		giveBuffer(b, out)
	}
}

func argsJoin(in [][][]byte, params []string, emit func([]byte)) {
	if len(in[0]) == 0 {
		return
	}
	sep := " "
	if len(params) > 0 {
		sep = params[0]
	}
	b := takeBuffer()
	out := (*b)[:0]
	for i, v := range in[0] {
		if i > 0 {
			out = append(out, sep...)
		}
		out = append(out, v...)
	}
	emit(out)
	giveBuffer(b, out)
}

func basename(dst, in []byte) ([]byte, bool) {
	return append(dst, in[bytes.LastIndexAny(in, `/\`)+1:]...), true
}

func constant(_ [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for _, p := range params {
		out = append(out[:0], p...)
		emit(out)
	}
	giveBuffer(b, out)
}

func deviceToDrive(dst, in []byte) ([]byte, bool) {
	const prefix = `\device\harddiskvolume`
	if len(in) > len(prefix) && equalFold(prefix, in[:len(prefix)]) {
		i := len(prefix)
		for i < len(in) && in[i] >= '0' && in[i] <= '9' {
			i++
		}
		if i > len(prefix) && (i == len(in) || in[i] == '\\') {
			dst = append(dst, 'C', ':')
			return append(dst, in[i:]...), true
		}
	}
	return append(dst, in...), true
}

func extension(dst, in []byte) ([]byte, bool) {
	if i := bytes.IndexAny(in, "?#"); i >= 0 {
		in = in[:i]
	}
	in = in[bytes.LastIndexAny(in, `/\`)+1:]
	i := bytes.LastIndexByte(in, '.')
	if i < 0 {
		return nil, false
	}
	return append(dst, in[i+1:]...), true
}

func first(in [][][]byte, _ []string, emit func([]byte)) {
	for _, arg := range in {
		if len(arg) > 0 {
			for _, v := range arg {
				emit(v)
			}
			return
		}
	}
}

func hexToDecimal(dst, in []byte) ([]byte, bool) {
	if len(in) > 2 && in[0] == '0' && (in[1] == 'x' || in[1] == 'X') {
		if n, err := strconv.ParseUint(string(in[2:]), 16, 64); err == nil {
			return strconv.AppendUint(dst, n, 10), true
		}
	}
	return append(dst, in...), true
}

func hexToText(dst, in []byte) ([]byte, bool) {
	if len(in) < 2 || len(in)%2 != 0 {
		return append(dst, in...), true
	}
	start := len(dst)
	for i := 0; i < len(in); i += 2 {
		hi, lo := hexDigit(in[i]), hexDigit(in[i+1])
		if hi < 0 || lo < 0 {
			return append(dst[:start], in...), true
		}
		c := byte(hi<<4 | lo)
		if c == 0 {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst, true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func join(in [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := (*b)[:0]
	for i, arg := range in {
		if len(arg) == 0 {
			giveBuffer(b, out)
			return
		}
		if i > 0 {
			out = append(out, params[0]...)
		}
		out = append(out, arg[0]...)
	}
	emit(out)
	giveBuffer(b, out)
}

// keywordMask undoes what shippers make of the 64-bit keyword mask: NXLog writes
// it as a signed number, Winlogbeat the names of its bits. The two audit
// keywords stand for the masks that Windows sets them in.
func keywordMask(dst, in []byte) ([]byte, bool) {
	switch {
	case equalFold("Audit Success", in):
		return append(dst, "0x8020000000000000"...), true
	case equalFold("Audit Failure", in):
		return append(dst, "0x8010000000000000"...), true
	}
	var mask uint64
	if n, err := strconv.ParseInt(string(in), 10, 64); err == nil {
		mask = uint64(n)
	} else if mask, err = strconv.ParseUint(string(in), 10, 64); err != nil {
		return append(dst, in...), true
	}
	return strconv.AppendUint(append(dst, "0x"...), mask, 16), true
}

func lookupTable(in [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for _, v := range in[0] {
		found := false
		for _, p := range params {
			key, value, _ := strings.Cut(p, "=")
			if equalFold(key, v) || key == "*" && !found {
				if found = true; p == "*" {
					emit(v)
				} else {
					out = append(out[:0], value...)
					emit(out)
				}
			}
		}
	}
	giveBuffer(b, out)
}

func checkTable(params []string) error {
	for i, p := range params {
		if key, _, ok := strings.Cut(p, "="); !ok && p != "*" || key == "*" && i+1 < len(params) {
			return fmt.Errorf("parameter %q: expected KEY=VALUE, and * only as the last", p)
		}
	}
	return nil
}

func checkPairs(params []string) error {
	for _, p := range params {
		if !strings.Contains(p, "=") {
			return fmt.Errorf("parameter %q: expected FROM=TO", p)
		}
	}
	return nil
}

func lower(dst, in []byte) ([]byte, bool) {
	for _, c := range in {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}

func notDash(in [][][]byte, _ []string, emit func([]byte)) {
	for _, v := range in[0] {
		if len(v) > 0 && (len(v) > 1 || v[0] != '-') {
			emit(v)
		}
	}
}

func percentDecode(dst, in []byte) ([]byte, bool) {
	for i := 0; i < len(in); i++ {
		if in[i] == '%' && i+2 < len(in) {
			if hi, lo := hexDigit(in[i+1]), hexDigit(in[i+2]); hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, in[i])
	}
	return dst, true
}

func nth(in [][][]byte, params []string, emit func([]byte)) {
	if n, err := strconv.Atoi(params[0]); err == nil && n >= 0 && n < len(in[0]) {
		emit(in[0][n])
	}
}

func checkNumber(params []string) error {
	if n, err := strconv.Atoi(params[0]); err != nil || n < 0 {
		return fmt.Errorf("parameter %q: expected a number from 0", params[0])
	}
	return nil
}

func present(in [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for i, arg := range in {
		if len(arg) > 0 && i < len(params) {
			out = append(out[:0], params[i]...)
			emit(out)
		}
	}
	giveBuffer(b, out)
}

func queryOf(in [][][]byte, _ []string, emit func([]byte)) {
	for _, v := range in[0] {
		if i := bytes.IndexByte(v, '?'); i >= 0 {
			emit(v[i+1:])
		}
	}
}

func queryValues(in [][][]byte, _ []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for _, arg := range in {
		for _, v := range arg {
			emit(v)
			if bytes.IndexByte(v, '%') < 0 {
				continue
			}
			if out, _ = percentDecode(out[:0], v); !bytes.Equal(out, v) {
				emit(out)
			}
		}
	}
	giveBuffer(b, out)
}

// regexes keeps the patterns of regex_group compiled. Its keys come from packs
// only, so it is as bounded as they are.
var regexes sync.Map // pattern → *regexp.Regexp

func compiledRegex(pattern string) (*regexp.Regexp, error) {
	if re, ok := regexes.Load(pattern); ok {
		return re.(*regexp.Regexp), nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	regexes.Store(pattern, re)
	return re, nil
}

func checkRegex(params []string) error {
	re, err := compiledRegex(params[0])
	if err != nil {
		return err
	}
	if re.NumSubexp() == 0 {
		return errors.New("the pattern has no group; put what you want between ( and )")
	}
	return nil
}

func regexGroup(in [][][]byte, params []string, emit func([]byte)) {
	re, err := compiledRegex(params[0])
	if err != nil {
		return // cannot be: the pack was checked
	}
	for _, v := range in[0] {
		if m := re.FindSubmatchIndex(v); m != nil && m[2] >= 0 {
			emit(v[m[2]:m[3]])
		}
	}
}

// registryPath follows the object names of the Windows kernel: \REGISTRY is
// the root, MACHINE and USER are its two hives.
func registryPath(in [][][]byte, _ []string, emit func([]byte)) {
	if len(in[0]) == 0 {
		return
	}
	name := in[0][0]
	b := takeBuffer()
	out := (*b)[:0]
	for _, p := range [...]struct{ from, to string }{{`\REGISTRY\MACHINE`, "HKLM"}, {`\REGISTRY\USER`, "HKU"}} {
		if n := len(p.from); len(name) >= n && equalFold(p.from, name[:n]) && (len(name) == n || name[n] == '\\') {
			out = append(out, p.to...)
			name = name[n:]
			break
		}
	}
	out = append(out, name...)
	if len(in) > 1 && len(in[1]) > 0 && len(in[1][0]) > 0 && string(in[1][0]) != "-" {
		out = append(out, '\\')
		out = append(out, in[1][0]...)
	}
	emit(out)
	// A kernel path names the control set in use by its number.
	const before, set = `HKLM\SYSTEM\`, `ControlSet00`
	n := len(before) + len(set)
	if len(out) > n+1 && equalFold(before+set, out[:n]) && out[n] >= '0' && out[n] <= '9' && out[n+1] == '\\' {
		c := takeBuffer()
		current := append((*c)[:0], out[:len(before)]...)
		current = append(current, "CurrentControlSet"...)
		current = append(current, out[n+1:]...)
		emit(current)
		giveBuffer(c, current)
	}
	giveBuffer(b, out)
}

func replacePrefix(in [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for _, v := range in[0] {
		out = append(out[:0], v...)
		for _, p := range params {
			from, to, _ := strings.Cut(p, "=")
			if len(v) >= len(from) && equalFold(from, v[:len(from)]) {
				out = append(append(out[:0], to...), v[len(from):]...)
				break
			}
		}
		emit(out)
	}
	giveBuffer(b, out)
}

func selectPaired(in [][][]byte, params []string, emit func([]byte)) {
	paired := len(in[0]) == len(in[1])
	for i, v := range in[1] {
		if !paired || equalFold(params[0], in[0][i]) {
			emit(v)
		}
	}
}

// sockaddr decodes the saddr of an audit record: the family in the byte order
// of the host, little-endian wherever auditd is met, then for AF_INET (2) port
// and address, for AF_INET6 (10) port, flow label and address, those in network
// order (ip(7), ipv6(7)).
func sockaddr(in []byte) (addr netip.Addr, port uint16, ok bool) {
	var raw [28]byte
	n := min(len(in)/2, len(raw))
	for i := range n {
		hi, lo := hexDigit(in[2*i]), hexDigit(in[2*i+1])
		if hi < 0 || lo < 0 {
			return addr, 0, false
		}
		raw[i] = byte(hi<<4 | lo)
	}
	port = uint16(raw[2])<<8 | uint16(raw[3])
	switch {
	case n >= 8 && raw[0] == 2 && raw[1] == 0:
		return netip.AddrFrom4([4]byte(raw[4:8])), port, true
	case n >= 24 && raw[0] == 10 && raw[1] == 0:
		return netip.AddrFrom16([16]byte(raw[8:24])), port, true
	}
	return addr, 0, false
}

func sockaddrIP(dst, in []byte) ([]byte, bool) {
	addr, _, ok := sockaddr(in)
	if !ok {
		return dst, false
	}
	return addr.AppendTo(dst), true
}

func sockaddrPort(dst, in []byte) ([]byte, bool) {
	_, port, ok := sockaddr(in)
	if !ok {
		return dst, false
	}
	return strconv.AppendUint(dst, uint64(port), 10), true
}

func split(in [][][]byte, params []string, emit func([]byte)) {
	n, _ := strconv.Atoi(params[1])
	for _, v := range in[0] {
		pieces := bytes.Split(v, []byte(params[0]))
		i := n
		if i < 0 {
			i += len(pieces)
		}
		if i >= 0 && i < len(pieces) {
			emit(pieces[i])
		}
	}
}

func checkSplit(params []string) error {
	if params[0] == "" {
		return errors.New("the separator is empty")
	}
	if _, err := strconv.Atoi(params[1]); err != nil {
		return fmt.Errorf("parameter %q: expected a number", params[1])
	}
	return nil
}

func taggedHash(in [][][]byte, params []string, emit func([]byte)) {
	b := takeBuffer()
	out := (*b)[:0]
	for i, arg := range in {
		if len(arg) == 0 || i >= len(params) {
			continue
		}
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, params[i]...)
		out = append(out, '=')
		for _, c := range arg[0] {
			if c >= 'a' && c <= 'f' {
				c -= 'a' - 'A'
			}
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		emit(out)
	}
	giveBuffer(b, out)
}
