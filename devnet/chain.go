package devnet

import (
	"context"
	"fmt"
)

// Ether of the account that genesis funds: enough to give some to everybody.
const faucetEther = 1_000_000

// faucetName is the folder of its key.
const faucetName = "faucet"

// startChain runs the chain. Its genesis funds one account, so that it stays the
// same however many others there are next time.
func (n *Network) startChain(ctx context.Context, s *supervisor, files *layout) (*Chain, error) {
	faucet, err := files.identity(faucetName)
	if err != nil {
		return nil, err
	}
	keys, err := files.child(faucetName)
	if err != nil {
		return nil, err
	}
	chain := new(Chain)
	child, err := prepare(files, "chain", "chain", func(h home) any {
		return chainFile{
			Dir: h.state(), Listen: "127.0.0.1:0", LogLevel: n.cfg.LogLevel,
			Funded: []account{{Address: faucet, Ether: faucetEther}},
		}
	}, chain, func() string { return fmt.Sprintf("%s, id %d", chain.URL, chain.ChainID) })
	if err != nil {
		return nil, err
	}
	if _, err := s.startStage(ctx, []Child{child}); err != nil {
		return nil, err
	}
	chain.KeyFile = keys.key()
	return chain, nil
}
