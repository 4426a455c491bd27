package registry_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry"
)

// startNetwork starts Registries that know the first one's API alone.
func startNetwork(t testing.TB, size int, change func(*registry.Config)) []*process {
	t.Helper()
	var all []*process
	for range size {
		c := testConfig(t)
		if len(all) > 0 {
			c.Bootstrap = []string{all[0].URL()}
		}
		if change != nil {
			change(&c)
		}
		all = append(all, start(t, c))
	}
	for _, p := range all {
		p.eventually("everybody is connected to all", func() bool { return len(p.peers()) == size-1 })
	}
	return all
}

// peers lists the Registries that one is connected to.
func (p *process) peers() []string {
	p.t.Helper()
	var answer struct{ Peers []struct{ Registry string } }
	if status := p.get("/peers", &answer); status != http.StatusOK {
		p.t.Fatalf("peers: status %d", status)
	}
	var ids []string
	for _, peer := range answer.Peers {
		ids = append(ids, peer.Registry)
	}
	return ids
}

func (p *process) root() string {
	p.t.Helper()
	var health struct{ Root string }
	p.get("/healthz", &health)
	return health.Root
}

func (p *process) shows(n *mediaNode) bool { return slices.Contains(p.shown(), n.ID().String()) }

// Four Registries that nobody owns give one answer.
func TestNetwork_oneAnswerEverywhere(t *testing.T) {
	all, n := startNetwork(t, 4, nil), newNode(t)
	all[1].mustRegister(n.record(t, nil))
	for _, p := range all {
		p.eventually("the node is shown", func() bool { return p.shows(n) })
	}
	begun := time.Now()
	if _, err := all[2].DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: n.tombstone(t)})); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.eventually("the node is gone", func() bool { return !p.shows(n) })
	}
	t.Logf("gone everywhere after %s", time.Since(begun).Round(time.Millisecond))
	for _, p := range all[1:] {
		p.eventually("the roots are equal", func() bool { return p.root() == all[0].root() })
	}
}

// What a Registry missed while it was away it has a moment after it is back.
func TestNetwork_aRegistryThatWasAwayCatchesUp(t *testing.T) {
	all, away := startNetwork(t, 2, nil), testConfig(t)
	away.Bootstrap = []string{all[0].URL()}
	third := start(t, away)
	third.eventually("it is connected", func() bool { return len(third.peers()) == 2 })
	stays, leaves := newNode(t), newNode(t)
	third.mustRegister(leaves.record(t, nil))
	all[0].eventually("the node is known", func() bool { return all[0].shows(leaves) })
	third.stop()

	all[0].mustRegister(stays.record(t, nil))
	if _, err := all[1].DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: leaves.tombstone(t)})); err != nil {
		t.Fatal(err)
	}
	again := start(t, away)
	again.eventually("it knows who came and who went", func() bool { return again.shows(stays) && !again.shows(leaves) })
}

// A node learns who watches over it, and everybody says the same.
func TestNetwork_everybodyNamesTheSameProbers(t *testing.T) {
	all, n := startNetwork(t, 4, nil), newNode(t)
	record := n.record(t, nil)
	all[0].eventually("all name the same three", func() bool {
		var first []string
		for i, p := range all {
			a, err := p.register(record)
			if err != nil {
				t.Fatal(err)
			}
			var probers []string
			for _, prober := range a.GetProbers() {
				probers = append(probers, prober.GetRegistry()+" "+prober.GetUrl())
			}
			if i == 0 {
				first = probers
			}
			if len(probers) != 3 || !slices.Equal(probers, first) {
				return false
			}
		}
		return true
	})
}

// Enough Registries sign who takes part, and any of them hands it out.
func TestNetwork_admissionIsSignedByAll(t *testing.T) {
	var keys []*mediaNode
	list := map[string]any{"serial": 1, "any_node": true, "any_orchestrator": true}
	var ids []string
	for range 3 {
		keys = append(keys, newNode(t))
		ids = append(ids, keys[len(keys)-1].ID().String())
	}
	list["registries"] = ids
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bonding.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	next := 0
	for _, p := range startNetwork(t, 3, func(c *registry.Config) {
		c.BondingFile, c.KeyFile = file, filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(c.KeyFile, []byte(keys[next].Hex()), 0o600); err != nil {
			t.Fatal(err)
		}
		next++
	}) {
		p.eventually("three Registries attest", func() bool {
			a, err := p.GetAdmission(t.Context(), connect.NewRequest(&registryv1.GetAdmissionRequest{}))
			if err != nil {
				t.Fatal(err)
			}
			return len(a.Msg.GetBody()) > 0 && len(a.Msg.GetAttestations()) == 3
		})
	}
}

// A Registry that is not on the list reads along where the others allow it, and
// says nothing that they would have to refuse.
func TestNetwork_whoIsNotOnTheListReadsAlong(t *testing.T) {
	member := newNode(t)
	text, err := json.Marshal(map[string]any{
		"serial": 1, "any_node": true, "any_orchestrator": true, "registries": []string{member.ID().String()},
	})
	if err != nil {
		t.Fatal(err)
	}
	listed, reads := testConfig(t), testConfig(t)
	listed.KeyFile = filepath.Join(t.TempDir(), "key")
	listed.BondingFile = filepath.Join(t.TempDir(), "bonding.json")
	if err := errors.Join(os.WriteFile(listed.KeyFile, []byte(member.Hex()), 0o600), os.WriteFile(listed.BondingFile, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	listed.AllowReaders = true
	first, n := start(t, listed), newNode(t)
	first.mustRegister(n.record(t, nil))
	reads.BondingFile, reads.Bootstrap = listed.BondingFile, []string{first.URL()}
	reader := start(t, reads)
	reader.eventually("the node is shown", func() bool { return reader.shows(n) })
	var answer struct{ Missing []string }
	first.get("/records?kind=registry&ids="+reader.ID().String(), &answer)
	if len(answer.Missing) != 1 {
		t.Error("the member holds a record of the reader")
	}
}
