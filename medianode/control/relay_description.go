package control

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/transport"
)

// How long a description is good, and how far the clocks of two nodes may be
// apart (spec RELAY-2).
const (
	descriptionLife = 2 * time.Minute
	descriptionSkew = 5 * time.Second
	maxDescription  = 4 << 10 // bytes
	maxAddresses    = 16
	descriptionSalt = "drtc relay description\n"
)

// ErrDescription is why the description of another node is not taken.
var ErrDescription = errors.New("control: relay description")

// signDescription makes a description what its node says.
func signDescription(key *identity.Key, d *medianodev1.RelayDescription) (*medianodev1.SignedDescription, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("control: relay description: %w", err)
	}
	signature := key.SignMessage(append([]byte(descriptionSalt), b...))
	return &medianodev1.SignedDescription{Description: b, Signature: signature[:]}, nil
}

// remoteEnd is what a description says of the other end of a link.
type remoteEnd struct {
	ice         engine.ICE
	fingerprint transport.Fingerprint
	addresses   []netip.AddrPort
	issued      uint64 // Unix time, milliseconds
	versions    [2]uint8
}

// order is a link as its Orchestrator names it to one of the two nodes.
type order struct {
	self, peer, owner drtc.NodeID
	link, room        string
}

// read checks a description that an Orchestrator brings from the other end: made
// by that, for this node, for this link and this Orchestrator, and just now.
func (o order) read(now time.Time, m *medianodev1.SignedDescription) (remoteEnd, error) {
	fail := func(format string, args ...any) (remoteEnd, error) {
		return remoteEnd{}, fmt.Errorf("%w: %s", ErrDescription, fmt.Sprintf(format, args...))
	}
	if n := len(m.GetDescription()); n == 0 || n > maxDescription || len(m.GetSignature()) != len(identity.Signature{}) {
		return fail("want 1 to %d bytes and a signature of 65, got %d and %d", maxDescription, n, len(m.GetSignature()))
	}
	signer, err := identity.RecoverMessage(append([]byte(descriptionSalt), m.Description...), identity.Signature(m.Signature))
	if err != nil || signer.ID() != o.peer {
		return fail("not signed by %s", o.peer)
	}
	d := &medianodev1.RelayDescription{}
	if err := proto.Unmarshal(m.Description, d); err != nil {
		return fail("malformed")
	}
	for _, f := range []struct{ field, got, want string }{
		{"node", d.Node, o.peer.String()}, {"peer", d.Peer, o.self.String()}, {"orchestrator", d.Orchestrator, o.owner.String()},
		{"link", d.Link, o.link}, {"room", d.Room, o.room},
	} {
		if f.got != f.want {
			return fail("%s: it is for %.64q, want %.64q", f.field, f.got, f.want)
		}
	}
	issued := time.UnixMilli(int64(min(d.IssuedAtMs, 1<<62)))
	switch {
	case now.Sub(issued) > descriptionLife:
		return fail("it expired %s ago: prepare the link again", (now.Sub(issued) - descriptionLife).Round(time.Millisecond))
	case issued.Sub(now) > descriptionSkew:
		return fail("it was issued %s from now: set the clocks", issued.Sub(now).Round(time.Millisecond))
	}
	return readEnd(d)
}

func readEnd(d *medianodev1.RelayDescription) (end remoteEnd, err error) {
	fail := func(format string, args ...any) (remoteEnd, error) {
		return remoteEnd{}, fmt.Errorf("%w: %s", ErrDescription, fmt.Sprintf(format, args...))
	}
	end.issued = d.IssuedAtMs
	if end.fingerprint, err = transport.ParseFingerprint("sha-256 " + colons(d.Fingerprint)); err != nil {
		return fail("fingerprint: want 32 bytes, got %d", len(d.Fingerprint))
	}
	if len(d.Ufrag) < 4 || len(d.Ufrag) > 64 || len(d.Pwd) < 22 || len(d.Pwd) > 64 {
		return fail("ufrag, pwd: want 4 and 22 to 64 characters")
	}
	end.ice = engine.ICE{Ufrag: d.Ufrag, Pwd: d.Pwd}
	if d.MinVersion < 1 || d.MaxVersion < d.MinVersion || d.MaxVersion > 255 {
		return fail("min_version, max_version: want 1 to 255 in order, got %d and %d", d.MinVersion, d.MaxVersion)
	}
	end.versions = [2]uint8{uint8(d.MinVersion), uint8(d.MaxVersion)}
	if len(d.Addresses) < 1 || len(d.Addresses) > maxAddresses {
		return fail("addresses: want 1 to %d, got %d", maxAddresses, len(d.Addresses))
	}
	for i, text := range d.Addresses {
		a, err := netip.ParseAddrPort(text)
		if err != nil || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Zone() != "" {
			return fail("addresses[%d]: want ip:port of a host, got %.64q", i, text)
		}
		end.addresses = append(end.addresses, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	return end, nil
}

// colons writes bytes as SDP does.
func colons(b []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", b), " ", ":")
}

// common is the version of the protocol that two nodes speak with each other.
func common(ours, theirs [2]uint8) (uint8, error) {
	version := min(ours[1], theirs[1])
	if version < max(ours[0], theirs[0]) {
		return 0, fmt.Errorf("no version of the relay protocol in common: this node speaks %d to %d, the other %d to %d",
			ours[0], ours[1], theirs[0], theirs[1])
	}
	return version, nil
}

// spoken are the versions that a node speaks whose newest is newest.
func spoken(newest uint8) [2]uint8 { return [2]uint8{max(newest, 2) - 1, newest} }

func freshICE() engine.ICE {
	ice := newICE()
	return engine.ICE{Ufrag: ice.Ufrag, Pwd: ice.Pwd}
}

func random64() (v uint64) {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
