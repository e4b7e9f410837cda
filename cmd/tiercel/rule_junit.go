package main

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The elements of JUnit's XML, as CI servers read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Classname string        `xml:"classname,attr"`
		Name      string        `xml:"name,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitMessage `xml:"failure,omitempty"`
		Skipped   *junitMessage `xml:"skipped,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit makes the document; a suite's time is shared out among its cases, which
// are too short to be timed one by one.
func junit(tested []testedSuite) junitSuites {
	all := junitSuites{Name: "tiercel rule test"}
	seconds := func(s float64) string { return fmt.Sprintf("%.3f", s) }
	total := 0.0
	for i := range tested {
		t := &tested[i]
		total += t.took.Seconds()
		s := junitSuite{Name: t.folder, Time: seconds(t.took.Seconds())}
		if t.fault != nil {
			s.Cases = append(s.Cases, junitCase{Classname: t.folder, Name: "the cases can be run", Time: seconds(0), Failure: &junitMessage{Message: t.fault.Error()}})
			s.Failures++
		}
		for j := range t.results {
			r := &t.results[j]
			c := junitCase{Classname: t.folder, Name: r.Case, Time: seconds(t.took.Seconds() / float64(len(t.results)))}
			switch {
			case r.Failed():
				text := strings.Join(r.Failures, "\n")
				for _, why := range r.WhyNot {
					text += "\nwhy not: " + why
				}
				first, _, _ := strings.Cut(r.Failures[0], "\n")
				c.Failure = &junitMessage{Message: first, Text: text}
				s.Failures++
			case r.Waits != "":
				c.Skipped = &junitMessage{Message: r.Waits}
				s.Skipped++
			}
			s.Cases = append(s.Cases, c)
		}
		s.Tests = len(s.Cases)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Suites = append(all.Suites, s)
	}
	all.Time = seconds(total)
	return all
}

func writeJUnit(fs vfs.FS, name string, tested []testedSuite) error {
	data, err := xml.MarshalIndent(junit(tested), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(fs, name, xml.Header+string(data)+"\n")
}
