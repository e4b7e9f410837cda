package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

func (k *checker) webhooks() {
	if len(k.c.Webhooks) > WebhooksMax {
		k.fault("webhooks", "", "there are %d webhooks, more than the limit of %d", len(k.c.Webhooks), WebhooksMax)
	}
	first := map[string]int{}
	for i, w := range k.c.Webhooks {
		path := fmt.Sprintf("webhooks[%d]", i)
		k.tenant(path+".tenant", w.Tenant)
		if w.Name != "" && !event.SourceName(w.Name) {
			k.fault(path+".name", sourceNameHint, "%q cannot be the name of a webhook", clip(w.Name))
		}
		if at, twice := first[w.Name]; twice && w.Name != "" {
			k.fault(path+".name", "remove one of them", "the webhook %q stands at webhooks[%d] too", clip(w.Name), at)
		} else {
			first[w.Name] = i
		}
		if w.URL != "" {
			k.destination(path, w)
		}
		k.proxy(path, w)
		k.secrets(path, w)
		if len(w.Events) == 0 {
			k.fault(path+".events", "name some, or remove the key or the webhook", "nothing would be sent")
		}
	}
}

// destination judges what can be judged without a lookup; addresses are judged
// again when they are dialled.
func (k *checker) destination(path string, w Webhook) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		k.fault(path+".url", "write https://host/path", "this is not a URL")
		return
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		k.fault(path+".url", "write https://host/path", "%q is not a scheme that can be sent to", clip(u.Scheme))
	case u.User != nil:
		k.fault(path+".url", "leave them out: messages are signed", "the URL holds a name or a password")
	case u.Fragment != "":
		k.fault(path+".url", "leave out what follows #", "the URL has a fragment, which is never sent")
	case u.Scheme == "http" && !w.AllowPrivate:
		k.fault(path+".url", "write https, or add allow_private: true for a receiver in your own network", "detections would cross the network in clear")
	case !w.AllowPrivate && privateHost(u.Hostname()):
		k.fault(path+".url", "add allow_private: true if that is meant", "%q is a private address", clip(u.Hostname()))
	}
}

// privateHost reports whether a host is, by its spelling, no public one.
func privateHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
}

// proxy judges the proxy of a webhook. Its address may be private: only the
// operator names one.
func (k *checker) proxy(path string, w Webhook) {
	if w.Proxy == "" {
		if w.ProxyAuth.IsSet() {
			k.fault(path+".proxy_auth", "add "+path+".proxy, or remove it", "there is no proxy")
		}
		return
	}
	const hint = "write http://host:port"
	u, err := url.Parse(w.Proxy)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		k.fault(path+".proxy", hint, "this is not the URL of an HTTP proxy")
	case u.User != nil:
		k.fault(path+".proxy", "write them into proxy_auth, where they are not shown", "the URL holds a name or a password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		k.fault(path+".proxy", hint, "the URL has more than a host and a port")
	case strings.HasPrefix(strings.ToLower(w.URL), "http:"):
		k.fault(path+".proxy", "write https in url, or remove the proxy", "a proxy would read and could change what goes to http")
	}
	if name, _, ok := strings.Cut(w.ProxyAuth.Reveal(), ":"); w.ProxyAuth.IsSet() && (!ok || name == "") {
		k.fault(path+".proxy_auth", "write name:password, best as ${env:NAME}", "this is not a name and a password")
	}
}

// secretHint makes a secret.
const secretHint = "make one with: printf 'whsec_%s\\n' \"$(head -c 32 /dev/urandom | base64)\""

// secrets checks that there is one way in which secrets are given, and the form
// that the Standard Webhooks specification demands.
func (k *checker) secrets(path string, w Webhook) {
	_, one := k.c.places[path+".secret"]
	_, several := k.c.places[path+".secrets"]
	switch {
	case one && w.SecretFile != "":
		k.fault(path+".secret_file", "remove one of them", "there is a secret as well")
		return
	case several && w.SecretFile != "":
		k.fault(path+".secret_file", "remove one of them", "there are secrets as well")
		return
	case one && several:
		k.fault(path+".secrets", "put it into the list", "there is a secret as well")
		return
	case several && len(w.Secrets) == 0:
		k.fault(path+".secrets", "add ${env:NAME}", "messages could not be signed: there is no secret")
		return
	case !several && !w.Secret.IsSet() && w.SecretFile == "":
		k.fault(path+".secret", "add secret: ${env:NAME} or secret_file", "messages could not be signed: there is no secret")
		return
	}
	list := w.SigningSecrets()
	if len(list) > SecretsMax {
		k.fault(k.secretKey(path, w, SecretsMax), "remove those that the receiver does not know any more", "there are %d secrets, more than the limit of %d", len(list), SecretsMax)
		return
	}
	first := map[Secret]int{}
	for i, s := range list {
		if !s.IsSet() && w.SecretFile != "" {
			return // the file could not be read, which loading says
		}
		where, line := k.secretKey(path, w, i), ""
		if w.SecretFile != "" && len(list) > 1 {
			line = fmt.Sprintf("secret %d: ", i+1)
		}
		if !sound(s) {
			k.fault(where, secretHint, "%sthis is not whsec_ and base64 of 24 to 64 bytes", line)
		} else if at, twice := first[s]; twice {
			k.fault(where, "remove one of them", "%sit is the same as secret %d", line, at+1)
		}
		first[s] = i
	}
}

// secretKey is the setting that gives secret i of a webhook.
func (k *checker) secretKey(path string, w Webhook, i int) string {
	switch {
	case w.SecretFile != "":
		return path + ".secret_file"
	case len(w.Secrets) > 0:
		return fmt.Sprintf("%s.secrets[%d]", path, i)
	}
	return path + ".secret"
}

// sound reports whether a secret has the form of the specification.
func sound(s Secret) bool {
	text, ok := strings.CutPrefix(s.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	return ok && err == nil && len(key) >= 24 && len(key) <= 64
}
