package scenario

import "strconv"

// apiCall is an AWS call or an Okta event of a kind.
type apiCall struct {
	source, name string
	// request and response are the JSON of requestParameters and
	// responseElements; for Okta target is what the event is about.
	request, response, target string
	failure                   string // errorCode, or the reason of Okta
	data                      bool   // a data event
	console                   bool
	read                      bool
	debug                     string // members of Okta's debugData
	message                   string
	proxy                     bool
}

// Who makes an AWS call, in item.m.
const (
	asIAMUser = iota
	asRole
	asService
)

const awsRegion = "eu-central-1"

// cloudtrail writes a record. s1 is the agent, s2 the name of an IAM user or
// role that is no person of the fleet, n a number for the texts, port the
// stage's own shade of the access key.
func (s *Scenario) cloudtrail(b []byte, it *item) []byte {
	c := it.call
	s.cloudCount++
	id := mix(s.seed + s.cloudCount)
	s.nativeID = id
	b = append(b, `{"eventVersion":"1.11","userIdentity":{`...)
	switch it.m {
	case asIAMUser:
		b = append(b, `"type":"IAMUser","principalId":"AIDAEXAMPLE`...)
		b = s.principal(b, it)
		b = append(b, `","arn":"arn:aws:iam::`+accountID+`:user/`...)
		b = s.principal(b, it)
		b = append(b, `","accountId":"`+accountID+`","accessKeyId":"AKIAEXAMPLE`...)
		b = appendUpperHex(b, uint64(uint32(it.user))*2654435761, 8)
		b = append(b, `","userName":"`...)
		b = s.principal(b, it)
		b = append(b, `"}`...)
	case asRole:
		b = append(b, `"type":"AssumedRole","principalId":"AROAEXAMPLE:`...)
		b = s.principal(b, it)
		b = append(b, `","arn":"arn:aws:sts::`+accountID+`:assumed-role/`...)
		b = append(b, it.s3...)
		b = append(b, '/')
		b = s.principal(b, it)
		b = append(b, `","accountId":"`+accountID+`","accessKeyId":"ASIAEXAMPLE`...)
		b = appendUpperHex(b, uint64(uint32(it.user))*2246822519, 8)
		b = append(b, `","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::`+accountID+`:role/`...)
		b = append(b, it.s3...)
		b = append(b, `","accountId":"`+accountID+`","userName":"`...)
		b = append(b, it.s3...)
		b = append(b, `"},"attributes":{"mfaAuthenticated":"false"}}}`...)
	default:
		b = append(b, `"type":"AWSService","invokedBy":"`...)
		b = append(b, it.s1...)
		b = append(b, `"}`...)
	}
	b = append(b, `,"eventTime":"`...)
	b = appendTime(b, it.at+s.cloudSkew, 'T', 0)
	b = append(b, `Z","eventSource":"`...)
	b = append(b, c.source...)
	b = append(b, `","eventName":"`...)
	b = append(b, c.name...)
	b = append(b, `","awsRegion":"`+awsRegion+`","sourceIPAddress":"`...)
	if it.m == asService {
		b = append(b, it.s1...)
	} else {
		b = appendIP(b, it.ip)
	}
	b = append(b, `","userAgent":"`...)
	b = append(b, it.s1...)
	b = append(b, '"')
	if c.failure != "" {
		b = append(b, `,"errorCode":"`...)
		b = append(b, c.failure...)
		b = append(b, `","errorMessage":"User is not authorized to perform this action"`...)
	}
	b = append(b, `,"requestParameters":`...)
	b = s.fragment(b, it, c.request)
	b = append(b, `,"responseElements":`...)
	b = s.fragment(b, it, c.response)
	if c.console {
		b = append(b, `,"additionalEventData":{"LoginTo":"https://console.cloud.example.net/","MobileVersion":"No","MFAUsed":"Yes"}`...)
	}
	b = append(b, `,"requestID":"`...)
	b = appendUUID(b, id+1)
	b = append(b, `","eventID":"`...)
	b = appendUUID(b, id)
	if c.read {
		b = append(b, `","readOnly":true`...)
	} else {
		b = append(b, `","readOnly":false`...)
	}
	switch {
	case c.console:
		b = append(b, `,"eventType":"AwsConsoleSignIn"`...)
	case it.m == asService:
		b = append(b, `,"eventType":"AwsServiceEvent"`...)
	default:
		b = append(b, `,"eventType":"AwsApiCall"`...)
	}
	if c.data {
		b = append(b, `,"managementEvent":false,"eventCategory":"Data"`...)
	} else {
		b = append(b, `,"managementEvent":true,"eventCategory":"Management"`...)
	}
	b = append(b, `,"recipientAccountId":"`+accountID+`","generated_by":"`...)
	b = append(b, Mark...)
	return append(b, "\"}\n"...)
}

func (s *Scenario) principal(b []byte, it *item) []byte {
	if it.s2 != "" {
		return append(b, it.s2...)
	}
	return s.accountName(b, it)
}

// fragment writes JSON of the catalogue with its places filled in.
func (s *Scenario) fragment(b []byte, it *item, text string) []byte {
	if text == "" {
		return append(b, "null"...)
	}
	return s.expandFor(b, it, it.user, it.n, text, false)
}

// okta writes an event of the System Log. user is the actor and m-1 the index
// of another user that it is about, if m is not 0.
func (s *Scenario) okta(b []byte, it *item) []byte {
	c := it.call
	u := &s.fleet.users[it.user]
	s.cloudCount++
	id := mix(s.seed + s.cloudCount)
	s.nativeID = id
	b = append(b, `{"actor":{"id":"00u`...)
	b = appendHex(b, mix(u.rid), 14)
	b = append(b, `","type":"User","alternateId":"`...)
	b = append(b, u.name...)
	b = append(b, "@"+dnsDomain+`","displayName":"`...)
	b = append(b, u.display...)
	b = append(b, `","detailEntry":null},"client":{"userAgent":{"rawUserAgent":"`...)
	b = append(b, it.s1...)
	b = append(b, `","os":"Windows 11","browser":"CHROME"},"zone":"null","device":"Computer","id":null,"ipAddress":"`...)
	b = appendIP(b, it.ip)
	b = append(b, `","geographicalContext":{"city":null,"country":null}},"displayMessage":"`...)
	b = append(b, c.message...)
	b = append(b, `","eventType":"`...)
	b = append(b, c.name...)
	b = append(b, `","outcome":{"result":"`...)
	if c.failure != "" {
		b = append(b, `FAILURE","reason":"`...)
		b = append(b, c.failure...)
		b = append(b, `"}`...)
	} else {
		b = append(b, `SUCCESS","reason":null}`...)
	}
	b = append(b, `,"published":"`...)
	b = appendTime(b, it.at+s.oktaSkew, 'T', 3)
	b = append(b, `Z","securityContext":{"asNumber":64496,"asOrg":"example","isp":"example","domain":"example.net","isProxy":`...)
	b = strconv.AppendBool(b, c.proxy)
	if c.failure != "" {
		b = append(b, `},"severity":"WARN","debugContext":{"debugData":{"requestUri":"/api/v1/authn"`...)
	} else {
		b = append(b, `},"severity":"INFO","debugContext":{"debugData":{"requestUri":"/api/v1/authn"`...)
	}
	b = append(b, c.debug...)
	b = append(b, `}},"legacyEventType":null,"transaction":{"type":"WEB","id":"`...)
	b = appendHex(b, id*3, 16)
	b = append(b, `","detail":{}},"uuid":"`...)
	b = appendUUID(b, id)
	b = append(b, `","version":"0","request":{"ipChain":[{"ip":"`...)
	b = appendIP(b, it.ip)
	b = append(b, `","version":"V4","source":null}]},"authenticationContext":{"authenticationStep":0,"externalSessionId":"trs`...)
	b = appendHex(b, mix(u.rid^it.logon), 14)
	b = append(b, `"},"target":[`...)
	switch {
	case it.m > 0:
		t := &s.fleet.users[it.m-1]
		b = append(b, `{"id":"00u`...)
		b = appendHex(b, mix(t.rid), 14)
		b = append(b, `","type":"User","alternateId":"`...)
		b = append(b, t.name...)
		b = append(b, "@"+dnsDomain+`","displayName":"`...)
		b = append(b, t.display...)
		b = append(b, `","detailEntry":null}`...)
	case c.target != "":
		b = append(b, `{"id":"0oa`...)
		b = appendHex(b, mix(uint64(len(c.target))), 14)
		b = append(b, `","type":"AppInstance","alternateId":"`...)
		b = append(b, c.target...)
		b = append(b, `","displayName":"`...)
		b = append(b, c.target...)
		b = append(b, `","detailEntry":null}`...)
	}
	b = append(b, `],"generated_by":"`...)
	b = append(b, Mark...)
	return append(b, "\"}\n"...)
}
