package gate

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
)

// Address is an EVM address.
type Address = drtc.NodeID

// Standard says how a contract is asked for a balance.
type Standard string

// Standards of tokens.
const (
	ERC20   Standard = "erc20"
	ERC721  Standard = "erc721"
	ERC1155 Standard = "erc1155"
)

// Rule opens a room to those who hold enough. A room with several rules is open
// to who fulfils one of them; the first that is fulfilled counts.
type Rule struct {
	// Room is the name of a room; a * at its end stands for any further letters.
	Room     string   `toml:"room"`
	Standard Standard `toml:"standard"`
	Contract Address  `toml:"contract"`
	// TokenID is the id of an ERC-1155 token, decimal.
	TokenID string `toml:"token_id"`
	// Min is the least balance in the token's smallest unit, decimal; default 1.
	Min string `toml:"min"`
	// Role is the holder's in the room (the attribute drtc.role), and Grants are
	// those of its token, as drtc token create takes them.
	Role   string   `toml:"role"`
	Grants []string `toml:"grants"`
}

// Config of a Gate.
type Config struct {
	// Name is part of the gate's paths where there are several: 1 to 32 of a-z 0-9
	// and -. A gate without one has the paths without it.
	Name string `toml:"name"`
	// Domain is the host, with its port if it has one, of the page that asks for
	// signatures: wallets warn when it is another. URI is that page's address.
	Domain string `toml:"domain"`
	URI    string `toml:"uri"`
	// Statement is the sentence that the wallet shows; one line.
	Statement string `toml:"statement"`
	// RPC is the chain's JSON-RPC address, ChainID what it must say that it is.
	RPC     string `toml:"rpc"`
	ChainID uint64 `toml:"chain_id"`
	Rules   []Rule `toml:"rules"`
	// Key and Secret are the API key with which tokens are signed. A file has the
	// secret with the key and not here.
	Key    string `toml:"key"`
	Secret string `toml:"-"`

	ChallengeLife time.Duration `toml:"challenge_life"` // default 5 min
	TokenLife     time.Duration `toml:"token_life"`     // default 10 min; at least 1 s
	CallTimeout   time.Duration `toml:"call_timeout"`   // of one question to the chain; default 3 s
	// RecheckEvery is how often the balances of those in rooms are to be read
	// again by whoever serves the gate; default 10 min, below 0 is never.
	RecheckEvery time.Duration `toml:"recheck_every"`
	MaxUsed      int           `toml:"max_used"`    // challenges remembered as used; default 100,000
	MaxAtOnce    int           `toml:"max_at_once"` // requests; default 64
	Rate         float64       `toml:"rate"`        // requests a second; default 50
	Burst        int           `toml:"burst"`       // at once; default 200

	Now    func() time.Time `toml:"-"`
	Client *http.Client     `toml:"-"` // asks the chain
	// Allow, if set, reports whether the address of a request may make another.
	Allow func(*http.Request) bool `toml:"-"`
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&c.ChallengeLife, 5*time.Minute)
	set(&c.TokenLife, 10*time.Minute)
	set(&c.CallTimeout, 3*time.Second)
	set(&c.RecheckEvery, 10*time.Minute)
	if c.MaxUsed == 0 {
		c.MaxUsed = 100_000
	}
	if c.MaxAtOnce == 0 {
		c.MaxAtOnce = 64
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if c.Burst == 0 {
		c.Burst = 200
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: c.MaxAtOnce, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
		}}
	}
	return c
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	page, pageErr := url.Parse(c.URI)
	chain, chainErr := url.Parse(c.RPC)
	web := []string{"http", "https"}
	switch {
	case len(c.Name) > 32 || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("gate: config: name: want up to 32 of a-z 0-9 and -, got %.80q", c.Name)
	case c.Domain == "" || strings.ContainsAny(c.Domain, " \t\r\n/@"):
		return fmt.Errorf("gate: config: domain: want the host of the page that asks, such as example.org, got %.80q", c.Domain)
	case pageErr != nil || !slices.Contains(web, page.Scheme) || page.Host == "":
		return fmt.Errorf("gate: config: uri: want the address of the page that asks, such as https://example.org/, got %.80q", c.URI)
	case strings.ContainsAny(c.Statement, "\r\n"):
		return errors.New("gate: config: statement: want one line")
	case chainErr != nil || !slices.Contains(web, chain.Scheme) || chain.Host == "":
		return errors.New("gate: config: rpc: want the http:// or https:// address of a JSON-RPC endpoint") // which may hold a key
	case c.ChainID == 0:
		return errors.New("gate: config: chain_id: want the chain's id, such as 1, got 0")
	case len(c.Rules) == 0:
		return errors.New("gate: config: rules: want at least one, got none")
	case c.Key == "" || len(c.Secret) < 32:
		return errors.New("gate: config: key, secret: want an API key and its secret of at least 32 characters")
	case c.ChallengeLife < 0, c.CallTimeout < 0, c.TokenLife < 0 || c.TokenLife > 0 && c.TokenLife < time.Second:
		return errors.New("gate: config: challenge_life, token_life, call_timeout: want 0 or more, and a token_life of at least 1s")
	case c.RecheckEvery > 0 && c.RecheckEvery < time.Second:
		return fmt.Errorf("gate: config: recheck_every: want at least 1s, or less than 0 for never, got %v", c.RecheckEvery)
	case c.MaxUsed < 0, c.MaxAtOnce < 0, c.Rate < 0, c.Burst < 0:
		return errors.New("gate: config: max_used, max_at_once, rate, burst: want 0 or more")
	}
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("gate: config: rules[%d]: %w", i, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	_, idOK := number(r.TokenID)
	least, minOK := number(r.Min)
	switch {
	case r.Room == "":
		return errors.New("room: want a room's name, the beginning of names and a *, or * for every room, got none")
	case !slices.Contains([]Standard{ERC20, ERC721, ERC1155}, r.Standard):
		return fmt.Errorf("standard: want erc20, erc721 or erc1155, got %.40q", r.Standard)
	case r.Contract.IsZero():
		return errors.New("contract: want the token's address, got none")
	case r.Standard == ERC1155 && r.TokenID == "":
		return errors.New("token_id: an erc1155 token needs one")
	case r.Standard != ERC1155 && r.TokenID != "":
		return errors.New("token_id: only an erc1155 token has one: erc721 counts the owner's tokens")
	case r.TokenID != "" && !idOK:
		return fmt.Errorf("token_id: want a decimal number below 2^256, got %.80q", r.TokenID)
	case r.Min != "" && (!minOK || least.Sign() == 0):
		return fmt.Errorf("min: want a decimal number from 1 on and below 2^256, got %.80q", r.Min)
	case len(r.Role) > 64:
		return errors.New("role: want at most 64 bytes")
	}
	return nil
}

// number reads a decimal uint256.
func number(text string) (*big.Int, bool) {
	if len(text) == 0 || len(text) > 78 || strings.Trim(text, "0123456789") != "" {
		return nil, false
	}
	n, ok := new(big.Int).SetString(text, 10)
	return n, ok && n.BitLen() <= 256
}

// least is the balance that a rule asks for.
func (r Rule) least() *big.Int {
	if n, ok := number(r.Min); ok {
		return n
	}
	return big.NewInt(1)
}

// rulesOf are the rules for a room, in order.
func (c Config) rulesOf(room string) (list []Rule) {
	for _, r := range c.Rules {
		beginning, several := strings.CutSuffix(r.Room, "*")
		if r.Room == room || several && strings.HasPrefix(room, beginning) {
			list = append(list, r)
		}
	}
	return list
}
