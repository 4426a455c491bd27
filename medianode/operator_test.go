package medianode_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
)

func TestOperator_drainsItsNode(t *testing.T) {
	var cfg medianode.Config
	n := startNode(t, func(c *medianode.Config) {
		// The operator is in nobody's list.
		c.Admission = control.Admission{Mode: control.AdmitAllowList, Allow: []drtc.NodeID{{1}}}
		cfg = *c
	})
	operator, err := medianode.NewOperator(cfg, n.URL())
	if err != nil {
		t.Fatal(err)
	}
	if operator.ID() != n.ID() {
		t.Fatalf("the operator of %s, want %s", operator.ID(), n.ID())
	}
	health := func() int {
		r, err := http.Get(n.MetricsURL() + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	for _, c := range []struct {
		drain  bool
		health int
	}{{true, http.StatusServiceUnavailable}, {false, http.StatusOK}} {
		if sessions, err := operator.Drain(t.Context(), c.drain); err != nil || sessions != 0 {
			t.Errorf("drain %v: got %d sessions, %v", c.drain, sessions, err)
		}
		if got := health(); got != c.health {
			t.Errorf("drain %v: /healthz says %d, want %d", c.drain, got, c.health)
		}
	}
}

func TestOperator_ofAnotherNodeIsRefused(t *testing.T) {
	n := startNode(t, nil)
	var other medianode.Config
	startNode(t, func(c *medianode.Config) { other = *c })
	operator, err := medianode.NewOperator(other, n.URL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Drain(t.Context(), true); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("got %v, want unauthenticated: the call is for another node", err)
	}
	o := newOrchestrator(t, n)
	_, err = o.Drain(context.Background(), connect.NewRequest(&medianodev1.DrainRequest{Drain: true}))
	if connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("an Orchestrator: got %v, want permission_denied", err)
	}
}

func TestNewOperator_namesWhatIsMissing(t *testing.T) {
	var cfg medianode.Config
	startNode(t, func(c *medianode.Config) { cfg = *c })
	for name, c := range map[string]struct {
		change func(*medianode.Config)
		says   string
	}{
		"no key":            {func(c *medianode.Config) { c.KeyFile += ".missing" }, "key_file"},
		"a port by chance":  {func(*medianode.Config) {}, "listen"},
		"an address of its": {func(c *medianode.Config) { c.Listen = "nonsense" }, "listen"},
	} {
		bad := cfg
		c.change(&bad)
		if _, err := medianode.NewOperator(bad, ""); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that names %s", name, err, c.says)
		}
	}
	for _, listen := range []string{"0.0.0.0:7443", "[::]:7443", ":7443", "192.0.2.1:7443"} {
		good := cfg
		good.Listen = listen
		if _, err := medianode.NewOperator(good, ""); err != nil {
			t.Errorf("listen = %q: %v", listen, err)
		}
	}
}
