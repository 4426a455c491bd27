package bonds_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bonds"
	"github.com/drtc-network/drtc/chain/bonds/bondstest"
	"github.com/drtc-network/drtc/identity"
)

// The contract itself, on a chain: every way in and out, once it is finalized and
// not before.
func TestReader_ofTheContract(t *testing.T) {
	key := func(n byte) *identity.Key { return bondstest.Key(t, n) }
	chain := bondstest.New(t, bondstest.Members{
		Registries: []*identity.Key{key(1), key(2)}, Orchestrators: []*identity.Key{key(3)}, Nodes: []*identity.Key{key(4)},
	})
	open := func(finality string) *bonds.Reader {
		t.Helper()
		c := bonds.DefaultConfig()
		c.RPC, c.Addresses, c.File = chain.URL(), chain.Addresses(), filepath.Join(t.TempDir(), "bonds.json")
		if err := c.Finality.UnmarshalText([]byte(finality)); err != nil {
			t.Fatal(err)
		}
		r, err := bonds.Open(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	read := func(r *bonds.Reader) bonds.State {
		t.Helper()
		s, err := r.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	has := func(what string, got []drtc.NodeID, keys ...*identity.Key) {
		t.Helper()
		if len(got) != len(keys) {
			t.Errorf("%s: got %d, want %d", what, len(got), len(keys))
		}
		for _, k := range keys {
			if !slices.Contains(got, k.ID()) {
				t.Errorf("%s: %s is missing in %v", what, k.ID(), got)
			}
		}
	}

	final, newest := open("finalized"), open("safe")
	chain.Finalize()
	for _, r := range []*bonds.Reader{final, newest} {
		s := read(r)
		has("registries", s.Registries, key(1), key(2))
		has("reporters", s.Reporters, key(1), key(2))
		has("orchestrators", s.Orchestrators, key(3))
		has("nodes", s.Nodes, key(4))
	}

	chain.Bond(bonds.Registry, key(5))
	chain.Bond(bonds.Orchestrator, key(6))
	chain.Bond(bonds.NodeOperator, key(7))
	has("orchestrators before they are final", read(final).Orchestrators, key(3))
	s := read(newest)
	has("registries", s.Registries, key(1), key(2), key(5))
	has("reporters", s.Reporters, key(1), key(2)) // a bond makes no reporter
	has("orchestrators", s.Orchestrators, key(3), key(6))
	has("nodes", s.Nodes, key(4), key(7))
	chain.Finalize()
	has("orchestrators when they are final", read(final).Orchestrators, key(3), key(6))

	changed := s.Changed
	chain.Unbond(bonds.Registry, key(1).ID())
	chain.Forfeit(key(6))
	chain.Raise(bonds.NodeOperator, key(7).ID(), 9)
	s = read(newest)
	has("registries", s.Registries, key(2), key(5))
	has("reporters", s.Reporters, key(2))
	has("orchestrators", s.Orchestrators, key(3))
	if s.Generations[key(7).ID()] != 9 || len(s.Generations) != 1 {
		t.Errorf("generations: got %v, want 9 of one", s.Generations)
	}
	if s.Changed <= changed || s.Changed >= s.Block.Block {
		t.Errorf("changed in block %d, want after %d and before %d, which revokes", s.Changed, changed, s.Block.Block)
	}
	if late := read(open("safe")); late.Changed != s.Changed || !slices.Equal(late.Registries, s.Registries) {
		t.Errorf("who begins late has %+v, want %+v", late, s)
	}

	chain.Stop()
	if _, err := newest.Read(t.Context()); err == nil {
		t.Error("read from a chain that does not run")
	}
	chain.Start()
	if _, err := newest.Read(t.Context()); !errors.Is(err, bonds.ErrBehind) {
		t.Errorf("until the chain has a new block: got %v, want ErrBehind, since only finalized ones are safe then", err)
	}
	chain.Advance()
	if again := read(newest); !slices.Equal(again.Registries, s.Registries) || again.Changed != s.Changed {
		t.Errorf("after the chain came back: got %+v", again)
	}
}
