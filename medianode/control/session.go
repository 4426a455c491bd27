package control

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/transport"
)

// permissions of a session's participant.
type permissions struct{ publish, subscribe, publishData, hidden bool }

// secluded reports whether the participant may do nothing at all, as one who
// waits to be let in: what is said to everybody is not for it.
func (p permissions) secluded() bool { return p == permissions{} }

// session is one participant's presence on the node.
type session struct {
	owner       drtc.NodeID
	id          drtc.SessionID
	room        drtc.RoomID // scoped by owner
	participant drtc.ParticipantID
	identity    drtc.Identity
	payer       Payer
	dual        bool
	guest       bool // see guest.go
	unreported  bool // its figures are told to who asks for them only
	offers      *rate.Limiter

	mu           sync.Mutex
	perms        permissions
	publisher    *leg // the only transport of a single session
	subscriber   *leg // the same leg in a single session
	published    map[drtc.TrackID]*publication
	wanted       map[drtc.TrackID]*want
	seats        map[drtc.TrackID]*seat
	lastReliable uint32
	channels     []transport.ChannelConfig // that the client has from another node
	closed       bool
	up, down     engine.Figures // of a dual session's transports, as last reported
}

// leg is one transport of a session.
type leg struct {
	peer     engine.PeerID
	describe *negotiate.Transport
	open     bool
}

// publication is a track that the session publishes.
type publication struct {
	id    drtc.TrackID
	cid   string // client-side id, as announced
	mime  string // codec that the client wishes to send, may be empty
	mid   string
	kind  negotiate.Kind
	codec negotiate.Codec // most likely
	// codecs are all that the client may send.
	codecs []negotiate.Codec
	muted  bool
	sizes  []engine.LayerSize
	rids   []string      // of simulcast layers, in the client's order
	from   engine.PeerID // that sends the source of an alias
}

// track is an entry of the node's index of published tracks.
type track struct {
	session *session // of the client; nil if that is on another node
	room    drtc.RoomID
	peer    engine.PeerID // from which it comes
	kind    negotiate.Kind
	codec   negotiate.Codec // most likely; the real one from the first packet on
	codecs  []negotiate.Codec
	pending bool // claimed, and not in the engine yet
	// displaces says that another node's track had the id until now, since the
	// client was there.
	displaces bool
	// What other nodes are told besides.
	mime  string // of the media that came last
	rids  []string
	sizes []engine.LayerSize
	muted bool
	// Of the media that came last.
	mid    string
	layers []engine.LayerSource
	// Of an alias, its source and whether it is muted itself; of a source, its
	// aliases.
	of      drtc.TrackID
	hushed  bool
	aliases []drtc.TrackID
}

// want is a subscription of the session.
type want struct {
	id        drtc.TrackID
	kind      negotiate.Kind
	publisher engine.PeerID // who sends the track
	stream    string
	settings  engine.Settings
	ssrc      uint32
	rtx       uint32
	// kept: the client has the section from another node, and the engine a seat
	// under the track's id (see restore.go).
	kept     bool
	promised bool            // nobody has subscribed to it yet
	shown    bool            // the track is here
	format   negotiate.Codec // in which it is sent, while shown
}

func (w *want) config(home engine.CoreID) engine.SubscribeConfig {
	return engine.SubscribeConfig{Track: w.id, Home: home, SSRC: w.ssrc, RTX: w.rtx, Settings: w.settings}
}

// freshSSRC chooses a number that no other subscription of the session has; the
// caller holds e.mu.
func (s *session) freshSSRC() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:])
		v := binary.BigEndian.Uint32(b[:])
		taken := v == 0
		for _, w := range s.wanted {
			taken = taken || w.ssrc == v || w.rtx == v
		}
		for _, st := range s.seats {
			taken = taken || st.ssrc == v || st.rtx == v
		}
		if !taken {
			return v
		}
	}
}

// scoped keeps the rooms of different owners apart.
func scoped(owner drtc.NodeID, room string) drtc.RoomID {
	return drtc.RoomID(owner.String() + "/" + room)
}

func newICE() negotiate.ICE {
	b := make([]byte, 24)
	rand.Read(b) // never fails (crypto/rand, Go 1.24)
	text := base64.RawURLEncoding.EncodeToString(b)
	safe := func(s string) string { // ice-char is alphanumeric, + and /
		out := []byte(s)
		for i, c := range out {
			switch c {
			case '-':
				out[i] = '+'
			case '_':
				out[i] = '/'
			}
		}
		return string(out)
	}
	return negotiate.ICE{Ufrag: safe(text[:8]), Pwd: safe(text[8:])}
}

// newLeg makes a transport that exists on paper until its first negotiation.
func newLeg(cfg Config, peer engine.PeerID, role negotiate.Role) (*leg, error) {
	t, err := negotiate.New(negotiate.Config{
		Role: role, Candidates: cfg.Candidates, Fingerprint: cfg.Fingerprint, NewICE: newICE, MaxMessageSize: maxPacket,
	})
	if err != nil {
		return nil, fmt.Errorf("control: session transport: %w", err)
	}
	return &leg{peer: peer, describe: t}, nil
}

// apply takes an agreement into the engine and the transport shell. The first
// one opens the peer.
func (s *session) apply(media Media, l *leg, a negotiate.Agreement) error {
	opened := !l.open
	if err := s.secure(media, l, a); err != nil {
		return err
	}
	var subscribes []engine.SubscribeConfig
	if l == s.subscriber && opened {
		for _, w := range s.wanted {
			if w.kept {
				continue
			}
			if home, err := media.Home(w.publisher); err == nil { // else it has ended
				subscribes = append(subscribes, w.config(home))
			}
		}
	}
	var failed error
	err := media.Do(l.peer, func(now time.Time, c *engine.Core, _ *engine.Batch) {
		note := func(err error) {
			if failed == nil {
				failed = err
			}
		}
		if l == s.publisher {
			note(c.SetReceive(now, l.peer, receiveSections(a.Receive)))
			for _, p := range s.published {
				note(c.Publish(now, l.peer, p.config()))
			}
		}
		for _, cfg := range subscribes {
			if err := c.Subscribe(now, l.peer, cfg); !errors.Is(err, engine.ErrTrack) { // it may have ended
				note(err)
			}
		}
		if l == s.subscriber {
			for _, st := range s.seats {
				note(c.OpenSeat(now, l.peer, st.config()))
			}
			for _, w := range s.wanted {
				if w.kept {
					note(w.open(now, c, l.peer))
				}
			}
			note(c.SetSend(now, l.peer, s.sendSections(a.Send)))
		}
	})
	return errors.Join(err, failed)
}

// secure opens the peer of a leg at its first agreement and hands later ones
// over: an ICE restart, or data channels that were not there before.
func (s *session) secure(media Media, l *leg, a negotiate.Agreement) error {
	local := engine.ICE{Ufrag: a.Local.Ufrag, Pwd: a.Local.Pwd}
	remote := engine.ICE{Ufrag: a.Remote.Ufrag, Pwd: a.Remote.Pwd}
	var prints []transport.Fingerprint
	for _, f := range a.RemoteFingerprints {
		fingerprint, err := transport.ParseFingerprint(f.String())
		if err != nil {
			return fmt.Errorf("control: certificate of the client: %w", err)
		}
		prints = append(prints, fingerprint)
	}
	if l.open {
		u := transport.Update{RemoteFingerprints: prints, SCTP: a.Application != nil}
		if a.Restarted {
			u.Local, u.Remote = &local, &remote
		}
		if err := media.Update(l.peer, u); err != nil {
			return fmt.Errorf("control: renegotiate transport: %w", err)
		}
		return nil
	}
	err := media.Open(transport.PeerConfig{
		PeerConfig: engine.PeerConfig{
			ID: l.peer, Session: s.id, Room: s.room, Application: s.payer.Label(), Hidden: s.perms.hidden, Local: local, Remote: remote,
		},
		RemoteFingerprints: prints, Active: a.Role == negotiate.Active, SCTP: a.Application != nil,
	})
	if err != nil {
		return fmt.Errorf("control: open transport: %w", err)
	}
	l.open = true
	channels := s.channels
	if s.dual && l == s.subscriber {
		channels = []transport.ChannelConfig{reliableChannel(), lossyChannel()}
	}
	for _, ch := range channels {
		if err := media.OpenChannel(l.peer, ch); err != nil {
			return fmt.Errorf("control: open data channel: %w", err)
		}
	}
	return nil
}

func (p *publication) config() engine.TrackConfig {
	return engine.TrackConfig{ID: p.id, Mid: p.mid, Video: p.kind == negotiate.Video, Muted: p.muted, Layers: p.sizes}
}

// ended removes the publications whose section the client stopped publishing
// on, or took for another announced track, and returns them.
func (s *session) ended(receive []negotiate.Receive, announced []*publication) []drtc.TrackID {
	var out []drtc.TrackID
	for id, p := range s.published {
		i := slices.IndexFunc(receive, func(r negotiate.Receive) bool { return r.Mid == p.mid && r.Active })
		if i >= 0 && !slices.ContainsFunc(announced, func(a *publication) bool {
			return a.id != id && a.cid != "" && a.cid == receive[i].CID && a.cid != p.cid
		}) {
			continue
		}
		delete(s.published, id)
		out = append(out, id)
	}
	return out
}

// match gives announced tracks the sections that carry them: by client-side id,
// else the only announced track of a kind takes the only section without one
// (some browsers write other ids than they announce).
func (s *session) match(receive []negotiate.Receive, announced []*publication) {
	taken := func(mid string) bool {
		for _, p := range s.published {
			if p.mid == mid {
				return true
			}
		}
		return false
	}
	take := func(p *publication, r negotiate.Receive) {
		p.mid, p.kind = r.Mid, r.Kind
		if len(r.Codecs) > 0 {
			p.codec, p.codecs = r.Codecs[0], r.Codecs
		}
		p.rids = r.RIDs
		s.published[p.id] = p
	}
	var rest []*publication
	for _, p := range announced {
		i := slices.IndexFunc(receive, func(r negotiate.Receive) bool {
			return r.Active && r.Kind == p.kind && r.CID != "" && r.CID == p.cid && !taken(r.Mid)
		})
		if i < 0 {
			rest = append(rest, p)
			continue
		}
		take(p, receive[i])
	}
	for _, p := range rest {
		var free []negotiate.Receive
		for _, r := range receive {
			if r.Active && r.Kind == p.kind && !taken(r.Mid) {
				free = append(free, r)
			}
		}
		same := 0
		for _, o := range rest {
			if o.kind == p.kind {
				same++
			}
		}
		if len(free) == 1 && same == 1 {
			take(p, free[0])
		}
	}
}

func (s *session) onMid(mid string) drtc.TrackID {
	for _, p := range s.published {
		if p.mid == mid {
			return p.id
		}
	}
	return ""
}

func receiveSections(in []negotiate.Receive) []engine.ReceiveSection {
	var out []engine.ReceiveSection
	for _, r := range in {
		s := engine.ReceiveSection{Mid: r.Mid, Extensions: extensions(r.Extensions), RIDs: r.RIDs, Active: r.Active}
		for _, c := range r.Codecs {
			s.Codecs = append(s.Codecs, payloadType(c))
		}
		for _, g := range r.SSRCs {
			s.SSRCs = append(s.SSRCs, engine.SourceGroup{SSRC: g.SSRC, RTX: g.RTX})
		}
		out = append(out, s)
	}
	return out
}

func payloadType(c negotiate.Codec) engine.PayloadType {
	return engine.PayloadType{Number: c.PayloadType, RTXNumber: c.RTXPayloadType, Mime: c.Mime, ClockRate: c.ClockRate}
}

func extensions(x negotiate.Extensions) engine.ExtensionIDs {
	return engine.ExtensionIDs{
		Mid: x.Mid, RID: x.RID, RepairedRID: x.RepairedRID, AudioLevel: x.AudioLevel, TransportCC: x.TransportCC,
		AbsSendTime: x.AbsSendTime, DependencyDescriptor: x.DependencyDescriptor, Mixed: x.Mixed,
	}
}
