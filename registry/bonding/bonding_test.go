package bonding_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/record"
)

const (
	alice = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
	bob   = "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"
	carol = "0x6813eb9362372eef6200f3b1dbc3f819671cba69"
)

func id(t testing.TB, text string) drtc.NodeID {
	t.Helper()
	v, err := drtc.ParseNodeID(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// write gives the file a time of its own, so that no test depends on the
// resolution of the disk's clock.
// write replaces the file in one step: who reads it meanwhile sees the old one.
func write(t testing.TB, path, text string, changed time.Time) {
	t.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(fresh, changed, changed); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, text string) (*bonding.File, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bonding.json")
	write(t, path, text, time.Now().Add(-time.Hour))
	f, err := bonding.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestFile_answersByRole(t *testing.T) {
	f, _ := open(t, `{"serial":1,"any_node":true,"registries":["`+alice+`","`+bob+`","`+alice+`"],
		"orchestrators":["`+carol+`"],"min_generation":{"`+bob+`":3}}`)
	for _, tt := range []struct {
		role record.Role
		id   string
		want bool
	}{
		{record.RoleNode, carol, true},
		{record.RoleRegistry, alice, true},
		{record.RoleRegistry, bob, true},
		{record.RoleRegistry, carol, false},
		{record.RoleOrchestrator, carol, true},
		{record.RoleOrchestrator, alice, false},
		{record.Role("admiral"), alice, false},
	} {
		if got := f.Bonded(tt.role, id(t, tt.id)); got != tt.want {
			t.Errorf("%s %s: got %t, want %t", tt.role, tt.id, got, tt.want)
		}
	}
	if got := f.MinGeneration(id(t, bob)); got != 3 {
		t.Errorf("bob's lowest generation: got %d, want 3", got)
	}
	if got := f.MinGeneration(id(t, alice)); got != 0 {
		t.Errorf("alice's lowest generation: got %d, want 0", got)
	}
	if got, want := f.List().Registries, []drtc.NodeID{id(t, bob), id(t, alice)}; !slices.Equal(got, want) {
		t.Errorf("registries: got %v, want them ascending and once: %v", got, want)
	}
}

func TestAllowAll_admitsEverybody(t *testing.T) {
	var b bonding.AllowAll
	for _, role := range []record.Role{record.RoleNode, record.RoleRegistry, record.RoleOrchestrator} {
		if !b.Bonded(role, id(t, alice)) {
			t.Errorf("%s: not admitted", role)
		}
	}
	if l := b.List(); !l.AnyNode || !l.AnyOrchestrator || !l.AnyRegistry || b.MinGeneration(id(t, alice)) != 0 {
		t.Errorf("got %+v, want everybody at any generation", l)
	}
}

func TestParse_aBadListNamesItsField(t *testing.T) {
	for name, tt := range map[string]struct{ names, text string }{
		"no serial":          {"serial:", `{"any_node":true}`},
		"unknown field":      {"any_nodes", `{"serial":1,"any_nodes":true}`},
		"wrong type":         {"any_node", `{"serial":1,"any_node":"yes"}`},
		"short id":           {"registries[1]:", `{"serial":1,"registries":["` + alice + `","0x12"]}`},
		"no hex":             {"nodes[0]:", `{"serial":1,"nodes":["0x` + strings.Repeat("g", 40) + `"]}`},
		"nobody":             {"orchestrators[0]:", `{"serial":1,"orchestrators":["0x` + strings.Repeat("0", 40) + `"]}`},
		"everybody and some": {"nodes:", `{"serial":1,"any_node":true,"nodes":["` + alice + `"]}`},
		"generation of none": {`min_generation["x"]:`, `{"serial":1,"min_generation":{"x":1}}`},
		"negative":           {"min_generation", `{"serial":1,"min_generation":{"` + alice + `":-1}}`},
		"two lists":          {"closing brace", `{"serial":1}{"serial":2}`},
		"not JSON":           {"bonding: list", `serial = 1`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := bonding.Parse([]byte(tt.text)); !errors.Is(err, bonding.ErrList) || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("got %v, want ErrList naming %s", err, tt.names)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"serial":1,"any_node":true,"registries":["` + alice + `"],"min_generation":{"` + bob + `":3}}`)
	f.Add(`{"serial":1,"nodes":["0x12"]}`)
	f.Add(`{"serial":18446744073709551616}`)
	f.Fuzz(func(t *testing.T, text string) {
		l, err := bonding.Parse([]byte(text))
		if err != nil {
			if !errors.Is(err, bonding.ErrList) {
				t.Errorf("%q: %v is not ErrList", text, err)
			}
			return
		}
		for _, ids := range [][]drtc.NodeID{l.Nodes, l.Registries, l.Orchestrators} {
			for i := range ids {
				if ids[i].IsZero() || i > 0 && bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
					t.Errorf("%q: ids are not ascending or name nobody: %v", text, ids)
				}
			}
		}
	})
}

func TestOpen_failsWithoutAGoodFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bonding.json")
	if _, err := bonding.Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
	write(t, path, `{"serial":1,"registries":[""]}`, time.Now())
	if _, err := bonding.Open(path); !errors.Is(err, bonding.ErrList) || !strings.Contains(err.Error(), "registries[0]") {
		t.Errorf("bad file: got %v, want ErrList naming registries[0]", err)
	}
}

func TestReload_takesAChangeAndKeepsTheOldListAfterABadOne(t *testing.T) {
	f, path := open(t, `{"serial":1,"registries":["`+alice+`"]}`)
	now := time.Now()
	reload := func(want bool, names string) {
		t.Helper()
		changed, err := f.Reload(now)
		if changed != want {
			t.Fatalf("changed: got %t (%v), want %t", changed, err, want)
		}
		if (err == nil) != (names == "") || err != nil && !strings.Contains(err.Error(), names) {
			t.Fatalf("got error %v, want one about %q", err, names)
		}
	}
	reload(false, "")

	write(t, path, `{"serial":2,"registries":["`+bob+`"]}`, now.Add(-time.Minute))
	reload(true, "")
	if f.Bonded(record.RoleRegistry, id(t, alice)) || !f.Bonded(record.RoleRegistry, id(t, bob)) {
		t.Error("the change did not reach the answers")
	}

	bad := map[string]string{
		`{"serial":3,"registries":["bob"]}`:           "registries[0]",
		`{"serial":2,"registries":["` + carol + `"]}`: "serial",
		`{"serial":1,"registries":["` + alice + `"]}`: "serial",
	}
	at := now.Add(-50 * time.Second)
	for text, names := range bad {
		at = at.Add(time.Second)
		write(t, path, text, at)
		reload(false, names)
		reload(false, "") // once
		if !f.Bonded(record.RoleRegistry, id(t, bob)) {
			t.Errorf("%s: the old list does not hold", text)
		}
	}

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	reload(false, "no such file")
	reload(false, "")
	write(t, path, `{"serial":4}`, now.Add(-time.Second))
	reload(true, "")
}

// A file written twice within one tick of the disk's clock, at equal length.
func TestReload_seesAChangeThatLeavesTheFilesTimeAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bonding.json")
	at := time.Now()
	write(t, path, `{"serial":1,"registries":["`+alice+`"]}`, at)
	f, err := bonding.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, `{"serial":2,"registries":["`+bob+`"]}`, at)
	if changed, err := f.Reload(at.Add(time.Second)); !changed || err != nil {
		t.Errorf("got %t, %v, want a change", changed, err)
	}
}

func TestRun_logsABadFileOnceAndTakesTheNext(t *testing.T) {
	f, path := open(t, `{"serial":1,"any_node":true}`)
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx, slog.New(slog.NewTextHandler(&out, nil))) }()
		write(t, path, `{"serial":2,"any_node":1}`, time.Now())
		time.Sleep(time.Minute) // of the bubble's clock
		write(t, path, `{"serial":3}`, time.Now())
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := strings.Count(out.String(), "level=ERROR"); got != 1 || !strings.Contains(out.String(), "any_node") {
			t.Errorf("want the bad file logged once by field, got %s", out.String())
		}
		if f.Bonded(record.RoleNode, drtc.NodeID{1}) || !strings.Contains(out.String(), "serial=3") {
			t.Errorf("the next list was not taken: %s", out.String())
		}
	})
}
