package pack

// jsonParser reads a JSON object in text, also behind the cookie of the CEE
// syslog convention ("@cee:").
type jsonParser struct{}

func (jsonParser) parse(text []byte, out *fields) bool {
	i := 0
	for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
		i++
	}
	text = text[i:]
	if cookie := "@cee:"; len(text) >= len(cookie) && string(text[:len(cookie)]) == cookie {
		text = text[len(cookie):]
		for len(text) > 0 && text[0] == ' ' {
			text = text[1:]
		}
	}
	if len(text) == 0 || text[0] != '{' || out.tree.ParseJSON(text) != nil {
		return false
	}
	out.json = true
	return true
}
