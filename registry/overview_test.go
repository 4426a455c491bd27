package registry_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drtc-network/drtc/registry/status"
)

type networkNodes struct {
	Nodes []struct{ NodeID, State string }
}

// A node that is down is in no answer to those who look for one, and in what people
// look at it is, with what its prober says.
func TestRegistry_statusShowsANodeThatIsDown(t *testing.T) {
	p, n := start(t, quick(testConfig(t))), newNode(t)
	p.mustRegister(n.record(t, nil))
	ctx, kill := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() { ended <- p.answer(ctx, n, ready) }()
	<-ready
	state := func() string {
		var a networkNodes
		if code := p.get("/network/nodes", &a); code != http.StatusOK || len(a.Nodes) != 1 {
			t.Fatalf("/network/nodes: got %d, %+v", code, a)
		}
		return a.Nodes[0].State
	}
	p.eventually("the node is up", func() bool { return state() == "up" })
	kill()
	<-ended
	p.eventually("the node is down", func() bool { return state() == "down" })
	var a struct {
		Node  struct{ NodeID, State string }
		Since time.Time
		Votes []status.Vote
		Place struct{ Finding string }
	}
	if code := p.get("/network/node?node="+n.ID().String(), &a); code != http.StatusOK || a.Node.State != "down" || a.Since.IsZero() ||
		len(a.Votes) != 1 || a.Votes[0].Registry != p.ID() || a.Place.Finding == "" {
		t.Errorf("/network/node: got %d, %+v", code, a)
	}
	var network struct {
		Registries []status.Registry
		Nodes      struct{ States map[string]int }
	}
	if code := p.get("/network", &network); code != http.StatusOK || network.Nodes.States["down"] != 1 || len(network.Registries) != 1 || network.Registries[0].ID != p.ID() {
		t.Errorf("/network: got %d, %+v", code, network)
	}
}

// countedChain is a chain that nobody has read yet.
type countedChain struct{ running, ended atomic.Bool }

func (c *countedChain) Read() (status.EconomyView, time.Time, string) {
	return nil, time.Time{}, "the chain was not read yet"
}

func (c *countedChain) Run(ctx context.Context) {
	c.running.Store(true)
	<-ctx.Done()
	c.ended.Store(true)
}

func TestRegistry_runsWhatReadsTheChain(t *testing.T) {
	chain := new(countedChain)
	config := testConfig(t)
	config.Chain = chain
	t.Run("while it runs", func(t *testing.T) {
		p := start(t, config)
		p.eventually("the chain is read", chain.running.Load)
		var a struct{ ChainProblem string }
		if code := p.get("/network", &a); code != http.StatusOK || a.ChainProblem == "" {
			t.Errorf("/network: got %d, %+v, want a problem with the chain", code, a)
		}
		if code := p.get("/network/epochs", new(any)); code != http.StatusServiceUnavailable {
			t.Errorf("/network/epochs: got %d, want 503", code)
		}
	})
	if !chain.ended.Load() {
		t.Error("the Registry ended before what it ran")
	}
}
