package devnet

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/identity/keyfile"
)

func TestMembers_listNamesTheKeysAndItsSerialRises(t *testing.T) {
	l, err := openLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	write := func(registries int, serial string) members {
		t.Helper()
		m, err := l.members(registries)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(m.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range append([]string{`"serial": ` + serial, `"any_node": true`, m.orchestrator.String()}, ids(m)...) {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
		return m
	}
	four := write(4, "1")
	again := write(4, "1")
	three := write(3, "2")
	if !slices.Equal(four.registries, again.registries) || !slices.Equal(four.registries[:3], three.registries) {
		t.Errorf("ids of one folder differ: %v, %v, %v", four, again, three)
	}
	for i, id := range four.registries {
		h, err := l.child(registryName(i))
		if err != nil {
			t.Fatal(err)
		}
		if key, err := keyfile.Load(h.key()); err != nil || key.ID() != id {
			t.Errorf("%s: %v, want the key of %s where the Registry looks for it", registryName(i), err, id)
		}
	}
	if err := os.WriteFile(four.file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.members(4); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("garbage in the list: got %v", err)
	}
}

func ids(m members) []string {
	var all []string
	for _, id := range m.registries {
		all = append(all, id.String())
	}
	return all
}

func TestHomesOf_threeEachInTurn(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for node, want := range []string{"a b c", "b c d", "c d a", "d a b", "a b c"} {
		if got := strings.Join(homesOf(node, four), " "); got != want {
			t.Errorf("node %d: got %s, want %s", node, got, want)
		}
	}
	if got := homesOf(5, four[:2]); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("of two: got %v", got)
	}
}
