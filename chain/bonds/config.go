package bonds

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/drtc-network/drtc/chain/client"
)

// Config of a Reader. Start from DefaultConfig.
type Config struct {
	// RPC is an endpoint of the chain, http or https. It may hold a secret, and is
	// in no error and no log.
	RPC string `toml:"rpc"`
	// Addresses is the file that says which chain it is and where the contracts
	// are, as "drtc chain deploy" writes it.
	Addresses string `toml:"addresses"`
	// Finality says from when on a block counts as settled.
	Finality client.Finality `toml:"finality"`
	// Timeout bounds one request.
	Timeout time.Duration `toml:"timeout"`
	// AuditEvery is the time after which the contract's pages are compared with the
	// events again though there were none.
	AuditEvery time.Duration `toml:"audit_every"`
	// File keeps what was read, for a start while the chain is away.
	File string `toml:"-"`
}

// DefaultConfig believes blocks that the chain calls finalized; RPC, Addresses and
// File are to be filled in.
func DefaultConfig() Config {
	c := Config{Timeout: 10 * time.Second, AuditEvery: 10 * time.Minute}
	if err := c.Finality.UnmarshalText([]byte("finalized")); err != nil {
		panic(err) // a constant
	}
	return c
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	u, err := url.Parse(c.RPC)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("bonds: rpc: want http or https and a host, such as http://127.0.0.1:8545")
	case c.Addresses == "":
		return errors.New("bonds: addresses is empty: give the file that chain deploy wrote")
	case c.File == "":
		return errors.New("bonds: file is empty: give a path for what was read")
	case c.Timeout <= 0:
		return fmt.Errorf("bonds: timeout must be above 0, is %s", c.Timeout)
	case c.AuditEvery <= 0:
		return fmt.Errorf("bonds: audit_every must be above 0, is %s", c.AuditEvery)
	}
	return nil
}

func (c Config) client(chainID uint64) client.Config {
	d := client.DefaultConfig()
	d.URL, d.ChainID, d.Finality, d.Timeout = c.RPC, chainID, c.Finality, c.Timeout
	return d
}

// secret is an error without the endpoint's address but for its host.
type secret struct {
	error
	text string
}

func (s *secret) Error() string { return s.text }
func (s *secret) Unwrap() error { return s.error }

// conceal takes the address of the endpoint out of an error's text.
func (c Config) conceal(err error) error {
	u, parseErr := url.Parse(c.RPC)
	if err == nil || parseErr != nil {
		return err
	}
	text := err.Error()
	for _, spelling := range []string{c.RPC, u.String(), u.Redacted()} {
		text = strings.ReplaceAll(text, spelling, u.Scheme+"://"+u.Host)
	}
	return &secret{err, text}
}
