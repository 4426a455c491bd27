package repocheck

import (
	"fmt"
	"slices"
	"strings"
)

// notInCores are standard packages that belong to shells. A package below one
// of them is meant too, unless coreExceptions names it.
var notInCores = []string{"net", "os", "log", "sync", "syscall", "testing", "math/rand", "embed", "plugin"}

var coreExceptions = []string{"net/netip", "net/url", "math/rand/v2"}

// CheckImports returns one sentence for every arrow of g that points the wrong
// way. Production imports are followed through any number of steps; imports of
// tests count only where a test would join two roles.
func (r Rules) CheckImports(g Graph) []string {
	var found []string
	for _, full := range g.Own(r.Module) {
		path := r.below(full)
		entry, ok := r.Classify(path)
		if !ok {
			found = append(found, fmt.Sprintf("%s: not classified; give it a line in internal/repocheck/packages.go", path))
			continue
		}
		found = append(found, r.checkKinds(g, entry, path)...)
		found = append(found, r.checkRoles(g, entry, path)...)
		found = append(found, r.checkOwners(g, path)...)
		if entry.Kind == Core || entry.Kind == Vocabulary {
			found = append(found, r.checkCore(g, entry, path)...)
		}
	}
	for _, a := range r.Apart {
		found = append(found, r.checkApart(g, a)...)
	}
	return found
}

// allowed lists, for every kind, the kinds of our own packages that it may import.
var allowed = map[Kind][]Kind{
	Vocabulary:  {},
	Core:        {Vocabulary, Core},
	Generated:   {Generated},
	Shell:       {Vocabulary, Core, Generated, Shell},
	Composition: {Vocabulary, Core, Shell},
	Program:     {Vocabulary, Core, Shell, Composition, Program},
	TestOnly:    {Vocabulary, Core, Generated, Shell, Composition, Program, TestOnly},
}

func (r Rules) checkKinds(g Graph, entry Entry, path string) []string {
	var found []string
	for _, imported := range g[r.full(path)].Imports {
		if !within(imported, r.Module) {
			continue
		}
		other, ok := r.Classify(r.below(imported))
		if ok && !slices.Contains(allowed[entry.Kind], other.Kind) {
			found = append(found, fmt.Sprintf("%s (%s) imports %s (%s): a %s imports %s; %s is here because: %s",
				name(path), entry.Kind, other.Path, other.Kind, entry.Kind, kinds(allowed[entry.Kind]), name(path), entry.Reason))
		}
	}
	return found
}

// checkRoles holds that no role reaches another, tests included.
func (r Rules) checkRoles(g Graph, entry Entry, path string) []string {
	role := r.role(path)
	if role == "" || entry.Kind == Program || entry.Kind == TestOnly {
		return nil
	}
	foreign := func(p string) bool {
		if !within(p, r.Module) {
			return false
		}
		other := r.role(r.below(p))
		return other != "" && other != role
	}
	var found []string
	if chain := g.Chain(r.full(path), foreign); chain != nil {
		found = append(found, fmt.Sprintf("%s reaches another role: %s; roles meet in proto/ and in the root package", path, r.arrow(chain)))
	}
	p := g[r.full(path)]
	for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
		if foreign(imported) {
			found = append(found, fmt.Sprintf("a test of %s imports another role, %s; put the test into devnet or cmd/drtc", path, r.below(imported)))
		}
	}
	return found
}

func (r Rules) checkOwners(g Graph, path string) []string {
	entry, _ := r.Classify(path)
	if entry.Kind == TestOnly {
		return nil
	}
	var found []string
	for _, imported := range g[r.full(path)].Imports {
		for _, o := range r.Owners {
			if !within(imported, o.Module) || slices.ContainsFunc(o.Packages, func(owner string) bool { return within(path, owner) }) {
				continue
			}
			who := "tests only"
			if len(o.Packages) > 0 {
				who = strings.Join(o.Packages, ", ") + " only"
			}
			found = append(found, fmt.Sprintf("%s imports %s, which is for %s: %s", path, imported, who, o.Reason))
		}
	}
	return found
}

// checkCore holds that a core, and every package of ours behind it, touches
// neither the world nor a third-party package that is not a pure codec.
func (r Rules) checkCore(g Graph, entry Entry, path string) []string {
	var found []string
	for _, imported := range g[r.full(path)].Imports {
		switch {
		case within(imported, r.Module) || imported == "C" || imported == "unsafe":
		case standard(g, imported):
			if under(imported, notInCores) && !under(imported, coreExceptions) {
				found = append(found, fmt.Sprintf("%s is a %s (%s) and imports %s: move what needs it into a shell", name(path), entry.Kind, entry.Reason, imported))
			}
		case entry.Kind == Vocabulary || !under(imported, r.Pure):
			found = append(found, fmt.Sprintf("%s is a %s and imports %s, which is not in the list of pure packages", name(path), entry.Kind, imported))
		}
	}
	return found
}

func (r Rules) checkApart(g Graph, a Apart) []string {
	if g[r.full(a.Package)] == nil {
		return nil
	}
	var found []string
	for _, never := range a.Never {
		chain := g.Chain(r.full(a.Package), func(p string) bool {
			return within(p, never) && !under(p, a.Except)
		})
		if chain != nil {
			found = append(found, fmt.Sprintf("%s reaches %s: %s; %s", a.Package, never, r.arrow(chain), a.Reason))
		}
	}
	return found
}

func (r Rules) full(path string) string {
	if path == "" {
		return r.Module
	}
	return r.Module + "/" + path
}

func (r Rules) below(full string) string {
	return strings.TrimPrefix(strings.TrimPrefix(full, r.Module), "/")
}

func (r Rules) arrow(chain []string) string {
	short := make([]string, len(chain))
	for i, p := range chain {
		short[i] = p
		if within(p, r.Module) {
			short[i] = name(r.below(p))
		}
	}
	return strings.Join(short, " -> ")
}

func name(path string) string {
	if path == "" {
		return "the root package"
	}
	return path
}

func kinds(list []Kind) string {
	if len(list) == 0 {
		return "none of our packages"
	}
	words := make([]string, len(list))
	for i, k := range list {
		words[i] = string(k)
	}
	return strings.Join(words, ", ") + " only"
}

func under(path string, bases []string) bool {
	return slices.ContainsFunc(bases, func(base string) bool { return within(path, base) })
}

// standard reports whether a package belongs to Go. One that g does not hold
// is told by the dot that the first word of every other import path has.
func standard(g Graph, path string) bool {
	if p := g[path]; p != nil {
		return p.Standard
	}
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
