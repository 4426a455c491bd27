// Package chain is a whole EVM chain in one process, with tokens to hold and
// wallets that hold them: for the example of token-gated rooms, and for tests of
// the gate, which meets real contracts here.
//
// Contract: what Deploy and Mint return from is in a block. The chain answers
// JSON-RPC at URL until Close. Everybody may mint, so nothing here is worth
// anything. A Chain is safe for concurrent questions; transactions are made by one
// goroutine at a time.
package chain

import (
	"context"
	"crypto/ecdsa"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

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

// ID is the id of every such chain.
const ID = 1337

// contracts are those of contracts/contracts.sol, compiled by compile.mjs.
//
//go:embed contracts/contracts.json
var contracts []byte

// Chain is a running chain.
type Chain struct {
	URL string
	// Silent has the chain answer nothing any more.
	Silent atomic.Bool
	// Questions counts the requests that came.
	Questions atomic.Int64

	backend *simulated.Backend
	client  simulated.Client
	inside  *rpc.Client
	server  *http.Server
	folder  string
	miner   *bind.TransactOpts
}

// Contract is a token on the chain.
type Contract struct {
	Address common.Address
	chain   *Chain
	bound   *bind.BoundContract
}

// Wallet is a user's key.
type Wallet struct{ key *ecdsa.PrivateKey }

// New starts a chain.
func New() (*Chain, error) {
	folder, err := os.MkdirTemp("", "g") // the path of a socket is short
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	key, err := crypto.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	c := &Chain{folder: folder}
	if c.miner, err = bind.NewKeyedTransactorWithChainID(key, big.NewInt(ID)); err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	rich := new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)
	socket := filepath.Join(folder, "ipc")
	c.backend = simulated.NewBackend(types.GenesisAlloc{c.miner.From: {Balance: rich}}, func(n *node.Config, _ *ethconfig.Config) { n.IPCPath = socket })
	c.client = c.backend.Client()
	c.inside, err = rpc.Dial(socket)
	if err == nil {
		err = c.listen()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("chain: %w", err), c.Close())
	}
	return c, nil
}

func (c *Chain) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.URL = "http://" + l.Addr().String()
	c.server = &http.Server{Handler: http.HandlerFunc(c.forward), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = c.server.Serve(l) }() // ends with Close
	return nil
}

// Close ends the chain.
func (c *Chain) Close() error {
	if c.server != nil {
		_ = c.server.Close()
	}
	if c.inside != nil {
		c.inside.Close()
	}
	return errors.Join(c.backend.Close(), os.RemoveAll(c.folder))
}

// forward hands a JSON-RPC request on to the chain, which has a socket alone.
func (c *Chain) forward(w http.ResponseWriter, r *http.Request) {
	c.Questions.Add(1)
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params []any           `json:"params"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
		http.Error(w, "want one JSON-RPC request", http.StatusBadRequest)
		return
	}
	if c.Silent.Load() {
		<-r.Context().Done()
		return
	}
	answer := map[string]any{"jsonrpc": "2.0", "id": q.ID}
	var result json.RawMessage
	var coded rpc.Error
	err := c.inside.CallContext(r.Context(), &result, q.Method, q.Params...)
	switch {
	case errors.As(err, &coded):
		answer["error"] = map[string]any{"code": coded.ErrorCode(), "message": coded.Error()}
	case err != nil:
		answer["error"] = map[string]any{"code": -32603, "message": err.Error()}
	default:
		answer["result"] = result
	}
	_ = json.NewEncoder(w).Encode(answer) // the client has gone when this fails
}

// Deploy puts one of the contracts on the chain: Coin (ERC-20), Badge (ERC-721),
// Items (ERC-1155) or Wallet (EIP-1271, of an owner's address).
func (c *Chain) Deploy(name string, args ...any) (*Contract, error) {
	var file struct {
		Contracts map[string]struct {
			ABI      string `json:"abi"`
			Bytecode string `json:"bytecode"`
		} `json:"contracts"`
	}
	if err := json.Unmarshal(contracts, &file); err != nil {
		return nil, fmt.Errorf("chain: contracts.json: %w", err)
	}
	parsed, err := abi.JSON(strings.NewReader(file.Contracts[name].ABI))
	if err != nil {
		return nil, fmt.Errorf("chain: %s: %w", name, err)
	}
	at, tx, bound, err := bind.DeployContract(c.miner, parsed, common.FromHex(file.Contracts[name].Bytecode), c.client, args...)
	if err == nil {
		err = c.mine(tx)
	}
	if err != nil {
		return nil, fmt.Errorf("chain: deploying %s: %w", name, err)
	}
	return &Contract{Address: at, chain: c, bound: bound}, nil
}

// Mint gives somebody tokens: a value of a Coin, an id of a Badge, an id and a
// value of Items.
func (t *Contract) Mint(to common.Address, numbers ...*big.Int) error {
	args := []any{to}
	for _, n := range numbers {
		args = append(args, n)
	}
	tx, err := t.bound.Transact(t.chain.miner, "mint", args...)
	if err == nil {
		err = t.chain.mine(tx)
	}
	if err != nil {
		return fmt.Errorf("chain: minting: %w", err)
	}
	return nil
}

// mine makes a block, in which the transaction must have succeeded.
func (c *Chain) mine(tx *types.Transaction) error {
	c.backend.Commit()
	receipt, err := c.client.TransactionReceipt(context.Background(), tx.Hash())
	if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
		err = errors.New("the contract refused")
	}
	return err
}

// NewWallet makes a key.
func NewWallet() (Wallet, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return Wallet{}, fmt.Errorf("chain: %w", err)
	}
	return Wallet{key}, nil
}

// Address is the wallet's.
func (w Wallet) Address() common.Address { return crypto.PubkeyToAddress(w.key.PublicKey) }

// Sign is what wallets call personal_sign (EIP-191).
func (w Wallet) Sign(message string) ([]byte, error) {
	s, err := crypto.Sign(accounts.TextHash([]byte(message)), w.key)
	if err != nil {
		return nil, fmt.Errorf("chain: %w", err)
	}
	s[64] += 27
	return s, nil
}
