package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// row is a figure with what was promised of it.
type row struct {
	what, measured, must, verdict string
}

type table struct{ rows []row }

// atMost and atLeast add a figure with a bound; note adds one without.
func (t *table) atMost(what, format string, v, bound float64, must string) {
	t.add(what, fmt.Sprintf(format, v), must, v <= bound)
}

func (t *table) atLeast(what, format string, v, bound float64, must string) {
	t.add(what, fmt.Sprintf(format, v), must, v >= bound)
}

func (t *table) add(what, measured, must string, ok bool) {
	verdict := "ok"
	if !ok {
		verdict = "MISSED"
	}
	t.rows = append(t.rows, row{what, measured, must, verdict})
}

func (t *table) note(what, format string, v ...any) {
	t.rows = append(t.rows, row{what: "  " + what, measured: fmt.Sprintf(format, v...)})
}

func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfigure\tmeasured\tmust\t")
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.what, r.measured, r.must, r.verdict)
	}
	return w.Flush()
}
