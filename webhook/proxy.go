package webhook

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tiercel-io/tiercel/env"
)

// checkProxy reads the proxy of an endpoint whose URL is to; nil is none.
func checkProxy(e Endpoint, to *url.URL) (*url.URL, error) {
	if e.Proxy == "" {
		if e.ProxyAuth != "" {
			return nil, errors.New("there is a password for a proxy and no proxy")
		}
		return nil, nil
	}
	u, err := url.Parse(e.Proxy)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("its proxy is no url of one; write http://host:port")
	case u.User != nil:
		return nil, errors.New("the url of its proxy holds a name or a password, which would be shown")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the url of its proxy has more than a host and a port")
	case disguised(u.Hostname()):
		return nil, errors.New("the host of its proxy looks like an address and is none; write the address with four decimal parts")
	case to.Scheme != "https":
		return nil, errors.New("a proxy would read and could change what goes to http; write https")
	}
	if name, _, ok := strings.Cut(e.ProxyAuth, ":"); e.ProxyAuth != "" && (!ok || name == "") {
		return nil, errors.New("what is shown to its proxy is not name:password")
	}
	u.Path = ""
	return u, nil
}

// through makes a transport go through the endpoint's proxy. What is dialled then
// is the proxy, which the operator named and which may be in a private network;
// the destination is looked up and judged before, for each attempt, as if it were
// dialled.
func through(t *http.Transport, world env.Env, e *endpoint) {
	destination := &dialer{net: world.Net, clock: world.Clock, allow: e.AllowPrivate}
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if _, err := destination.resolve(r.Context(), r.URL.Hostname()); err != nil {
			return nil, err
		}
		return e.proxy, nil
	}
	proxy := &dialer{net: world.Net, clock: world.Clock, allow: PrivateNetworks()}
	t.DialContext = proxy.DialContext
	if e.ProxyAuth != "" {
		t.ProxyConnectHeader = http.Header{"Proxy-Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(e.ProxyAuth))}}
	}
}
