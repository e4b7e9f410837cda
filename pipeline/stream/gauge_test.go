package stream

import (
	"testing"

	"github.com/tiercel-io/tiercel/metric"
)

// gauge is the value of a gauge or counter with one of its labels; a metric that
// was never set has 0.
func gauge(t testing.TB, set *metric.Set, name, label, value string) float64 {
	t.Helper()
	families, err := set.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
