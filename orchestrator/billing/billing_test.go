package billing_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/billing"
	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
	"github.com/drtc-network/drtc/receipt"
)

var (
	// synctest's clock begins at the start of 2000.
	network = receipt.Network{
		ChainID: 72010, Contract: drtc.NodeID{19: 9}, Genesis: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), EpochLength: time.Hour,
	}
	self   = key(1)
	shop   = receipt.Application{19: 1}
	nodeID = drtc.NodeID{19: 100}
	ann    = receipt.Spender{Application: "shop", Key: "k1", Room: "a"}
	bob    = receipt.Spender{Application: "shop", Key: "k2", Room: "b"}
)

func key(n int) *identity.Key {
	k, err := identity.ParseKey(fmt.Sprintf("0x%064x", n))
	if err != nil {
		panic(err)
	}
	return k
}

// fakeNode keeps accounts as a Media Node does.
type fakeNode struct {
	mu       sync.Mutex // guards what follows
	till     *receipt.Till
	away     bool
	deaf     bool // hears no receipts
	delivers int
	inflate  uint64
}

func newNode(t *testing.T) *fakeNode {
	t.Helper()
	rules := receipt.DefaultTillRules()
	rules.Clock, rules.Domain = network.Clock(), network.Domain()
	till, err := receipt.NewTill(nodeID, rules)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeNode{till: till}
}

// Up implements billing.Nodes.
func (n *fakeNode) Up() []drtc.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil
	}
	return []drtc.NodeID{nodeID}
}

// Claims implements billing.Nodes.
func (n *fakeNode) Claims(context.Context, drtc.NodeID) ([]receipt.Claim, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	claims := n.till.Claims(time.Now(), self.ID())
	for i := range claims {
		claims[i].Counted.Client += n.inflate
	}
	return claims, nil
}

// Deliver implements billing.Nodes.
func (n *fakeNode) Deliver(_ context.Context, _ drtc.NodeID, receipts []receipt.Signed) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delivers++
	if n.deaf {
		return errors.New("deaf")
	}
	var refused []error
	for _, s := range receipts {
		refused = append(refused, n.till.Accept(time.Now(), self.ID(), s))
	}
	return errors.Join(refused...)
}

// serve counts on the node.
func (n *fakeNode) serve(bytes uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.till.Count(time.Now(), self.ID(), shop, receipt.Counters{Client: bytes})
}

// paid is the sum of the last receipts.
func (n *fakeNode) paid(t *testing.T) (sum uint64) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.till.Epochs() {
		for _, p := range n.till.Pages(e) {
			if err := p.Verify(network.Domain()); err != nil {
				t.Error(err)
			}
			for _, s := range p.Receipts {
				sum += s.Sum()
			}
		}
	}
	return sum
}

// failing is a store whose writes fail, or whose answers are lost.
type failing struct {
	state.Store
	mu          sync.Mutex // guards what follows
	fails, lose bool
}

func (f *failing) write(do func() (uint64, error)) (uint64, error) {
	f.mu.Lock()
	fails, lose := f.fails, f.lose
	f.mu.Unlock()
	if fails {
		return 0, errors.New("the disk is full")
	}
	revision, err := do()
	if lose {
		return 0, errors.New("the answer was lost")
	}
	return revision, err
}

// Create implements state.KV.
func (f *failing) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	return f.write(func() (uint64, error) { return f.Store.Create(ctx, key, value) })
}

// Update implements state.KV.
func (f *failing) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	return f.write(func() (uint64, error) { return f.Store.Update(ctx, key, value, last) })
}

func newStore(t *testing.T) *failing {
	t.Helper()
	s, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &failing{Store: s}
}

func newBilling(t *testing.T, s state.Store, n billing.Nodes, change func(*billing.Config)) *billing.Billing {
	t.Helper()
	c := billing.Config{
		Key: self, Member: "main", Store: s, Nodes: n, Network: network, Accounts: map[string]receipt.Application{"shop": shop},
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	b, err := billing.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs b until stop is called, or kills it: then it makes no last round.
func run(t *testing.T, b *billing.Billing) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

const interval = 10 * time.Second

func client(n uint64) receipt.Counters { return receipt.Counters{Client: n} }

func wantPaid(t *testing.T, what string, n *fakeNode, want uint64) {
	t.Helper()
	synctest.Wait()
	if got := n.paid(t); got != want {
		t.Errorf("%s: %d bytes are paid, want %d", what, got, want)
	}
}

func TestBilling_signsWhatWasSeenEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		b := newBilling(t, s, n, nil)
		stop := run(t, b)
		b.Meet(nodeID, "s/1", ann)
		b.Meet(nodeID, "s/2", bob)
		n.serve(1000)
		b.Observe(nodeID, "s/1", client(600), false)
		b.Observe(nodeID, "s/2", client(300), false)
		b.Observe(nodeID, "s/unknown", client(9000), false)
		time.Sleep(interval + time.Second)
		wantPaid(t, "after an interval", n, 900)
		b.Observe(nodeID, "s/2", client(400), true)
		b.Observe(nodeID, "s/2", client(99), false) // late
		time.Sleep(interval)
		wantPaid(t, "after the next", n, 1000)
		n.mu.Lock()
		n.deaf = true
		n.mu.Unlock()
		n.serve(50)
		b.Observe(nodeID, "s/1", client(650), false)
		time.Sleep(interval)
		wantPaid(t, "while the node hears nothing", n, 1000)
		n.mu.Lock()
		n.deaf = false
		n.mu.Unlock()
		time.Sleep(interval)
		wantPaid(t, "when it hears again", n, 1050)
		rows := b.Rows("2000-01-01", "2000-01-01")
		if len(rows) != 2 || rows[0].Spender != ann || rows[0].Client != 650 || rows[1].Spender != bob || rows[1].Client != 400 {
			t.Errorf("usage is %+v", rows)
		}
		n.serve(7)
		b.Observe(nodeID, "s/1", client(657), false)
		stop()
		wantPaid(t, "after the end", n, 1057)
	})
}

// Each kill -9 loses what came since the last interval, and pays nothing twice.
func TestBilling_survivesKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		var served uint64
		for life := range 5 {
			b := newBilling(t, s, n, nil)
			ctx, kill := context.WithCancel(context.Background())
			go func() { _ = b.Run(ctx) }()
			b.Meet(nodeID, "s/1", ann)
			for range 3 {
				n.serve(100)
				served += 100
				b.Observe(nodeID, "s/1", client(served), false)
				time.Sleep(interval + time.Second)
			}
			wantPaid(t, fmt.Sprint("life ", life), n, served)
			n.serve(40) // and nobody hears of it
			served += 40
			s.mu.Lock()
			s.fails = true // what a killed process writes
			s.mu.Unlock()
			kill()
			synctest.Wait()
			s.mu.Lock()
			s.fails = false
			s.mu.Unlock()
			wantPaid(t, "after the kill", n, served-40)
		}
		if sum := newBilling(t, s, n, nil).Rows("2000-01-01", "2000-01-01")[0].Client; sum != served-40 {
			t.Errorf("the bill says %d bytes, want %d", sum, served-40)
		}
	})
}

func TestBilling_deliversNothingThatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		b := newBilling(t, s, n, nil)
		run(t, b)
		b.Meet(nodeID, "s/1", ann)
		for _, fault := range []func(bool){func(on bool) { s.fails = on }, func(on bool) { s.lose = on }} {
			before := n.paid(t)
			n.serve(100)
			b.Observe(nodeID, "s/1", client(before+100), false)
			s.mu.Lock()
			fault(true)
			s.mu.Unlock()
			time.Sleep(2*interval + time.Second)
			wantPaid(t, "while the store fails", n, before)
			s.mu.Lock()
			fault(false)
			s.mu.Unlock()
			time.Sleep(2 * interval)
			wantPaid(t, "when it is back", n, before+100)
		}
	})
}

// Members share what they sign: nothing twice, no sequence twice.
func TestBilling_membersShareANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		var members []*billing.Billing
		for i := range 3 {
			b := newBilling(t, s, n, func(c *billing.Config) { c.Member = fmt.Sprint("m", i) })
			b.Meet(nodeID, fmt.Sprint("s/", i), ann)
			run(t, b)
			members = append(members, b)
		}
		for round := range uint64(10) {
			for i, b := range members {
				n.serve(100)
				b.Observe(nodeID, fmt.Sprint("s/", i), client(100*(round+1)), false)
			}
			time.Sleep(interval)
		}
		time.Sleep(2 * interval)
		wantPaid(t, "in the end", n, 3000)
		n.mu.Lock()
		if got := n.till.Evidence(); len(got) != 0 {
			t.Errorf("members contradicted each other: %+v", got)
		}
		n.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i, b := range members {
			if rows := b.Rows("2000-01-01", "2000-01-01"); len(rows) != 1 || rows[0].Client != 3000 {
				t.Errorf("member %d bills %+v, want what all have seen", i, rows)
			}
		}
	})
}

func TestBilling_paysNoMoreThanItSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		n.serve(1)
		n.inflate = 1 << 40
		b := newBilling(t, s, n, nil)
		run(t, b)
		b.Meet(nodeID, "s/1", ann)
		b.Meet(nodeID, "l/1", receipt.Spender{Application: "shop", Room: "a"})
		b.Meet(drtc.NodeID{1}, "l/1", receipt.Spender{Application: "shop", Room: "a"})
		b.Observe(nodeID, "s/1", client(100), false)
		b.Observe(nodeID, "l/1", receipt.Counters{Relay: 50}, false)
		time.Sleep(interval + time.Second)
		wantPaid(t, "an inflated claim", n, 100)
		b.Lost(nodeID)
		time.Sleep(interval)
		b.Observe(nodeID, "s/1", client(1000), false)
		time.Sleep(interval)
		wantPaid(t, "a session of a node that was lost", n, 100)
		if rows := b.Rows("2000-01-01", "2000-01-01"); len(rows) != 2 || rows[0].Key != "" || rows[0].Relay != 50 {
			t.Errorf("usage is %+v, want the link's apart", rows)
		}
	})
}

func TestBilling_refusesWhatIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		counted := 0
		b := newBilling(t, s, n, func(c *billing.Config) {
			c.Budgets = []receipt.Budget{
				{Key: "k1", Gigabytes: 1e-6, Per: receipt.PerDay}, {Room: "b", Gigabytes: 2e-6, Per: receipt.PerDay, End: true},
			}
			c.Counted = func() { counted++ }
		})
		run(t, b)
		b.Meet(nodeID, "s/1", ann)
		b.Meet(nodeID, "s/2", bob)
		check := func(what string, s receipt.Spender, says string) {
			t.Helper()
			e, over := b.Refuses(s)
			if over != (says != "") || !strings.Contains(e.Reason, says) {
				t.Errorf("%s: got %+v, want %q", what, e, says)
			}
		}
		check("at first", ann, "")
		b.Observe(nodeID, "s/1", client(999), false)
		b.Observe(nodeID, "s/2", client(1999), false)
		time.Sleep(interval + time.Second)
		synctest.Wait()
		check("just below", ann, "")
		if counted != 1 || len(b.Over()) != 0 {
			t.Errorf("counted %d times, over: %v", counted, b.Over())
		}
		b.Observe(nodeID, "s/1", client(1000), false)
		b.Observe(nodeID, "s/2", client(2000), false)
		time.Sleep(interval)
		synctest.Wait()
		check("used up", ann, `API key "k1"`)
		check("another key", bob, `room "b"`)
		check("another room of that key", receipt.Spender{Application: "shop", Key: "k2", Room: "c"}, "")
		if over := b.Over(); len(over) != 1 || over[bob] == "" {
			t.Errorf("over is %v, want the room that is to end", over)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		check("the next day", ann, "")
	})
}

// authorities are those of a test.
type authorities map[receipt.Application]receipt.Authority

// Authority implements billing.Authorities.
func (a authorities) Authority(application receipt.Application) (receipt.Authority, error) {
	found, ok := a[application]
	if !ok {
		return receipt.Authority{}, errors.New("no authority was given")
	}
	return found, nil
}

func TestBilling_holdsApplicationsToTheirCredits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newStore(t)
		b := newBilling(t, s, n, func(c *billing.Config) {
			c.Accounts["school"] = receipt.Application{19: 2}
			c.Authorities = authorities{shop: {Bytes: 1000, Until: 1}}
		})
		run(t, b)
		school := receipt.Spender{Application: "school", Room: "x"}
		if e, over := b.Refuses(school); !over || !strings.Contains(e.Reason, "no authority was given") {
			t.Errorf("without authority: %+v", e)
		}
		if e, over := b.Refuses(receipt.Spender{Application: "ours"}); over {
			t.Errorf("who has no account of its own: %+v", e)
		}
		b.Meet(nodeID, "s/1", ann)
		n.serve(1000)
		b.Observe(nodeID, "s/1", client(999), false)
		time.Sleep(interval + time.Second)
		synctest.Wait()
		if e, over := b.Refuses(ann); over {
			t.Errorf("with credits: %+v", e)
		}
		b.Observe(nodeID, "s/1", client(1000), false)
		time.Sleep(interval)
		synctest.Wait()
		if e, over := b.Refuses(ann); !over || !e.End || !strings.Contains(e.Reason, "data credits") {
			t.Errorf("without credits: %+v", e)
		}
		b = newBilling(t, s, n, func(c *billing.Config) { c.Authorities = authorities{shop: {Bytes: 1e9, Until: 0}} })
		time.Sleep(time.Hour)
		run(t, b)
		time.Sleep(interval + time.Second)
		synctest.Wait()
		if e, over := b.Refuses(ann); !over || !strings.Contains(e.Reason, "ended with epoch 0") {
			t.Errorf("after its end: %+v", e)
		}
	})
}

func TestNew_namesTheField(t *testing.T) {
	n := newNode(t)
	good := billing.Config{Key: self, Member: "main", Store: newStore(t), Nodes: n, Network: network, Log: slog.New(slog.DiscardHandler)}
	for name, spoil := range map[string]func(*billing.Config){
		"Key":        func(c *billing.Config) { c.Key = nil },
		"budgets[0]": func(c *billing.Config) { c.Budgets = []receipt.Budget{{Per: "week"}} },
	} {
		c := good
		spoil(&c)
		if _, err := billing.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
