package engine_test

import (
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
)

func TestCore_tellsItsAddresses(t *testing.T) {
	n := newNetwork(t)
	c := n.join(1)
	if e, ok := last[engine.AddressAdded](n); !ok || e.Peer != 1 || e.Addr != c.addr {
		t.Errorf("got %v, want AddressAdded of %s", e, c.addr)
	}
	if !n.core.Knows(c.addr) {
		t.Error("the core does not know the address")
	}
	n.core.RemovePeer(n.now, 1)
	n.flush()
	if e, ok := last[engine.AddressRemoved](n); !ok || e.Peer != 1 || e.Addr != c.addr {
		t.Errorf("got %v, want AddressRemoved of %s", e, c.addr)
	}
	if n.core.Knows(c.addr) {
		t.Error("the core still knows the address")
	}
}

func TestCore_saysThatNobodySpeaksWhenTheLastPeerLeaves(t *testing.T) {
	n := newNetwork(t)
	mic := n.join(1).voice()
	for range 20 {
		mic.talk(10)
	}
	if e, _ := last[engine.Speakers](n); len(e.Speakers) != 1 {
		t.Fatalf("got %+v, want one speaker", e)
	}
	n.core.RemovePeer(n.now, 1)
	n.flush()
	if e, _ := last[engine.Speakers](n); len(e.Speakers) != 0 {
		t.Errorf("got %+v, want nobody: the room may go on in other cores", e)
	}
}
