package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"pgregory.net/rapid"
)

// resident is a peer that lives with a worker.
func resident(id engine.PeerID, core engine.CoreID, room drtc.RoomID) *peer {
	return &peer{id: id, worker: &worker{id: core}, cfg: PeerConfig{PeerConfig: engine.PeerConfig{
		ID: id, Room: room, Local: engine.ICE{Ufrag: fmt.Sprint("u", id)},
	}}}
}

// A small room stays with one worker; a large one, and many rooms, spread.
func TestDirectory_places(t *testing.T) {
	const together = 16
	d := newDirectory(3, together)
	next := engine.PeerID(0)
	join := func(room drtc.RoomID) engine.CoreID {
		t.Helper()
		next++
		core := d.place(room, false)
		if err := d.add(resident(next, core, room)); err != nil {
			t.Fatal(err)
		}
		return core
	}
	for i := range 3 * together {
		if got, want := join("large"), engine.CoreID(i/together); got != want {
			t.Fatalf("peer %d of a large room lives with worker %d, want %d", i, got, want)
		}
	}
	for range 7 { // from here on each goes to who has least
		join("large")
	}
	if slices.Max(d.load)-slices.Min(d.load) > 1 {
		t.Errorf("load %v, want it even", d.load)
	}
	for _, room := range []drtc.RoomID{"a", "b", "c", "d"} {
		home := join(room)
		for range together - 1 {
			if got := join(room); got != home {
				t.Errorf("room %s is with workers %d and %d, want one", room, home, got)
			}
		}
	}
	if slices.Max(d.load)-slices.Min(d.load) > together {
		t.Errorf("load %v, want it even", d.load)
	}
}

func TestDirectory_namesAreUnique(t *testing.T) {
	d := newDirectory(2, 16)
	a, b := resident(1, 0, "a"), resident(2, 1, "b")
	for _, p := range []*peer{a, b} {
		if err := d.add(p); err != nil {
			t.Fatal(err)
		}
	}
	taken := resident(3, 1, "c")
	taken.cfg.Local.Ufrag = a.cfg.Local.Ufrag
	if err := d.add(taken); !errors.Is(err, engine.ErrPeerExists) {
		t.Errorf("an ufrag of another worker's peer: %v, want %v", err, engine.ErrPeerExists)
	}
	if err := d.rename(b, a.cfg.Local.Ufrag); !errors.Is(err, engine.ErrPeerExists) {
		t.Errorf("a restart with an ufrag of another worker's peer: %v, want %v", err, engine.ErrPeerExists)
	}
	if err := d.add(resident(1, 1, "c")); !errors.Is(err, ErrPeer) {
		t.Errorf("an id of another worker's peer: %v, want %v", err, ErrPeer)
	}
	for i := range 100 { // restarts that nobody answers
		if err := d.rename(a, fmt.Sprint("restart", i)); err != nil {
			t.Fatal(err)
		}
	}
	if core, known := d.byUfrag([]byte("restart99")); !known || core != 0 {
		t.Errorf("the newest ufrag is of core %d, %v, want 0", core, known)
	}
	if len(d.ufrags) != maxUfrags+1 {
		t.Errorf("%d ufrags, want %d", len(d.ufrags), maxUfrags+1)
	}
	if all := d.close(); len(all) != 2 {
		t.Errorf("%d peers at the end, want 2", len(all))
	}
	if err := d.add(resident(4, 0, "d")); !errors.Is(err, ErrPeer) {
		t.Errorf("after the end: %v, want %v", err, ErrPeer)
	}
	d.remove(a)
	d.remove(b)
	if len(d.peers)+len(d.ufrags)+len(d.rooms) != 0 || slices.Max(d.load) != 0 {
		t.Errorf("the last peer leaves %+v", d)
	}
}

// An address is its whose core showed it last, of those that still believe in
// it.
func TestDirectory_newestBeliefCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDirectory(4, 16)
		beliefs := map[netip.AddrPort][]engine.CoreID{} // the newest last
		addr := rapid.Custom(func(t *rapid.T) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), rapid.Uint16Range(1, 3).Draw(t, "port"))
		})
		core := rapid.Custom(func(t *rapid.T) engine.CoreID { return engine.CoreID(rapid.IntRange(0, 3).Draw(t, "core")) })
		without := func(cores []engine.CoreID, c engine.CoreID) (rest []engine.CoreID) {
			for _, other := range cores {
				if other != c {
					rest = append(rest, other)
				}
			}
			return rest
		}
		t.Repeat(map[string]func(*rapid.T){
			"believe": func(t *rapid.T) {
				a, c := addr.Draw(t, "addr"), core.Draw(t, "core")
				d.believe(c, a)
				beliefs[a] = append(without(beliefs[a], c), c)
			},
			"forget": func(t *rapid.T) {
				a, c := addr.Draw(t, "addr"), core.Draw(t, "core")
				d.forget(c, a)
				beliefs[a] = without(beliefs[a], c)
			},
			"": func(t *rapid.T) {
				contested := 0
				for a, cores := range beliefs {
					got, known := d.byAddr(a)
					if known != (len(cores) > 0) || known && got != cores[len(cores)-1] {
						t.Fatalf("%v is core %d's, %v; want the last of %v", a, got, known, cores)
					}
					if len(cores) > 1 {
						contested++
					}
				}
				if got := d.contested.Load(); int(got) != contested {
					t.Fatalf("%d contested addresses, want %d", got, contested)
				}
				if len(d.addrs) > len(beliefs) {
					t.Fatalf("%d addresses are kept, want at most %d", len(d.addrs), len(beliefs))
				}
			},
		})
	})
}
