package gossip_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/bonding"
	"github.com/drtc-network/drtc/registry/gossip"
	"github.com/drtc-network/drtc/registry/record"
)

// attacker speaks the protocols without this package.
type attacker struct {
	host.Host
	t      testing.TB
	victim *registry
	stream network.Stream // of gossip
}

func newAttacker(t testing.TB, key *identity.Key, victim *registry) *attacker {
	t.Helper()
	raw, err := hex.DecodeString(key.Hex()[2:])
	if err != nil {
		t.Fatal(err)
	}
	secret, err := crypto.UnmarshalSecp256k1PrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(secret), libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &attacker{Host: h, t: t, victim: victim}
}

func (a *attacker) connect() error {
	info, err := peer.AddrInfoFromString(a.victim.Addrs()[0])
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Connect(ctx, *info); err != nil {
		return err
	}
	a.stream, err = a.NewStream(ctx, info.ID, "/meshsub/1.1.0")
	return err
}

// say sends one gossip message; an error means that the attacker was cut off.
func (a *attacker) say(topic string, message []byte) error {
	name := "/drtc/testnet/v1/" + topic
	rpc, err := proto.Marshal(&pubsub_pb.RPC{Publish: []*pubsub_pb.Message{{Data: message, Topic: &name}}})
	if err != nil {
		a.t.Fatal(err)
	}
	_, err = a.stream.Write(append(binary.AppendUvarint(nil, uint64(len(rpc))), rpc...))
	return err
}

func message(records ...envelope.Envelope) []byte {
	var m []byte
	for i := range records {
		m = gossip.AppendRecord(m, records[i].Bytes())
	}
	return m
}

// bonds admits every registry and the nodes that are not listed.
type bonds struct {
	bonding.AllowAll
	out map[drtc.NodeID]bool
}

func (b bonds) Bonded(_ record.Role, id drtc.NodeID) bool { return !b.out[id] }

func TestValidator_storesNothingThatIsWrong(t *testing.T) {
	stranger, node := newKey(t), newKey(t)
	b := bonds{out: map[drtc.NodeID]bool{stranger.ID(): true}}
	victim := open(t, quick(), newKey(t), newMemory(t, b), b).run()
	held := signed(t, node, 5)
	victim.submit(held)

	field := func(change func(*envelope.Envelope)) []byte { return message(signed(t, newKey(t), 1, change)) }
	forge := func() []byte {
		e := signed(t, newKey(t), 1)
		e.Seq++
		return message(e)
	}
	for name, tt := range map[string]struct {
		topic, outcome, records string
		message                 []byte
	}{
		"forged":             {"node", "rejected", "signature", forge()},
		"another's subject":  {"node", "rejected", "issuer", field(func(e *envelope.Envelope) { e.Subject = node.ID() })},
		"foreign network":    {"node", "rejected", "network", field(func(e *envelope.Envelope) { e.Network = "othernet" })},
		"wrong topic":        {"liveness", "rejected", "topic", field(func(*envelope.Envelope) {})},
		"unknown kind":       {"node", "rejected", "topic", field(func(e *envelope.Envelope) { e.Kind = "gossip" })},
		"oversized record":   {"node", "rejected", "size", field(func(e *envelope.Envelope) { e.Body = make([]byte, 5<<10) })},
		"oversized message":  {"node", "rejected", "batch", make([]byte, gossip.MaxMessage+1)},
		"empty message":      {"node", "rejected", "batch", nil},
		"cut short":          {"node", "rejected", "batch", message(held)[:100]},
		"not canonical":      {"node", "rejected", "malformed", gossip.AppendRecord(nil, append(held.Bytes(), 0))},
		"ttl too long":       {"node", "rejected", "ttl", field(func(e *envelope.Envelope) { e.TTL = time.Hour })},
		"replayed":           {"node", "ignored", "known", message(held, held)},
		"older than held":    {"node", "ignored", "stale", message(signed(t, node, 4))},
		"expired":            {"node", "ignored", "expired", field(func(e *envelope.Envelope) { e.IssuedAt = time.Now().Add(-time.Hour) })},
		"from the future":    {"node", "ignored", "future", field(func(e *envelope.Envelope) { e.IssuedAt = time.Now().Add(time.Hour) })},
		"unbonded":           {"node", "ignored", "bond", message(signed(t, stranger, 1))},
		"good beside forged": {"node", "rejected", "signature", append(forge(), forge()...)},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttacker(t, newKey(t), victim)
			if err := a.connect(); err != nil {
				t.Fatal(err)
			}
			messages := victim.counter("messages_total", "topic", tt.topic, "outcome", tt.outcome)
			records := victim.counter("records_total", "topic", tt.topic, "outcome", tt.records)
			if err := a.say(tt.topic, tt.message); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "it is counted", func() bool {
				return victim.counter("messages_total", "topic", tt.topic, "outcome", tt.outcome) == messages+1 &&
					victim.counter("records_total", "topic", tt.topic, "outcome", tt.records) > records
			})
			if victim.ledger.len() != 1 || !victim.ledger.holds(held) {
				t.Errorf("the ledger holds %d records, want only the one it had", victim.ledger.len())
			}
		})
	}
}

func TestGater_refusesWhoIsNotBonded(t *testing.T) {
	key := newKey(t)
	b := bonds{out: map[drtc.NodeID]bool{key.ID(): true}}
	victim := open(t, quick(), newKey(t), newMemory(t, b), b).run()
	a := newAttacker(t, key, victim)
	if err := a.connect(); err == nil {
		t.Error("connected and opened a stream, want neither")
	}
	if got := victim.counter("refused_connections_total", "reason", "unbonded"); got == 0 {
		t.Error("the refusal is not counted")
	}
	if victim.connectedTo(key.ID()) {
		t.Error("it is connected")
	}
}

func TestGater_refusesOtherKindsOfKey(t *testing.T) {
	victim := start(t, quick())
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics()) // with an Ed25519 key
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a := &attacker{Host: h, t: t, victim: victim}
	if err := a.connect(); err == nil {
		t.Error("connected and opened a stream, want neither")
	}
	if got := victim.counter("refused_connections_total", "reason", "key"); got == 0 {
		t.Error("the refusal is not counted")
	}
}

// A list that changes applies to those who are connected, too.
func TestNetwork_whoLosesItsBondIsDisconnected(t *testing.T) {
	path := t.TempDir() + "/bonding.json"
	key, other := newKey(t), newKey(t)
	list := writeList(t, path, 1, key, other)
	r := open(t, quick(), key, newMemory(t, list), list).run()
	c := quick()
	c.Bootstrap = r.Addrs()
	o := open(t, c, other, newMemory(t, bonding.AllowAll{}), bonding.AllowAll{}).run()
	connected(t, r, o)
	writeList(t, path, 2, key)
	if changed, err := list.Reload(time.Now()); !changed || err != nil {
		t.Fatalf("reloading: %t, %v", changed, err)
	}
	eventually(t, 10*time.Second, "it is cut off", func() bool { return !r.connectedTo(other.ID()) })
}

func TestAllowReaders_aReaderCopiesAndSaysNothing(t *testing.T) {
	reader, second := newKey(t), newKey(t)
	b := bonds{out: map[drtc.NodeID]bool{reader.ID(): true, second.ID(): true}}
	c := quick()
	c.AllowReaders, c.MaxReaders = true, 1
	source := open(t, c, newKey(t), newMemory(t, b), b).run()
	for range 20 {
		source.submit(signed(t, newKey(t), 1))
	}
	c = quick()
	c.Bootstrap = source.Addrs()
	r := open(t, c, reader, newMemory(t, bonding.AllowAll{}), bonding.AllowAll{}).run()
	own := signed(t, newKey(t), 1)
	r.submit(own)
	eventually(t, 20*time.Second, "the reader holds the 20 and its own", func() bool { return r.ledger.len() == 21 })
	later := signed(t, newKey(t), 1)
	source.submit(later)
	eventually(t, 20*time.Second, "the reader gets what comes later", func() bool { return r.ledger.holds(later) })
	if source.ledger.holds(own) {
		t.Error("a reader's record was taken")
	}

	if err := newAttacker(t, second, source).connect(); err == nil {
		t.Error("a second reader connected, want one at most")
	}
	if got := source.counter("refused_connections_total", "reason", "readers"); got == 0 {
		t.Error("the refusal is not counted")
	}
}

// Three of eight are hostile: one drops everything, one sends forged records in
// conversations, one sends garbage to everybody.
func TestNetwork_convergesWithAThirdHostile(t *testing.T) {
	honest := mesh(t, quick(), 5)
	contacts := []gossip.Contact{}
	for _, r := range honest {
		contacts = append(contacts, r.contact())
	}
	hostile := func(change func(*memory)) *registry {
		m := newMemory(t, nil)
		change(m)
		r := open(t, quick(), newKey(t), m, bonding.AllowAll{})
		r.Know(contacts)
		return r.run()
	}
	dropper := hostile(func(m *memory) { m.deaf = true })
	liar := hostile(func(m *memory) {
		m.lookup = func(e envelope.Envelope) envelope.Envelope {
			e.Seq++
			return e
		}
	})
	for _, r := range honest {
		r.Know(append(contacts, dropper.contact(), liar.contact()))
	}
	liar.submit(signed(t, newKey(t), 1))

	var spammers sync.WaitGroup
	for _, r := range honest {
		a := newAttacker(t, newKey(t), r)
		if err := a.connect(); err != nil {
			t.Fatal(err)
		}
		spammers.Go(func() {
			for i := 0; a.say("node", fmt.Appendf(nil, "spam %d", i)) == nil; i++ {
			}
		})
	}
	began := time.Now()
	var sent []envelope.Envelope
	for _, r := range honest {
		for range 20 {
			e := signed(t, newKey(t), 1)
			sent = append(sent, e)
			r.submit(e)
		}
	}
	for _, r := range honest {
		eventually(t, 30*time.Second, "what the honest say is held", func() bool {
			return !slices.ContainsFunc(sent, func(e envelope.Envelope) bool { return !r.ledger.holds(e) })
		})
		eventually(t, 30*time.Second, "the spammer and the liar are cut off", func() bool {
			return r.counter("bans_total", "reason", "invalid") == 1 && !r.connectedTo(liar.ID())
		})
		for _, o := range honest {
			if r != o && !r.connectedTo(o.ID()) {
				t.Errorf("%s lost the honest %s", r.ID().Short(), o.ID().Short())
			}
		}
	}
	spammers.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the spammers were cut off after %s, want 10s", took)
	}
}

// flooders each break one budget; small budgets stand for a longer flood.
func TestBudget_aFlooderIsCutOff(t *testing.T) {
	tight := func(change func(*gossip.Budget)) gossip.Config {
		c := quick()
		change(&c.Budget)
		return c
	}
	old := signed(t, newKey(t), 1)
	for name, tt := range map[string]struct {
		config gossip.Config
		reason string
		flood  func(t *testing.T, i int) []byte
	}{
		"garbage": {quick(), "invalid", func(_ *testing.T, i int) []byte {
			return binary.BigEndian.AppendUint64([]byte("garbage"), uint64(i))
		}},
		"forgeries": {quick(), "invalid", func(t *testing.T, i int) []byte {
			e := signed(t, newKey(t), 1)
			e.Seq = uint64(i + 2)
			return message(e)
		}},
		"one message again and again": {tight(func(b *gossip.Budget) { b.Useless = gossip.Rate{PerSecond: 1, Burst: 50} }), "useless",
			func(*testing.T, int) []byte { return message(old) }},
		"old records in new messages": {tight(func(b *gossip.Budget) { b.Useless, b.Fresh = gossip.Rate{PerSecond: 1, Burst: 50}, 0 }), "useless",
			func(_ *testing.T, i int) []byte { return replay(old, i) }},
		"many messages": {tight(func(b *gossip.Budget) { b.Messages = gossip.Rate{PerSecond: 10, Burst: 50} }), "messages",
			func(t *testing.T, _ int) []byte { return message(signed(t, newKey(t), 1)) }},
		"many records": {tight(func(b *gossip.Budget) { b.Records = gossip.Rate{PerSecond: 10, Burst: 100} }), "records",
			func(_ *testing.T, i int) []byte { return replay(old, i) }},
		"many bytes": {tight(func(b *gossip.Budget) { b.Bytes = gossip.Rate{PerSecond: 1000, Burst: 1 << 20} }), "bytes",
			func(*testing.T, int) []byte { return make([]byte, 200<<10) }},
	} {
		t.Run(name, func(t *testing.T) {
			victim := start(t, tt.config)
			friend := start(t, quick(), victim.Addrs()...)
			connected(t, victim, friend)
			victim.submit(old)
			eventually(t, 10*time.Second, "the friend has it", func() bool { return friend.ledger.holds(old) })

			key := newKey(t)
			a := newAttacker(t, key, victim)
			if err := a.connect(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for i := 0; a.say("node", tt.flood(t, i)) == nil; i++ {
				if time.Since(began) > 10*time.Second {
					t.Fatalf("still connected after %d messages", i)
				}
			}
			eventually(t, 10*time.Second, "it is disconnected", func() bool { return !victim.connectedTo(key.ID()) })
			if got := victim.counter("bans_total", "reason", tt.reason); got != 1 {
				t.Errorf("bans for %q: got %v, want 1 of %v", tt.reason, got, victim.counter("bans_total"))
			}
			if err := a.connect(); err == nil {
				t.Error("it could connect again")
			}
			if !victim.connectedTo(friend.ID()) {
				t.Error("the friend is cut off as well")
			}
			for _, p := range victim.Peers() {
				if p.ID == key.ID() && (p.Ban == nil || p.Ban.Reason != tt.reason || time.Until(p.Ban.Until) < 9*time.Minute) {
					t.Errorf("the ban is shown as %+v, want 10 minutes for %q", p.Ban, tt.reason)
				}
			}
		})
	}
}

// replay is a message that differs from all with another i and says nothing new:
// each bit of i is how often a record comes.
func replay(e envelope.Envelope, i int) []byte {
	m := message(e)
	for range i % 100 {
		m = append(m, message(e)...)
	}
	return m
}

func TestBan_ends(t *testing.T) {
	c := quick()
	c.BanFor = 300 * time.Millisecond
	victim := start(t, c)
	a := newAttacker(t, newKey(t), victim)
	if err := a.connect(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := a.say("node", []byte{byte(i), 99}); err != nil {
			break
		}
	}
	eventually(t, 10*time.Second, "it is banned", func() bool { return victim.counter("bans_total", "reason", "invalid") == 1 })
	eventually(t, 10*time.Second, "it may connect again", func() bool { return a.connect() == nil })
}

func TestSync_whoSendsAForgedRecordIsCutOff(t *testing.T) {
	liar := start(t, quick())
	liar.submit(signed(t, newKey(t), 1))
	liar.ledger.mu.Lock()
	liar.ledger.lookup = func(e envelope.Envelope) envelope.Envelope {
		e.Body = []byte("something else")
		return e
	}
	liar.ledger.mu.Unlock()
	honest := start(t, quick(), liar.Addrs()...)
	eventually(t, 20*time.Second, "it is cut off", func() bool { return honest.counter("bans_total", "reason", "forged") == 1 })
	eventually(t, 10*time.Second, "it is disconnected", func() bool { return !honest.connectedTo(liar.ID()) })
	if got := honest.ledger.len(); got != 0 {
		t.Errorf("%d forged records are held", got)
	}
	if got := honest.counter("sync_sessions_total", "outcome", "hostile"); got == 0 {
		t.Error("the conversation is not counted as hostile")
	}
}

func TestSync_garbageAndHugeFramesEndTheConversation(t *testing.T) {
	for name, frame := range map[string][]byte{
		"garbage":    append([]byte{0, 0, 0, 4}, "what"...),
		"huge frame": {0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			victim := start(t, quick())
			a := newAttacker(t, newKey(t), victim)
			if err := a.connect(); err != nil {
				t.Fatal(err)
			}
			s, err := a.NewStream(t.Context(), victim.PeerID(), "/drtc/testnet/sync/1")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(frame); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "it counts as hostile", func() bool {
				return victim.counter("sync_sessions_total", "direction", "in", "outcome", "hostile") == 1
			})
			if _, err := io.ReadAll(s); err == nil {
				t.Error("the stream was ended in order, want a reset")
			}
		})
	}
}

func TestSync_sessionsAreBounded(t *testing.T) {
	c := quick()
	c.Budget.Sessions = gossip.Rate{PerSecond: 0.001, Burst: 2}
	c.SyncTimeout = 500 * time.Millisecond
	victim := start(t, c)
	a := newAttacker(t, newKey(t), victim)
	if err := a.connect(); err != nil {
		t.Fatal(err)
	}
	begin := func() { // and say no more
		s, err := a.NewStream(t.Context(), victim.PeerID(), "/drtc/testnet/sync/1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	count := func(outcome string, want float64) {
		t.Helper()
		eventually(t, 10*time.Second, outcome, func() bool {
			return victim.counter("sync_sessions_total", "direction", "in", "outcome", outcome) == want
		})
	}
	begin()
	begin()
	count("refused", 1) // one at a time
	count("broken", 1)  // silence ends by the deadline
	begin()
	count("broken", 2)
	begin()
	count("refused", 2) // the budget is used up
	count("broken", 2)
}

func writeList(t *testing.T, path string, serial int, registries ...*identity.Key) *bonding.File {
	t.Helper()
	var ids []string
	for _, k := range registries {
		ids = append(ids, `"`+k.ID().String()+`"`)
	}
	writeFile(t, path, `{"serial":`+string(rune('0'+serial))+`,"any_node":true,"registries":[`+strings.Join(ids, ",")+`]}`)
	f, err := bonding.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNetwork_offersOnlyWhatItNeeds(t *testing.T) {
	victim := start(t, quick())
	a := newAttacker(t, newKey(t), victim)
	if err := a.connect(); err != nil {
		t.Fatal(err)
	}
	offered, err := a.Peerstore().GetProtocols(victim.PeerID())
	if err != nil || len(offered) == 0 {
		t.Fatalf("got %v, %v, want the protocols that it offers", offered, err)
	}
	for _, p := range offered {
		if !strings.HasPrefix(string(p), "/drtc/testnet/") && !strings.HasPrefix(string(p), "/meshsub/") &&
			p != "/floodsub/1.0.0" && p != "/ipfs/id/1.0.0" {
			t.Errorf("offers %s", p)
		}
	}
}
