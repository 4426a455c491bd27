package gate

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

const secret = "a secret that is long enough for a test"

func config(rpc string, rules ...Rule) Config {
	return Config{
		Domain: "rooms.example", URI: "https://rooms.example/join", Statement: "Come in.", RPC: rpc, ChainID: chainID,
		Rules: rules, Key: "k1", Secret: secret,
	}
}

func newGate(t *testing.T, c Config) *Gate {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// enter signs in with a wallet.
func enter(t *testing.T, g *Gate, w wallet, name string) (string, error) {
	t.Helper()
	sealed, message, err := g.Challenge(w.address(), name)
	if err != nil {
		return "", err
	}
	return g.Token(t.Context(), sealed, w.sign(t, message))
}

// identityOf is whom a token lets in, as the Orchestrator reads it.
func claims(t *testing.T, token string) signal.Claims {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	c, err := signal.ReadToken(r, map[string]signal.Key{"k1": {Secret: secret}}, time.Now())
	if err != nil {
		t.Fatalf("the Orchestrator refuses the token: %v", err)
	}
	return c
}

// Who holds a coin, a badge or an item gets in, and who holds too little or
// another one does not: real contracts on a real chain.
func TestGate_balancesDecide(t *testing.T) {
	w := newWorld(t)
	coin, coins := w.deploy("Coin")
	badge, badges := w.deploy("Badge")
	item, items := w.deploy("Items")
	rich := new(big.Int).Lsh(big.NewInt(1), 255)
	g := newGate(t, config(w.URL,
		Rule{Room: "coins", Standard: ERC20, Contract: coin, Min: "1000000000000000000"},
		Rule{Room: "whales", Standard: ERC20, Contract: coin, Min: rich.String()},
		Rule{Room: "badges", Standard: ERC721, Contract: badge, Role: "speaker", Grants: []string{"!canPublishData"}},
		Rule{Room: "items", Standard: ERC1155, Contract: item, TokenID: "7", Min: "2"},
		Rule{Room: "either", Standard: ERC721, Contract: badge, Role: "host"},
		Rule{Room: "either", Standard: ERC20, Contract: coin, Role: "viewer"},
	))
	ann, bob := newWallet(t), newWallet(t)
	hold := ann.address()
	for _, name := range []string{"coins", "badges", "items", "either"} {
		if _, err := enter(t, g, ann, name); !errors.Is(err, ErrBalance) {
			t.Errorf("%s with nothing: got %v, want ErrBalance", name, err)
		}
	}
	w.mint(coins, hold, new(big.Int).Sub(big.NewInt(1e18), big.NewInt(1)))
	w.mint(items, hold, big.NewInt(7), big.NewInt(1))
	w.mint(items, hold, big.NewInt(8), big.NewInt(100))
	for _, name := range []string{"coins", "badges", "items"} {
		if _, err := enter(t, g, ann, name); !errors.Is(err, ErrBalance) {
			t.Errorf("%s with a little less: got %v, want ErrBalance", name, err)
		}
	}
	w.mint(coins, hold, big.NewInt(1))
	w.mint(items, hold, big.NewInt(7), big.NewInt(1))
	if token, err := enter(t, g, ann, "either"); err != nil || claims(t, token).Grants.Attributes[room.AttributeRole] != "viewer" {
		t.Errorf("either, with coins: got %v, want the second rule's role", err)
	}
	w.mint(badges, hold, big.NewInt(1))
	for _, name := range []string{"coins", "badges", "items", "either"} {
		token, err := enter(t, g, ann, name)
		if err != nil {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		c := claims(t, token)
		if c.Grants.Identity != common.Address(ann.address()).Hex() || c.Grants.Video.Room != name || !c.Grants.Video.RoomJoin {
			t.Errorf("%s: the token is for %s in %s", name, c.Grants.Identity, c.Grants.Video.Room)
		}
		if name == "badges" && (c.Grants.Attributes[room.AttributeRole] != "speaker" || c.Grants.Video.GetCanPublishData()) {
			t.Errorf("badges: the token has %v and data %v, want the rule's", c.Grants.Attributes, c.Grants.Video.GetCanPublishData())
		}
		if _, err := enter(t, g, bob, name); !errors.Is(err, ErrBalance) {
			t.Errorf("%s for bob, who has nothing: got %v, want ErrBalance", name, err)
		}
	}
	w.mint(coins, bob.address(), rich) // above what 64 bits hold
	if _, err := enter(t, g, bob, "whales"); err != nil {
		t.Errorf("whales: got %v", err)
	}
	if _, err := enter(t, g, ann, "whales"); !errors.Is(err, ErrBalance) {
		t.Errorf("whales for ann: got %v, want ErrBalance", err)
	}
	if _, err := enter(t, g, ann, "other"); !errors.Is(err, ErrNoRule) {
		t.Errorf("a room without rules: got %v, want ErrNoRule", err)
	}
}

func TestGate_contractWalletsSignByTheirOwners(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	owner, stranger := newWallet(t), newWallet(t)
	safe, _ := w.deploy("Wallet", common.Address(owner.address()))
	w.mint(badges, safe, big.NewInt(1))
	g := newGate(t, config(w.URL, Rule{Room: "*", Standard: ERC721, Contract: badge}))
	for _, c := range []struct {
		by   wallet
		want error
	}{{stranger, ErrSignature}, {owner, nil}} {
		sealed, message, err := g.Challenge(safe, "r")
		if err != nil {
			t.Fatal(err)
		}
		token, err := g.Token(t.Context(), sealed, c.by.sign(t, message))
		if !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
		if c.want == nil && claims(t, token).Grants.Identity != common.Address(safe).Hex() {
			t.Errorf("the token is for %s, want the contract", claims(t, token).Grants.Identity)
		}
	}
	// The token's contract has no isValidSignature: it reverts, which is a no.
	sealed, message, _ := g.Challenge(badge, "r")
	if _, err := g.Token(t.Context(), sealed, owner.sign(t, message)); !errors.Is(err, ErrSignature) {
		t.Errorf("a contract that is no wallet: got %v, want ErrSignature", err)
	}
}

func TestGate_challengesCountOnceAndForAWhile(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	ann, bob := newWallet(t), newWallet(t)
	w.mint(badges, ann.address(), big.NewInt(1))
	now := time.Now()
	c := config(w.URL, Rule{Room: "*", Standard: ERC721, Contract: badge})
	c.Now, c.MaxUsed = func() time.Time { return now }, 2
	g := newGate(t, c)

	sealed, message, _ := g.Challenge(ann.address(), "r")
	signature := ann.sign(t, message)
	if _, err := g.Token(t.Context(), sealed, bob.sign(t, message)); !errors.Is(err, ErrSignature) {
		t.Errorf("bob signs ann's challenge: got %v, want ErrSignature", err)
	}
	if _, err := g.Token(t.Context(), sealed, signature); err != nil {
		t.Fatalf("the first time: %v", err)
	}
	asked := w.Questions.Load()
	if _, err := g.Token(t.Context(), sealed, signature); !errors.Is(err, ErrUsed) || w.Questions.Load() != asked {
		t.Errorf("the second time: got %v after %d questions, want ErrUsed after none", err, w.Questions.Load()-asked)
	}

	// One signature, asked with from many sides at once, lets in one.
	sealed, message, _ = g.Challenge(ann.address(), "r")
	signature = ann.sign(t, message)
	var in atomicCount
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := g.Token(t.Context(), sealed, signature); err == nil {
				in.add()
			} else if !errors.Is(err, ErrUsed) {
				t.Errorf("got %v, want ErrUsed", err)
			}
		})
	}
	all.Wait()
	if in.n != 1 {
		t.Errorf("%d came in by one challenge, want 1", in.n)
	}

	// What was used is forgotten only when it counts no more.
	if _, err := enter(t, g, ann, "r"); !errors.Is(err, ErrBusy) {
		t.Errorf("above MaxUsed: got %v, want ErrBusy", err)
	}
	late, message, _ := g.Challenge(ann.address(), "r")
	now = now.Add(5 * time.Minute)
	if _, err := g.Token(t.Context(), late, ann.sign(t, message)); !errors.Is(err, ErrExpired) {
		t.Errorf("after five minutes: got %v, want ErrExpired", err)
	}
	if _, err := g.Token(t.Context(), sealed, signature); !errors.Is(err, ErrExpired) {
		t.Errorf("a used one that has expired: got %v, want ErrExpired", err)
	}
	if _, err := enter(t, g, ann, "r"); err != nil {
		t.Errorf("when the used ones have expired: got %v", err)
	}
}

type atomicCount struct {
	mu sync.Mutex
	n  int
}

func (c *atomicCount) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func TestGate_challengesCannotBeForged(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	ann, bob := newWallet(t), newWallet(t)
	w.mint(badges, ann.address(), big.NewInt(1))
	c := config(w.URL, Rule{Room: "r", Standard: ERC721, Contract: badge}, Rule{Room: "vip", Standard: ERC721, Contract: badge, Min: "5"})
	g, other := newGate(t, c), newGate(t, c)
	sealed, message, _ := g.Challenge(ann.address(), "r")
	signature := ann.sign(t, message)
	body, tag, _ := strings.Cut(sealed, ".")
	forged := newChallenge(ann.address(), "vip", time.Now())
	foreign, _ := forged.seal([]byte("another key"))
	foreignBody, _, _ := strings.Cut(foreign, ".")
	for name, text := range map[string]string{
		"empty": "", "no MAC": body, "another body": foreignBody + "." + tag, "another key": foreign,
		"not base64": "!." + tag, "a bit more": sealed + "A", "another alphabet": strings.ReplaceAll(sealed, ".", "+"),
	} {
		if _, err := g.Token(t.Context(), text, signature); !errors.Is(err, ErrChallenge) {
			t.Errorf("%s: got %v, want ErrChallenge", name, err)
		}
	}
	if _, err := other.Token(t.Context(), sealed, signature); !errors.Is(err, ErrChallenge) {
		t.Errorf("another gate's: got %v, want ErrChallenge", err)
	}
	// A signature of the same text for another site is none of this one.
	elsewhere := strings.Replace(message, "rooms.example", "evil.example", 1)
	for name, s := range map[string][]byte{
		"another site": ann.sign(t, elsewhere), "another wallet": bob.sign(t, message), "too short": signature[:64],
		"high S": flip(signature), "empty": {},
	} {
		if _, err := g.Token(t.Context(), sealed, s); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
	if _, err := g.Token(t.Context(), sealed, signature); err != nil {
		t.Errorf("the true one afterwards: got %v", err)
	}
}

// flip is the other signature of the same hash and key, which must not count.
func flip(s []byte) []byte {
	n, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	out := append([]byte(nil), s...)
	new(big.Int).Sub(n, new(big.Int).SetBytes(s[32:64])).FillBytes(out[32:64])
	out[64] ^= 27 ^ 28
	return out
}

func TestGate_aChainThatDoesNotAnswerLetsInNobody(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	ann := newWallet(t)
	w.mint(badges, ann.address(), big.NewInt(1))
	rule := Rule{Room: "*", Standard: ERC721, Contract: badge}
	wrong := config(w.URL, rule)
	wrong.ChainID = 1
	if _, err := enter(t, newGate(t, wrong), ann, "r"); !errors.Is(err, ErrChain) {
		t.Errorf("another chain: got %v, want ErrChain", err)
	}
	empty := config(w.URL, Rule{Room: "*", Standard: ERC721, Contract: Address{1}})
	if _, err := enter(t, newGate(t, empty), ann, "r"); !errors.Is(err, ErrChain) {
		t.Errorf("an address without a contract: got %v, want ErrChain", err)
	}
	for name, answer := range map[string]string{
		"html": "<html>", "error": `{"error":{"code":-32000}}`, "no hex": `{"result":"zz"}`, "number": `{"result":7}`,
		"endless": `{"result":"0x` + strings.Repeat("0", maxReply) + `"}`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			q, _ := io.ReadAll(r.Body)
			if strings.Contains(string(q), "eth_chainId") {
				_, _ = io.WriteString(rw, `{"result":"0x539"}`)
				return
			}
			_, _ = io.WriteString(rw, answer)
		}))
		if _, err := enter(t, newGate(t, config(server.URL, rule)), ann, "r"); !errors.Is(err, ErrChain) {
			t.Errorf("%s: got %v, want ErrChain", name, err)
		}
		server.Close()
	}
	slow := config(w.URL, rule)
	slow.CallTimeout = 20 * time.Millisecond
	w.Silent.Store(true)
	if _, err := enter(t, newGate(t, slow), ann, "r"); !errors.Is(err, ErrChain) {
		t.Errorf("a silent chain: got %v, want ErrChain", err)
	}
}

// The message is what EIP-4361 has, word by word: another reading of its ABNF.
func TestMessage_isEIP4361(t *testing.T) {
	form := regexp.MustCompile(`^([^\s/]+) wants you to sign in with your Ethereum account:\n(0x[0-9a-fA-F]{40})\n\n(?:([^\n]+)\n)?\n` +
		`URI: (\S+)\nVersion: 1\nChain ID: (\d+)\nNonce: ([a-zA-Z0-9]{8,})\nIssued At: (\S+)\nExpiration Time: (\S+)\nResources:\n- (urn:drtc:room:[A-Za-z0-9._~%-]+)$`)
	a, _ := parseAddress("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
	for _, statement := range []string{"Come in.", ""} {
		c := config("http://localhost", Rule{}).withDefaults()
		c.Statement = statement
		text := c.message(challenge{Address: a, Room: "a room/ä", Nonce: strings.Repeat("0a", 16), Issued: 1_700_000_000})
		m := form.FindStringSubmatch(text)
		want := []string{
			"rooms.example", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", statement, "https://rooms.example/join", "1337", strings.Repeat("0a", 16),
			"2023-11-14T22:13:20Z", "2023-11-14T22:18:20Z", "urn:drtc:room:a%20room%2F%C3%A4",
		}
		if m == nil {
			t.Fatalf("not EIP-4361:\n%s", text)
		}
		for i, w := range want {
			if m[i+1] != w {
				t.Errorf("field %d is %q, want %q", i, m[i+1], w)
			}
		}
	}
}

func TestAddress_checksum(t *testing.T) {
	for range 50 {
		a := newWallet(t).address()
		want := common.Address(a).Hex()
		if got := checksummed(a); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, text := range []string{want, strings.ToLower(want), "0x" + strings.ToUpper(want[2:])} {
			if got, err := parseAddress(text); err != nil || got != a {
				t.Errorf("%s: got %s, %v", text, got, err)
			}
		}
	}
	for _, bad := range []string{
		"", "0x", "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x" + strings.Repeat("0", 40),
	} {
		if _, err := parseAddress(bad); err == nil {
			t.Errorf("%q was taken for an address", bad)
		}
	}
}

// Over HTTP, as a page does it.
func TestServe_aPageSignsIn(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	ann := newWallet(t)
	w.mint(badges, ann.address(), big.NewInt(1))
	mux := http.NewServeMux()
	newGate(t, config(w.URL, Rule{Room: "r", Standard: ERC721, Contract: badge})).Register(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	type answer struct {
		Challenge, Message, Token string
		Error                     *failure
	}
	ask := func(method, path, body string) (int, answer) {
		r, _ := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var a answer
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
			t.Fatalf("no JSON: %v", err)
		}
		return resp.StatusCode, a
	}
	address := ann.address().String()
	status, a := ask("POST", "/drtc/v1/gate/challenge", `{"address":"`+address+`","room":"r"}`)
	if status != http.StatusOK || !strings.Contains(a.Message, "Come in.") {
		t.Fatalf("got %d, %+v", status, a)
	}
	signed := `{"challenge":"` + a.Challenge + `","signature":"0x` + hex.EncodeToString(ann.sign(t, a.Message)) + `"}`
	status, a = ask("POST", "/drtc/v1/gate/token", signed)
	if status != http.StatusOK || claims(t, a.Token).Grants.Video.Room != "r" {
		t.Fatalf("got %d, %+v", status, a)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"GET", "challenge", ``, 405, ""},
		{"POST", "challenge", `{`, 400, ""},
		{"POST", "challenge", `{"adress":"x"}`, 400, ""},
		{"POST", "challenge", `{"room":"` + strings.Repeat("x", maxBody) + `"}`, 413, ""},
		{"POST", "challenge", `{"address":"0x1","room":"r"}`, 400, "address"},
		{"POST", "challenge", `{"address":"` + address + `"}`, 400, "room"},
		{"POST", "challenge", `{"address":"` + address + `","room":"x"}`, 404, "room"},
		{"POST", "token", signed, 403, "challenge"},
		{"POST", "token", `{"challenge":"x","signature":"0x00"}`, 400, "challenge"},
		{"POST", "token", `{"challenge":"x","signature":"zz"}`, 400, "signature"},
		{"POST", "token", `{"challenge":"x"}`, 400, "signature"},
	} {
		status, a := ask(c.method, "/drtc/v1/gate/"+c.path, c.body)
		if status != c.status || a.Error == nil || a.Error.Field != c.field || a.Error.Fix == "" {
			t.Errorf("%s %s %.60s: got %d, %+v, want %d about %q", c.method, c.path, c.body, status, a.Error, c.status, c.field)
		}
	}
}

func TestServe_isBounded(t *testing.T) {
	c := config("http://127.0.0.1:1", Rule{Room: "*", Standard: ERC721, Contract: Address{1}})
	now := time.Now()
	c.Now, c.Rate, c.Burst = func() time.Time { return now }, 1, 3
	mux := http.NewServeMux()
	newGate(t, c).Register(mux)
	var got []int
	for range 4 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/drtc/v1/gate/challenge", strings.NewReader(`{}`)))
		got = append(got, w.Code)
	}
	if got[2] != http.StatusBadRequest || got[3] != http.StatusTooManyRequests {
		t.Errorf("got %v, want 429 for the fourth", got)
	}
}

// As a policy the gate reads balances at every join, whoever made the token.
func TestGate_isAPolicy(t *testing.T) {
	w := newWorld(t)
	badge, badges := w.deploy("Badge")
	ann, bob := newWallet(t), newWallet(t)
	w.mint(badges, ann.address(), big.NewInt(1))
	g := newGate(t, config(w.URL, Rule{Room: "r", Standard: ERC721, Contract: badge, Role: "speaker"}))
	p, err := policy.New(policy.Config{Custom: map[string]policy.Policy{"app": g}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(name, identity string) (room.Join, error) {
		return p.Admit(t.Context(), "app", name, room.Join{Identity: drtc.Identity(identity)})
	}
	if j, err := admit("r", checksummed(ann.address())); err != nil || j.Role != "speaker" {
		t.Errorf("ann: got %v and role %q", err, j.Role)
	}
	var refusal *policy.Refusal
	if _, err := admit("r", checksummed(bob.address())); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "does not hold") {
		t.Errorf("bob: got %v, want a refusal", err)
	}
	if _, err := admit("r", "somebody"); !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, "wallet") {
		t.Errorf("somebody: got %v, want a refusal", err)
	}
	if _, err := admit("lobby", "somebody"); err != nil {
		t.Errorf("a room without rules: got %v", err)
	}
	w.Silent.Store(true)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Admit(short, "app", "r", room.Join{Identity: drtc.Identity(checksummed(ann.address()))}); err == nil {
		t.Error("somebody came in while the chain was silent")
	}
}

func TestConfig_namesTheField(t *testing.T) {
	good := Rule{Room: "r", Standard: ERC20, Contract: Address{1}}
	for want, change := range map[string]func(*Config){
		"domain":     func(c *Config) { c.Domain = "https://x/" },
		"uri":        func(c *Config) { c.URI = "x" },
		"statement":  func(c *Config) { c.Statement = "a\nb" },
		"rpc":        func(c *Config) { c.RPC = "ws://x" },
		"chain_id":   func(c *Config) { c.ChainID = 0 },
		"rules":      func(c *Config) { c.Rules = nil },
		"key":        func(c *Config) { c.Secret = "short" },
		"token_life": func(c *Config) { c.TokenLife = time.Millisecond },
		"max_used":   func(c *Config) { c.MaxUsed = -1 },
		"room":       func(c *Config) { c.Rules[0].Room = "" },
		"standard":   func(c *Config) { c.Rules[0].Standard = "erc1" },
		"contract":   func(c *Config) { c.Rules[0].Contract = Address{} },
		"token_id":   func(c *Config) { c.Rules[0].TokenID = "1" },
		"min":        func(c *Config) { c.Rules[0].Min = "-1" },
		"min: want":  func(c *Config) { c.Rules[0].Min = strings.Repeat("9", 78) },
	} {
		c := config("http://localhost", good)
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want that %s is named", err, want)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	key := []byte("key")
	sealed, _ := newChallenge(Address{1}, "r", time.Unix(5, 0)).seal(key)
	f.Add(sealed)
	f.Add("")
	f.Add("e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := unseal(key, text)
		if err != nil {
			return
		}
		again, err := c.seal(key)
		if err != nil || again != text {
			t.Fatalf("%q was taken, which is not ours", text)
		}
	})
}
