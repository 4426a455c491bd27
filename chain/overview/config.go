package overview

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/chain/deploy"
)

// Config of an Overview. Start from DefaultConfig.
type Config struct {
	// Client says which endpoint, and from when on a block counts as settled.
	Client client.Config
	// Addresses are where the contracts are.
	Addresses deploy.Addresses
	// PollEvery is the time between two looks at the chain.
	PollEvery time.Duration
	// Epochs and History bound how far back it goes; the nearer of the two counts.
	Epochs  int
	History time.Duration
	// MaxPools bounds the pools, first made first; MaxPayouts the payments that are
	// held, of which the oldest go.
	MaxPools, MaxPayouts int
	// MaxCharges bounds the charges that are held of one epoch.
	MaxCharges int
}

// DefaultConfig holds some 20 MB at most; Client.URL and Addresses are to be filled in.
func DefaultConfig() Config {
	return Config{
		Client: client.DefaultConfig(), PollEvery: 2 * time.Second, Epochs: 240, History: 30 * 24 * time.Hour,
		MaxPools: 2000, MaxPayouts: 100_000, MaxCharges: 200,
	}
}

// ErrNoContracts says that the addresses are not those of a whole network.
var ErrNoContracts = errors.New("overview: addresses")

// contracts are those that are asked.
var contracts = []string{"HUDL", "MediaNodeKey", "Parameters", "PoolManager", "PriceOracle", "ProofOfResource", "Rewards"}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	if err := c.Client.Validate(); err != nil {
		return err
	}
	for _, name := range contracts {
		if c.Addresses.Of(name) == (common.Address{}) {
			return fmt.Errorf("%w: %s is missing: give the file that chain deploy wrote", ErrNoContracts, name)
		}
	}
	switch {
	case c.Addresses.Genesis == (common.Hash{}) || c.Addresses.ChainID == 0:
		return errors.New("overview: addresses: chain_id or genesis is missing: give the file that chain deploy wrote")
	case c.PollEvery <= 0:
		return fmt.Errorf("overview: PollEvery must be above 0, is %s", c.PollEvery)
	case c.Epochs < 1 || c.Epochs > 10_000:
		return fmt.Errorf("overview: Epochs: want 1 to 10000, got %d", c.Epochs)
	case c.History <= 0:
		return fmt.Errorf("overview: History must be above 0, is %s", c.History)
	case c.MaxPools < 1 || c.MaxPayouts < 1 || c.MaxCharges < 1:
		return errors.New("overview: MaxPools, MaxPayouts and MaxCharges must be at least 1")
	}
	return nil
}
