package tiercel_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var sentenceEnd = regexp.MustCompile(`[.!?]["')\]]*(\s|$)`)

// Every package says what it is and one thing more: its flow, its limits, who
// may call it from where.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	docs := make(map[string][]string)
	for _, f := range productFiles(t, os.DirFS(".")) {
		docs[f.pkg()] = append(docs[f.pkg()], f.file.Doc.Text())
	}
	for pkg, texts := range docs {
		doc := strings.TrimSpace(strings.Join(texts, ""))
		written := 0
		for _, text := range texts {
			if text != "" {
				written++
			}
		}
		switch sentences := len(sentenceEnd.FindAllString(doc, -1)); {
		case written == 0:
			t.Errorf("package %s has no package comment", pkg)
		case written > 1:
			t.Errorf("package %s has %d package comments; keep one", pkg, written)
		case sentences < 2:
			t.Errorf("the comment of package %s is one sentence; say also how it works or what bounds it:\n%s", pkg, doc)
		}
	}
}
