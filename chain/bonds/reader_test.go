package bonds

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
)

func ids(numbers ...byte) []drtc.NodeID {
	all := make([]drtc.NodeID, 0, len(numbers))
	for _, n := range numbers {
		all = append(all, drtc.NodeID(who(n)))
	}
	return all
}

func TestRead_whatSettledEventsSay(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	if s := read(t, r); len(s.Registries)+len(s.Orchestrators)+len(s.Nodes)+len(s.Reporters) != 0 || s.Changed != 0 {
		t.Fatalf("of a new contract: got %+v, want nobody", s)
	}
	f.do(bonded(Registry, 3), bonded(Registry, 1), bonded(Registry, 2), admitted(1), admitted(3), bonded(NodeOperator, 9)) // 3
	f.do(bonded(Orchestrator, 7))                                                                                          // 4
	f.do(bonded(Orchestrator, 7), raised(NodeOperator, 9, 4))                                                              // 5: more of the same
	f.with(func() { f.mine(bonded(Orchestrator, 8)) })                                                                     // 6, not settled

	s := read(t, r)
	for what, of := range map[string][2][]drtc.NodeID{
		"registries": {s.Registries, ids(1, 2, 3)}, "reporters": {s.Reporters, ids(1, 3)},
		"orchestrators": {s.Orchestrators, ids(7)}, "nodes": {s.Nodes, ids(9)},
	} {
		if !slices.Equal(of[0], of[1]) {
			t.Errorf("%s: got %v, want %v", what, of[0], of[1])
		}
	}
	if s.Changed != 4 || s.Block.Block != 5 || s.Generations[ids(9)[0]] != 4 || !s.Time.Equal(time.Unix(1005, 0)) {
		t.Errorf("got block %d of %s, changed in %d, generations %v; want 5, 4 and one", s.Block.Block, s.Time, s.Changed, s.Generations)
	}
	f.with(f.settle)
	f.do(unbonded(Registry, 1), removed(1), forfeited(Orchestrator, 7)) // 7
	s = read(t, r)
	if !slices.Equal(s.Registries, ids(2, 3)) || !slices.Equal(s.Reporters, ids(3)) || !slices.Equal(s.Orchestrators, ids(8)) || s.Changed != 7 {
		t.Errorf("got %+v", s)
	}
}

func TestRead_reorgAboveFinalityNeverMatters(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	f.do(bonded(Orchestrator, 1))
	before := read(t, r)
	f.with(func() { f.mine(bonded(Orchestrator, 2)); f.mine(unbonded(Orchestrator, 1)) })
	if got := read(t, r); !reflect.DeepEqual(got, before) {
		t.Errorf("with unsettled blocks: got %+v, want %+v", got, before)
	}
	f.with(func() { f.reorg(2); f.settle() })
	if got := read(t, r); !slices.Equal(got.Orchestrators, ids(1)) || got.Changed != before.Changed {
		t.Errorf("after they were replaced: got %+v, want as before", got)
	}
}

func TestRead_brokenPromiseIsNamedAndReadAnew(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	f.do(bonded(Orchestrator, 1))
	f.do(bonded(Orchestrator, 2))
	read(t, r)
	f.with(func() { f.reorg(1); f.mine(); f.settle() })
	if _, err := r.Read(t.Context()); !errors.Is(err, client.ErrReorg) {
		t.Fatalf("got %v, want ErrReorg", err)
	}
	if last, ok := r.Last(); !ok || !slices.Equal(last.Orchestrators, ids(1, 2)) {
		t.Errorf("meanwhile: got %+v, %t, want what was agreed before", last, ok)
	}
	if got := read(t, r); !slices.Equal(got.Orchestrators, ids(1)) {
		t.Errorf("got %+v, want what the new chain has", got)
	}
}

// Each endpoint that is not right gives an error that names what is wrong and what
// to do, changes nothing, and is forgiven when it is right again.
func TestRead_wrongEndpoints(t *testing.T) {
	say := func(text string) func(*fakeChain) {
		return func(f *fakeChain) {
			f.fault = func(w http.ResponseWriter, _ []string) bool { fmt.Fprint(w, text); return true }
		}
	}
	on := func(method string, answer func(http.ResponseWriter)) func(*fakeChain) {
		return func(f *fakeChain) {
			f.fault = func(w http.ResponseWriter, methods []string) bool {
				if slices.Contains(methods, method) {
					answer(w)
				}
				return slices.Contains(methods, method)
			}
		}
	}
	for name, tt := range map[string]struct {
		spoil func(*fakeChain)
		want  error
		says  string
	}{
		"another chain":       {func(f *fakeChain) { f.chainID++ }, ErrWrongChain, "give an rpc of the chain"},
		"another first block": {func(f *fakeChain) { f.genesis++ }, ErrWrongChain, "give an rpc of that chain"},
		"no contract":         {func(f *fakeChain) { f.code = nil }, ErrContract, "deploy the contracts"},
		"another contract":    {func(f *fakeChain) { f.code = []byte{1} }, ErrContract, "give the addresses of this chain"},
		"not settled":         {func(f *fakeChain) { f.settled = 0 }, ErrUnsettled, "wait until block 2 is finalized"},
		"leaves events out": {func(f *fakeChain) {
			f.silent = func(o op) bool { return o.id == who(5) }
			f.mine(bonded(NodeOperator, 5))
			f.mine(bonded(NodeOperator, 6))
			f.settle()
		}, ErrDisagree, "give another rpc"},
		"leaves a departure out": {func(f *fakeChain) {
			f.silent = func(o op) bool { return o.event == "UnbondingStarted" }
			f.mine(unbonded(Orchestrator, 1), bonded(NodeOperator, 6))
			f.settle()
		}, ErrDisagree, "give another rpc"},
		"leaves a revocation out": {func(f *fakeChain) {
			f.silent = func(o op) bool { return o.event == "GenerationRaised" }
			f.mine(raised(Orchestrator, 1, 3), bonded(NodeOperator, 6))
			f.settle()
		}, ErrDisagree, "has generation 0 by its events and 3"},
		"garbage": {say("hello"), client.ErrUnavailable, ""},
		"nothing": {say(""), client.ErrUnavailable, ""},
		"null":    {say(`{"jsonrpc":"2.0","id":1,"result":null}`), nil, ""},
		"no batches": {on("eth_call", func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"no batches"}}`)
		}), client.ErrUnavailable, "pages of block"},
		"garbled pages":  {on("eth_call", func(w http.ResponseWriter) { fmt.Fprint(w, `[{"jsonrpc":"2.0","id":1,"result":"0x1234"}]`) }), client.ErrUnavailable, ""},
		"garbled events": {on("eth_getLogs", func(w http.ResponseWriter) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":[{"address":7}]}`) }), client.ErrUnavailable, ""},
		"endless": {on("eth_getLogs", func(w http.ResponseWriter) {
			piece := bytes.Repeat([]byte(" "), 1<<20)
			for range 40 {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}), client.ErrUnavailable, ""},
		"server error": {on("eth_getLogs", func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) }), client.ErrUnavailable, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			dir := t.TempDir()
			f.do(bonded(Orchestrator, 1))
			r := open(t, f.config(dir))
			good := read(t, r)
			// So that there is something to ask for.
			f.do(bonded(NodeOperator, 4))
			read(t, r)
			f.do()
			var before fakeChain
			f.with(func() {
				before.blocks, before.salts, before.settled = slices.Clone(f.blocks), slices.Clone(f.salts), f.settled
				before.chainID, before.code, before.genesis = f.chainID, f.code, f.genesis
			})

			// An endpoint that changes is noticed at the next connection at the latest.
			for _, reader := range []*Reader{open(t, f.config(dir)), open(t, fresh(t, f))} {
				f.with(func() { tt.spoil(f) })
				_, err := reader.Read(t.Context())
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v, want %v that says %q", err, tt.want, tt.says)
				}
				f.with(func() {
					f.blocks, f.salts, f.settled = slices.Clone(before.blocks), slices.Clone(before.salts), before.settled
					f.chainID, f.code, f.genesis, f.fault, f.silent = before.chainID, before.code, before.genesis, nil, nil
				})
				got, err := reader.Read(t.Context())
				for tries := 0; err != nil && tries < 2; tries++ { // begins anew
					got, err = reader.Read(t.Context())
				}
				if err != nil || !slices.Equal(got.Orchestrators, good.Orchestrators) || !slices.Equal(got.Nodes, ids(4)) {
					t.Errorf("when it is right again: got %+v, %v", got, err)
				}
			}
		})
	}
}

func TestRead_endpointThatFallsBehind(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	f.do(bonded(Orchestrator, 1))
	f.do(unbonded(Orchestrator, 1))
	read(t, r)
	f.with(func() { f.settled-- })
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrBehind) || !strings.Contains(err.Error(), "give another rpc") {
		t.Errorf("got %v, want ErrBehind and what to do", err)
	}
	f.with(f.settle)
	if got := read(t, r); len(got.Orchestrators) != 0 {
		t.Errorf("when it has caught up: got %+v", got)
	}
}

// fresh is a configuration with nothing read yet, and the right addresses.
func fresh(t *testing.T, f *fakeChain) Config {
	t.Helper()
	return f.config(t.TempDir())
}

func TestRead_slowEndpointIsGivenUp(t *testing.T) {
	f := newFake(t)
	c := f.config(t.TempDir())
	c.Timeout = 50 * time.Millisecond
	r := open(t, c)
	stop := make(chan struct{})
	defer close(stop)
	hang := func(http.ResponseWriter, []string) bool { <-stop; return true }
	f.with(func() { f.fault = hang })
	begun := time.Now()
	if _, err := r.Read(t.Context()); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("gave up after %s, want about the timeout", took)
	}
}

func TestRead_saysNoSecretOfTheEndpoint(t *testing.T) {
	f := newFake(t)
	c := f.config(t.TempDir())
	for name, url := range map[string]string{
		"in the path":  f.url + "/v2/hush-hush",
		"in the query": f.url + "/?key=hush-hush",
		"as password":  strings.Replace(f.url, "http://", "http://user:hush-hush@", 1),
		"of nobody":    "http://127.0.0.1:1/v2/hush-hush",
	} {
		c.RPC = url
		f.with(func() { f.chainID = 1 })
		_, err := open(t, c).Read(t.Context())
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want an error without the secret", name, err)
		}
	}
}

func TestOpen_goesOnWithWhatWasKept(t *testing.T) {
	f := newFake(t)
	c := f.config(t.TempDir())
	f.do(bonded(Registry, 1), admitted(1), bonded(Orchestrator, 2), raised(Registry, 1, 5))
	want := read(t, open(t, c))

	again := open(t, c)
	if got, ok := again.Last(); !ok || !reflect.DeepEqual(normal(got), normal(want)) {
		t.Fatalf("kept: got %+v, %t, want %+v", got, ok, want)
	}
	f.do(unbonded(Orchestrator, 2))
	f.with(func() { clear(f.asked) })
	if got := read(t, again); len(got.Orchestrators) != 0 || got.Changed != 4 {
		t.Errorf("got %+v, want what came since as well", got)
	}
	f.with(func() {
		if f.asked["eth_getLogs"] != 1 {
			t.Errorf("asked for events %d times, want once for the one new block", f.asked["eth_getLogs"])
		}
	})

	text, err := os.ReadFile(c.File)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"garbage": "{", "another chain": strings.Replace(string(text), `"chain_id":4242`, `"chain_id":1`, 1),
		"another format":    strings.Replace(string(text), `"format":1`, `"format":2`, 1),
		"no cursor":         `{"format":1,"chain_id":4242}`,
		"a kind of its own": strings.Replace(string(text), `"generations":[{"kind":0`, `"generations":[{"kind":7`, 1),
	} {
		if bad == string(text) {
			t.Fatalf("%s: nothing to replace in %s", name, text)
		}
		if err := os.WriteFile(c.File, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		r := open(t, c)
		if got, ok := r.Last(); ok {
			t.Errorf("%s: got %+v, want nothing", name, got)
		}
		if got := read(t, r); !slices.Equal(got.Registries, ids(1)) {
			t.Errorf("%s: read anew: got %+v", name, got)
		}
	}
}

// Whatever is in the file, it is of this contract and makes sense, or is refused.
func FuzzParse(f *testing.F) {
	const good = `{"format":1,"chain_id":4242,"genesis":"0x0200000000000000000000000000000000000000000000000000000000000000",` +
		`"contract":"0x00000000000000000000000000000000000000b0","at":{"block":4,"hash":"0x0100000000000000000000000000000000000000000000000000000000000000"},` +
		`"time":"2026-01-02T03:04:05Z","changed":3,"reporters":[],"active":[[],["0x0000000000000000000000000000000000000001"],[]],` +
		`"generations":[{"kind":1,"identity":"0x0000000000000000000000000000000000000001","generation":2}]}`
	for old, replaced := range map[string]string{"": "", `"changed":3`: `"changed":9`, `"kind":1`: `"kind":9`, `]],`: `],[]],`, `b0"`: `b1"`, `"0x01`: `"0x1`} {
		f.Add([]byte(strings.Replace(good, old, replaced, 1)))
	}
	r := &Reader{addresses: deploy.Addresses{ChainID: fakeChainID, Genesis: common.Hash{2}}, contract: contractAt}
	if _, _, err := r.parse([]byte(good)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fold, at, err := r.parse(text)
		if err != nil {
			return
		}
		if s := fold.state(at); s.Block.Hash == (common.Hash{}) || s.Changed > s.Block.Block {
			t.Errorf("%q: took %+v", text, s)
		}
	})
}

// normal has times that can be compared.
func normal(s State) State {
	s.Time = s.Time.UTC()
	return s
}

func TestRead_pagesAreComparedAgainInTime(t *testing.T) {
	f := newFake(t)
	c := f.config(t.TempDir())
	c.AuditEvery = time.Nanosecond
	r := open(t, c)
	f.do(bonded(NodeOperator, 1))
	read(t, r)
	f.with(func() { f.silent = func(op) bool { return true } })
	f.do(unbonded(NodeOperator, 1))
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrDisagree) {
		t.Errorf("got %v, want ErrDisagree", err)
	}
}

func TestRead_manyPages(t *testing.T) {
	f := newFake(t)
	var many []op
	for n := range 2*pageSize + 1 {
		many = append(many, op{event: "Bonded", kind: NodeOperator, id: common.BytesToAddress([]byte{byte(n >> 8), byte(n), 1})})
	}
	f.do(many...)
	if s := read(t, open(t, f.config(t.TempDir()))); len(s.Nodes) != len(many) {
		t.Errorf("got %d nodes, want %d", len(s.Nodes), len(many))
	}
	// The one of which no event tells is alone on its page.
	f.with(func() { f.silent = func(o op) bool { return o.id == many[len(many)-1].id } })
	if _, err := open(t, f.config(t.TempDir())).Read(t.Context()); !errors.Is(err, ErrDisagree) {
		t.Errorf("with one left out: got %v, want ErrDisagree", err)
	}
}

// Of several blocks at once all is taken in or nothing.
func TestRead_eventsThatCannotBeReadChangeNothing(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	f.do(bonded(Orchestrator, 1))
	read(t, r)
	for name, bad := range map[string]func(*types.Log){
		"another kind":     func(l *types.Log) { l.Topics[1] = common.Hash{31: 3} },
		"no name":          func(l *types.Log) { l.Topics = nil },
		"an unknown name":  func(l *types.Log) { l.Topics[0][0] ^= 1 },
		"a topic too few":  func(l *types.Log) { l.Topics = l.Topics[:2] },
		"half of its data": func(l *types.Log) { l.Data = l.Data[:5] },
	} {
		good, spoilt := f.log(3, 0, unbonded(Orchestrator, 1)), f.log(3, 1, unbonded(Orchestrator, 2))
		bad(&spoilt)
		before := r.fold.state(time.Time{})
		if err := r.take([]types.Log{good, spoilt}, client.Cursor{Block: 4, Hash: common.Hash{1}}); !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, ErrContract) {
			t.Errorf("%s: got %v, want ErrUnavailable or ErrContract", name, err)
		}
		if after := r.fold.state(time.Time{}); !reflect.DeepEqual(before, after) {
			t.Errorf("%s: changed %+v to %+v", name, before, after)
		}
	}
}

func TestRead_pagesAreComparedWithEveryChange(t *testing.T) {
	f := newFake(t)
	r := open(t, f.config(t.TempDir()))
	f.do(bonded(NodeOperator, 1))
	read(t, r)
	f.with(func() { f.silent = func(o op) bool { return o.event == "UnbondingStarted" } })
	f.do(unbonded(NodeOperator, 1), bonded(NodeOperator, 2))
	if _, err := r.Read(t.Context()); !errors.Is(err, ErrDisagree) {
		t.Errorf("got %v, want ErrDisagree", err)
	}
}

// A key that is bonded as several things has one life: the highest generation holds.
func TestRead_highestGenerationOfAKey(t *testing.T) {
	f := newFake(t)
	var ops []op
	for n := range byte(10) {
		ops = append(ops, raised(Registry, n+1, 2), raised(Orchestrator, n+1, 7), raised(NodeOperator, n+1, 3))
	}
	f.do(ops...)
	for id, g := range read(t, open(t, f.config(t.TempDir()))).Generations {
		if g != 7 {
			t.Errorf("%s: got %d, want 7", id, g)
		}
	}
}

// Whatever happens, and however often the reader starts anew, what it says is what
// the contract holds at the end of a settled block, and two readers that began at
// different times agree on it to the last number.
func TestRead_agreesWithTheContract(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFake(t)
		early, late := f.config(t.TempDir()), f.config(t.TempDir())
		r := open(t, early)
		draw := rapid.Custom(func(rt *rapid.T) op {
			return op{
				event: rapid.SampledFrom([]string{"Bonded", "Bonded", "UnbondingStarted", "Forfeited", "ReporterAdmitted", "ReporterRemoved", "GenerationRaised"}).Draw(rt, "event"),
				kind:  Kind(rapid.IntRange(0, int(kinds)-1).Draw(rt, "kind")), id: who(rapid.ByteRange(1, 4).Draw(rt, "id")),
				generation: rapid.Uint64Range(1, 9).Draw(rt, "generation"),
			}
		})
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"block", "block", "settle", "reorg", "restart", "away", "read"}).Draw(rt, "step") {
			case "block":
				ops := rapid.SliceOfN(draw, 0, 4).Draw(rt, "ops")
				f.with(func() { f.mine(ops...) })
			case "settle":
				f.with(func() { f.settled = rapid.IntRange(f.settled, len(f.blocks)-1).Draw(rt, "settled") })
			case "reorg":
				f.with(func() { f.reorg(rapid.IntRange(0, len(f.blocks)-1-f.settled).Draw(rt, "depth")) })
			case "restart":
				r = open(t, early)
			case "away":
				f.with(func() {
					f.fault = func(w http.ResponseWriter, _ []string) bool { w.WriteHeader(http.StatusBadGateway); return true }
				})
				if _, err := r.Read(t.Context()); err == nil {
					rt.Fatal("read from a chain that is away")
				}
				f.with(func() { f.fault = nil })
			case "read":
				agree(rt, t, f, r)
			}
		}
		a, b := agree(rt, t, f, r), agree(rt, t, f, open(t, late))
		if !reflect.DeepEqual(a, b) {
			rt.Fatalf("one that began early has %+v, one that began late %+v", a, b)
		}
	})
}

func agree(rt *rapid.T, t *testing.T, f *fakeChain, r *Reader) State {
	got, err := r.Read(t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	m := f.at(f.settled)
	list := func(all []common.Address) []drtc.NodeID {
		s := set{}
		for _, id := range all {
			s.put(id, true)
		}
		return s.ids()
	}
	want := State{
		Block: got.Block, Time: got.Time, Changed: uint64(m.changed), Reporters: list(m.reporters), Registries: list(m.active[Registry]),
		Orchestrators: list(m.active[Orchestrator]), Nodes: list(m.active[NodeOperator]), Generations: map[drtc.NodeID]uint64{},
	}
	for k, g := range m.generations {
		want.Generations[drtc.NodeID(k.identity)] = max(g, want.Generations[drtc.NodeID(k.identity)])
	}
	if got.Block.Block != uint64(f.settled) || !reflect.DeepEqual(got, want) {
		rt.Fatalf("at settled block %d: got %+v, want %+v", f.settled, got, want)
	}
	return got
}

func TestConfig_validateNamesTheField(t *testing.T) {
	good := DefaultConfig()
	good.RPC, good.Addresses, good.File = "http://127.0.0.1:8545", "addresses.json", "bonds.json"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(*Config){
		"rpc": func(c *Config) { c.RPC = "localhost:8545/hush" }, "addresses": func(c *Config) { c.Addresses = "" },
		"file": func(c *Config) { c.File = "" }, "timeout": func(c *Config) { c.Timeout = 0 }, "audit_every": func(c *Config) { c.AuditEvery = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
	c := good
	c.Addresses = t.TempDir() + "/none"
	if _, err := Open(c, nil); err == nil || !strings.Contains(err.Error(), "addresses") {
		t.Errorf("no file of addresses: got %v", err)
	}
}
