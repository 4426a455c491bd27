package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/drtc-network/drtc"
)

// Ether of an account that genesis funds: enough to give some to everybody.
const genesisEther = 1_000_000

// startChain runs the chain and has the contracts put on it, with bonds of all
// members. Its genesis funds the same two accounts however many nodes and
// Registries there are, so that a folder that is kept keeps its chain.
func (n *Network) startChain(ctx context.Context, s *supervisor, files *layout) (*Chain, error) {
	chain := new(Chain)
	var funded []account
	var keys []string
	for _, name := range []string{"faucet", "deployer"} {
		id, err := files.identity(name)
		if err != nil {
			return nil, err
		}
		h, err := files.child(name)
		if err != nil {
			return nil, err
		}
		funded, keys = append(funded, account{Address: id, Ether: genesisEther}), append(keys, h.key())
	}
	child, err := prepare(files, "chain", "chain", func(h home) any {
		return chainFile{Dir: h.state(), Listen: "127.0.0.1:0", LogLevel: n.cfg.LogLevel, Funded: funded}
	}, chain, func() string { return fmt.Sprintf("%s, id %d", chain.URL, chain.ChainID) })
	if err != nil {
		return nil, err
	}
	if _, err := s.startStage(ctx, []Child{child}); err != nil {
		return nil, err
	}
	chain.KeyFile, chain.DeployerKeyFile = keys[0], keys[1]
	chain.Addresses = home(filepath.Join(files.dir, "chain")).addresses()
	return chain, n.deploy(ctx, s, files, chain, funded[0].Address.String())
}

// deploy puts the contracts on the chain, or finds them there. The faucet's account
// has all HUDL.
func (n *Network) deploy(ctx context.Context, s *supervisor, files *layout, c *Chain, faucet string) error {
	registries, err := files.keys(registryName, n.cfg.Registries)
	if err == nil {
		err = n.sameReporters(c.Addresses)
	}
	if err != nil {
		return err
	}
	orchestrators, err := files.keys(n.orchestratorName, 1) // all have one key
	if err != nil {
		return err
	}
	// Bonds stay: nodes that an earlier run had more of are named again.
	known := n.cfg.Nodes
	for files.has(nodeName(known)) {
		known++
	}
	nodes, err := files.keys(nodeName, known)
	if err != nil {
		return err
	}
	return s.runOnce(ctx, Child{
		Name: "deploy",
		Args: []string{
			"chain", "deploy", "--rpc", c.URL, "--chain-id", fmt.Sprint(c.ChainID), "--key-file", c.DeployerKeyFile, "--addresses", c.Addresses,
			"--guardian", faucet, "--reporter-key-files", strings.Join(registries, ","), "--orchestrator-key-files", strings.Join(orchestrators, ","),
			"--node-key-files", strings.Join(nodes, ","), "--log-level", n.cfg.LogLevel,
		},
		Silent: true, // it prints every address, and they are in the file
	})
}

// sameReporters fails when a chain that is there was made with other Registries.
func (n *Network) sameReporters(addresses string) error {
	text, err := os.ReadFile(addresses)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var record struct {
		Reporters []drtc.NodeID `json:"reporters"`
	}
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		return fmt.Errorf("devnet: addresses of the chain's contracts: %w", err)
	}
	if before := len(record.Reporters); before != n.cfg.Registries {
		return fmt.Errorf("devnet: registries: the chain in this folder has %d, which only a vote changes, and you want %d: give --registries %d, another --dir, or --chain=false",
			before, n.cfg.Registries, before)
	}
	return nil
}

// keys makes keys of children and returns their files.
func (l *layout) keys(name func(int) string, count int) ([]string, error) {
	paths := make([]string, count)
	for i := range paths {
		if _, err := l.identity(name(i)); err != nil {
			return nil, err
		}
		paths[i] = home(filepath.Join(l.dir, name(i))).key()
	}
	return paths, nil
}

// has reports whether an earlier run made a child's key.
func (l *layout) has(name string) bool {
	_, err := os.Stat(home(filepath.Join(l.dir, name)).key())
	return !errors.Is(err, fs.ErrNotExist)
}
