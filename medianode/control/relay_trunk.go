package control

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/relay"
	"github.com/drtc-network/drtc/medianode/transport"
)

// The channels of a trunk (spec RELAY-4).
const (
	controlChannel       = "relay"
	relayReliableChannel = "relay-reliable"
	relayLossyChannel    = "relay-lossy"
)

// Bounds of a trunk's data channels: many clients' data go over it.
const (
	trunkDataRate      = 32 << 20 // bytes per second
	trunkDataMessages  = 20_000   // per second
	trunkQueue         = 8 << 20  // bytes
	trunkQueueMessages = 8192
)

// end is what this node is towards another: the credentials that it describes
// are those of its trunk, and of the next if there is none.
type end struct {
	peer  drtc.NodeID
	local engine.ICE
	// newest is when the description was issued that the last trunk was opened
	// with, Unix time in milliseconds.
	newest uint64
	trunk  *trunk // nil for none
	used   time.Time
}

// prepared is a description that this node has given.
type prepared struct {
	peer   drtc.NodeID
	room   string
	local  engine.ICE
	issued uint64
	at     time.Time
}

// trunk is the one association with another node.
type trunk struct {
	end         *end
	id          engine.PeerID
	core        *relay.Trunk
	remote      engine.ICE
	fingerprint transport.Fingerprint
	connected   bool
	links       map[relay.Name]*relayLink
	idle        time.Time // since when it has had no link
	frame       []byte    // messages that leave together
	tracks      map[drtc.TrackID]received
	// spare are SSRCs that were used and may be again, of video and of audio.
	spare map[bool][][2]uint32
}

// received is a track that comes over a trunk.
type received struct {
	room   *relayRoom
	origin drtc.NodeID
}

// endOf returns this node's end towards another.
func (r *relays) endOf(now time.Time, peer drtc.NodeID) *end {
	e := r.ends[peer]
	if e == nil {
		e = &end{peer: peer, local: freshICE()}
		r.ends[peer] = e
	}
	e.used = now
	return e
}

// trunkTo returns the trunk to the node of a description. A node that has begun
// anew since the present one was opened gets a new one.
func (r *relays) trunkTo(now time.Time, e *end, other remoteEnd, version uint8) (*trunk, error) {
	if k := e.trunk; k != nil {
		if k.remote == other.ice && k.fingerprint == other.fingerprint {
			return k, nil
		}
		if other.issued < e.newest {
			return nil, fmt.Errorf("%w: it is older than the one with which the present connection was opened", ErrDescription)
		}
		local := e.local
		r.endTrunk(k, "the other node has started anew")
		e.local = local // the other has been told of it
	}
	if len(r.trunks) >= maxTrunks {
		return nil, fmt.Errorf("this node has connections to %d others already", maxTrunks)
	}
	k := &trunk{
		end: e, id: r.service.newPeer(), core: relay.NewTrunk(now, r.self, e.peer, version), remote: other.ice, fingerprint: other.fingerprint,
		links: map[relay.Name]*relayLink{}, idle: now, tracks: map[drtc.TrackID]received{}, spare: map[bool][][2]uint32{},
	}
	if err := r.openTrunk(k, other); err != nil {
		return nil, err
	}
	r.trunks[k.id], e.trunk, e.newest = k, k, other.issued
	r.counts.trunks.Add(1)
	r.control(k, k.core.Hello())
	return k, nil
}

// openTrunk opens the association. The node with the lower id begins it.
func (r *relays) openTrunk(k *trunk, other remoteEnd) error {
	first := bytes.Compare(r.self[:], k.end.peer[:]) < 0
	cfg := transport.PeerConfig{
		PeerConfig: engine.PeerConfig{
			ID: k.id, Room: drtc.RoomID("relay/" + k.end.peer.String()), Receiver: meter.Relay, Relay: true, Hidden: true,
			Local: k.end.local, Remote: other.ice,
		},
		RemoteFingerprints: []transport.Fingerprint{other.fingerprint}, Active: first, SCTP: true,
		DataRate: trunkDataRate, DataMessages: trunkDataMessages, SendQueueBytes: trunkQueue, SendQueueMessages: trunkQueueMessages,
	}
	if first {
		cfg.Check = other.addresses
	}
	if err := r.service.media.Open(cfg); err != nil {
		return fmt.Errorf("control: opening a connection to node %s: %w", k.end.peer, err)
	}
	for id, label := range map[uint16]string{0: controlChannel, 2: relayReliableChannel, 4: relayLossyChannel} {
		ch := transport.ChannelConfig{Label: label, Negotiated: &id}
		if label == relayLossyChannel {
			ch.Unordered, ch.MaxRetransmits = true, new(uint16)
		}
		if err := r.service.media.OpenChannel(k.id, ch); err != nil {
			r.service.media.Close(k.id)
			return fmt.Errorf("control: opening a channel to node %s: %w", k.end.peer, err)
		}
	}
	return nil
}

// endTrunk ends the association and every link on it.
func (r *relays) endTrunk(k *trunk, reason string) {
	if r.trunks[k.id] != k {
		return
	}
	delete(r.trunks, k.id)
	r.counts.trunks.Add(-1)
	k.end.trunk, k.end.used = nil, time.Now()
	// Whoever has the old ones learns with the new that this end has begun anew.
	k.end.local = freshICE()
	r.service.media.Close(k.id)
	for _, l := range k.links {
		r.closeLink(l, reason)
	}
}

// fail ends a trunk whose other end can't be gone on with.
func (r *relays) fail(k *trunk, err error) {
	if errors.Is(err, relay.ErrProtocol) {
		r.counts.violations.Add(1)
	}
	r.endTrunk(k, err.Error())
}

// trunkState takes what the engine says of the association.
func (r *relays) trunkState(k *trunk, state engine.State) {
	was := k.connected
	k.connected = state == engine.StateConnected
	if was == k.connected {
		return
	}
	for _, l := range k.links {
		if l.up {
			r.tellState(l)
		}
	}
}

// control queues a message; it leaves with others of this turn.
func (r *relays) control(k *trunk, message []byte) {
	if message == nil {
		return
	}
	frame, ok := relay.AppendFrame(k.frame, message)
	if !ok {
		r.sendFrame(k)
		frame, _ = relay.AppendFrame(nil, message)
	}
	k.frame = frame
	r.counts.controlSent.Add(1)
}

func (r *relays) sendFrame(k *trunk) {
	frame := k.frame
	k.frame = nil
	if len(frame) == 0 || r.trunks[k.id] != k {
		return
	}
	if err := r.service.media.SendData(k.id, controlChannel, frame); errors.Is(err, transport.ErrSlowPeer) {
		r.fail(k, err)
	}
}

// receive takes a message from one of the channels.
func (r *relays) receive(k *trunk, label string, payload []byte) {
	var err error
	switch label {
	case controlChannel:
		err = r.receiveFrame(k, payload)
	case relayReliableChannel, relayLossyChannel:
		err = r.receiveData(k, label == relayReliableChannel, payload)
	default:
		err = fmt.Errorf("%w: a channel %.32q", relay.ErrProtocol, label)
	}
	if err != nil {
		r.fail(k, err)
	}
}

func (r *relays) receiveFrame(k *trunk, payload []byte) error {
	messages, err := relay.SplitFrame(payload)
	for i := 0; i < len(messages) && err == nil; i++ {
		r.counts.controlReceived.Add(1)
		err = r.receiveMessage(k, messages[i])
	}
	return err
}

func (r *relays) receiveMessage(k *trunk, b []byte) error {
	now := time.Now()
	a, err := k.core.Receive(now, b)
	if err != nil {
		return err
	}
	l := k.links[a.Name]
	switch {
	case l == nil:
		return nil
	case a.Up:
		r.linkUp(l)
	case a.Down:
		r.linkDown(l, a.Reason)
	case a.Message != nil:
		stray, err := l.room.exchange.Receive(l.id(), a.Message)
		r.act(l.room)
		if err != nil {
			return err
		}
		if stray {
			return k.core.Stray(now)
		}
	}
	return nil
}

func (r *relays) receiveData(k *trunk, reliable bool, payload []byte) error {
	name, d, ok, err := k.core.ReceiveData(time.Now(), payload)
	l := k.links[name]
	if err != nil || !ok || l == nil {
		return err
	}
	deliver, onward, to := l.room.exchange.Relay(l.id(), d)
	if !deliver {
		r.counts.packetsDropped.Add(1)
		return nil
	}
	r.counts.packetsReceived.Add(1)
	r.service.deliverAll(l.room.id, reliable, d.Packet)
	r.sendData(l.room, to, reliable, onward)
	return nil
}

// sendData passes a data packet on. One for which a channel has no room is lost:
// media matters more than the end of the trunk would help.
func (r *relays) sendData(m *relayRoom, to []relay.Link, reliable bool, d relay.Data) {
	label := relayLossyChannel
	if reliable {
		label = relayReliableChannel
	}
	for _, id := range to {
		l := m.links[id]
		if l == nil {
			continue
		}
		b := l.trunk.core.EncodeData(l.name, d)
		if b == nil {
			continue
		}
		if err := r.service.media.SendData(l.trunk.id, label, b); err != nil {
			r.counts.packetsDropped.Add(1)
			continue
		}
		r.counts.packetsSent.Add(1)
	}
}

// tellState reports whether a link that is open at both ends is connected.
func (r *relays) tellState(l *relayLink) {
	state := medianodev1.RelayState_STATE_DISCONNECTED
	if l.trunk.connected {
		state = medianodev1.RelayState_STATE_CONNECTED
	}
	if state == l.told || l.told == medianodev1.RelayState_STATE_UNSPECIFIED && !l.trunk.connected {
		return
	}
	l.told = state
	r.service.announce(l.key.owner, l.room.id, l.stateEvent(state, ""))
}
