package control

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport"
)

// wires is a media side that only counts what is open.
type wires struct {
	open map[engine.PeerID]transport.PeerConfig
}

func (w *wires) Do(engine.PeerID, func(time.Time, *engine.Core, *engine.Batch)) error {
	return transport.ErrPeer
}
func (w *wires) Home(engine.PeerID) (engine.CoreID, error)                { return 0, transport.ErrPeer }
func (w *wires) Update(engine.PeerID, transport.Update) error             { return nil }
func (w *wires) Open(c transport.PeerConfig) error                        { w.open[c.ID] = c; return nil }
func (w *wires) Close(id engine.PeerID)                                   { delete(w.open, id) }
func (w *wires) OpenChannel(engine.PeerID, transport.ChannelConfig) error { return nil }
func (w *wires) SendData(_ engine.PeerID, _ string, _ []byte) (_ error)   { return nil }

// links is the relay side of a service without its goroutine: the test has its
// part.
func links(t *testing.T) (*relays, *wires) {
	t.Helper()
	w := &wires{open: map[engine.PeerID]transport.PeerConfig{}}
	s := newService(t)
	s.cfg.Key, s.media = newKey(t), w
	s.relays = newRelays(s)
	return s.relays, w
}

// ordered is a link that some Orchestrator wants, and what the other end says.
func (r *relays) ordered(link string, peer drtc.NodeID) (order, remoteEnd) {
	o := order{self: r.self, peer: peer, owner: drtc.NodeID{7}, link: link, room: "RM_1"}
	return o, remoteEnd{
		ice: engine.ICE{Ufrag: "name", Pwd: "secret"}, addresses: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:1")},
		issued: uint64(time.Now().UnixMilli()), versions: [2]uint8{1, 2},
	}
}

func (r *relays) opens(o order, other remoteEnd) error {
	_, err := r.open(time.Now(), o, &medianodev1.OpenRelayRequest{
		Link: o.link, Description: &medianodev1.SignedDescription{Description: []byte(o.link)},
	}, Payer{}, other, nil)
	return err
}

func TestRelays_theLowerIDBeginsTheTrunk(t *testing.T) {
	for peer, begins := range map[drtc.NodeID]bool{{}: false, {255, 255, 255}: true} {
		r, w := links(t)
		o, other := r.ordered("L", peer)
		if _, err := r.prepare(time.Now(), o); err != nil {
			t.Fatal(err)
		}
		if err := r.opens(o, other); err != nil {
			t.Fatal(err)
		}
		for _, c := range w.open {
			if c.Active != begins || (len(c.Check) > 0) != begins || !c.Relay {
				t.Errorf("towards %s: active %t, checks %v, want %t", peer.Short(), c.Active, c.Check, begins)
			}
		}
	}
}

func TestRelays_forgetWhatNobodyUses(t *testing.T) {
	r, w := links(t)
	o, other := r.ordered("L", drtc.NodeID{255})
	if _, err := r.prepare(time.Now(), o); err != nil {
		t.Fatal(err)
	}
	if err := r.opens(o, other); err != nil {
		t.Fatal(err)
	}
	r.tick(time.Now().Add(time.Hour))
	if len(w.open) != 1 || len(r.links) != 1 {
		t.Fatalf("%d connections and %d links after an hour of use, want one of each", len(w.open), len(r.links))
	}
	r.closeLink(r.links[o.key()], "test")
	r.tick(time.Now().Add(trunkIdle - time.Second))
	if len(w.open) != 1 {
		t.Error("the connection ended with its last link, want it kept for the next")
	}
	r.tick(time.Now().Add(trunkIdle + time.Second))
	if len(w.open) != 0 {
		t.Error("a connection without links is open after its time")
	}
	r.tick(time.Now().Add(time.Hour))
	if n := len(r.ends) + len(r.prepared) + len(r.trunks) + len(r.rooms) + len(r.service.shared); n != 0 || r.busy.Load() != 0 {
		t.Errorf("ends %v, prepared %v, rooms %v are left", r.ends, r.prepared, r.rooms)
	}
}

// What a node has said of its end holds until it ends its trunk: an order that
// was made with it before must not open a half of a new one.
func TestRelays_whatWasSaidOfATrunkEndsWithIt(t *testing.T) {
	r, _ := links(t)
	o, other := r.ordered("L", drtc.NodeID{255})
	before, err := r.prepare(time.Now(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.opens(o, other); err != nil {
		t.Fatal(err)
	}
	next, other2 := r.ordered("M", o.peer)
	next.room = "RM_2"
	if p, err := r.prepare(time.Now(), next); err != nil || p.local != before.local {
		t.Fatalf("a second link of the trunk is described as %v (%v), want %v", p.local, err, before.local)
	}
	for _, k := range r.trunks {
		r.endTrunk(k, "test")
	}
	if err := r.opens(next, other2); err == nil {
		t.Error("a link was opened with credentials that are no more")
	}
	if p, err := r.prepare(time.Now(), next); err != nil || p.local == before.local {
		t.Errorf("the next trunk has the credentials of the last (%v)", err)
	}
	if err := r.opens(next, other2); err != nil {
		t.Errorf("prepared again: %v", err)
	}
}

func TestRelays_boundWhatOrdersMakeThemRemember(t *testing.T) {
	r, _ := links(t)
	for i := range maxPrepared + maxLinks {
		o, _ := r.ordered(fmt.Sprint(i), drtc.NodeID{1, byte(i), byte(i >> 8)})
		if _, err := r.prepare(time.Now(), o); err != nil {
			t.Fatal(err)
		}
	}
	o, _ := r.ordered("one more", drtc.NodeID{1})
	if _, err := r.prepare(time.Now(), o); err == nil {
		t.Error("no bound of prepared links")
	}

	r, w := links(t)
	for i := range maxTrunks + 1 {
		o, other := r.ordered(fmt.Sprint(i), drtc.NodeID{1, byte(i), byte(i >> 8)})
		if _, err := r.prepare(time.Now(), o); err != nil {
			t.Fatal(err)
		}
		if err := r.opens(o, other); (err != nil) != (i == maxTrunks) {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if len(w.open) != maxTrunks {
		t.Errorf("%d connections are open, want at most %d", len(w.open), maxTrunks)
	}
}

func TestCommon_versions(t *testing.T) {
	for _, c := range []struct{ ours, theirs, want uint8 }{{1, 1, 1}, {1, 2, 1}, {2, 1, 1}, {2, 2, 2}, {2, 3, 2}, {1, 3, 0}} {
		got, err := common(spoken(c.ours), spoken(c.theirs))
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("nodes up to %d and %d: got %d, %v, want %d", c.ours, c.theirs, got, err, c.want)
		}
	}
}

// What is not carried by one heartbeat is by the next, the newest of each link.
func TestRelayReports_areBoundedAndNewest(t *testing.T) {
	f := newFeed(time.Now())
	for i := range 2 * (maxReports + 10) {
		f.noteRelay(&medianodev1.RelayReport{Link: fmt.Sprint(i % (maxReports + 10)), Layers: uint32(i / (maxReports + 10))})
	}
	f.dropRelay("0")
	first, rest := f.waitingRelays(), f.waitingRelays()
	if len(first) != maxReports || len(rest) != 9 || len(f.waitingRelays()) != 0 {
		t.Errorf("got %d and then %d, want %d and 9", len(first), len(rest), maxReports)
	}
	for _, m := range append(first, rest...) {
		if m.Layers != 1 {
			t.Errorf("link %s: an older report was kept", m.Link)
		}
	}
}
