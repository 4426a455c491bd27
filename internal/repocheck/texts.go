package repocheck

import (
	"bufio"
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The words are spelled apart so that this file does not match itself.
var (
	leftOpen = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	// machine matches paths of somebody's machine and hosts of package registries.
	machine = regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(wo` + `rk|ro` + `ot|ho` + `me|fa` + `rm)/|` +
		`proxy\.gol` + `ang\.|registry\.np` + `mjs\.|deb\.deb` + `ian\.`)
	resolved = regexp.MustCompile(`"resolved": *"https?:`)
)

// sources are the ends of file names in which nothing is left open.
var sources = []string{".go", ".ts", ".mjs", ".css", ".html", ".sol", ".proto", ".sh", ".yml", ".yaml"}

// CheckText returns one sentence for every line of a file that names a machine,
// a registry's download address, or work left open.
func CheckText(name string, text []byte) []string {
	if path.Ext(name) == ".sum" || within(name, "gen") || !isText(text) {
		return nil
	}
	lock := strings.HasSuffix(name, "package-lock.json")
	source := path.Base(name) == "Makefile"
	for _, end := range sources {
		source = source || strings.HasSuffix(name, end)
	}
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		switch {
		case lock && resolved.Match(line):
			found = append(found, fmt.Sprintf("%s:%d: the lock file records a download address; put omit-lockfile-registry-resolved=true into .npmrc", name, n))
		case machine.Match(line):
			found = append(found, fmt.Sprintf("%s:%d: a path of one machine or a registry's host: %.80s", name, n, bytes.TrimSpace(line)))
		case source && leftOpen.Match(line):
			found = append(found, fmt.Sprintf("%s:%d: left open: finish it, or write it into docs/", name, n))
		}
	}
	return found
}

func isText(b []byte) bool {
	return !bytes.Contains(b[:min(len(b), 8000)], []byte{0})
}

// ReadReasons reads lines "path reason", with blank lines and lines that start
// with # left out. A path without a reason is an error.
func ReadReasons(text []byte) (map[string]string, error) {
	reasons := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, reason, _ := strings.Cut(line, " ")
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("repocheck: %s is listed without a reason", name)
		}
		reasons[name] = strings.TrimSpace(reason)
	}
	return reasons, nil
}

// DirectModules returns the modules that a go.mod requires directly.
func DirectModules(goMod []byte) []string {
	var modules []string
	inBlock := false
	for _, line := range strings.Split(string(goMod), "\n") {
		line = strings.TrimSpace(line)
		switch line {
		case "require (":
			inBlock = true
			continue
		case ")":
			inBlock = false
		}
		single, isSingle := strings.CutPrefix(line, "require ")
		if isSingle {
			line = single
		}
		if fields := strings.Fields(line); (inBlock || isSingle) && len(fields) >= 2 && !strings.Contains(line, "// indirect") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

var replaced = regexp.MustCompile(`(?m)^replace[ (]`)

var dependencyRow = regexp.MustCompile("(?m)^\\| *`([^`]+)` *\\|([^|]*)\\|")

// CheckDependencies compares the modules of go.mod with the rows of
// docs/dependencies.md: "| `module` | reason | ...".
func CheckDependencies(goMod, doc []byte) []string {
	reasons := map[string]string{}
	for _, row := range dependencyRow.FindAllSubmatch(doc, -1) {
		reasons[string(row[1])] = strings.TrimSpace(string(row[2]))
	}
	var found []string
	if replaced.Match(goMod) {
		found = append(found, "go.mod replaces a module: whoever imports this module does not get the replacement")
	}
	direct := map[string]bool{}
	for _, m := range DirectModules(goMod) {
		direct[m] = true
		if reasons[m] == "" {
			found = append(found, fmt.Sprintf("go.mod requires %s, which docs/dependencies.md does not give a reason for", m))
		}
	}
	for m := range reasons {
		if strings.Contains(m, ".") && strings.Contains(m, "/") && !direct[m] {
			found = append(found, fmt.Sprintf("docs/dependencies.md lists %s, which go.mod does not require", m))
		}
	}
	slices.Sort(found)
	return found
}
