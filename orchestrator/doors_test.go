package orchestrator_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/gate"
)

// badges is the contract whose balances a ledger has.
var badges = drtc.NodeID{0xba, 0xd9, 0xe5}

// ledger is a chain's JSON-RPC endpoint that knows one contract. Package gate's
// tests ask real contracts.
type ledger struct {
	*httptest.Server
	mu      sync.Mutex
	balance map[drtc.NodeID]int
	away    bool
	asked   int // for balances
	missed  int // questions while it was away
}

func newLedger(t *testing.T) *ledger {
	l := &ledger{balance: map[drtc.NodeID]int{}}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *ledger) set(k *identity.Key, balance int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance[k.ID()] = balance
}

func (l *ledger) goAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

func (l *ledger) questions() (asked, missed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked, l.missed
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var q struct {
		Method string
		Params []json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || l.away {
		l.missed++
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	switch q.Method {
	case "eth_chainId":
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x1"}`)
	case "eth_call":
		var call struct{ To, Data string }
		_ = json.Unmarshal(q.Params[0], &call)
		holder, err := drtc.ParseNodeID("0x" + call.Data[len(call.Data)-40:])
		if err != nil || !strings.HasPrefix(call.Data, "0x70a08231") || call.To != badges.String() {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"reverted"}}`)
			return
		}
		l.asked++
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"0x%064x"}`, l.balance[holder])
	}
}

// withGate is an Orchestrator whose rooms that begin with "members-" are for
// those who have a badge.
func withGate(t *testing.T, l *ledger, change func(*gate.Config)) *network {
	return newNetwork(t, 1, func(c *orchestrator.Config) {
		g := gate.Config{
			Domain: "rooms.example", URI: "https://rooms.example/", RPC: l.URL, ChainID: 1, Key: testKey,
			Rules: []gate.Rule{{Room: "members-*", Standard: gate.ERC721, Contract: badges, Role: "speaker"}},
		}
		if change != nil {
			change(&g)
		}
		c.Gates = []gate.Config{g}
	})
}

// answer is what the gate says.
type answer struct {
	Challenge, Message, Token string
	Error                     struct{ Field, Message, Fix string }
}

func (n *network) askGate(path, body string) (int, answer) {
	n.t.Helper()
	resp, err := http.Post(n.o.URL()+"/drtc/v1/gate/"+path, "application/json", strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		n.t.Fatalf("%s: status %d and no JSON: %v", path, resp.StatusCode, err)
	}
	return resp.StatusCode, a
}

// sign makes the body that brings back a challenge for a room.
func (n *network) sign(k *identity.Key, room string) string {
	n.t.Helper()
	status, a := n.askGate("challenge", fmt.Sprintf(`{"address":%q,"room":%q}`, k.ID(), room))
	if status != http.StatusOK {
		n.t.Fatalf("challenge: got %d, %+v", status, a.Error)
	}
	return fmt.Sprintf(`{"challenge":%q,"signature":"0x%s"}`, a.Challenge, strings.TrimPrefix(k.SignMessage([]byte(a.Message)).String(), "0x"))
}

func wallet(t *testing.T) *identity.Key {
	t.Helper()
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// refused dials with a token and returns the text of the 403.
func (n *network) refused(token string) string {
	n.t.Helper()
	_, resp, err := n.dial(token, joinRequest(""))
	if err == nil || resp == nil {
		n.t.Fatalf("got in: %v", err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden {
		n.t.Errorf("got %d, %s, want a 403", resp.StatusCode, text)
	}
	return string(text)
}

func TestGate_whoHoldsTheTokenComesIn(t *testing.T) {
	l := newLedger(t)
	n := withGate(t, l, nil)
	holder := wallet(t)
	l.set(holder, 1)
	status, a := n.askGate("token", n.sign(holder, "members-1"))
	if status != http.StatusOK {
		t.Fatalf("got %d, %+v, want a token", status, a.Error)
	}
	p := n.newPerson(holder.ID().String(), "members-1")
	p.token = a.Token
	p.connect(joinRequest(""))
	joined := p.expect("join").GetJoin()
	if got := joined.GetParticipant(); !strings.EqualFold(got.GetIdentity(), holder.ID().String()) || got.GetAttributes()["drtc.role"] != "speaker" {
		t.Errorf("got in as %q with %v, want the wallet as speaker", got.GetIdentity(), got.GetAttributes())
	}
}

func TestGate_whoHoldsNoneIsTold(t *testing.T) {
	l := newLedger(t)
	n := withGate(t, l, nil)
	stranger := wallet(t)
	if status, a := n.askGate("token", n.sign(stranger, "members-1")); status != http.StatusForbidden || a.Error.Field != "address" {
		t.Errorf("got %d, %+v, want a 403 about the address", status, a.Error)
	}
	if status, a := n.askGate("challenge", fmt.Sprintf(`{"address":%q,"room":"lobby"}`, stranger.ID())); status != http.StatusNotFound {
		t.Errorf("a room without rules: got %d, %+v, want a 404", status, a.Error)
	}
	// A token from elsewhere is no way round the gate.
	if text := n.refused(token(t, stranger.ID().String(), "members-1")); !strings.Contains(text, "does not hold") {
		t.Errorf("refused with %q, want the reason", text)
	}
	if text := n.refused(token(t, "ann", "members-1")); !strings.Contains(text, "sign in with a wallet") {
		t.Errorf("refused with %q, want the reason", text)
	}
	n.join("ann", "lobby") // which has no rules
}

func TestGate_aChallengeCountsOnce(t *testing.T) {
	l := newLedger(t)
	n := withGate(t, l, nil)
	holder := wallet(t)
	l.set(holder, 1)
	signed := n.sign(holder, "members-1")
	if status, a := n.askGate("token", signed); status != http.StatusOK {
		t.Fatalf("got %d, %+v", status, a.Error)
	}
	if status, a := n.askGate("token", signed); status != http.StatusForbidden || a.Error.Field != "challenge" || !strings.Contains(a.Error.Message, "used already") {
		t.Errorf("the second time: got %d, %+v, want a 403 about the challenge", status, a.Error)
	}
}

func TestGate_aChainThatIsAwayLetsInNobody(t *testing.T) {
	l := newLedger(t)
	n := withGate(t, l, nil)
	holder := wallet(t)
	l.set(holder, 1)
	status, a := n.askGate("token", n.sign(holder, "members-1"))
	if status != http.StatusOK {
		t.Fatalf("got %d, %+v", status, a.Error)
	}
	l.goAway(true)
	if status, a := n.askGate("token", n.sign(holder, "members-1")); status != http.StatusServiceUnavailable || !strings.Contains(a.Error.Message, "chain did not answer") {
		t.Errorf("got %d, %+v, want a 503 that says why", status, a.Error)
	}
	if text := n.refused(a.Token); !strings.Contains(text, "can't be told now") {
		t.Errorf("refused with %q, want that it can't be told", text)
	}
}

// Who sells its badge is let go within the interval; a chain that is away ends no
// stay.
func TestGate_balancesAreReadAgain(t *testing.T) {
	l := newLedger(t)
	n := withGate(t, l, func(g *gate.Config) { g.RecheckEvery = time.Second })
	seller, keeper := wallet(t), wallet(t)
	l.set(seller, 1)
	l.set(keeper, 2)
	sold, _ := n.join(seller.ID().String(), "members-1")
	kept, _ := n.join(keeper.ID().String(), "members-1")
	reads := func(count int) {
		t.Helper()
		before, _ := l.questions()
		eventually(t, "balances are read again", func() bool { asked, _ := l.questions(); return asked >= before+count })
	}
	reads(2)
	l.goAway(true)
	l.set(seller, 0)
	eventually(t, "the chain is asked while it is away", func() bool { _, missed := l.questions(); return missed > 0 })
	if text := sold.traceText(); strings.Contains(text, "leave") {
		t.Errorf("a chain that is away ended a stay:\n%s", text)
	}
	l.goAway(false)
	if got := sold.expect("leave").GetLeave(); got.GetReason() != livekit.DisconnectReason_PARTICIPANT_REMOVED {
		t.Errorf("got %v, want that it was removed", got)
	}
	kept.expectUpdate(seller.ID().String(), inState(livekit.ParticipantInfo_DISCONNECTED))
	reads(1)
	if text := kept.traceText(); strings.Contains(text, "leave") {
		t.Errorf("who holds a badge was let go:\n%s", text)
	}
}

func TestConfig_namesTheKeyOfAGate(t *testing.T) {
	good := gate.Config{
		Domain: "rooms.example", URI: "https://rooms.example/", RPC: "https://rpc.example/", ChainID: 1, Key: testKey,
		Rules: []gate.Rule{{Room: "*", Standard: gate.ERC721, Contract: badges}},
	}
	for _, c := range []struct {
		want   string
		change func(*gate.Config)
	}{
		{"", func(*gate.Config) {}},
		{"gates[0].key", func(g *gate.Config) { g.Key = "another" }},
		{"domain", func(g *gate.Config) { g.Domain = "" }},
		{"rpc", func(g *gate.Config) { g.RPC = "x" }},
		{"chain_id", func(g *gate.Config) { g.ChainID = 0 }},
		{"recheck_every", func(g *gate.Config) { g.RecheckEvery = time.Millisecond }},
		{"name", func(g *gate.Config) { g.Name = "A/b" }},
		{"rules[0]: standard", func(g *gate.Config) { g.Rules = []gate.Rule{{Room: "*", Contract: badges}} }},
	} {
		config, g := orchestrator.DefaultConfig(), good
		config.Dir, config.Keys = t.TempDir(), []orchestrator.Key{{Key: testKey, Secret: testSecret}}
		c.change(&g)
		config.Gates = []gate.Config{g}
		err := config.Validate()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), "gates[0]") || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("got %v, want gates[0] and %q", err, c.want)
		}
	}
	config := orchestrator.DefaultConfig()
	config.Dir, config.Keys = t.TempDir(), []orchestrator.Key{{Key: testKey, Secret: testSecret}}
	config.Gates = []gate.Config{good, good}
	if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "gates[1].name") {
		t.Errorf("two of one name: got %v, want gates[1].name", err)
	}
}
