package client

import (
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
)

// Config of a Client. Start from DefaultConfig.
type Config struct {
	// URL is the endpoint's, http or https.
	URL string `toml:"url"`
	// ChainID is the only chain to speak to; 0 takes the endpoint's word for it.
	ChainID uint64 `toml:"chain_id"`
	// Timeout bounds one request.
	Timeout time.Duration `toml:"timeout"`
	// PollEvery is the time between two looks at the chain while waiting.
	PollEvery time.Duration `toml:"poll_every"`
	// Finality says from when on a block counts as settled.
	Finality Finality `toml:"finality"`
	// ResendEvery is the time after which a transaction that is in no block is
	// sent again, RaiseAfter that after which its fee is raised by a quarter.
	ResendEvery time.Duration `toml:"resend_every"`
	RaiseAfter  time.Duration `toml:"raise_after"`
	// MaxFeeGwei is the most that a unit of gas may cost, tip included, in 10^9 wei.
	MaxFeeGwei uint64 `toml:"max_fee_gwei"`
}

// DefaultConfig suits a devnet and Arbitrum alike; URL is to be filled in.
func DefaultConfig() Config {
	return Config{
		Timeout:     10 * time.Second,
		PollEvery:   500 * time.Millisecond,
		Finality:    Finality{tag: rpc.SafeBlockNumber},
		ResendEvery: 5 * time.Second,
		RaiseAfter:  30 * time.Second,
		MaxFeeGwei:  500,
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("client: url: want http or https and a host, got %.80q", c.URL)
	case c.Timeout <= 0 || c.PollEvery <= 0 || c.ResendEvery <= 0 || c.RaiseAfter <= 0:
		return errors.New("client: timeout, poll_every, resend_every and raise_after must be above 0")
	case c.MaxFeeGwei < 1:
		return errors.New("client: max_fee_gwei must be at least 1")
	}
	return nil
}

func (c Config) maxFee() *big.Int {
	return new(big.Int).Mul(new(big.Int).SetUint64(c.MaxFeeGwei), big.NewInt(1e9))
}

// Finality says which blocks count as settled: those that the endpoint calls safe
// or finalized, or those with so many blocks on top. As text it is "safe",
// "finalized" or a number; the zero value is "0", the newest block.
type Finality struct {
	tag           rpc.BlockNumber // 0: count confirmations
	confirmations uint64
}

// Confirmations is the finality of n blocks on top.
func Confirmations(n uint64) Finality { return Finality{confirmations: n} }

// UnmarshalText reads the text form.
func (f *Finality) UnmarshalText(text []byte) error {
	switch string(text) {
	case "safe":
		*f = Finality{tag: rpc.SafeBlockNumber}
	case "finalized":
		*f = Finality{tag: rpc.FinalizedBlockNumber}
	default:
		n, err := strconv.ParseUint(string(text), 10, 32)
		if err != nil {
			return fmt.Errorf("client: finality: want safe, finalized or a number of blocks, got %.20q", text)
		}
		*f = Confirmations(n)
	}
	return nil
}

// MarshalText writes the text form.
func (f Finality) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

func (f Finality) String() string {
	switch f.tag {
	case rpc.SafeBlockNumber:
		return "safe"
	case rpc.FinalizedBlockNumber:
		return "finalized"
	}
	return strconv.FormatUint(f.confirmations, 10)
}
