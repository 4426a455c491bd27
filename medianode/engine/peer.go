package engine

import (
	"net/netip"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine/deadline"
	"github.com/drtc-network/drtc/medianode/engine/meter"
	"github.com/drtc-network/drtc/medianode/engine/pacing"
	"github.com/drtc-network/drtc/medianode/engine/twcc"
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
	// Receiver says whether it is a client that gets the bytes or a Media Node.
	Receiver meter.Receiver
	Local    ICE
	Remote   ICE
	// Hidden peers are never speakers.
	Hidden bool
	// Check makes this side the controlling agent (RFC 8445): it sends checks to
	// these addresses, at most 8, until one answers, and then to that one. The
	// other side is ICE-lite. Empty: this side is.
	Check []netip.AddrPort
	// Relay says that the peer is another Media Node: tracks and layers of several
	// rooms, larger bounds, usage by application and room. Receiver is then
	// meter.Relay, and the peer is disconnected after 1.5 s of silence: its checks
	// or their answers come every 500 ms.
	Relay bool
}

// Bounds per peer; a peer that wants more is not served more.
const (
	maxAddresses = 8
	maxSources   = 64
	// maxRelaySources is how many streams a relay peer may send, and how many SSRCs
	// may be used to it as long as it is there.
	maxRelaySources = 1 << 15
)

// relayDisconnectAfter is the silence after which a relay peer is disconnected.
const relayDisconnectAfter = 1500 * time.Millisecond

type credentials struct{ local, remote ICE }

// peer is one transport: an ICE agent, the keys, what it publishes and
// what it is subscribed to.
type peer struct {
	// What forwarding a packet needs lies together: in a large room it comes
	// from memory each time.
	state        State
	transportSeq uint16
	keys         Protection
	addr         netip.AddrPort
	pacer        pacing.Pacer
	departures   twcc.History // when what was sent with which number left

	cfg PeerConfig

	ice     credentials
	next    *credentials // after a restart, until the first check with them
	checker *checker     // nil of an ICE-lite agent
	leaving bool         // to another node
	trunk   *trunk       // nil of a client

	addresses []netip.AddrPort // every authenticated one, the newest last
	// Zero once a connectivity check has confirmed addr, else the time at
	// which trust in it ends.
	confirmBy time.Time
	changes   uint32
	lastCheck time.Time // last valid connectivity check
	lastHeard time.Time // last authentic packet of any kind

	// nextRTCP is, per SSRC that sends RTCP, the index above all that were seen:
	// each has a count of its own (RFC 3711 section 3.2.1).
	nextRTCP map[uint32]uint32

	// As publisher.
	sections   []*section
	extensions ExtensionIDs
	sources    map[uint32]*source
	tracks     []*track
	feedback   *twcc.Recorder
	mediaSSRC  uint32 // some SSRC of the peer, named in transport feedback
	lacked     lossWindow

	// As subscriber.
	subscriptions []*subscription
	bySSRC        map[uint32]*subscription
	delivery      twcc.Delivery // what of it arrived
	acked         lossWindow
	backlogs      *backlogs // of the core
	replaying     int       // bytes of replays that have begun

	// SSRC with which the node reports (RFC 3550 section 6.4).
	reporter     uint32
	timer        deadline.Entry[*peer]
	nextFeedback time.Time
	nextReport   time.Time
	nextFigures  time.Time

	roundTrip     time.Duration
	uplinkLoss    float64
	downlinkLoss  float64
	downlinkRate  uint64
	receivedBytes uint64
	meter         *meter.Meter
}

// lossWindow sums receiver reports between two PeerReports.
type lossWindow struct {
	weighted float64
	reports  int
}

func (w *lossWindow) add(fraction float64) {
	w.weighted += fraction
	w.reports++
}

// close puts the mean in loss, if there was a report, and begins anew.
func (w *lossWindow) close(loss *float64) {
	if w.reports > 0 {
		*loss = w.weighted / float64(w.reports)
	}
	*w = lossWindow{}
}

func newPeer(now time.Time, cfg PeerConfig, core Config, b *backlogs) *peer {
	p := &peer{
		cfg:        cfg,
		pacer:      core.NewPacer(),
		backlogs:   b,
		ice:        credentials{local: cfg.Local, remote: cfg.Remote},
		lastCheck:  now,
		lastHeard:  now,
		sources:    map[uint32]*source{},
		bySSRC:     map[uint32]*subscription{},
		nextRTCP:   map[uint32]uint32{},
		reporter:   core.Random() | 1,
		meter:      meter.New(cfg.Receiver),
		nextReport: now.Add(reportInterval),
	}
	p.timer.Owner = p
	if len(cfg.Check) > 0 {
		p.checker = newChecker(now, cfg.Check, core.Random)
	}
	if cfg.Relay {
		p.trunk = newTrunk()
	}
	return p
}

// sendable reports whether media may be sent to the peer now.
func (p *peer) sendable() bool {
	return p.keys != nil && p.state == StateConnected && p.addr.IsValid()
}

func (c *Core) setState(p *peer, s State, reason string) {
	if p.state == s {
		return
	}
	p.state = s
	c.emit(PeerState{Peer: p.cfg.ID, State: s, Reason: reason})
}

// heard notes an authentic packet and wakes a peer that had fallen silent.
func (c *Core) heard(now time.Time, p *peer) {
	p.lastHeard = now
	trusted := p.confirmBy.IsZero() || now.Before(p.confirmBy)
	if p.keys != nil && p.state == StateDisconnected && trusted {
		c.setState(p, StateConnected, "heard again")
		for _, s := range p.subscriptions {
			s.begin(now)
		}
	}
}

func (c *Core) figures(p *peer) Figures {
	usage := p.usage()
	return Figures{
		RoundTrip:      p.roundTrip,
		UplinkLoss:     p.uplinkLoss,
		DownlinkLoss:   p.downlinkLoss,
		DownlinkRate:   p.downlinkRate,
		ReceivedBytes:  p.receivedBytes,
		SentBytes:      usage.ClientSent + usage.RelaySent,
		ClientBytes:    usage.Client,
		RelayBytes:     usage.Relay,
		AddressChanges: p.changes,
		Connected:      p.state == StateConnected,
	}
}
