package gate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

// Why somebody is not let in.
var (
	ErrSignature = errors.New("gate: the signature is not that of the address")
	ErrBalance   = errors.New("gate: the address does not hold what the room asks for")
	ErrNoRule    = errors.New("gate: the room is not open to holders of tokens")
	ErrBusy      = errors.New("gate: too many challenges were used: try again in some minutes")
)

// maxSignature bounds a signature in bytes; those of contract wallets are longer
// than a key's 65.
const maxSignature = 4 << 10

// Gate lets holders in. Use New.
type Gate struct {
	config Config
	chain  chain
	key    []byte // of challenges' MACs
	limit  *rate.Limiter
	seats  chan struct{} // one token for each request under way

	mu       sync.Mutex // guards what follows
	used     map[string]time.Time
	oldest   []string // nonces in used, as they came
	verified bool     // the endpoint is the chain that it should be
}

// New makes a Gate. It does not ask the chain yet.
func New(c Config) (*Gate, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	g := &Gate{
		config: c, chain: chain{c}, key: make([]byte, 32), used: map[string]time.Time{},
		limit: rate.NewLimiter(rate.Limit(c.Rate), c.Burst), seats: make(chan struct{}, c.MaxAtOnce),
	}
	_, _ = rand.Read(g.key) // never fails
	return g, nil
}

// Challenge makes the text that an address signs to get into a room, and what the
// client brings back with the signature.
func (g *Gate) Challenge(a Address, name string) (sealed, message string, err error) {
	if !g.Guards(name) {
		return "", "", ErrNoRule
	}
	c := newChallenge(a, name, g.config.Now())
	sealed, err = c.seal(g.key)
	return sealed, g.config.message(c), err
}

// Token checks a signed challenge and the balance, and returns a token for the
// room. A challenge counts once, also when the balance is too low.
func (g *Gate) Token(ctx context.Context, sealed string, signature []byte) (string, error) {
	c, err := unseal(g.key, sealed)
	if err != nil {
		return "", err
	}
	now := g.config.Now()
	expires := time.Unix(c.Issued, 0).Add(g.config.ChallengeLife)
	if !now.Before(expires) {
		return "", ErrExpired
	}
	if g.wasUsed(c.Nonce) { // before the chain is asked for anything
		return "", ErrUsed
	}
	if err := g.signed(ctx, c, signature); err != nil {
		return "", err
	}
	if err := g.use(c.Nonce, now, expires); err != nil {
		return "", err
	}
	r, err := g.rule(ctx, c.Address, c.Room)
	if err != nil {
		return "", err
	}
	grants := signal.Grants{Identity: checksummed(c.Address), Room: c.Room, Names: r.Grants}
	if r.Role != "" {
		grants.Attributes = map[string]string{room.AttributeRole: r.Role}
	}
	token, err := signal.Token(g.config.Key, g.config.Secret, grants, g.config.TokenLife)
	if err != nil {
		return "", fmt.Errorf("gate: %w", err)
	}
	return token, nil
}

// signed checks that an address has signed its challenge: by its key, or as a
// contract.
func (g *Gate) signed(ctx context.Context, c challenge, signature []byte) error {
	message := g.config.message(c)
	if s, err := identity.ParseSignature(hex.EncodeToString(signature)); err == nil {
		if public, err := identity.RecoverMessage([]byte(message), s); err == nil && public.ID() == c.Address {
			return nil
		}
	}
	if err := g.verify(ctx); err != nil {
		return err
	}
	good, err := g.chain.accepts(ctx, c.Address, message, signature)
	if err == nil && !good {
		err = ErrSignature
	}
	return err
}

// verify asks the chain once what it is.
func (g *Gate) verify(ctx context.Context) error {
	g.mu.Lock()
	done := g.verified
	g.mu.Unlock()
	if done {
		return nil
	}
	if err := g.chain.verify(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	g.verified = true
	g.mu.Unlock()
	return nil
}

func (g *Gate) wasUsed(nonce string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, used := g.used[nonce]
	return used
}

// use makes a challenge count no more.
func (g *Gate) use(nonce string, now, expires time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.oldest) > 0 && !now.Before(g.used[g.oldest[0]]) {
		delete(g.used, g.oldest[0])
		g.oldest = g.oldest[1:]
	}
	if _, used := g.used[nonce]; used {
		return ErrUsed
	}
	if len(g.used) >= g.config.MaxUsed {
		return ErrBusy // forgetting one that still counts would let it be used again
	}
	g.used[nonce] = expires
	g.oldest = append(g.oldest, nonce)
	return nil
}

// rule returns the first rule of a room that an address fulfils.
func (g *Gate) rule(ctx context.Context, a Address, name string) (Rule, error) {
	rules := g.config.rulesOf(name)
	if len(rules) == 0 {
		return Rule{}, ErrNoRule
	}
	if err := g.verify(ctx); err != nil {
		return Rule{}, err
	}
	var faults []error
	for _, r := range rules {
		ok, err := g.chain.holds(ctx, a, r)
		if ok {
			return r, nil
		}
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return Rule{}, err
	}
	return Rule{}, ErrBalance
}

// Guards reports whether there are rules for a room.
func (g *Gate) Guards(name string) bool { return len(g.config.rulesOf(name)) > 0 }

// RecheckEvery is how often the balances of those in rooms are to be read again;
// below 0 is never.
func (g *Gate) RecheckEvery() time.Duration { return g.config.RecheckEvery }

// Admit implements policy.Policy: it reads the balance of who comes, also of one
// who comes back. Tokens that were not made by a gate are refused in rooms that
// have rules.
func (g *Gate) Admit(ctx context.Context, q policy.Request) (policy.Verdict, error) {
	if !g.Guards(q.Room) {
		return policy.Verdict{Role: q.Role()}, nil
	}
	a, err := parseAddress(string(q.Identity))
	if err != nil {
		return policy.Verdict{Refuse: "this room is for holders of a token: sign in with a wallet"}, nil
	}
	r, err := g.rule(ctx, a, q.Room)
	if errors.Is(err, ErrBalance) {
		return policy.Verdict{Refuse: "your wallet does not hold what this room asks for"}, nil
	}
	return policy.Verdict{Role: r.Role}, err
}

// parseAddress reads an address in any letter case.
func parseAddress(text string) (Address, error) {
	a, err := drtc.ParseNodeID(text)
	if err != nil || a.IsZero() {
		return a, errors.New("want 0x and 40 hexadecimal digits")
	}
	// One whose letters are of both cases has a checksum in them.
	if digits := text[2:]; digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && text != checksummed(a) {
		return a, errors.New("the letter case is not that of EIP-55: a digit may be wrong")
	}
	return a, nil
}
