package repocheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Package is what "go list" says of one package.
type Package struct {
	ImportPath   string
	Standard     bool
	Imports      []string
	TestImports  []string
	XTestImports []string
	Incomplete   bool
	Error        *struct{ Err string }
}

// Graph maps import paths to packages. It is closed: every import of a package
// that is not a test's is in it.
type Graph map[string]*Package

// Load lists the packages of the module in dir and all that they import.
func Load(dir string) (Graph, error) {
	cmd := exec.Command("go", "list", "-e", "-deps",
		"-json=ImportPath,Standard,Imports,TestImports,XTestImports,Incomplete,Error", "./...")
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("repocheck: go list: %w: %s", err, stderr.String())
	}
	g := Graph{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return g, nil
		} else if err != nil {
			return nil, fmt.Errorf("repocheck: reading go list: %w", err)
		}
		if p.Error != nil {
			return nil, fmt.Errorf("repocheck: go list: %s: %s", p.ImportPath, p.Error.Err)
		}
		g[p.ImportPath] = &p
	}
}

// Own returns the import paths of the module's packages, sorted.
func (g Graph) Own(module string) []string {
	var own []string
	for path := range g {
		if within(path, module) {
			own = append(own, path)
		}
	}
	slices.Sort(own)
	return own
}

// Chain returns the shortest chain of imports from a package to one that
// matches, both ends included, or nil. The package itself is not tried.
func (g Graph) Chain(from string, match func(path string) bool) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := g[queue[0]]
		if p == nil {
			continue
		}
		for _, next := range p.Imports {
			if _, seen := cameFrom[next]; seen {
				continue
			}
			cameFrom[next] = queue[0]
			if match(next) {
				return trace(cameFrom, next)
			}
			queue = append(queue, next)
		}
	}
	return nil
}

func trace(cameFrom map[string]string, end string) []string {
	var chain []string
	for at := end; at != ""; at = cameFrom[at] {
		chain = append(chain, at)
	}
	slices.Reverse(chain)
	return chain
}

// within reports whether path is base or lies below it.
func within(path, base string) bool {
	return path == base || strings.HasPrefix(path, base+"/")
}

// cutTree splits a final "/..." off.
func cutTree(pattern string) (base string, tree bool) {
	return strings.CutSuffix(pattern, "/...")
}
