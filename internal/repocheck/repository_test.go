package repocheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder, seen from this package.
const root = "../.."

func report(t *testing.T, found []string) {
	t.Helper()
	for _, sentence := range found {
		t.Error(sentence)
	}
}

func TestRepository_importsFollowTheArrows(t *testing.T) {
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	report(t, Repository().CheckImports(g))
}

func TestRepository_goFiles(t *testing.T) {
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("long_files.txt")
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := ReadReasons(text)
	if err != nil {
		t.Fatal(err)
	}
	rules := Repository()
	for _, f := range files {
		report(t, rules.CheckFile(f))
		report(t, CheckLength(f, reasons))
		if f.Lines > maxFileLines {
			delete(reasons, f.Path)
		}
	}
	for name := range reasons {
		t.Errorf("long_files.txt lists %s, which is not a long file any more", name)
	}
	report(t, CheckPackageComments(files))
}

func TestRepository_texts(t *testing.T) {
	read := 0
	err := Walk(root, func(name string, read1 func() ([]byte, error)) error {
		text, err := read1()
		if err != nil {
			return err
		}
		read++
		report(t, CheckText(name, text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 20 {
		t.Errorf("read %d files of the tree; the walk is broken", read)
	}
}

func TestRepository_everyDependencyHasAReason(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, CheckDependencies(goMod, doc))

	manifest, err := os.ReadFile(filepath.Join(root, "web/package.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	var npm struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal(manifest, &npm); err != nil {
		t.Fatal(err)
	}
	for _, list := range []map[string]string{npm.Dependencies, npm.DevDependencies} {
		for module := range list {
			if !bytes.Contains(doc, []byte("`"+module+"`")) {
				t.Errorf("web/package.json needs %s, which docs/dependencies.md does not give a reason for", module)
			}
		}
	}
}

// The linter sees direct imports while one types; these tests see everything.
// The race detector runs over what is not a core. All must mean the same
// packages when they say "core".
func TestRepository_linterAndMakefileKnowTheCores(t *testing.T) {
	linter, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(makefile), "\nCORES :=")
	list, _, _ = strings.Cut(list, "\n")
	var cores []string
	for _, e := range Repository().Packages {
		if e.Kind != Core {
			continue
		}
		base, _ := cutTree(e.Path)
		cores = append(cores, base)
		if !strings.Contains(string(linter), `"**/`+base+`/**"`) {
			t.Errorf(".golangci.yml does not list the core %s", base)
		}
	}
	got := strings.Fields(list)
	slices.Sort(got)
	slices.Sort(cores)
	if !slices.Equal(got, cores) {
		t.Errorf("the Makefile's CORES are %q, want %q", got, cores)
	}
}

func TestRepository_whitepaperTableIsTrue(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs/whitepaper.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	report(t, CheckWhitepaper(doc, DeclaredTests(files), func(path string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
		return err == nil
	}))
}
