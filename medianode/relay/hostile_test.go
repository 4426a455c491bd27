package relay_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/relay"
)

var began = time.Unix(1_800_000_000, 0)

// greeted is a trunk of node 1 to node 2 that has had its hello, with the link
// "L" up under the other end's number 1.
func greeted(t *testing.T) *relay.Trunk {
	t.Helper()
	k := relay.NewTrunk(began, node(1), node(2), relay.Version2)
	feed(t, k, relay.Hello{Version: 2, Node: node(2), Peer: node(1)})
	if _, _, err := k.Open(relay.Name{Link: "L"}, "room"); err != nil {
		t.Fatal(err)
	}
	if a := feed(t, k, relay.Open{Number: 1, Link: "L", Room: "room"}); !a.Up {
		t.Fatalf("got %+v, want the link up", a)
	}
	return k
}

func feed(t *testing.T, k *relay.Trunk, m relay.Message) relay.Arrival {
	t.Helper()
	a, err := k.Receive(began, relay.Encode(nil, relay.Version2, m))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTrunk_endsWithWhoBreaksTheProtocol(t *testing.T) {
	for name, bad := range map[string][]byte{
		"second hello":             relay.Encode(nil, 2, relay.Hello{Version: 2, Node: node(2), Peer: node(1)}),
		"rubbish":                  []byte("rubbish"),
		"too long":                 append([]byte{3}, make([]byte, relay.MaxMessage)...),
		"link never opened":        relay.Encode(nil, 2, relay.Gone{Number: 7, Track: "TR"}),
		"link number used again":   relay.Encode(nil, 2, relay.Open{Number: 1, Link: "M", Room: "room"}),
		"link opened twice":        relay.Encode(nil, 2, relay.Open{Number: 2, Link: "L", Room: "room"}),
		"link of no name":          relay.Encode(nil, 2, relay.Open{Number: 2, Room: "room"}),
		"message of a later world": {99, 0, 0, 0, 1},
	} {
		if a, err := greeted(t).Receive(began, bad); !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("%s: got %+v, %v, want an ErrProtocol", name, a, err)
		}
	}
}

func TestTrunk_wantsTheRightHelloFirst(t *testing.T) {
	for name, m := range map[string]relay.Message{
		"something else":  relay.Gone{Number: 1, Track: "TR"},
		"another node":    relay.Hello{Version: 2, Node: node(3), Peer: node(1)},
		"for another":     relay.Hello{Version: 2, Node: node(2), Peer: node(3)},
		"another version": relay.Hello{Version: 1, Node: node(2), Peer: node(1)},
	} {
		k := relay.NewTrunk(began, node(1), node(2), relay.Version2)
		if _, err := k.Receive(began, relay.Encode(nil, relay.Version2, m)); !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("%s: got %v, want an ErrProtocol", name, err)
		}
	}
}

// The same name in another room at the other end: one of the two is deceived.
func TestTrunk_linkOfAnotherRoomIsRefused(t *testing.T) {
	k := greeted(t)
	if _, _, err := k.Open(relay.Name{Link: "M"}, "room"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Receive(began, relay.Encode(nil, 2, relay.Open{Number: 2, Link: "M", Room: "elsewhere"})); !errors.Is(err, relay.ErrProtocol) {
		t.Errorf("got %v, want an ErrProtocol", err)
	}
}

// Two links with one name are two: the end of the older is not that of the
// newer, however the messages cross.
func TestTrunk_tellsALinkFromItsPredecessor(t *testing.T) {
	k := greeted(t)
	k.Close(relay.Name{Link: "L"}, "again")
	next := relay.Name{Link: "L", Instance: relay.Instance{1, 2}}
	if _, up, err := k.Open(next, "room"); err != nil || up {
		t.Fatalf("up %t, %v: the other end has only opened the one before", up, err)
	}
	if a := feed(t, k, relay.Close{Number: 1, Reason: "again"}); a.Down {
		t.Errorf("got %+v: the newer link went with the older", a)
	}
	if a := feed(t, k, relay.Open{Number: 2, Link: "L", Instance: next.Instance, Room: "room"}); !a.Up || a.Name != next {
		t.Errorf("got %+v, want the newer link up", a)
	}
}

func TestTrunk_boundsWhatItRemembers(t *testing.T) {
	k := greeted(t)
	for i := range relay.MaxLinks + 1 {
		_, err := k.Receive(began, relay.Encode(nil, 2, relay.Open{Number: uint32(i + 2), Link: fmt.Sprint("x", i), Room: "room"}))
		if err != nil {
			if i != relay.MaxLinks-1 || !errors.Is(err, relay.ErrProtocol) {
				t.Errorf("after %d links: %v", i, err)
			}
			return
		}
	}
	t.Error("no bound of links")
}

// A flood ends the trunk; the same number of messages over a longer time is
// what a busy room makes.
func TestTrunk_endsFloods(t *testing.T) {
	for name, b := range map[string][]byte{
		"of messages": relay.Encode(nil, 2, relay.Want{Number: 1, Track: "TR"}),
		"of data":     relay.EncodeData(nil, 2, relay.Data{Number: 9, Hops: 1, Packet: []byte("x")}),
	} {
		flood := func(k *relay.Trunk, gap time.Duration) (err error) {
			for i := range 100_000 {
				now := began.Add(time.Duration(i) * gap)
				if name == "of data" {
					_, _, _, err = k.ReceiveData(now, b)
				} else {
					_, err = k.Receive(now, b)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
		if err := flood(greeted(t), 0); !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("flood %s: got %v, want an ErrProtocol", name, err)
		}
		if err := flood(greeted(t), 2*time.Millisecond); err != nil {
			t.Errorf("500 %s a second: %v", name, err)
		}
	}
}

func TestTrunk_dataOfOtherLinksIsDropped(t *testing.T) {
	k := greeted(t)
	for number, want := range map[uint32]bool{1: true, 2: false} {
		d := relay.Data{Number: number, Origin: node(2), Hops: 1, Sequence: 5, Packet: []byte("x")}
		name, got, ok, err := k.ReceiveData(began, relay.EncodeData(nil, 2, d))
		if err != nil || ok != want || ok && (name.Link != "L" || !bytes.Equal(got.Packet, d.Packet)) {
			t.Errorf("link %d: got %v, %+v, %t, %v, want %t", number, name, got, ok, err, want)
		}
	}
	for name, b := range map[string][]byte{
		"cut short": {1, 2, 3}, "empty": relay.EncodeData(nil, 2, relay.Data{Number: 1, Hops: 1}),
		"no hop":        relay.EncodeData(nil, 2, relay.Data{Number: 1, Packet: []byte("x")}),
		"too many hops": relay.EncodeData(nil, 2, relay.Data{Number: 1, Hops: relay.MaxPath + 1, Packet: []byte("x")}),
		"too long":      relay.EncodeData(nil, 2, relay.Data{Number: 1, Hops: 1, Packet: make([]byte, relay.MaxPacket+1)}),
	} {
		if _, _, _, err := k.ReceiveData(began, b); !errors.Is(err, relay.ErrProtocol) {
			t.Errorf("%s: got %v, want an ErrProtocol", name, err)
		}
	}
}

// room is an Exchange of node 1 with a link to node 2, by which the tracks of
// node 2 and of node 3 come.
func room() *relay.Exchange {
	e := relay.New(relay.Config{Self: node(1), Sources: &sources{taken: map[uint32]bool{}}})
	e.LinkUp("L", node(2), relay.Version2)
	e.SetRoutes(map[drtc.NodeID]relay.Link{node(2): "L", node(3): "L"})
	e.Take()
	return e
}

func offered(id string, path ...drtc.NodeID) relay.Track {
	return relay.Track{Track: drtc.TrackID(id), Announcement: relay.Announcement{
		Path: path, Codecs: []relay.Codec{{Mime: relay.Opus}}, Streams: []relay.Stream{{SSRC: 1}},
	}}
}

func TestExchange_takesOnlyWhatItsRoutesSay(t *testing.T) {
	for name, c := range map[string]struct {
		track     relay.Track
		published bool
		failed    bool
	}{
		"of the neighbour":            {offered("TR", node(2)), true, false},
		"of a node behind it":         {offered("TR", node(3), node(2)), true, false},
		"of a node without a route":   {offered("TR", node(4), node(2)), false, false},
		"that has been here":          {offered("TR", node(3), node(1), node(2)), false, false},
		"of this very node":           {offered("TR", node(1), node(2)), false, false},
		"that another has passed on":  {offered("TR", node(2), node(3)), false, true},
		"that has come too far":       {offered("TR", node(3), node(4), node(5), node(6), node(7), node(8), node(9), node(2)), false, false},
		"that has come as far as may": {offered("TR", node(3), node(4), node(5), node(6), node(7), node(8), node(2)), true, false},
	} {
		e := room()
		_, err := e.Receive("L", c.track)
		published := false
		for _, o := range e.Take() {
			_, is := o.(relay.Publish)
			published = published || is
		}
		if published != c.published || errors.Is(err, relay.ErrProtocol) != c.failed {
			t.Errorf("a track %s: published %t, error %v, want %t, %t", name, published, err, c.published, c.failed)
		}
		if !c.published && !c.failed && e.Tracks() != 0 {
			t.Errorf("a track %s is remembered", name)
		}
	}
}

func TestExchange_boundsTheTracksOfALink(t *testing.T) {
	e := room()
	for i := range relay.MaxTracks {
		if _, err := e.Receive("L", offered(fmt.Sprint(i), node(2))); err != nil {
			t.Fatalf("track %d: %v", i, err)
		}
		e.Take()
	}
	if _, err := e.Receive("L", offered("one more", node(2))); !errors.Is(err, relay.ErrProtocol) {
		t.Errorf("got %v, want an ErrProtocol", err)
	}
	e.LinkDown("L")
	if e.Take(); e.Tracks() != 0 {
		t.Errorf("%d tracks are left of a link that is down", e.Tracks())
	}
}

func TestExchange_strangeWishesAndTracksArePassedOver(t *testing.T) {
	e := room()
	e.SetLocal("mine", offered("", node(1)).Announcement)
	for _, m := range []relay.Message{
		relay.Want{Track: "nobody's", Wish: relay.Wish{Streams: 255}},
		relay.Want{Track: "mine", Wish: relay.Wish{Streams: 255}}, // it was not announced there
		relay.State{Track: "mine", Muted: true},
		relay.State{Track: "nobody's"},
	} {
		if stray, err := e.Receive("L", m); err != nil || !stray {
			t.Errorf("%+v: stray %t, %v, want a stray", m, stray, err)
		}
	}
	if out := e.Take(); len(out) != 0 {
		t.Errorf("got %+v, want nothing done", out)
	}
	if _, err := e.Receive("L", relay.Gone{Track: "mine"}); err != nil || !e.Local("mine") {
		t.Errorf("another node took a track of this one away: %v", err)
	}
	if stray, _ := e.Receive("closed", relay.Gone{Track: "mine"}); !stray {
		t.Error("a message on a link that is not there is no stray")
	}
}

// A wish for more streams than there are brings those there are.
func TestExchange_forwardsNoMoreThanThereIs(t *testing.T) {
	e := room()
	e.SetLocal("mine", offered("", node(1)).Announcement)
	if _, err := e.Receive("L", relay.Routes{Origins: []drtc.NodeID{node(1)}}); err != nil {
		t.Fatal(err)
	}
	e.Take()
	if _, err := e.Receive("L", relay.Want{Track: "mine", Wish: relay.Wish{Streams: 255, Quality: 200}}); err != nil {
		t.Fatal(err)
	}
	if out := e.Take(); len(out) != 1 {
		t.Errorf("got %+v, want one stream forwarded", out)
	}
}

func TestExchange_deliversEachPacketOnce(t *testing.T) {
	e := room()
	e.LinkUp("M", node(4), relay.Version2)
	if _, err := e.Receive("M", relay.Routes{Origins: []drtc.NodeID{node(3), node(1)}}); err != nil {
		t.Fatal(err)
	}
	d := relay.Data{Origin: node(3), Hops: 2, Sequence: 77, Packet: []byte("x")}
	deliver, onward, to := e.Relay("L", d)
	if !deliver || onward.Hops != 3 || len(to) != 1 || to[0] != "M" {
		t.Errorf("got %t, %+v to %v, want it delivered and passed on over M", deliver, onward, to)
	}
	if deliver, _, to := e.Relay("L", d); deliver || len(to) > 0 {
		t.Error("the same packet again was taken")
	}
	d.Sequence++
	if deliver, _, to := e.Relay("M", d); deliver || len(to) > 0 {
		t.Error("a packet was taken from a link by which its origin does not come")
	}
	d.Hops = relay.MaxPath
	if deliver, _, to := e.Relay("L", d); !deliver || len(to) > 0 {
		t.Errorf("the last hop: delivered %t, passed on to %v, want delivered alone", deliver, to)
	}
	if own, to := e.Originate([]byte("y")); own.Hops != 1 || len(to) != 1 || to[0] != "M" {
		t.Errorf("an own packet goes as %+v to %v, want to M, which asked for it", own, to)
	}
}
