package devnet

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func TestRun_severalOrchestratorsShareKeyAndStore(t *testing.T) {
	cfg, out := testConfig(t)
	cfg.Orchestrators = 2
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")
	r := readReady(t, cfg.ReadyFile)
	if len(r.Orchestrators) != 2 || r.Orchestrators[0] != r.Orchestrator || r.Orchestrators[1].URL == r.URL {
		t.Errorf("orchestrators %+v, want two, first %+v", r.Orchestrators, r.Orchestrator)
	}
	if r.Store == nil || r.Store.PID == 0 || len(r.StateToken) < 43 {
		t.Errorf("store %+v, token of %d characters; want its process and 256 bits", r.Store, len(r.StateToken))
	}
	for _, want := range []string{
		"starting 4 registries, 3 media nodes and 2 orchestrators",
		"store listens at 127.0.0.1:0, token true",
		`orchestrator is member a of orchestrator at http://127\.0\.0\.1:\d\d+, store nats \["nats://store"\] token true`,
		`orchestrator-2 is member b of orchestrator at http://127\.0\.0\.1:\d\d+, store nats \["nats://store"\] token true`,
		"the same at  " + regexp.QuoteMeta(r.Orchestrators[1].URL),
	} {
		if !regexp.MustCompile(want).MatchString(out.all()) {
			t.Errorf("%q was not written; this was:\n%s", want, out.all())
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v, want nil after its context ended", err)
	}
	all := out.all()
	if last, first := strings.Index(all, "store says goodbye"), strings.Index(all, "orchestrator-2 says goodbye"); first < 0 || last < first {
		t.Errorf("the store should stop after the orchestrators; this was written:\n%s", all)
	}
}

func TestOrchestratorAddresses(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "127.0.0.1:7880", "0.0.0.0:0", "0.0.0.0:7880"} {
		n := &Network{cfg: Config{Orchestrators: 3}, listen: netip.MustParseAddrPort(listen)}
		all, err := n.orchestratorAddresses()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[netip.AddrPort]bool{}
		for _, at := range all {
			if at.Port() == 0 || at.Addr() != n.listen.Addr() || seen[at] {
				t.Errorf("%s: got %v, want three ports of that address", listen, all)
			}
			if seen[at] = true; reachable(at).Addr().String() != "127.0.0.1" {
				t.Errorf("%s is reached at %s, want 127.0.0.1", at, reachable(at))
			}
		}
		if len(all) != 3 || n.listen.Port() != 0 && all[0] != n.listen {
			t.Errorf("%s: got %v, want three, the first as said", listen, all)
		}
	}
	alone := &Network{cfg: Config{Orchestrators: 1}, listen: netip.MustParseAddrPort("127.0.0.1:0")}
	if all, err := alone.orchestratorAddresses(); err != nil || len(all) != 1 || all[0].Port() != 0 {
		t.Errorf("alone: %v, %v; want the port that it picks itself", all, err)
	}
}
