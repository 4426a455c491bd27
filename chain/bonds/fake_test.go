package bonds

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/deploy"
)

const (
	fakeChainID = 4242
	deployedAt  = 2 // block of the contract
)

var (
	contractAt = common.HexToAddress("0xb0")
	code       = []byte{0x60, 0x01}
)

// op is one transaction: what it does is kept apart from the events that tell of
// it, so that a test can leave an event out.
type op struct {
	event      string
	kind       Kind
	id         common.Address
	generation uint64
}

// fakeChain is an endpoint with the contract in it, which lies as a test wants.
type fakeChain struct {
	t   *testing.T
	url string
	abi *abi.ABI

	mu      sync.Mutex
	blocks  [][]op // from 0 on
	salts   []byte
	settled int // number of the block that is called finalized
	chainID uint64
	code    []byte
	genesis byte
	// fault is asked first; what it returns true for it has answered itself.
	fault func(w http.ResponseWriter, methods []string) bool
	// silent leaves events out.
	silent func(op) bool
	asked  map[string]int // requests by method
	models map[int]*model // of blocks, until something changes
}

func newFake(t *testing.T) *fakeChain {
	t.Helper()
	parsed, err := bindings.BondsMetaData.ParseABI()
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeChain{t: t, abi: parsed, chainID: fakeChainID, code: code, asked: map[string]int{}, models: map[int]*model{}}
	for range deployedAt + 1 {
		f.mine()
	}
	f.settled = deployedAt
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// with runs do while no request is served.
func (f *fakeChain) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.models = map[int]*model{}
	do()
}

// mine adds a block that is not settled yet.
func (f *fakeChain) mine(ops ...op) {
	f.blocks, f.salts = append(f.blocks, ops), append(f.salts, 0)
}

// settle calls everything settled.
func (f *fakeChain) settle() { f.settled = len(f.blocks) - 1 }

// do adds one settled block.
func (f *fakeChain) do(ops ...op) {
	f.with(func() { f.mine(ops...); f.settle() })
}

// reorg takes the last n blocks away and puts empty ones there.
func (f *fakeChain) reorg(n int) {
	for i := len(f.blocks) - n; i < len(f.blocks); i++ {
		f.blocks[i] = nil
		f.salts[i]++
	}
}

func (f *fakeChain) header(n int) *types.Header {
	h := &types.Header{
		Number: big.NewInt(int64(n)), Time: uint64(1000 + n), BaseFee: big.NewInt(100),
		Difficulty: new(big.Int), GasLimit: 30_000_000, Extra: []byte{f.salts[n], f.genesis},
	}
	if n > 0 {
		h.ParentHash = f.header(n - 1).Hash()
	}
	return h
}

// request is one question of JSON-RPC.
type request struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

func (f *fakeChain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var batch []request
	single := !strings.HasPrefix(strings.TrimSpace(string(body)), "[")
	if single {
		batch = make([]request, 1)
		err = json.Unmarshal(body, &batch[0])
	} else {
		err = json.Unmarshal(body, &batch)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var methods []string
	for _, q := range batch {
		methods = append(methods, q.Method)
		f.asked[q.Method]++
	}
	if f.fault != nil && f.fault(w, methods) {
		return
	}
	var answers []map[string]any
	for _, q := range batch {
		a := map[string]any{"jsonrpc": "2.0", "id": q.ID}
		if result, err := f.answer(q.Method, q.Params); err != nil {
			a["error"] = map[string]any{"code": -32000, "message": err.Error()}
		} else {
			a["result"] = result
		}
		answers = append(answers, a)
	}
	w.Header().Set("Content-Type", "application/json")
	if single {
		_ = json.NewEncoder(w).Encode(answers[0])
	} else {
		_ = json.NewEncoder(w).Encode(answers)
	}
}

func (f *fakeChain) number(tag json.RawMessage) int {
	var text string
	_ = json.Unmarshal(tag, &text)
	if n, err := hexutil.DecodeUint64(text); err == nil {
		return int(n)
	}
	if text == "finalized" {
		return f.settled
	}
	return len(f.blocks) - 1
}

func (f *fakeChain) answer(method string, params []json.RawMessage) (any, error) {
	switch method {
	case "eth_chainId":
		return hexutil.Uint64(f.chainID), nil
	case "eth_getBlockByNumber":
		n := f.number(params[0])
		if n >= len(f.blocks) {
			return nil, nil
		}
		return f.header(n), nil
	case "eth_getCode":
		return hexutil.Bytes(f.code), nil
	case "eth_getLogs":
		var q struct{ FromBlock, ToBlock hexutil.Uint64 }
		if err := json.Unmarshal(params[0], &q); err != nil {
			return nil, err
		}
		return f.logs(int(q.FromBlock), int(q.ToBlock)), nil
	case "eth_call":
		var m struct{ Data hexutil.Bytes }
		if err := json.Unmarshal(params[0], &m); err != nil {
			return nil, err
		}
		out, err := f.call(m.Data, f.number(params[1]))
		return hexutil.Bytes(out), err
	}
	return nil, fmt.Errorf("the method %s does not exist", method)
}

func (f *fakeChain) logs(from, to int) []types.Log {
	out := []types.Log{}
	for n := from; n <= to && n < len(f.blocks); n++ {
		for i, o := range f.blocks[n] {
			if f.silent != nil && f.silent(o) {
				continue
			}
			out = append(out, f.log(n, i, o))
		}
	}
	return out
}

func (f *fakeChain) log(block, index int, o op) types.Log {
	e := f.abi.Events[o.event]
	kind := common.BigToHash(big.NewInt(int64(o.kind)))
	l := types.Log{
		Address: contractAt, BlockNumber: uint64(block), BlockHash: f.header(block).Hash(), Index: uint(index), TxHash: common.Hash{1},
		Topics: []common.Hash{e.ID, kind, common.BytesToHash(o.id[:])},
	}
	switch o.event {
	case "Bonded":
		l.Topics = append(l.Topics, common.Hash{31: 9})
		l.Data = common.LeftPadBytes([]byte{5}, 32)
	case "UnbondingStarted":
		l.Data = common.LeftPadBytes([]byte{5}, 32)
	case "Forfeited":
		l.Data = make([]byte, 96)
	case "GenerationRaised":
		l.Data = common.BigToHash(new(big.Int).SetUint64(o.generation)).Bytes()
	case "ReporterAdmitted", "ReporterRemoved":
		l.Topics = []common.Hash{e.ID, common.BytesToHash(o.id[:])}
	}
	return l
}

// model is what the contract holds: lists in the order in which a set of the
// contract's library keeps them.
type model struct {
	active      [kinds][]common.Address
	reporters   []common.Address
	generations map[generationKey]uint64
	changed     int
}

// at is the contract at the end of a block.
func (f *fakeChain) at(block int) *model {
	if m := f.models[block]; m != nil {
		return m
	}
	m := &model{generations: map[generationKey]uint64{}}
	for n := 0; n <= block; n++ {
		for _, o := range f.blocks[n] {
			m.do(n, o)
		}
	}
	f.models[block] = m
	return m
}

func (m *model) do(block int, o op) {
	list := &m.active[o.kind]
	if strings.HasPrefix(o.event, "Reporter") {
		list = &m.reporters
	}
	was := -1
	for i, id := range *list {
		if id == o.id {
			was = i
		}
	}
	matters := o.kind == Orchestrator || list == &m.reporters
	switch o.event {
	case "GenerationRaised":
		m.generations[generationKey{o.kind, o.id}] = o.generation
	case "Bonded", "ReporterAdmitted":
		if was < 0 {
			*list = append(*list, o.id)
			if matters {
				m.changed = block
			}
		}
	default:
		if was >= 0 {
			last := len(*list) - 1
			(*list)[was] = (*list)[last]
			*list = (*list)[:last]
			if matters {
				m.changed = block
			}
		}
	}
}

func (f *fakeChain) call(input []byte, block int) ([]byte, error) {
	if len(input) < 4 || block >= len(f.blocks) {
		return nil, fmt.Errorf("header not found")
	}
	method, err := f.abi.MethodById(input[:4])
	if err != nil {
		return nil, err
	}
	args, err := method.Inputs.Unpack(input[4:])
	if err != nil {
		return nil, err
	}
	m := f.at(block)
	switch method.Name {
	case "reporters":
		return method.Outputs.Pack(m.reporters)
	case "active":
		list := m.active[args[0].(uint8)]
		start := min(int(args[1].(*big.Int).Int64()), len(list))
		return method.Outputs.Pack(list[start:min(start+int(args[2].(*big.Int).Int64()), len(list))])
	case "minGeneration":
		return method.Outputs.Pack(m.generations[generationKey{Kind(args[0].(uint8)), args[1].(common.Address)}])
	}
	return nil, fmt.Errorf("the fake has no %s", method.Name)
}

// config is for a Reader of this chain whose files are in dir.
func (f *fakeChain) config(dir string) Config {
	f.t.Helper()
	a := deploy.Addresses{
		ChainID: fakeChainID, Genesis: f.header(0).Hash(), Block: deployedAt,
		Contracts: map[string]deploy.Contract{"Bonds": {Address: contractAt, CodeHash: crypto.Keccak256Hash(code)}},
	}
	text, err := json.Marshal(a)
	if err != nil {
		f.t.Fatal(err)
	}
	c := DefaultConfig()
	c.RPC, c.Addresses, c.File = f.url, filepath.Join(dir, "addresses.json"), filepath.Join(dir, "bonds.json")
	c.Timeout = 2 * time.Second
	if err := os.WriteFile(c.Addresses, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c Config) *Reader {
	t.Helper()
	r, err := Open(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func read(t *testing.T, r *Reader) State {
	t.Helper()
	s, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func who(n byte) common.Address { return common.Address{19: n} }

func bonded(k Kind, n byte) op    { return op{event: "Bonded", kind: k, id: who(n)} }
func unbonded(k Kind, n byte) op  { return op{event: "UnbondingStarted", kind: k, id: who(n)} }
func forfeited(k Kind, n byte) op { return op{event: "Forfeited", kind: k, id: who(n)} }
func admitted(n byte) op          { return op{event: "ReporterAdmitted", id: who(n)} }
func removed(n byte) op           { return op{event: "ReporterRemoved", id: who(n)} }
func raised(k Kind, n byte, g uint64) op {
	return op{event: "GenerationRaised", kind: k, id: who(n), generation: g}
}
