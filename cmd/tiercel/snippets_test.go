package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var consoleBlock = regexp.MustCompile("(?s)```console\n(.*?)```")

// The commands in README and tutorials give the output printed there. A line
// "…" stands for any number of lines. What `make demo` runs has its own test.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tool, err := exec.LookPath("tiercel") // this test's own binary, see TestMain
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "docs/tutorial/scan-a-case.md", "docs/howto/generate-telemetry.md", "docs/howto/test-a-rule.md", "docs/howto/connect-an-agent.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, target := range map[string]string{"demo": filepath.Join(root, "demo"), "bin/tiercel": tool} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(filepath.Join(root, page))
			if err != nil {
				t.Fatal(err)
			}
			run := 0
			for _, block := range consoleBlock.FindAllStringSubmatch(string(text), -1) {
				for _, step := range strings.Split("\n"+block[1], "\n$ ")[1:] {
					command, want, _ := strings.Cut(step, "\n")
					if want != "" && !strings.HasSuffix(want, "\n") {
						want += "\n"
					}
					if strings.HasPrefix(command, "make ") {
						continue
					}
					run++
					c := exec.Command("bash", "-c", command)
					c.Dir = dir
					out, err := c.CombinedOutput()
					if err != nil {
						t.Errorf("%s: %v\n%s", command, err, out)
					}
					if !fits(string(out), want) {
						t.Errorf("%s prints\n%s\nthe page says\n%s", command, out, want)
					}
				}
			}
			if run == 0 {
				t.Error("no command was found")
			}
		})
	}
}

// fits reports whether out is want, where lines "…" of want stand for any
// number of lines.
func fits(out, want string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range strings.SplitAfter(want, "\n") {
		if line == "…\n" {
			pattern.WriteString(`(.*\n)*?`)
		} else {
			pattern.WriteString(regexp.QuoteMeta(line))
		}
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(out)
}

// The configuration that a guide shows is sound, but for files that are not
// there.
func TestDocumentedConfiguration(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("tiercel")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/howto/run-in-production.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the page has no configuration")
	}
	name := filepath.Join(t.TempDir(), "tiercel.yaml")
	if err := os.WriteFile(name, block[1], 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(tool, "config", "check", name)
	c.Env = append(os.Environ(), "DESK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	out, _ := c.CombinedOutput() // it fails for what is not there
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "no such file or directory") {
			t.Error(line)
		}
	}
	if !strings.Contains(string(out), "cert.pem") {
		t.Errorf("the check did not reach the certificate: %s", out)
	}
}

// Every file that a page links to exists, and every section.
func TestDocumentedLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^):]+)?\)`)
	root := "../.."
	pages, err := filepath.Glob(root + "/docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, root+"/README.md", root+"/CONTRIBUTING.md", root+"/demo/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := filepath.Join(filepath.Dir(page), m[1])
			if m[1] == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			} else if m[2] != "" && !slices.Contains(sections(t, target), m[2][1:]) {
				t.Errorf("%s links to %s, where there is no section %s", page, m[1], m[2])
			}
		}
	}
}

// sections are the anchors of a page's headings, as the usual renderers make
// them.
func sections(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		anchor := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
				return unicode.ToLower(c)
			}
			return -1
		}, m[1])
		out = append(out, anchor)
	}
	return out
}
