package repocheck

import (
	"strings"
	"testing"
)

func TestCheckWhitepaper(t *testing.T) {
	tests := map[string]bool{"TestNode_starts": true}
	exists := func(path string) bool { return path == "node" || path == "web/e2e/call.mjs" }
	for _, test := range []struct{ name, row, want string }{
		{"not yet", "| 1 | Title | not yet | | planned |", ""},
		{"no code", "| 1 | Title | no code | | |", ""},
		{"code and test", "| 1.2 | Title | `node` | `TestNode_starts` | |", ""},
		{"end-to-end file as a test", "| 1.2 | Title | `node` | `web/e2e/call.mjs` | |", ""},
		{"code without a test", "| 1.2 | Title | `node` | | |", "section 1.2 names code and a test"},
		{"prose instead of a path", "| 1.2 | Title | the node | `TestNode_starts` | |", "section 1.2 names code and a test"},
		{"path that went", "| 1.2 | Title | `gone` | `TestNode_starts` | |", "names gone, which does not exist"},
		{"test that went", "| 1.2 | Title | `node` | `TestNode_stops` | |", "names the test TestNode_stops, which does not exist"},
		{"no table", "nothing", "has no rows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := CheckWhitepaper([]byte(test.row+"\n"), tests, exists)
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("got %q, want nothing", found)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0], test.want)):
				t.Errorf("got %q, want one sentence with %q", found, test.want)
			}
		})
	}
}
