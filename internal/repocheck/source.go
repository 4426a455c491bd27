package repocheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Limits of a Go file and of a package comment in lines, and of an interface.
const (
	maxFileLines       = 600
	minPackageDocLines = 3
	maxMethods         = 5 // of an interface; embedded ones count as one
)

// notOurs are folders that hold nothing written here.
var notOurs = []string{".git", "node_modules", "bin", "dist", "testdata"}

// notByHand are folders whose Go files follow another hand: generated code, and
// the list of imports that keeps go.mod whole while packages are missing.
var notByHand = []string{"gen", "chain/bindings/bindings.go"}

// nothingNames are words that say nothing about what a package or file holds.
var nothingNames = []string{"util", "utils", "helper", "helpers", "common", "misc", "manager", "impl", "data"}

// File is one Go file of the tree.
type File struct {
	Path   string // slash separated, below the module's root
	Syntax *ast.File
	Set    *token.FileSet
	Lines  int
}

// ParseFile reads source text as the file at path.
func ParseFile(name string, source []byte) (File, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, fmt.Errorf("repocheck: parsing %s: %w", name, err)
	}
	return File{name, syntax, set, strings.Count(string(source), "\n")}, nil
}

// Files parses every Go file below root that was written by hand; folders with
// a go.mod of their own are other modules and left out.
func Files(root string) ([]File, error) {
	var files []File
	err := Walk(root, func(name string, read func() ([]byte, error)) error {
		if path.Ext(name) != ".go" || under(name, notByHand) {
			return nil
		}
		source, err := read()
		if err != nil {
			return err
		}
		f, err := ParseFile(name, source)
		files = append(files, f)
		return err
	})
	return files, err
}

// Walk calls visit for every regular file below root that belongs to the tree.
func Walk(root string, visit func(name string, read func() ([]byte, error)) error) error {
	return filepath.WalkDir(root, func(full string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case entry.IsDir() && slices.Contains(notOurs, entry.Name()):
			return filepath.SkipDir
		case !entry.Type().IsRegular() || entry.Name() == ".git":
			return nil
		}
		return visit(name, func() ([]byte, error) { return os.ReadFile(full) })
	})
}

// CheckFile returns one sentence for every rule that the file breaks by itself.
func (r Rules) CheckFile(f File) []string {
	c := fileCheck{file: f, test: strings.HasSuffix(f.Path, "_test.go")}
	entry, _ := r.Classify(dir(f.Path))
	c.names()
	c.blankImports()
	c.initFunctions()
	c.interfaces()
	if c.test {
		if !within(f.Path, "web/e2e") {
			c.sleeps()
		}
		c.skips()
	} else if entry.Kind == Core || entry.Kind == Vocabulary {
		c.clockAndGoroutines()
	}
	return c.found
}

// CheckLength returns a sentence when the file is longer than the limit and
// not in reasons, which maps paths to why the file is one idea.
func CheckLength(f File, reasons map[string]string) []string {
	if f.Lines <= maxFileLines || reasons[f.Path] != "" {
		return nil
	}
	return []string{fmt.Sprintf("%s has %d lines: split it by idea, or write its reason into internal/repocheck/long_files.txt", f.Path, f.Lines)}
}

// CheckPackageComments returns a sentence for every package of files without a
// comment of at least three lines.
func CheckPackageComments(files []File) []string {
	longest := map[string]int{}
	for _, f := range files {
		d := dir(f.Path)
		lines := 0
		if f.Syntax.Doc != nil {
			lines = strings.Count(strings.TrimSpace(f.Syntax.Doc.Text()), "\n") + 1
		}
		longest[d] = max(longest[d], lines)
	}
	var found []string
	for d, lines := range longest {
		if lines < minPackageDocLines {
			found = append(found, fmt.Sprintf("%s: its package comment has %d lines, at least %d are wanted: what it is, its contract, its concurrency rule", name(d), lines, minPackageDocLines))
		}
	}
	slices.Sort(found)
	return found
}

type fileCheck struct {
	file  File
	test  bool
	found []string
}

func (c *fileCheck) report(at token.Pos, format string, args ...any) {
	line := c.file.Set.Position(at).Line
	c.found = append(c.found, fmt.Sprintf("%s:%d: %s", c.file.Path, line, fmt.Sprintf(format, args...)))
}

func (c *fileCheck) names() {
	words := strings.Split(strings.TrimSuffix(strings.TrimSuffix(c.file.Path, ".go"), "_test"), "/")
	for _, w := range words {
		if slices.Contains(nothingNames, w) {
			c.report(c.file.Syntax.Package, "the name %q says nothing; name the idea", w)
		}
	}
}

func (c *fileCheck) blankImports() {
	for _, imp := range c.file.Syntax.Imports {
		// The standard library asks for these: go:embed, and hashes for crypto.Hash.
		asked := imp.Path.Value == `"embed"` || strings.HasPrefix(imp.Path.Value, `"crypto/`)
		if imp.Name != nil && imp.Name.Name == "_" && !asked {
			c.report(imp.Pos(), "blank import of %s: call a constructor instead of registering by side effect", imp.Path.Value)
		}
	}
}

func (c *fileCheck) initFunctions() {
	for _, decl := range c.file.Syntax.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			c.report(f.Pos(), "init function: work happens where somebody calls it")
		}
	}
}

func (c *fileCheck) interfaces() {
	ast.Inspect(c.file.Syntax, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok && len(i.Methods.List) > maxMethods {
			c.report(i.Pos(), "an interface of %d methods: the consumer asks for what it needs, at most %d", len(i.Methods.List), maxMethods)
		}
		return true
	})
}

// sleeps reports time.Sleep outside a function literal given to synctest.Test,
// where the clock is false and the sleep takes no time.
func (c *fileCheck) sleeps() {
	clock, bubble := c.nameOf("time"), c.nameOf("testing/synctest")
	ast.Inspect(c.file.Syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if calls(call, bubble, "Test") {
			return false
		}
		if calls(call, clock, "Sleep") {
			c.report(call.Pos(), "time.Sleep in a test: use testing/synctest, a channel, or pass the time in")
		}
		return true
	})
}

func (c *fileCheck) skips() {
	ast.Inspect(c.file.Syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		for _, receiver := range []string{"t", "b", "f", "tb"} {
			for _, method := range []string{"Skip", "Skipf", "SkipNow"} {
				if calls(call, receiver, method) {
					c.report(call.Pos(), "%s.%s: a test runs or fails with a sentence that says what it needs", receiver, method)
				}
			}
		}
		return true
	})
}

var (
	clockFunctions  = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	seededFunctions = []string{"New", "NewPCG", "NewChaCha8", "NewZipf"}
)

// clockAndGoroutines reports what a core may not do with packages that it may
// import, and goroutines.
func (c *fileCheck) clockAndGoroutines() {
	clock, random := c.nameOf("time"), c.nameOf("math/rand/v2")
	ast.Inspect(c.file.Syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.report(n.Pos(), "a goroutine in a core: cores are single-threaded by contract")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if x.Name == clock && slices.Contains(clockFunctions, n.Sel.Name) {
				c.report(n.Pos(), "time.%s in a core: take now as an argument", n.Sel.Name)
			}
			if x.Name == random && ast.IsExported(n.Sel.Name) && c.called(n) && !slices.Contains(seededFunctions, n.Sel.Name) {
				c.report(n.Pos(), "rand.%s in a core: take a seeded *rand.Rand as an argument", n.Sel.Name)
			}
		}
		return true
	})
}

// called reports whether sel is the function of some call, not a type.
func (c *fileCheck) called(sel *ast.SelectorExpr) bool {
	found := false
	ast.Inspect(c.file.Syntax, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			fun := call.Fun
			if index, ok := fun.(*ast.IndexExpr); ok {
				fun = index.X
			}
			found = found || fun == sel
		}
		return !found
	})
	return found
}

// nameOf returns the name under which the file imports a package, or "".
func (c *fileCheck) nameOf(importPath string) string {
	for _, imp := range c.file.Syntax.Imports {
		if p, err := strconv.Unquote(imp.Path.Value); err != nil || p != importPath {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		if importPath == "math/rand/v2" {
			return "rand"
		}
		return path.Base(importPath)
	}
	return ""
}

func calls(call *ast.CallExpr, receiver, function string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || receiver == "" || sel.Sel.Name != function {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == receiver
}

// dir returns the folder of a path, "" for the module's root.
func dir(name string) string {
	if d := path.Dir(name); d != "." {
		return d
	}
	return ""
}
