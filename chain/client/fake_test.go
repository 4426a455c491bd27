package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/identity"
)

const fakeChainID = 4242

// fakeChain is an endpoint that lies, fails and forgets as a test wants. It keeps
// the one rule that a chain has: of one account's transactions with one nonce it
// takes at most one, and none before those with lower ones.
type fakeChain struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	blocks []fakeBlock // from 0 on
	pool   map[uint64]*types.Transaction
	heard  int // transactions that came
	// held is a nonce that no block takes while the tip is below heldTip.
	held    uint64
	heldTip int64
	// fault is asked first; what it returns true for it has answered itself.
	fault func(w http.ResponseWriter, r *http.Request, method string) bool
	// between runs after each request.
	between func()
}

type fakeBlock struct {
	salt byte
	txs  []*types.Transaction
	logs []types.Log
}

func newFake(t *testing.T) *fakeChain {
	t.Helper()
	f := &fakeChain{t: t, blocks: make([]fakeBlock, 1), pool: make(map[uint64]*types.Transaction)}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeChain) header(n int) *types.Header {
	h := &types.Header{
		Number: big.NewInt(int64(n)), Time: uint64(1000 + n), BaseFee: big.NewInt(100),
		Difficulty: new(big.Int), GasLimit: 30_000_000, Extra: []byte{f.blocks[n].salt},
	}
	if n > 0 {
		h.ParentHash = f.header(n - 1).Hash()
	}
	return h
}

// mine makes a block of what may be in one.
func (f *fakeChain) mine() {
	b, nonce := fakeBlock{}, f.nonce(len(f.blocks))
	for {
		tx := f.pool[nonce]
		if tx == nil || nonce == f.held && tx.GasTipCap().Int64() < f.heldTip {
			break
		}
		b.txs = append(b.txs, tx)
		delete(f.pool, nonce)
		nonce++
	}
	f.blocks = append(f.blocks, b)
}

// nonce is what blocks below n have used.
func (f *fakeChain) nonce(n int) (used uint64) {
	for _, b := range f.blocks[:n] {
		used += uint64(len(b.txs))
	}
	return used
}

// reorg takes the last n blocks away and puts others there, empty ones.
func (f *fakeChain) reorg(n int, keepPool bool) {
	for _, b := range f.blocks[len(f.blocks)-n:] {
		for _, tx := range b.txs {
			if keepPool {
				f.pool[tx.Nonce()] = tx
			}
		}
	}
	f.blocks = f.blocks[:len(f.blocks)-n]
	for range n {
		f.blocks = append(f.blocks, fakeBlock{salt: byte(f.heard) + byte(len(f.pool)) + 1})
	}
}

// executed are the payloads in blocks, in order.
func (f *fakeChain) executed() (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.blocks {
		for _, tx := range b.txs {
			all = append(all, string(tx.Data()))
		}
	}
	return all
}

func (f *fakeChain) with(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fakeChain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		ID     json.RawMessage   `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.between != nil {
		defer f.between()
	}
	if f.fault != nil && f.fault(w, r, q.Method) {
		return
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": q.ID}
	result, err := f.answer(q.Method, q.Params)
	if err != nil {
		answer["error"] = map[string]any{"code": -32000, "message": err.Error()}
	} else {
		answer["result"] = result
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fakeChain) number(tag json.RawMessage) int {
	var text string
	_ = json.Unmarshal(tag, &text)
	if n, err := hexutil.DecodeUint64(text); err == nil {
		return int(n)
	}
	return len(f.blocks) - 1
}

func (f *fakeChain) answer(method string, params []json.RawMessage) (any, error) {
	switch method {
	case "eth_chainId":
		return hexutil.Uint64(fakeChainID), nil
	case "eth_maxPriorityFeePerGas":
		return (*hexutil.Big)(big.NewInt(10)), nil
	case "eth_estimateGas":
		return hexutil.Uint64(50_000), nil
	case "eth_getBlockByNumber":
		n := f.number(params[0])
		if n >= len(f.blocks) {
			return nil, nil
		}
		return f.header(n), nil
	case "eth_getTransactionCount":
		var tag string
		_ = json.Unmarshal(params[1], &tag)
		used := f.nonce(f.number(params[1]) + 1)
		for tag == "pending" && f.pool[used] != nil {
			used++
		}
		return hexutil.Uint64(used), nil
	case "eth_sendRawTransaction":
		return f.take(params[0])
	case "eth_getTransactionReceipt":
		var hash common.Hash
		_ = json.Unmarshal(params[0], &hash)
		return f.receipt(hash), nil
	case "eth_getLogs":
		return f.logs(params[0])
	}
	return nil, fmt.Errorf("the method %s does not exist", method)
}

func (f *fakeChain) take(param json.RawMessage) (any, error) {
	var raw hexutil.Bytes
	tx := new(types.Transaction)
	if err := json.Unmarshal(param, &raw); err != nil {
		return nil, err
	}
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	f.heard++
	if tx.Nonce() < f.nonce(len(f.blocks)) {
		return nil, fmt.Errorf("nonce too low")
	}
	if old := f.pool[tx.Nonce()]; old != nil {
		if old.Hash() == tx.Hash() {
			return nil, fmt.Errorf("already known")
		}
		if string(old.Data()) != string(tx.Data()) {
			f.t.Errorf("nonce %d was for %q and is for %q", tx.Nonce(), old.Data(), tx.Data())
		}
		if old.GasTipCap().Int64()*11/10 > tx.GasTipCap().Int64() {
			return nil, fmt.Errorf("replacement transaction underpriced")
		}
	}
	f.pool[tx.Nonce()] = tx
	return tx.Hash(), nil
}

func (f *fakeChain) receipt(hash common.Hash) any {
	for n, b := range f.blocks {
		for i, tx := range b.txs {
			if tx.Hash() == hash {
				return &types.Receipt{
					Type: 2, Status: 1, TxHash: hash, GasUsed: 21000, CumulativeGasUsed: 21000, Logs: []*types.Log{},
					BlockHash: f.header(n).Hash(), BlockNumber: big.NewInt(int64(n)), TransactionIndex: uint(i),
					EffectiveGasPrice: big.NewInt(1),
				}
			}
		}
	}
	return nil
}

func (f *fakeChain) logs(param json.RawMessage) (any, error) {
	var q struct{ FromBlock, ToBlock hexutil.Uint64 }
	if err := json.Unmarshal(param, &q); err != nil {
		return nil, err
	}
	if q.ToBlock-q.FromBlock >= 8 {
		return nil, fmt.Errorf("query exceeds 8 blocks")
	}
	out := []types.Log{}
	for n := int(q.FromBlock); n <= int(q.ToBlock) && n < len(f.blocks); n++ {
		for i, l := range f.blocks[n].logs {
			l.BlockNumber, l.BlockHash, l.Index, l.TxHash = uint64(n), f.header(n).Hash(), uint(i), common.Hash{1}
			l.Topics = []common.Hash{}
			out = append(out, l)
		}
	}
	return out, nil
}

// fakeConfig is impatient.
func (f *fakeChain) config() Config {
	c := DefaultConfig()
	c.URL, c.ChainID = f.url, fakeChainID
	c.Timeout, c.PollEvery, c.ResendEvery, c.RaiseAfter = 2*time.Second, time.Millisecond, 3*time.Millisecond, 20*time.Millisecond
	c.Finality = Confirmations(0)
	return c
}

func dial(t *testing.T, c Config) *Client {
	t.Helper()
	client, err := Dial(t.Context(), c, NewReasons(nil, nil), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func testWallet(t *testing.T) *Wallet {
	t.Helper()
	key, err := identity.Generate(rand.NewChaCha8([32]byte{7}))
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWallet(key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func openSender(t *testing.T, c *Client, path string) *Sender {
	t.Helper()
	s, err := NewSender(c, testWallet(t), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// soon is a context that ends a test that hangs.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func intent(id string) Intent {
	to := common.Address{0: 1}
	return Intent{ID: id, To: &to, Data: []byte(id)}
}
