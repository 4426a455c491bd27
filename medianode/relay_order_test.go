package medianode_test

import (
	"crypto/rand"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/identity"
)

// impostor is the other end of a link of which only the key exists.
type impostor struct {
	t    *testing.T
	key  *identity.Key
	self *site
	c    *commander
}

// describes is a description that all is right with.
func (i *impostor) describes() *medianodev1.RelayDescription {
	return &medianodev1.RelayDescription{
		Link: "L", Room: "RM_1", Node: i.key.ID().String(), Peer: i.self.node.ID().String(), Orchestrator: i.c.key.ID().String(),
		Addresses: []string{"127.0.0.1:9"}, Fingerprint: make([]byte, 32), Ufrag: "abcdefgh", Pwd: "abcdefghabcdefghabcdefgh",
		MinVersion: 1, MaxVersion: 2, IssuedAtMs: uint64(time.Now().UnixMilli()),
	}
}

// signs is spec RELAY-1 by hand.
func (i *impostor) signs(d *medianodev1.RelayDescription) *medianodev1.SignedDescription {
	b, err := proto.Marshal(d)
	if err != nil {
		i.t.Fatal(err)
	}
	signature := i.key.SignMessage(append([]byte("drtc relay description\n"), b...))
	return &medianodev1.SignedDescription{Description: b, Signature: signature[:]}
}

func (i *impostor) opens(link string, of *medianodev1.SignedDescription) (uint32, error) {
	i.t.Helper()
	r, err := i.self.OpenRelay(i.t.Context(), connect.NewRequest(&medianodev1.OpenRelayRequest{
		Link: link, Room: "RM_1", Peer: i.key.ID().String(), Description: of, Application: "shop",
	}))
	if err != nil {
		return 0, err
	}
	return r.Msg.Version, nil
}

func (i *impostor) prepares(link string) *medianodev1.RelayDescription {
	i.t.Helper()
	signed := call(i.self.orchestrator, i.self.PrepareRelay, &medianodev1.PrepareRelayRequest{Link: link, Room: "RM_1", Peer: i.key.ID().String()}).Description
	d := &medianodev1.RelayDescription{}
	if err := proto.Unmarshal(signed.Description, d); err != nil {
		i.t.Fatal(err)
	}
	signer, err := identity.RecoverMessage(append([]byte("drtc relay description\n"), signed.Description...), identity.Signature(signed.Signature))
	if err != nil || signer.ID() != i.self.node.ID() {
		i.t.Fatalf("the node's description is not signed by it: %v", err)
	}
	return d
}

func newImpostor(t *testing.T) *impostor {
	t.Helper()
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := newCommander(t)
	return &impostor{t: t, key: key, self: c.add(nil), c: c}
}

func TestOpenRelay_takesNoDescriptionButThePeersOwn(t *testing.T) {
	i := newImpostor(t)
	if d := i.prepares("L"); d.Peer != i.key.ID().String() || d.Orchestrator != i.c.key.ID().String() || len(d.Fingerprint) != 32 || len(d.Addresses) == 0 {
		t.Errorf("the node describes itself as %v", d)
	}
	changed := func(change func(*medianodev1.RelayDescription)) *medianodev1.SignedDescription {
		d := i.describes()
		change(d)
		return i.signs(d)
	}
	stranger := newCommander(t).key
	forged := i.signs(i.describes())
	signature := stranger.SignMessage(append([]byte("drtc relay description\n"), forged.Description...))
	forged.Signature = signature[:]
	altered := i.signs(i.describes())
	altered.Description = append(altered.Description, 0x40, 1)
	for name, c := range map[string]struct {
		of   *medianodev1.SignedDescription
		says string
	}{
		"none":                     {nil, "want 1 to"},
		"signed by another":        {forged, "not signed by"},
		"altered on the way":       {altered, "not signed by"},
		"for another link":         {changed(func(d *medianodev1.RelayDescription) { d.Link = "M" }), "link:"},
		"for another room":         {changed(func(d *medianodev1.RelayDescription) { d.Room = "RM_2" }), "room:"},
		"for another node":         {changed(func(d *medianodev1.RelayDescription) { d.Peer = stranger.ID().String() }), "peer:"},
		"of another node":          {changed(func(d *medianodev1.RelayDescription) { d.Node = stranger.ID().String() }), "node:"},
		"for another Orchestrator": {changed(func(d *medianodev1.RelayDescription) { d.Orchestrator = stranger.ID().String() }), "orchestrator:"},
		"expired": {changed(func(d *medianodev1.RelayDescription) {
			d.IssuedAtMs -= 121_000
		}), "expired"},
		"of the future":       {changed(func(d *medianodev1.RelayDescription) { d.IssuedAtMs += 60_000 }), "clocks"},
		"without credentials": {changed(func(d *medianodev1.RelayDescription) { d.Ufrag = "" }), "ufrag"},
		"without fingerprint": {changed(func(d *medianodev1.RelayDescription) { d.Fingerprint = nil }), "fingerprint"},
		"without address":     {changed(func(d *medianodev1.RelayDescription) { d.Addresses = nil }), "addresses"},
		"of no host":          {changed(func(d *medianodev1.RelayDescription) { d.Addresses = []string{"0.0.0.0:1"} }), "addresses"},
		"of a later protocol": {changed(func(d *medianodev1.RelayDescription) { d.MinVersion, d.MaxVersion = 3, 4 }), "version"},
	} {
		if _, err := i.opens("L", c.of); connect.CodeOf(err) != connect.CodeFailedPrecondition || !contains(err, c.says) {
			t.Errorf("a description %s: got %v, want failed_precondition with %q", name, err, c.says)
		}
	}
	version, err := i.opens("L", i.signs(i.describes()))
	if err != nil || version != 2 {
		t.Errorf("the right one: got version %d, %v", version, err)
	}
	if _, err := i.opens("never prepared", changed(func(d *medianodev1.RelayDescription) { d.Link = "never prepared" })); !contains(err, "PrepareRelay") {
		t.Errorf("a link that was not prepared: got %v", err)
	}
}

// A node that has begun anew says so with new credentials: the connection that
// was is ended, with all its links, and what came from before is not taken.
func TestOpenRelay_followsANodeThatBeganAnew(t *testing.T) {
	i := newImpostor(t)
	before := i.describes()
	mine := i.prepares("L")
	if _, err := i.opens("L", i.signs(before)); err != nil {
		t.Fatal(err)
	}
	// Another link of another room on the same connection.
	stranger := newCommander(t)
	other := &site{orchestrator: command(t, i.self.node, stranger.key), node: i.self.node}
	other.follow(t)
	k := &impostor{t: t, key: i.key, self: other, c: stranger}
	k.prepares("L")
	if _, err := k.opens("L", k.signs(k.describes())); err != nil {
		t.Fatal(err)
	}

	if again := i.prepares("L"); again.Ufrag != mine.Ufrag || again.Pwd != mine.Pwd {
		t.Error("the node describes its present connection otherwise than before")
	}
	after := i.describes()
	after.Ufrag, after.IssuedAtMs = "anothername", before.IssuedAtMs+1000
	mark := i.self.events.mark()
	if _, err := i.opens("L", i.signs(after)); err != nil {
		t.Fatal(err)
	}
	i.self.events.await("end of the link that was", mark, linkState("L", medianodev1.RelayState_STATE_CLOSED))
	other.events.await("end of the other's", 0, linkState("L", medianodev1.RelayState_STATE_CLOSED))

	i.prepares("L")
	replayed := i.describes()
	replayed.IssuedAtMs = before.IssuedAtMs
	if _, err := i.opens("L", i.signs(replayed)); connect.CodeOf(err) != connect.CodeFailedPrecondition || !contains(err, "older") {
		t.Errorf("the description from before: got %v, want failed_precondition", err)
	}
}

func TestRelayCalls_nameWhatIsWrong(t *testing.T) {
	i := newImpostor(t)
	peer := i.key.ID().String()
	long := string(make([]byte, 65))
	for field, m := range map[string]*medianodev1.PrepareRelayRequest{
		"link":       {Room: "r", Peer: peer},
		"room":       {Link: "L", Room: long, Peer: peer},
		"peer":       {Link: "L", Room: "r", Peer: "nobody"},
		"peer: want": {Link: "L", Room: "r", Peer: i.self.node.ID().String()},
	} {
		_, err := i.self.PrepareRelay(t.Context(), connect.NewRequest(m))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, field) {
			t.Errorf("%s: got %v, want invalid_argument that names it", field, err)
		}
	}
	for field, m := range map[string]*medianodev1.SetRelayRoutesRequest{
		"room":             {},
		"routes[0]":        {Room: "r", Routes: []*medianodev1.RelayRoute{{Origin: "x", Link: "L"}}},
		"routes[1].origin": {Room: "r", Routes: []*medianodev1.RelayRoute{{Origin: peer, Link: "L"}, {Origin: peer, Link: "M"}}},
		"routes":           {Room: "r", Routes: make([]*medianodev1.RelayRoute, 2049)},
	} {
		_, err := i.self.SetRelayRoutes(t.Context(), connect.NewRequest(m))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !contains(err, field) {
			t.Errorf("%s: got %v, want invalid_argument that names it", field, err)
		}
	}
}
