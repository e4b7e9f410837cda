package pack

import (
	"slices"
	"strings"
	"testing"
)

// run calls a function of the table with arguments given as texts.
func run(name string, params []string, args ...[]string) []string {
	in := make([][][]byte, len(args))
	for i, a := range args {
		for _, v := range a {
			in[i] = append(in[i], []byte(v))
		}
	}
	var out []string
	functions[name].fn(in, params, func(text []byte) { out = append(out, string(text)) })
	return out
}

func TestVendorFunctions(t *testing.T) {
	t.Parallel()
	one := func(v ...string) []string { return v }
	for _, c := range []struct {
		name   string
		params []string
		args   [][]string
		want   []string
	}{
		{"plus_as_space", nil, [][]string{one("a+b", "a b+c", "x")}, one("a+b", "a b", "a b+c", "x")},
		{"url_host", nil, [][]string{one("http://u:p@h.example:8080/x?y", "h.example:443", "https://[2001:db8::1]:8443/", "/only/path", "ftp://h.example")}, one("h.example", "h.example", "2001:db8::1", "h.example")},
		{"url_path", nil, [][]string{one("http://h.example/a/b?c=/d#e", "/a?b", "http://h.example", "h.example:443")}, one("/a/b", "/a")},
		{"url_target", nil, [][]string{one("http://h.example/a?b=1#f", "/x?u=http://z/", "h.example:443")}, one("/a?b=1", "/x?u=http://z/")},
		{"whole_url", one("http"), [][]string{one("h.example"), one("/a?b")}, one("http://h.example/a?b", "/a?b")},
		{"whole_url", one("http"), [][]string{one("h.example"), one("https://o.example/a")}, one("https://o.example/a", "/a")},
		{"whole_url", one("http"), [][]string{nil, one("/a")}, one("/a")},
		{"whole_url", one("http"), [][]string{one("h.example"), one("h.example:443")}, one("h.example:443")},
		{"request_target", nil, [][]string{one("/a"), one("-")}, one("/a")},
		{"request_target", nil, [][]string{one("/a"), one("b=1")}, one("/a?b=1")},
		{"request_target", nil, [][]string{one("/a"), one("?b=1")}, one("/a?b=1")},
		{"request_target", nil, [][]string{nil, one("b=1")}, nil},
		{"host_of_address", nil, [][]string{one("192.0.2.1:443", "[2001:db8::1]:443", "2001:db8::1", "host")}, one("192.0.2.1", "2001:db8::1", "2001:db8::1", "host")},
		{"union", nil, [][]string{one("a", "b", "a"), one("b", "c")}, one("a", "b", "c")},
		{"map_value", one("succ*=success", "none=", "*=other"), [][]string{one("Succeeded", "NONE", "x")}, one("success", "other")},
		{"map_value", one("*.example=&", "*=&.example"), [][]string{one("a.example", "b")}, one("a.example", "b.example")},
		{"map_value", one("a=b"), [][]string{one("c")}, nil},
		{"success_unless", one("ok", "no"), [][]string{one("x"), nil}, one("ok")},
		{"success_unless", one("ok", "no"), [][]string{one("x"), one("e")}, one("no")},
		{"success_unless", one("ok", "no"), [][]string{nil, one("e")}, nil},
		{"named_value", one("new_value", "name", "value", "multi"), [][]string{one(`{"name":"NEW_VALUE","value":"v"}`, `{"name":"other","value":"w"}`, `not json`, `{"name":"NEW_VALUE","multi":["a",2,null]}`)}, one("v", "a", "2")},
		{"named_value", one("n", "displayName", "newValue"), [][]string{one(`{"displayName":"n","newValue":"\"False\""}`)}, one("False")},
		{"pim_alert_kind", nil, [][]string{one("#microsoft.graph.staleSignInAlertIncident"), one("x_y_ZAlert")}, one("staleSignInAlertIncident")},
		{"pim_alert_kind", nil, [][]string{nil, one("DirectoryRole_1_NoMfaAlert")}, one("noMfaAlertIncident", "noMfaAlertConfiguration")},
		{"pim_alert_kind", nil, [][]string{nil, one("Alert", "_", "")}, one("alertIncident", "alertConfiguration")},
	} {
		if got := run(c.name, c.params, c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%s(%q, %q) = %q, expected %q", c.name, c.params, c.args, got, c.want)
		}
	}
}

// FuzzVendorFunctions holds that no text makes a function panic, and that a
// part of a URL is a part of its text.
func FuzzVendorFunctions(f *testing.F) {
	for _, s := range []string{"http://u@h:1/p?q#f", "h:443", "[::1", "/%zz?", "://", `{"name":"n","value":["a",null]}`, "a_b_Alert", "_"} {
		f.Add(s, "h")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		if len(text) > 1<<12 || len(other) > 1<<12 {
			return
		}
		for _, name := range []string{"url_host", "url_path", "url_target"} {
			for _, got := range run(name, nil, []string{text}) {
				if !strings.Contains(text, got) {
					t.Fatalf("%s(%q) = %q, which is no part of it", name, text, got)
				}
			}
		}
		run("whole_url", []string{"http"}, []string{other}, []string{text})
		run("request_target", nil, []string{text}, []string{other})
		run("named_value", []string{"n", "name", "value"}, []string{text})
		run("pim_alert_kind", nil, []string{text}, []string{other})
		run("map_value", []string{"a*=&", "*=x&"}, []string{text})
		run("host_of_address", nil, []string{text})
		run("plus_as_space", nil, []string{text})
		run("union", nil, []string{text, text}, []string{other})
	})
}
