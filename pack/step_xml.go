package pack

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/winxml"
)

// xmlParser reads a Windows event in XML inside text, as Sysmon for Linux sends
// it through syslog, with the reader of event files.
type xmlParser struct{}

func (xmlParser) parse(text []byte, out *fields) bool {
	start := bytes.Index(text, []byte("<Event"))
	if start < 0 {
		return false
	}
	if out.xml == nil {
		out.xml = winxml.Format().NewParser(format.Options{})
	}
	b := format.Block{Data: text[start:]}
	err := out.xml.Parse(&b, format.Frame{End: len(b.Data)}, func(rec *event.Record) { out.graft = &rec.Tree })
	return err == nil && out.graft != nil
}
