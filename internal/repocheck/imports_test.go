package repocheck

import (
	"strings"
	"testing"
)

// fixture is a module of two roles with a wire package and two heavy modules.
func fixture() Rules {
	return Rules{
		Module: "example.org/m",
		Packages: []Entry{
			{"", Vocabulary, "words"},
			{"node", Composition, "a role"},
			{"node/engine/...", Core, "decides"},
			{"node/transport", Shell, "sockets"},
			{"shop", Composition, "another role"},
			{"shop/store", Shell, "disk"},
			{"gen/...", Generated, "wire types"},
			{"kit", TestOnly, "fixtures"},
			{"cmd/m", Program, "the binary"},
		},
		Roles:  []string{"node", "shop"},
		Pure:   []string{"example.com/codec"},
		Owners: []Owner{{"example.com/disk", []string{"shop/store"}, "one package knows the disk"}, {"example.com/oracle", nil, "for tests"}},
		Apart:  []Apart{{"node", []string{"example.com/disk"}, []string{"example.com/disk/hash"}, "a node has no disk"}},
	}
}

// graphOf reads lines "package: import import | test-import".
func graphOf(text string) Graph {
	g := Graph{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		path, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		production, tests, _ := strings.Cut(rest, "|")
		g[path] = &Package{ImportPath: path, Imports: strings.Fields(production), TestImports: strings.Fields(tests)}
	}
	for _, std := range []string{"os", "net", "net/http", "net/netip", "fmt", "sync", "math/rand", "math/rand/v2"} {
		g[std] = &Package{ImportPath: std, Standard: true}
	}
	return g
}

func TestCheckImports(t *testing.T) {
	for _, test := range []struct {
		name, graph string
		want        string // part of the only sentence; empty when nothing is wrong
	}{
		{"arrows as they should be", `
			example.org/m: fmt
			example.org/m/node: example.org/m/node/transport example.org/m/node/engine/ring
			example.org/m/node/transport: net example.org/m/gen/v1 example.org/m/node/engine/ring
			example.org/m/node/engine/ring: net/netip math/rand/v2 example.com/codec/h264 example.org/m | os example.com/oracle
			example.org/m/gen/v1: net
			example.org/m/shop/store: example.com/disk
			example.org/m/cmd/m: example.org/m/node`, ""},
		{"package without a line", `example.org/m/new: fmt`, "new: not classified"},
		{"core opens a file", `example.org/m/node/engine: os`, "node/engine is a core (decides) and imports os"},
		{"core below a tree pattern", `example.org/m/node/engine/ring: net/http`, "node/engine/ring is a core (decides) and imports net/http"},
		{"core takes a lock", `example.org/m/node/engine: sync`, "imports sync"},
		{"core uses the old random source", `example.org/m/node/engine: math/rand`, "imports math/rand"},
		{"core uses a foreign package", `example.org/m/node/engine: example.com/codecs`, "not in the list of pure packages"},
		{"core imports wire types", `
			example.org/m/node/engine: example.org/m/gen/v1
			example.org/m/gen/v1: fmt`, "node/engine (core) imports gen/... (generated)"},
		{"vocabulary opens a socket", `example.org/m: net`, "the root package is a vocabulary"},
		{"vocabulary uses a foreign package", `example.org/m: example.com/codec`, "not in the list of pure packages"},
		{"composition imports wire types", `
			example.org/m/node: example.org/m/gen/v1
			example.org/m/gen/v1: fmt`, "node (composition) imports gen/... (generated)"},
		{"product imports test support", `
			example.org/m/node/transport: example.org/m/kit
			example.org/m/kit: fmt`, "node/transport (shell) imports kit (test only)"},
		{"role imports a role", `
			example.org/m/node/transport: example.org/m/shop/store
			example.org/m/shop/store: fmt`, "node/transport reaches another role: node/transport -> shop/store"},
		{"test joins two roles", `
			example.org/m/node/transport: fmt | example.org/m/shop/store
			example.org/m/shop/store: fmt`, "a test of node/transport imports another role, shop/store"},
		{"second importer of a heavy module", `example.org/m/shop: example.com/disk/v2`, "shop imports example.com/disk/v2, which is for shop/store only"},
		{"oracle outside tests", `example.org/m/shop: example.com/oracle`, "which is for tests only"},
		{"forbidden module behind a foreign one", `
			example.org/m/node: example.com/innocent
			example.com/innocent: example.com/disk/v2
			example.com/disk/v2: fmt`, "node -> example.com/innocent -> example.com/disk/v2; a node has no disk"},
		{"exception below a forbidden module", `
			example.org/m/node: example.com/innocent
			example.com/innocent: example.com/disk/hash
			example.com/disk/hash: fmt`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := fixture().CheckImports(graphOf(test.graph))
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("got %q, want nothing", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("got %q, want one sentence with %q", found, test.want)
			}
		})
	}
}

func TestClassify_longestMatchWins(t *testing.T) {
	r := Rules{Packages: []Entry{{"a/...", Shell, ""}, {"a/b", Core, ""}}}
	for path, want := range map[string]Kind{"a": Shell, "a/b": Core, "a/b/c": Shell, "a/c": Shell} {
		if got, _ := r.Classify(path); got.Kind != want {
			t.Errorf("Classify(%q) = %s, want %s", path, got.Kind, want)
		}
	}
	if got, ok := r.Classify("ab"); ok {
		t.Errorf("Classify(ab) = %v, want nothing: ab is not below a", got)
	}
}

func TestLoad_closedGraph(t *testing.T) {
	g, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	module := Repository().Module
	self := g[module+"/internal/repocheck"]
	if self == nil {
		t.Fatalf("%s/internal/repocheck is not in the graph of %d packages", module, len(g))
	}
	if g["go/parser"] == nil || !g["go/parser"].Standard {
		t.Error("go/parser, which this package imports, is not in the graph as standard")
	}
	if chain := g.Chain(self.ImportPath, func(p string) bool { return p == "go/token" }); len(chain) < 2 {
		t.Errorf("chain to go/token: got %q, want one", chain)
	}
}
