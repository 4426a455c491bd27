package repocheck

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckText(t *testing.T) {
	open := "// TO" + "DO later"
	for _, test := range []struct {
		name, path, text string
		want             string
	}{
		{"plain", "a.go", "package a", ""},
		{"left open in Go", "a.go", open, "a.go:1: left open"},
		{"left open in TypeScript", "web/app/a.ts", "\n" + open, "a.ts:2: left open"},
		{"left open in the Makefile", "Makefile", "# FIX" + "ME", "left open"},
		{"the word in prose", "docs/a.md", open, ""},
		{"word inside a word", "a.go", "// TO" + "DOS", ""},
		{"machine path", "docs/a.md", "see /ho" + "me/somebody/x", "a path of one machine"},
		{"machine path in quotes", "a.go", `"/ro` + `ot/go"`, "a path of one machine"},
		{"the same words inside a path", "a.go", "net/wo" + "rk/x", ""},
		{"registry host", ".ci/run", "https://registry.np" + "mjs.org/x", "registry's host"},
		{"lock file with addresses", "web/package-lock.json", `"resolved": "https://example.org/x.tgz",`, "records a download address"},
		{"generated code", "gen/a.go", open, ""},
		{"binary", "a.go", "\x00" + open, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := CheckText(test.path, []byte(test.text))
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("got %q, want nothing", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("got %q, want one sentence with %q", found, test.want)
			}
		})
	}
}

const goMod = `module example.org/m

go 1.26.0

require example.com/single v1.0.0

require (
	example.com/listed v1.0.0
	example.com/behind v1.0.0 // indirect
)
`

func TestDirectModules(t *testing.T) {
	got := DirectModules([]byte(goMod))
	if want := []string{"example.com/single", "example.com/listed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckDependencies(t *testing.T) {
	full := "| `example.com/single` | one thing |\n| `example.com/listed` | another |\n"
	for _, test := range []struct{ name, doc, want string }{
		{"complete", full, ""},
		{"row of an npm package", full + "| `vite` | bundles |\n", ""},
		{"row missing", "| `example.com/single` | one thing |\n", "requires example.com/listed"},
		{"reason missing", "| `example.com/single` | |\n| `example.com/listed` | another |\n", "requires example.com/single"},
		{"row of a module that went", full + "| `example.com/gone` | was useful |\n", "lists example.com/gone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := CheckDependencies([]byte(goMod), []byte(test.doc))
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("got %q, want nothing", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("got %q, want one sentence with %q", found, test.want)
			}
		})
	}
}

func TestCheckDependencies_noReplace(t *testing.T) {
	mod := "module example.org/m\n\nreplace example.com/a => ../a\n"
	if found := CheckDependencies([]byte(mod), nil); len(found) != 1 || !strings.Contains(found[0], "replaces a module") {
		t.Errorf("got %q, want one sentence about the replacement", found)
	}
}

func TestReadReasons_pathWithoutReasonIsAnError(t *testing.T) {
	if _, err := ReadReasons([]byte("# list\na.go\n")); err == nil {
		t.Error("got no error for a path without a reason")
	}
	reasons, err := ReadReasons([]byte("# list\n\na.go  a table of codes\n"))
	if err != nil || reasons["a.go"] != "a table of codes" {
		t.Errorf("got %q, %v; want a table of codes", reasons, err)
	}
}
