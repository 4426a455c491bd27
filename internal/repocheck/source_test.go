package repocheck

import (
	"strings"
	"testing"
)

func TestCheckFile(t *testing.T) {
	rules := Rules{Packages: []Entry{{"core", Core, ""}, {"shell", Shell, ""}, {"web/e2e", TestOnly, ""}}}
	for _, test := range []struct {
		name, path, source string
		want               string // part of the only sentence; empty when nothing is wrong
	}{
		{"shell may read the clock", "shell/a.go", `import "time"; var _ = time.Now`, ""},
		{"core reads the clock", "core/a.go", `import "time"; func f() { _ = time.Now() }`, "core/a.go:2: time.Now in a core"},
		{"core under another name", "core/a.go", `import clock "time"; func f(t clock.Time) { _ = clock.Since(t) }`, "time.Since in a core"},
		{"core may name durations", "core/a.go", `import "time"; const d = 2 * time.Second`, ""},
		{"core's test may read the clock", "core/a_test.go", `import "time"; var _ = time.Now`, ""},
		{"core starts a goroutine", "core/a.go", `func f() { go f() }`, "a goroutine in a core"},
		{"core uses the global random source", "core/a.go", `import "math/rand/v2"; var _ = rand.IntN(3)`, "rand.IntN in a core"},
		{"core uses a generic random function", "core/a.go", `import "math/rand/v2"; var _ = rand.N[int](3)`, "rand.N in a core"},
		{"core takes a seeded source", "core/a.go", `import "math/rand/v2"; func f(r *rand.Rand) { r = rand.New(rand.NewPCG(1, 2)); r.IntN(3) }`, ""},
		{"init function", "shell/a.go", `func init() {}`, "init function"},
		{"method called init", "shell/a.go", `type T int; func (T) init() {}`, ""},
		{"blank import", "shell/a.go", `import _ "net/http/pprof"`, "blank import"},
		{"embed", "shell/a.go", `import _ "embed"`, ""},
		{"hash for crypto.Hash", "shell/a.go", `import _ "crypto/sha256"`, ""},
		{"large interface", "shell/a.go", `type I interface { A(); B(); C(); D(); E(); F() }`, "an interface of 6 methods"},
		{"interface of five", "shell/a.go", `type I interface { A(); B(); C(); D(); E() }`, ""},
		{"sleep in a test", "shell/a_test.go", `import "time"; func f() { time.Sleep(1) }`, "time.Sleep in a test"},
		{"sleep in a bubble", "shell/a_test.go", `import ("time"; "testing/synctest"); func f(t int) { synctest.Test(t, func(int) { time.Sleep(1) }) }`, ""},
		{"sleep beside a bubble", "shell/a_test.go", `import ("time"; "testing/synctest"); func f(t int) { synctest.Test(t, nil); time.Sleep(1) }`, "time.Sleep in a test"},
		{"sleep in the end-to-end lane", "web/e2e/a_test.go", `import "time"; func f() { time.Sleep(1) }`, ""},
		{"sleep in the product", "shell/a.go", `import "time"; func f() { time.Sleep(1) }`, ""},
		{"skipped test", "shell/a_test.go", `import "testing"; func TestA(t *testing.T) { t.Skipf("no root") }`, "t.Skipf"},
		{"file name that says nothing", "shell/utils.go", ``, `the name "utils" says nothing`},
		{"package name that says nothing", "common/a_test.go", ``, `the name "common" says nothing`},
		{"word inside a name", "shell/database.go", ``, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := ParseFile(test.path, []byte("package p\n"+test.source+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			found := rules.CheckFile(f)
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("got %q, want nothing", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("got %q, want one sentence with %q", found, test.want)
			}
		})
	}
}

func TestCheckPackageComments(t *testing.T) {
	var files []File
	for path, source := range map[string]string{
		"good/doc.go":      "// Package good is good.\n//\n// It never fails.\npackage good\n",
		"good/more.go":     "package good\n",
		"short/short.go":   "// Package short is short.\npackage short\n",
		"silent/a.go":      "package silent\n",
		"silent/a_test.go": "package silent\n",
	} {
		f, err := ParseFile(path, []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	found := CheckPackageComments(files)
	if len(found) != 2 || !strings.HasPrefix(found[0], "short: ") || !strings.HasPrefix(found[1], "silent: ") {
		t.Errorf("got %q, want one sentence each about short and silent", found)
	}
}

func TestCheckLength_needsAReason(t *testing.T) {
	f, err := ParseFile("a.go", []byte("package a\n"+strings.Repeat("// line\n", maxFileLines)))
	if err != nil {
		t.Fatal(err)
	}
	if found := CheckLength(f, nil); len(found) != 1 {
		t.Errorf("%d lines without a reason: got %q, want one sentence", f.Lines, found)
	}
	if found := CheckLength(f, map[string]string{"a.go": "a table"}); len(found) != 0 {
		t.Errorf("%d lines with a reason: got %q, want nothing", f.Lines, found)
	}
}
