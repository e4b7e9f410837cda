package pack

// csvParser gives names to the cells of one line of comma-separated values, as
// firewalls send them over syslog. A cell in quotes holds a quote as two; an
// empty cell and a column without a name make no field; cells beyond the
// columns are ignored.
type csvParser struct {
	columns []string
	comma   byte
}

func newCSV(d *csvDoc) parser {
	p := csvParser{columns: d.Columns, comma: ','}
	if d.Comma != "" {
		p.comma = d.Comma[0]
	}
	return p
}

func (p csvParser) parse(text []byte, out *fields) bool {
	cells := 0
	for _, name := range p.columns {
		var cell []byte
		var more bool
		cell, text, more = p.cell(text, out)
		if name != "" && len(cell) > 0 {
			out.add(name, cell)
		}
		cells++
		if !more {
			break
		}
	}
	return cells > 1 || len(p.columns) == 1
}

// cell reads up to the next comma; more says that there was one.
func (p csvParser) cell(text []byte, out *fields) (cell, rest []byte, more bool) {
	if len(text) > 0 && text[0] == '"' {
		start, i := len(out.buf), 1
		for ; i < len(text); i++ {
			if text[i] == '"' {
				if i+1 >= len(text) || text[i+1] != '"' {
					i++
					break
				}
				i++
			}
			out.buf = append(out.buf, text[i])
		}
		// Text between the closing quote and the comma is part of the cell.
		for ; i < len(text) && text[i] != p.comma; i++ {
			out.buf = append(out.buf, text[i])
		}
		cell = out.buf[start:len(out.buf):len(out.buf)]
		if i < len(text) {
			return cell, text[i+1:], true
		}
		return cell, nil, false
	}
	for i, c := range text {
		if c == p.comma {
			return text[:i], text[i+1:], true
		}
	}
	return text, nil, false
}
