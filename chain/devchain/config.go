package devchain

import (
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// DefaultChainID is the id of a devnet's chain.
const DefaultChainID = 72010

// maxEther bounds what genesis gives to one account, far from any overflow.
const maxEther = 1_000_000_000

// Config of a chain. Start from DefaultConfig.
type Config struct {
	// Dir holds the chain. A folder has one chain for ever.
	Dir string `toml:"dir"`
	// Listen is the TCP address of JSON-RPC; port 0 picks a free one.
	Listen string `toml:"listen"`
	// Hosts are names by which browsers and others may reach it, beside IP
	// addresses and localhost: a page elsewhere must not reach it by a name that
	// was made to mean this machine.
	Hosts []string `toml:"hosts"`
	// ChainID is the id in every transaction's signature.
	ChainID uint64 `toml:"chain_id"`
	// BlockTime is the time between blocks, in whole seconds. 0 makes a block as
	// soon as there is a transaction, for tests: time on the chain then runs ahead.
	BlockTime time.Duration `toml:"block_time"`
	// Funded are accounts that have ether from the first block on. Those that are
	// added to a chain that exists get nothing.
	Funded []Account `toml:"funded"`
	// MaxConnections bounds connections under way.
	MaxConnections int `toml:"max_connections"`
	// ShutdownTimeout bounds the end of requests under way.
	ShutdownTimeout time.Duration `toml:"shutdown_timeout"`
}

// Account is one that genesis funds.
type Account struct {
	Address common.Address `toml:"address" json:"address"`
	Ether   uint64         `toml:"ether" json:"ether"` // whole ones, 10^18 wei each
}

// DefaultConfig returns a chain that listens on the loopback interface; Dir is to
// be filled in.
func DefaultConfig() Config {
	return Config{
		Listen:          "127.0.0.1:8545",
		ChainID:         DefaultChainID,
		BlockTime:       time.Second,
		MaxConnections:  512,
		ShutdownTimeout: 3 * time.Second,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("devchain: dir is empty: give a directory for the chain")
	case c.Listen == "":
		return errors.New("devchain: listen is empty: give host:port")
	case c.ChainID == 0:
		return errors.New("devchain: chain_id must be at least 1")
	case c.BlockTime < 0 || c.BlockTime%time.Second != 0:
		return fmt.Errorf("devchain: block_time: want whole seconds, or 0s for a block per transaction, got %s", c.BlockTime)
	case c.MaxConnections < 1:
		return fmt.Errorf("devchain: max_connections must be at least 1, is %d", c.MaxConnections)
	case c.ShutdownTimeout <= 0:
		return fmt.Errorf("devchain: shutdown_timeout must be above 0, is %s", c.ShutdownTimeout)
	}
	for _, a := range c.Funded {
		if a.Address == (common.Address{}) || a.Ether > maxEther {
			return fmt.Errorf("devchain: funded: want an address and at most %d ether, got %s with %d", maxEther, a.Address, a.Ether)
		}
	}
	return nil
}
