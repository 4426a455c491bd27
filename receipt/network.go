package receipt

import (
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// Network is what all parties to receipts must have alike: it says what they sign
// and when. They are parameters of the chain.
type Network struct {
	// ChainID and Contract, the address of DataCredits, go into each signature. A
	// zero Contract: there are no receipts.
	ChainID  uint64      `toml:"chain_id"`
	Contract drtc.NodeID `toml:"contract"`
	// Genesis is when epoch 0 began, EpochLength for how long each lasts.
	Genesis     time.Time     `toml:"genesis"`
	EpochLength time.Duration `toml:"epoch_length"`
}

// DefaultNetwork has epochs of a day and no contract yet.
func DefaultNetwork() Network {
	return Network{EpochLength: 24 * time.Hour}
}

// Enabled reports whether there are receipts.
func (n Network) Enabled() bool { return !n.Contract.IsZero() }

// Validate names the key that is wrong; without a contract none is.
func (n Network) Validate() error {
	if !n.Enabled() {
		return nil
	}
	switch {
	case n.ChainID == 0:
		return fmt.Errorf("receipt: chain_id: want the chain of contract %s", n.Contract)
	case n.Genesis.IsZero():
		return fmt.Errorf("receipt: genesis: want when epoch 0 began, such as 2026-01-01T00:00:00Z")
	}
	if err := n.Clock().Validate(); err != nil {
		return fmt.Errorf("receipt: genesis, epoch_length: %w", err)
	}
	return nil
}

// Clock of the network's epochs.
func (n Network) Clock() Clock { return Clock{Genesis: n.Genesis, Length: n.EpochLength} }

// Domain of its receipts' signatures.
func (n Network) Domain() identity.Domain { return epoch.ReceiptDomain(n.ChainID, n.Contract) }

// Audit is for how many epochs after its own a record of receipts lives, so that
// everybody can recompute what was paid.
const Audit = 32

// Life is that of a record of receipts, at least an hour.
func (n Network) Life() time.Duration { return max((Audit+1)*n.EpochLength, time.Hour) }
