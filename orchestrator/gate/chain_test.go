package gate

import (
	"context"
	"crypto/ecdsa"
	_ "embed"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"
)

// contracts are those of contracts.sol, compiled (compile.mjs).
//
//go:embed testdata/contracts.json
var contracts []byte

// world is a real chain in this process, behind a JSON-RPC address of its own.
type world struct {
	t       *testing.T
	backend *simulated.Backend
	client  simulated.Client
	miner   *bind.TransactOpts
	rpc     string
	calls   atomic.Int64
	dead    atomic.Bool // answers nothing any more
}

// chainID is that of every simulated backend.
const chainID = 1337

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	miner, err := bind.NewKeyedTransactorWithChainID(key, big.NewInt(chainID))
	if err != nil {
		t.Fatal(err)
	}
	rich := new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)
	folder, err := os.MkdirTemp("", "g") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "ipc")
	w := &world{t: t, miner: miner, backend: simulated.NewBackend(types.GenesisAlloc{miner.From: {Balance: rich}},
		func(n *node.Config, _ *ethconfig.Config) { n.IPCPath = socket })}
	w.client = w.backend.Client()
	t.Cleanup(func() { _ = w.backend.Close() })
	inside, err := rpc.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inside.Close)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.forward(rw, r, inside) }))
	t.Cleanup(server.Close)
	w.rpc = server.URL
	return w
}

// forward hands a JSON-RPC request on to the chain, as far as it goes.
func (w *world) forward(rw http.ResponseWriter, r *http.Request, chain *rpc.Client) {
	w.calls.Add(1)
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params []any           `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		w.t.Errorf("a question is no JSON-RPC: %v", err)
	}
	if w.dead.Load() {
		<-r.Context().Done()
		return
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": q.ID}
	var result json.RawMessage
	err := chain.CallContext(r.Context(), &result, q.Method, q.Params...)
	answer["result"] = result
	if coded, ok := err.(rpc.Error); ok { //nolint:errorlint // the client returns it bare
		delete(answer, "result")
		answer["error"] = map[string]any{"code": coded.ErrorCode(), "message": coded.Error()}
	} else if err != nil {
		w.t.Errorf("%s: %v", q.Method, err)
	}
	_ = json.NewEncoder(rw).Encode(answer)
}

// deploy puts a contract on the chain and returns its address and a way to call it.
func (w *world) deploy(name string, args ...any) (Address, *bind.BoundContract) {
	w.t.Helper()
	var file struct {
		Contracts map[string]struct {
			ABI      string `json:"abi"`
			Bytecode string `json:"bytecode"`
		} `json:"contracts"`
	}
	if err := json.Unmarshal(contracts, &file); err != nil {
		w.t.Fatal(err)
	}
	parsed, err := abi.JSON(strings.NewReader(file.Contracts[name].ABI))
	if err != nil {
		w.t.Fatal(err)
	}
	at, tx, bound, err := bind.DeployContract(w.miner, parsed, common.FromHex(file.Contracts[name].Bytecode), w.client, args...)
	if err != nil {
		w.t.Fatalf("deploying %s: %v", name, err)
	}
	w.mined(tx)
	return Address(at), bound
}

// mint gives somebody tokens.
func (w *world) mint(c *bind.BoundContract, args ...any) {
	w.t.Helper()
	tx, err := c.Transact(w.miner, "mint", args...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mined(tx)
}

func (w *world) mined(tx *types.Transaction) {
	w.t.Helper()
	w.backend.Commit()
	receipt, err := w.client.TransactionReceipt(context.Background(), tx.Hash())
	if err != nil || receipt.Status != types.ReceiptStatusSuccessful {
		w.t.Fatalf("the transaction failed: %v", err)
	}
}

// wallet is a user's key, in the hands of a foreign implementation.
type wallet struct{ key *ecdsa.PrivateKey }

func newWallet(t *testing.T) wallet {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return wallet{key}
}

func (w wallet) address() Address { return Address(crypto.PubkeyToAddress(w.key.PublicKey)) }

// sign is personal_sign.
func (w wallet) sign(t *testing.T, message string) []byte {
	s, err := crypto.Sign(accounts.TextHash([]byte(message)), w.key)
	if err != nil {
		t.Fatal(err)
	}
	s[64] += 27
	return s
}
