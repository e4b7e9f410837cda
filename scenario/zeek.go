package scenario

import "strconv"

var zeekPaths = [...]string{zeekConn: "conn", zeekDNS: "dns", zeekHTTP: "http", zeekTLS: "ssl"}

// zeek writes a line of one of Zeek's logs. s3 says who opened the
// connection: "" for the host itself, else the other side. n decides the uid,
// which the logs of one connection share.
func (s *Scenario) zeek(b []byte, it *item) []byte {
	inside := s.fleet.hosts[it.host].ip
	from, to := inside, it.ip
	if it.s3 == inbound {
		from, to = to, from
	}
	s.nativeID = it.n
	b = append(b, `{"_path":"`...)
	b = append(b, zeekPaths[it.kind]...)
	b = append(b, `","ts":`...)
	b = appendEpoch(b, it.at+s.sensorSkew, 6)
	b = append(b, `,"uid":"`...)
	b = appendUID(b, it.n^s.seed)
	b = append(b, `","id.orig_h":"`...)
	b = appendIP(b, from)
	b = append(b, `","id.orig_p":`...)
	b = strconv.AppendUint(b, uint64(it.srcPort), 10)
	b = append(b, `,"id.resp_h":"`...)
	b = appendIP(b, to)
	b = append(b, `","id.resp_p":`...)
	b = strconv.AppendUint(b, uint64(it.port), 10)
	switch it.kind {
	case zeekConn:
		r := mix(it.n)
		udp := it.port == 53
		if udp {
			b = append(b, `,"proto":"udp","service":"dns","duration":0.0`...)
			b = strconv.AppendUint(b, 10+r%89, 10)
		} else {
			b = append(b, `,"proto":"tcp"`...)
			if it.s1 != "" {
				b = append(b, `,"service":"`...)
				b = append(b, it.s1...)
				b = append(b, '"')
			}
			b = append(b, `,"duration":`...)
			b = strconv.AppendUint(b, r%30, 10)
			b = append(b, '.')
			b = appendPadded(b, int64(r>>8%1000000), 6)
		}
		sent, got := 60+r>>16%40, 80+r>>24%200
		if !udp {
			sent, got = 400+r>>16%4000, 1000+r>>24%200000
		}
		if it.m > 0 { // bytes sent, where they tell something
			sent = it.m
		}
		b = append(b, `,"orig_bytes":`...)
		b = strconv.AppendUint(b, sent, 10)
		b = append(b, `,"resp_bytes":`...)
		b = strconv.AppendUint(b, got, 10)
		b = append(b, `,"conn_state":"SF","local_orig":`...)
		b = strconv.AppendBool(b, from>>24 == 10)
		b = append(b, `,"local_resp":`...)
		b = strconv.AppendBool(b, to>>24 == 10)
		b = append(b, `,"missed_bytes":0,"history":"`...)
		if udp {
			b = append(b, `Dd","orig_pkts":1,"resp_pkts":1`...)
		} else {
			b = append(b, `ShADadFf","orig_pkts":`...)
			b = strconv.AppendUint(b, 4+sent/1400, 10)
			b = append(b, `,"resp_pkts":`...)
			b = strconv.AppendUint(b, 4+got/1400, 10)
		}
	case zeekDNS:
		b = append(b, `,"proto":"udp","trans_id":`...)
		b = strconv.AppendUint(b, mix(it.n)&0xffff, 10)
		b = append(b, `,"query":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","qclass":1,"qclass_name":"C_INTERNET",`...)
		if it.s2 == "TXT" {
			b = append(b, `"qtype":16,"qtype_name":"TXT"`...)
		} else {
			b = append(b, `"qtype":1,"qtype_name":"A"`...)
		}
		b = append(b, `,"rcode":0,"rcode_name":"NOERROR","AA":false,"TC":false,"RD":true,"RA":true,"Z":0,"answers":["`...)
		if it.s2 == "TXT" {
			b = append(b, `TXT `...)
			b = strconv.AppendInt(b, labelBytes, 10)
			b = append(b, ' ')
			b = appendLabel(b, it.n^0x7e)
		} else {
			b = appendIP(b, uint32(it.m))
		}
		b = append(b, `"],"TTLs":[300.0],"rejected":false`...)
	case zeekHTTP:
		b = append(b, `,"trans_depth":1,"method":"`...)
		if it.s2 == "" {
			b = append(b, `GET`...)
		} else {
			b = append(b, it.s2...)
		}
		b = append(b, `","host":"`...)
		if it.s3 == inbound {
			b = append(b, "www."+dnsDomain...)
		} else {
			b = s.expand(b, it, it.s3)
		}
		b = append(b, `","uri":"`...)
		b = s.expandFor(b, it, it.user, it.n%1000, it.s1, true)
		b = append(b, `","version":"1.1","user_agent":"`...)
		b = append(b, agents[it.m]...)
		b = append(b, `","request_body_len":0,"response_body_len":`...)
		b = strconv.AppendUint(b, 200+mix(it.n)%90000, 10)
		b = append(b, `,"status_code":200,"status_msg":"OK","tags":[]`...)
	case zeekTLS:
		b = append(b, `,"version":"TLSv13","cipher":"TLS_AES_256_GCM_SHA384","curve":"x25519","server_name":"`...)
		b = s.expand(b, it, it.s1)
		b = append(b, `","resumed":false,"established":true,"ssl_history":"CsiI"`...)
	}
	b = append(b, `,"generated_by":"`...)
	b = append(b, Mark...)
	return append(b, "\"}\n"...)
}

// inbound is in item.s3 when the other side opened the connection.
const inbound = "\x00in"

// agents are the clients of HTTP, by item.m.
var agents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/148.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15",
	"Debian APT-HTTP/1.3 (2.9.8)",
	"ExampleMonitor/2.1",
	"python-requests/2.32.3",
	"curl/8.10.1",
}
