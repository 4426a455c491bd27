package receipt_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/receipt"
)

// world is a node and its Orchestrator, with what each has on disk, and messages
// that are lost, repeated and late.
type world struct {
	t       *rapid.T
	now     time.Time
	till    *receipt.Till
	journal []byte // on the node's disk
	purse   *receipt.Purse
	store   []byte // on the Orchestrator's
	acked   map[string]uint64
	counted map[string]uint64 // of acked, by the node's Till
	served  uint64            // acknowledged in all
	lost    uint64            // of that, counted by a node that was killed before it wrote
	unsaved uint64
	mail    []func() // on its way
	greedy  uint64   // bytes that the node claims beyond what it counted
	signed  map[receipt.Account]map[uint64]receipt.Counters
	set     *receipt.Set // what was ever published
}

func newWorld(t *rapid.T) *world {
	w := &world{
		t: t, now: genesis, acked: map[string]uint64{}, counted: map[string]uint64{},
		signed: map[receipt.Account]map[uint64]receipt.Counters{}, set: receipt.NewSet(domain),
	}
	w.till = w.newTill()
	w.journal = receipt.AppendFrame(nil, w.till.Snapshot())
	w.purse = receipt.NewPurse(payer.ID(), node, purseRules())
	return w
}

func (w *world) newTill() *receipt.Till {
	r := tillRules()
	r.CreditBytes, r.CreditTime = 1<<40, 1000*time.Hour
	till, err := receipt.NewTill(node, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return till
}

// serve has a client acknowledge bytes of a session.
func (w *world) serve(session string, n uint64) {
	w.acked[session] += n
	w.served += n
	w.till.Count(w.now, payer.ID(), shop, clientBytes(n))
	w.unsaved += n
}

func (w *world) flush() {
	if p := w.till.Flush(); p != nil {
		w.journal = receipt.AppendFrame(w.journal, p)
	}
	w.unsaved = 0
}

// killNode loses what was not written, and may tear the last frame.
func (w *world) killNode() {
	w.lost += w.unsaved
	w.unsaved = 0
	w.till = w.newTill()
	payloads, _ := receipt.Frames(w.journal)
	for _, p := range payloads {
		if err := w.till.Replay(p); err != nil {
			w.t.Fatal(err)
		}
	}
	w.till.Resume(w.now)
	w.journal = receipt.AppendFrame(nil, w.till.Snapshot())
}

// killOrchestrator loses what was not stored, and all of it if the store goes too.
func (w *world) killOrchestrator() {
	w.purse = receipt.NewPurse(payer.ID(), node, purseRules())
	if w.store != nil {
		var err error
		if w.purse, err = receipt.ParsePurse(w.store, payer.ID(), node, purseRules()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// round is one interval: what was seen, a claim, a receipt, a delivery. Each step
// may be the last.
func (w *world) round(stop int) {
	if stop == 0 {
		return
	}
	for _, session := range []string{"a", "b", "c"} {
		if n, ok := w.acked[session]; ok {
			w.purse.Observe(w.now, receipt.Observation{ID: session, Application: shop, Counters: clientBytes(n)})
		}
	}
	claims := w.till.Claims(w.now, payer.ID())
	for i := range claims {
		claims[i].Counted.Client += w.greedy
	}
	statements, _ := w.purse.Answer(w.now, claims)
	for _, s := range statements {
		s, err := s.Sign(payer, domain)
		if err != nil {
			w.t.Fatal(err)
		}
		w.purse.Took(s)
	}
	if stop == 1 {
		w.killOrchestrator()
		return
	}
	w.store = w.purse.Bytes()
	for _, s := range w.purse.Due(claims) {
		if w.signed[s.Account] == nil {
			w.signed[s.Account] = map[uint64]receipt.Counters{}
		}
		if before, ok := w.signed[s.Account][s.Sequence]; ok && before != s.Counters {
			w.t.Fatalf("sequence %d was signed for %+v and for %+v", s.Sequence, before, s.Counters)
		}
		w.signed[s.Account][s.Sequence] = s.Counters
		w.mail = append(w.mail, func() { w.deliver(s) })
	}
	if stop == 2 {
		w.mail = nil
	}
}

func (w *world) deliver(s receipt.Signed) {
	if w.till.Accept(w.now, payer.ID(), s) == nil {
		w.flush()
		w.publish()
	}
}

func (w *world) publish() {
	for _, e := range w.till.Epochs() {
		for _, p := range w.till.Pages(e) {
			if err := w.set.AddPage(p); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) paid() (sum uint64) {
	for _, s := range w.set.Receipts() {
		sum += s.Sum()
	}
	return sum
}

// undelivered is what was signed and did not come before the node closed the epoch.
func (w *world) undelivered() (sum uint64) {
	published := map[receipt.Account]uint64{}
	for _, s := range w.set.Receipts() {
		published[s.Account] = s.Sum()
	}
	for a, signed := range w.signed {
		var most uint64
		for _, c := range signed {
			most = max(most, c.Sum())
		}
		sum += most - published[a]
	}
	return sum
}

// Whatever is lost, repeated, late or killed, in any order, and whatever the node
// claims: nothing is paid that
// was not acknowledged, nothing twice; what was signed and taken stays; no sequence
// is signed twice. And once both go on undisturbed, all is paid but what a killed
// node had not written down, and what was signed and could not be delivered while
// its epoch was open.
func TestWorld_paysOnceAndKeepsItsWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		happens := []string{"serve", "serve", "round", "round", "mail", "repeat", "flush", "kill node", "kill orchestrator"}
		if rapid.Bool().Draw(t, "greedy") {
			w.greedy = 300
		} else { // an Orchestrator without a memory takes an honest node's word
			happens = append(happens, "lose the store")
		}
		before := uint64(0)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			switch rapid.SampledFrom(happens).Draw(t, "what") {
			case "serve":
				w.serve(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "session"), rapid.Uint64Range(1, 1000).Draw(t, "bytes"))
			case "round":
				w.round(rapid.IntRange(0, 3).Draw(t, "stop"))
			case "mail":
				if len(w.mail) > 0 {
					n := rapid.IntRange(0, len(w.mail)-1).Draw(t, "letter")
					letter := w.mail[n]
					w.mail = append(w.mail[:n:n], w.mail[n+1:]...)
					letter()
				}
			case "repeat":
				for _, letter := range w.mail {
					letter()
				}
			case "flush":
				w.flush()
			case "kill node":
				w.killNode()
			case "kill orchestrator":
				w.killOrchestrator()
			case "lose the store":
				w.store, w.now = nil, w.now.Add(time.Second)
				w.killOrchestrator()
			}
			if paid := w.paid(); paid > w.served || paid < before {
				t.Fatalf("step %d: %d bytes are paid, %d before, %d acknowledged", i, paid, before, w.served)
			} else {
				before = paid
			}
		}
		w.mail = nil
		for range 3 { // two epochs, so that what was carried over is paid as well
			for range 3 {
				w.round(3)
				for _, letter := range w.mail {
					letter()
				}
				w.mail = nil
				w.now = w.now.Add(10 * time.Second)
			}
			w.now = w.now.Add(61 * time.Minute)
		}
		if paid, held := w.paid(), w.undelivered(); paid > w.served || paid+held+w.lost < w.served {
			t.Errorf("in the end %d bytes are paid of %d, %d were signed and came too late, %d were lost with a node; %s", paid, w.served, held, w.lost, fmt.Sprint(w.set.Receipts()))
		}
	})
}
