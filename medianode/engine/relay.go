package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/compound"
	"github.com/drtc-network/drtc/medianode/engine/level"
)

// A relay peer is another Media Node (whitepaper 4.3.1 to 4.3.3). What goes to
// it are relay layers: subscriptions of one layer each, which the other node
// publishes as a client would. So each hop is a publisher and a subscriber like
// any other, and what repairs and reports is of that hop alone.
//
//	client ──▶ layer ──▶ relay layer ──▶ (trunk) ──▶ layer ──▶ viewers
//	                                                       └─▶ relay layer ──▶ ...

// RelayConfig is one layer of a track that is forwarded as it is to a relay
// peer.
type RelayConfig struct {
	Track drtc.TrackID
	// Layer is its index, 0 the lowest. Of a track that comes in one stream it is
	// 0, and of a scalable one Quality says which spatial layers are carried.
	Layer int
	// Quality is the highest wanted spatial layer of a scalable track plus one; 0
	// for all.
	Quality int
	// Home is the core in which the track is published.
	Home CoreID
	// Room is that of the track.
	Room drtc.RoomID
	// Application pays for the bytes.
	Application string
	// SSRC and RTX are what the other node will see. RTX may be zero where Codec
	// has no retransmission. A layer that is forwarded again, or another once the
	// far end does not await the old any more, may go on with those that were used
	// before, always as a pair: then the numbers go on too. A peer can't be sent
	// more than 32,768 in all.
	SSRC, RTX  uint32
	Codec      PayloadType
	Extensions ExtensionIDs
	// AudioGroup names the layers whose audio shares a limit (SetAudioLimit). It means
	// nothing for video.
	AudioGroup string
}

// relayName names a relay layer of a peer.
type relayName struct {
	track drtc.TrackID
	layer int
}

// relayed is what a subscription has beside others that forwards one layer to
// another node. It is never lowered, and has no settings of a viewer.
type relayed struct {
	name    relayName
	account *account
	// carriage is which layers of a scalable stream go.
	carriage carriage
}

// trunk is what a relay peer has beside others.
type trunk struct {
	layers map[relayName]*subscription
	// numbers are all SSRCs that were ever used, with the subscription that is
	// forwarded with them, or was.
	numbers  map[uint32]*subscription
	accounts map[accountName]*account
	rooms    map[drtc.RoomID]*carried
	groups   map[string]*level.Loudest
	sections map[string]*section // by mid
	awake    []*track            // that are published and looked after (sleep.go)
}

func newTrunk() *trunk {
	return &trunk{
		layers:   map[relayName]*subscription{},
		numbers:  map[uint32]*subscription{},
		accounts: map[accountName]*account{},
		rooms:    map[drtc.RoomID]*carried{},
		groups:   map[string]*level.Loudest{},
		sections: map[string]*section{},
	}
}

func (c *Core) relayPeer(id PeerID) (*peer, error) {
	p := c.peers[id]
	if p == nil {
		return nil, fmt.Errorf("%w: %d", ErrPeer, id)
	}
	if p.trunk == nil {
		return nil, fmt.Errorf("%w: %d", ErrRelay, id)
	}
	return p, nil
}

// RelayLayer forwards one layer of a track to a relay peer, which has to know
// the SSRCs by now. Doing it again changes Quality, Home, Codec and Extensions;
// SSRC, RTX, Room, Application and AudioGroup stay.
//
// It fails with ErrPeer, ErrRelay, ErrTrack, ErrOtherRoom, ErrLayer, ErrCore or
// ErrSSRC, and then changes nothing.
func (c *Core) RelayLayer(now time.Time, id PeerID, cfg RelayConfig) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	if cfg.Layer < 0 || cfg.Layer >= maxLayers {
		return fmt.Errorf("%w: Layer: want 0 to %d, got %d", ErrLayer, maxLayers-1, cfg.Layer)
	}
	name := relayName{cfg.Track, cfg.Layer}
	s := p.trunk.layers[name]
	if s == nil {
		if err := p.trunk.free(p, cfg); err != nil {
			return err
		}
	} else if s.ssrc != cfg.SSRC || s.rtxSSRC != cfg.RTX {
		return fmt.Errorf("%w: layer %d of %s has %d and %d", ErrSSRC, cfg.Layer, cfg.Track, s.ssrc, s.rtxSSRC)
	}
	t, err := c.findTrack(cfg.Room, cfg.Track, cfg.Home)
	if err != nil {
		return err
	}
	if t.peer == p {
		return fmt.Errorf("%w: %s comes from that peer", ErrTrack, cfg.Track)
	}
	if known := t.mirror == nil || t.mirror.known; known && cfg.Layer >= len(t.layers) {
		c.releaseMirror(t)
		return fmt.Errorf("%w: %d of %s", ErrLayer, cfg.Layer, cfg.Track)
	}
	begins := s == nil
	if begins {
		s = c.enlist(p, name, cfg)
	}
	if s.track != t {
		seen := s.seen // nothing twice, if it was the same before
		c.watch(s, t)
		s.seen = seen
		begins = true
	}
	s.settings.MaxLayer = cfg.Quality
	anew := s.carry(c, SendSection{Track: cfg.Track, Codec: cfg.Codec, Extensions: cfg.Extensions, Active: true})
	if begins || anew {
		s.firstUntil = now.Add(firstPicture)
		s.begin(now)
	}
	s.choose(now)
	return nil
}

// free reports whether the SSRCs of a new relay layer can be used: they are new,
// or a pair that rests.
func (k *trunk) free(p *peer, cfg RelayConfig) error {
	used, usedRTX := k.numbers[cfg.SSRC], k.numbers[cfg.RTX]
	resting := used != nil && used.track == nil && used.ssrc == cfg.SSRC && used.rtxSSRC == cfg.RTX
	switch {
	case resting:
		return nil
	case cfg.SSRC == 0 || cfg.SSRC == cfg.RTX || cfg.RTX == 0 && cfg.Codec.RTXNumber != 0,
		used != nil, usedRTX != nil, cfg.SSRC == p.reporter, cfg.RTX == p.reporter:
		return fmt.Errorf("%w: %d and %d", ErrSSRC, cfg.SSRC, cfg.RTX)
	case len(k.numbers) >= maxRelaySources-1:
		return fmt.Errorf("%w: %d were used, take those of layers that have ended", ErrSSRC, len(k.numbers))
	}
	return nil
}

// enlist makes the subscription of a relay layer, or wakes the one whose SSRCs
// it takes: no number may be sent twice, and what the other node knows of a
// stream must go on.
func (c *Core) enlist(p *peer, name relayName, cfg RelayConfig) *subscription {
	k := p.trunk
	s := k.numbers[cfg.SSRC]
	if s == nil {
		s = &subscription{peer: p, ssrc: cfg.SSRC, rtxSSRC: cfg.RTX}
		k.numbers[s.ssrc] = s
		if s.rtxSSRC != 0 {
			k.numbers[s.rtxSSRC] = s
		}
	}
	before := s.relay
	s.relay = &relayed{name: name, account: k.account(cfg.Room, cfg.Application)}
	s.relay.account.carried.layers++
	if before != nil && before.account != s.relay.account && s.stream != nil {
		s.bytes = s.relay.account.meter.Stream()
	}
	if cfg.AudioGroup != "" {
		s.voice = k.group(cfg.AudioGroup).Add()
	}
	c.overload.enrol(s)
	k.layers[name] = s
	p.bySSRC[s.ssrc] = s
	if s.rtxSSRC != 0 {
		p.bySSRC[s.rtxSSRC] = s
	}
	p.subscriptions = append(p.subscriptions, s)
	return s
}

// rest takes a relay layer that ends out of what the peer is sent. What is left
// knows the numbers that were used.
func (k *trunk) rest(s *subscription) {
	delete(k.layers, s.relay.name)
	s.relay.account.carried.layers--
	if s.voice != nil {
		s.voice.Leave()
		s.voice = nil
	}
	s.remember()
	s.track, s.current, s.target, s.waiting, s.ready = nil, nil, nil, true, false
	s.sent, s.selector, s.shedding = nil, nil, shedding{}
}

// StopRelayLayer ends the forwarding of a layer. It fails with ErrPeer, ErrRelay,
// or ErrSubscription if the layer is not forwarded: its track may have ended.
func (c *Core) StopRelayLayer(now time.Time, id PeerID, track drtc.TrackID, layer int) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	s := p.trunk.layers[relayName{track, layer}]
	if s == nil {
		return fmt.Errorf("%w: layer %d of %s", ErrSubscription, layer, track)
	}
	c.removeSubscription(now, s)
	return nil
}

// EndRelay ends all that a relay peer is sent of a room and publishes in it, and
// forgets its figures.
func (c *Core) EndRelay(now time.Time, id PeerID, room drtc.RoomID) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	for _, s := range slices.Clone(p.subscriptions) {
		if s.relay != nil && s.relay.account.name.room == room {
			c.removeSubscription(now, s)
		}
	}
	for _, t := range slices.Clone(p.tracks) {
		if t.room() == room {
			c.removeTrack(now, t)
		}
	}
	c.closeAccounts(p, room)
	return nil
}

// fixed is the layer that a relay layer forwards, nil as long as it is not
// known.
func (s *subscription) fixed() *layer {
	if i := s.relay.name.layer; i < len(s.track.layers) {
		return s.track.layers[i]
	}
	return nil
}

// chooseFixed is choose for a relay layer, which has no other to go to.
func (s *subscription) chooseFixed(now time.Time) {
	l := s.fixed()
	switch {
	case l == nil || s.shedding.paused:
	case !s.track.allows(l):
		if s.target != nil {
			s.target = nil
			s.pause()
		}
	case s.target != l && (l.live || !s.track.cfg.Video):
		s.target = l
		s.seek(now, l)
	}
}

// announceClock sends a sender report before the first packet of a relay layer:
// the other node's viewers may begin with that packet, and go on from another
// layer in the publisher's time.
func (c *Core) announceClock(now time.Time, s *subscription, batch *Batch) {
	if s.relay == nil || s.current.clock.IsZero() {
		return
	}
	c.sendRTCP(s.peer, compound.AppendSenderReport(c.out[:0], s.sender.Announce(now)), batch)
}

// group returns the audio layers of a name, which share a limit.
func (k *trunk) group(name string) *level.Loudest {
	g := k.groups[name]
	if g == nil {
		g = level.NewLoudest()
		k.groups[name] = g
	}
	return g
}

// SetAudioLimit has only the loudest so many of a group's audio layers sent to a
// relay peer: who has begun goes on until another is clearly louder. 0 is for all
// of them. The limit stays until it is changed, also without layers.
func (c *Core) SetAudioLimit(now time.Time, id PeerID, group string, limit int) error {
	p, err := c.relayPeer(id)
	if err != nil {
		return err
	}
	g := p.trunk.group(group)
	g.SetLimit(now, limit)
	if limit <= 0 && g.Empty() {
		delete(p.trunk.groups, group)
	}
	return nil
}
