package devnet

import (
	"context"
	"fmt"
)

// Ether of an account that genesis funds: enough to give some to everybody.
const genesisEther = 1_000_000

// startChain runs the chain. Its genesis funds the same two accounts however many
// nodes and Registries there are, so that a folder that is kept keeps its chain.
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
	return chain, nil
}
