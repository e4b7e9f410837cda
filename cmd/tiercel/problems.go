package main

import (
	"fmt"
	"io"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/report"
)

// problemsShown is how many problems of one file are printed one by one. The
// first few tell what is wrong; a corrupt file can have millions.
const problemsShown = 20 // at most pipeline.ProblemsListedMax

// problemTextMax bounds the characters printed of a path or a reason.
const problemTextMax = 1000

// problemLog prints problems file by file. Problems of a file come in a row.
type problemLog struct {
	w    io.Writer
	path string
	n    int
}

func newProblemLog(p *process, bar *progress) *problemLog {
	if bar != nil {
		return &problemLog{w: bar}
	}
	return &problemLog{w: p.stderr}
}

func (l *problemLog) add(path string, list []format.Problem, n int) {
	if path != l.path {
		l.end()
		l.path = path
	}
	for i, p := range list {
		if l.n+i >= problemsShown {
			break
		}
		text := p.Error()
		if p.Offset == 0 && p.Line == 0 && p.RecordID == 0 {
			text = p.Err.Error() // about the file as a whole
		}
		fmt.Fprintf(l.w, "tiercel: %s: %s\n", report.Clean(path, problemTextMax), report.Clean(text, problemTextMax))
	}
	l.n += n
}

// end counts what was not shown of the last file.
func (l *problemLog) end() {
	if more := l.n - problemsShown; more > 0 {
		fmt.Fprintf(l.w, "tiercel: %s: and %s\n", report.Clean(l.path, problemTextMax), plural(more, "more problem"))
	}
	l.n = 0
}
