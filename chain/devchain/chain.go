package devchain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// Megabytes of memory for the database and for states. The first also sets the
// size of what is written before tables are: a sixteenth of go-ethereum's default
// gives a folder of a few megabytes where that gives hundreds.
const (
	databaseCache = 32
	stateCache    = 16
)

// databaseHandles is how many files the database may hold open.
const databaseHandles = 256

// Chain is a running chain. Make one with New, then call Run once.
type Chain struct {
	config Config
	log    *slog.Logger

	stack    *node.Node
	eth      *eth.Ethereum
	beacon   *catalyst.SimulatedBeacon
	meter    *meter
	listener net.Listener
	server   *http.Server

	// gate is held for writing from before a block is made until it is on disk.
	gate    sync.RWMutex
	advance chan advance
	began   time.Time
}

// New opens the folder, makes the first block when it has none, and listens, so
// that URL is known. Run closes all of it.
func New(c Config, log *slog.Logger) (*Chain, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("devchain: dir: %w", err)
	}
	from, err := loadOrigin(c.Dir, origin{ChainID: c.ChainID, Funded: c.Funded})
	if err != nil {
		return nil, fmt.Errorf("devchain: %w", err)
	}
	if missing := from.unfunded(c.Funded); len(missing) > 0 {
		log.Warn("these accounts are not funded: the chain was made before they were configured", "accounts", missing)
	}
	ch := &Chain{config: c, log: log, advance: make(chan advance), began: time.Now()}
	if err := ch.open(from); err != nil {
		return nil, fmt.Errorf("devchain: %w", errors.Join(err, ch.close()))
	}
	return ch, nil
}

func (c *Chain) open(from origin) (err error) {
	if c.stack, err = node.New(nodeConfig(c.config)); err != nil {
		return fmt.Errorf("opening %s: %w", c.config.Dir, err)
	}
	if c.eth, err = eth.New(c.stack, ethConfig(from)); err != nil {
		return fmt.Errorf("opening the chain in %s: %w", c.config.Dir, err)
	}
	// Period 0: blocks are made when this package says so.
	if c.beacon, err = catalyst.NewSimulatedBeacon(0, common.Address{}, c.eth); err != nil {
		return err
	}
	if err := c.stack.Start(); err != nil {
		return err
	}
	c.meter = newMeter(c.eth)
	calls, err := c.calls()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	c.listener = netutil.LimitListener(listener, c.config.MaxConnections)
	c.server = c.serve(calls)
	return nil
}

// nodeConfig has no peers, no sockets and no keys: HTTP is served here.
func nodeConfig(c Config) *node.Config {
	n := node.DefaultConfig
	n.Name = "chain"
	n.DataDir = c.Dir
	n.UseLightweightKDF = true
	n.IPCPath, n.HTTPHost, n.WSHost = "", "", ""
	n.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	return &n
}

func ethConfig(from origin) *ethconfig.Config {
	e := ethconfig.Defaults
	e.Genesis = from.block()
	e.NetworkId = from.ChainID
	e.SyncMode = ethconfig.FullSync // snap sync waits for peers after one block
	// Every state on disk with its block.
	e.StateScheme, e.NoPruning = rawdb.HashScheme, true
	e.TrieCleanCache, e.TrieDirtyCache, e.SnapshotCache = stateCache, 0, 0
	e.DatabaseCache, e.DatabaseHandles = databaseCache, databaseHandles
	// Receipts and events of all blocks can be asked for.
	e.TransactionHistory, e.LogHistory = 0, 0
	e.Miner.GasCeil = GasLimit
	e.Miner.GasPrice = big.NewInt(1)
	e.TxPool.PriceLimit = 1
	e.TxPool.AccountSlots, e.TxPool.AccountQueue = 4096, 4096
	e.TxPool.GlobalSlots, e.TxPool.GlobalQueue = 16384, 16384
	e.TxPool.NoLocals = true
	e.BlobPool.Datadir = "" // in memory
	e.RPCTxFeeCap = 0       // the sender's own business
	return &e
}

// calls are what JSON-RPC offers: the three public namespaces, nothing that
// administers.
func (c *Chain) calls() (*rpc.Server, error) {
	server := rpc.NewServer()
	server.SetBatchLimits(maxBatch, maxAnswer)
	server.SetHTTPBodyLimit(maxBody)
	offered := []rpc.API{
		{Namespace: "web3", Service: web3{}},
		{Namespace: "eth", Service: filters.NewFilterAPI(filters.NewFilterSystem(c.eth.APIBackend, filters.Config{}))},
	}
	for _, api := range c.eth.APIs() {
		if api.Namespace == "eth" || api.Namespace == "net" {
			offered = append(offered, api)
		}
	}
	for _, api := range offered {
		if err := server.RegisterName(api.Namespace, api.Service); err != nil {
			return nil, err
		}
	}
	return server, nil
}

// URL is where JSON-RPC is served.
func (c *Chain) URL() string { return "http://" + c.listener.Addr().String() }

// ChainID is the chain's id.
func (c *Chain) ChainID() uint64 { return c.config.ChainID }

// Genesis is the hash of the first block.
func (c *Chain) Genesis() common.Hash { return c.eth.BlockChain().Genesis().Hash() }

// Run makes blocks and answers until ctx ends, then closes the chain cleanly. It
// fails when a block cannot be put on disk.
func (c *Chain) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.close()) }()
	c.log.Info("chain serves", "url", c.URL(), "chain_id", c.ChainID(), "block", c.head().Number.Uint64(),
		"block_time", c.config.BlockTime, "genesis", c.Genesis())
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if c.config.BlockTime == 0 {
			return c.sealAtOnce(ctx)
		}
		return c.sealEvery(ctx)
	})
	group.Go(func() error {
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("devchain: serving: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.ShutdownTimeout)
		defer cancel()
		if c.server.Shutdown(limit) != nil {
			_ = c.server.Close()
		}
		return nil
	})
	if err = group.Wait(); err == nil {
		c.log.Info("chain stops", "block", c.head().Number.Uint64())
	}
	return err
}

// close undoes what New did, as far as it came.
func (c *Chain) close() error {
	if c.listener != nil {
		c.listener.Close()
	}
	if c.stack == nil {
		return nil
	}
	// A second close of the database, by the node after the chain, is its own affair.
	if err := c.stack.Close(); err != nil && !errors.Is(err, node.ErrNodeStopped) {
		return fmt.Errorf("devchain: closing %s: %w", filepath.Base(c.config.Dir), err)
	}
	return nil
}

// waits is how long there has been no new block since this process began.
func (c *Chain) waits(now time.Time) time.Duration {
	return min(now.Sub(time.Unix(int64(c.head().Time), 0)), now.Sub(c.began))
}
