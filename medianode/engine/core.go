package engine

import (
	"net/netip"
	"time"

	"github.com/drtc-network/drtc"
)

// PeerID names one transport of a session within a Core.
type PeerID uint64

// ICE is one side's credentials (RFC 8445 section 5.3).
type ICE struct {
	Ufrag string
	Pwd   string
}

// PeerConfig opens a peer.
type PeerConfig struct {
	ID      PeerID
	Session drtc.SessionID
	Room    drtc.RoomID
	// Application pays for the bytes.
	Application string
	Local       ICE
	Remote      ICE
	// Hidden peers are never speakers.
	Hidden bool
}

// AddPeer opens a peer. It fails if the id or the local ufrag is taken.
func (c *Core) AddPeer(now time.Time, cfg PeerConfig) error { return nil }

// RestartICE gives a peer new credentials (RFC 8445 section 9). The old ones
// stay good until the first authenticated check with the new.
func (c *Core) RestartICE(now time.Time, id PeerID, local, remote ICE) error { return nil }

// Protect lends the peer its keys; media flows from now on.
func (c *Core) Protect(now time.Time, id PeerID, p Protection, batch *Batch) error { return nil }

// RemovePeer ends a peer, its tracks and its subscriptions.
func (c *Core) RemovePeer(now time.Time, id PeerID) {}

// Address is where datagrams for the peer go; invalid before the first
// authenticated check.
func (c *Core) Address(id PeerID) netip.AddrPort { return netip.AddrPort{} }

// HandleDatagram takes one datagram from the network. It never keeps b.
func (c *Core) HandleDatagram(now time.Time, from netip.AddrPort, b []byte, batch *Batch) {}

// HandleTimeout does the work that is due.
func (c *Core) HandleTimeout(now time.Time, batch *Batch) {}

// NextTimeout is when HandleTimeout wants to be called next; zero for never.
func (c *Core) NextTimeout() time.Time { return time.Time{} }

// Poll returns the next event, until there is none.
func (c *Core) Poll() (Event, bool) { return nil, false }

// Core is the media engine of one worker.
type Core struct{}

// Config of a Core. The zero value of a field means its default.
type Config struct {
}

// New makes an empty Core.
func New(cfg Config) *Core { return &Core{} }
