package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/pion/datachannel"
	"github.com/pion/sctp"
	"golang.org/x/time/rate"
)

const (
	// receiveBuffer bounds what SCTP holds for a peer whose messages nobody
	// takes yet, bytes.
	receiveBuffer = 4 * MaxMessage
	// sctpBuffered is how much of a channel's queue is given to SCTP at a time,
	// bytes: enough for a window at 10 Mbit/s and 50 ms.
	sctpBuffered = 64 << 10
	// lossyBytes is how much may wait on a lossy channel before the oldest
	// message goes.
	lossyBytes = 64 << 10
	// maxRefused is how many channels past the limits a peer may try to open
	// before its association is closed.
	maxRefused = 32
)

// ChannelConfig opens a data channel from this side.
type ChannelConfig struct {
	// Label names it, at most MaxLabel bytes.
	Label string
	// Unordered delivers messages as they arrive.
	Unordered bool
	// MaxRetransmits, where given, makes the channel lossy.
	MaxRetransmits *uint16
	// Negotiated, where given, is the stream id that both sides agreed on
	// outside of the association, 0 to 65534; nothing is announced then.
	Negotiated *uint16
}

// channels is the SCTP association of a peer and its data channels.
type channels struct {
	peer     *peer
	messages *rate.Limiter // taken from the peer, per second
	bytes    *rate.Limiter // the same in bytes
	kick     chan struct{} // the writer must look again

	mu      sync.Mutex // guards what follows; taken before peer.mu
	enabled bool       // SDP has an application section
	ended   bool
	out     io.Writer // DTLS; nil before the handshake is done
	near    net.Conn  // SCTP reads here
	far     net.Conn  // what DTLS delivers goes here; nil before SCTP starts
	assoc   *sctp.Association
	list    []*channel
	opening int // accepted streams whose open message is being read
	refused int
	turn    int // where the writer looks first
	queued  int // messages in all queues
	size    int // bytes in all queues
}

// channel is one data channel. The mutex of its channels guards it.
type channel struct {
	cfg   ChannelConfig
	lossy bool
	dc    *datachannel.DataChannel // nil until the association is up
	queue [][]byte
	size  int // bytes in queue
}

func newChannels(p *peer) *channels {
	cfg := p.transport.cfg
	return &channels{
		peer:     p,
		messages: rate.NewLimiter(rate.Limit(cfg.DataMessages), cfg.DataMessages),
		bytes:    rate.NewLimiter(rate.Limit(cfg.DataRate), cfg.DataRate),
		kick:     make(chan struct{}, 1),
		enabled:  p.cfg.SCTP,
	}
}

// enable starts the association, now or once there is a DTLS conn.
func (c *channels) enable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enabled = true
	c.start()
}

// established says that out, a DTLS conn, may carry the association.
func (c *channels) established(out io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = out
	c.start()
}

func (c *channels) start() {
	if c.enabled && c.out != nil && c.far == nil && !c.ended {
		c.near, c.far = net.Pipe()
		near := associationConn{Conn: c.near, out: c.out}
		c.peer.spawn(func() { c.run(near) })
	}
}

// deliver hands one DTLS record to the association and waits until it is taken.
func (c *channels) deliver(record []byte) {
	c.mu.Lock()
	far := c.far
	c.mu.Unlock()
	if far != nil {
		_, _ = far.Write(record) // fails once the association is gone
	}
}

// run is the association's life.
func (c *channels) run(near associationConn) {
	defer near.Close()
	assoc, err := sctp.ClientWithOptions(
		sctp.WithNetConn(near),
		sctp.WithLoggerFactory(quiet()),
		sctp.WithMaxReceiveBufferSize(receiveBuffer),
		sctp.WithMaxMessageSize(MaxMessage),
	)
	if err != nil {
		c.peer.transport.logger.Debug("sctp association failed",
			slog.Uint64("peer", uint64(c.peer.id)), slog.Any("error", err))
		return
	}
	c.mu.Lock()
	c.assoc = assoc
	for _, ch := range slices.Clone(c.list) {
		c.dial(ch)
	}
	c.mu.Unlock()
	stop := make(chan struct{})
	c.peer.spawn(func() { c.write(stop) })
	for {
		stream, err := assoc.AcceptStream()
		if err != nil {
			break
		}
		if !c.accept(stream) {
			assoc.Abort("too many channels")
			break
		}
	}
	close(stop)
	c.mu.Lock()
	c.assoc, c.list, c.queued, c.size = nil, nil, 0, 0
	c.ended = true
	c.mu.Unlock()
	_ = assoc.Close()
}

// close ends the association; its goroutines follow.
func (c *channels) close() {
	c.mu.Lock()
	c.ended = true
	near, far := c.near, c.far
	c.mu.Unlock()
	if far != nil {
		_ = near.Close()
		_ = far.Close()
	}
}

// open adds a channel of ours.
func (c *channels) open(cfg ChannelConfig) error {
	if len(cfg.Label) > MaxLabel {
		return fmt.Errorf("%w: Label: want at most %d bytes, got %d", ErrChannel, MaxLabel, len(cfg.Label))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return fmt.Errorf("%w: the association has ended", ErrChannel)
	case len(c.list)+c.opening >= MaxChannels:
		return fmt.Errorf("%w: %d are open already", ErrChannel, MaxChannels)
	case cfg.Negotiated != nil && (*cfg.Negotiated == 65535 || c.byID(*cfg.Negotiated) != nil):
		return fmt.Errorf("%w: Negotiated: stream id %d is reserved or taken", ErrChannel, *cfg.Negotiated)
	}
	ch := &channel{cfg: cfg, lossy: cfg.MaxRetransmits != nil}
	c.list = append(c.list, ch)
	if c.assoc != nil {
		c.dial(ch)
	}
	return nil
}

// dial opens the stream of a channel of ours and begins to read it.
func (c *channels) dial(ch *channel) {
	id := c.freeID()
	if ch.cfg.Negotiated != nil {
		id = *ch.cfg.Negotiated
	}
	cfg, reliability, limit := ch.cfg.dcep()
	stream, err := c.assoc.OpenStream(id, sctp.PayloadTypeWebRTCBinary)
	if err == nil {
		ch.dc, err = datachannel.Client(stream, &cfg)
	}
	if err != nil {
		c.forget(ch)
		return
	}
	if cfg.Negotiated {
		// Otherwise this waits for the acknowledgement, lest a message overtake
		// the open message.
		stream.SetReliabilityParams(ch.cfg.Unordered, reliability, limit)
	}
	c.ready(ch)
	c.peer.spawn(func() { c.read(ch) })
}

// dcep returns the channel in the words of RFC 8832 and of SCTP.
func (cfg ChannelConfig) dcep() (dcep datachannel.Config, reliability byte, limit uint32) {
	dcep = datachannel.Config{Label: cfg.Label, Negotiated: cfg.Negotiated != nil, LoggerFactory: quiet()}
	if cfg.MaxRetransmits != nil {
		reliability, limit = sctp.ReliabilityTypeRexmit, uint32(*cfg.MaxRetransmits)
		dcep.ChannelType, dcep.ReliabilityParameter = datachannel.ChannelTypePartialReliableRexmit, limit
	}
	if cfg.Unordered {
		dcep.ChannelType |= datachannel.ChannelTypeReliableUnordered // the bit for unordered
	}
	return dcep, reliability, limit
}

// freeID picks a stream id of our parity (RFC 8832 section 6).
func (c *channels) freeID() uint16 {
	id := uint16(1)
	if c.peer.cfg.Active {
		id = 0
	}
	for c.byID(id) != nil {
		id += 2 // at most MaxChannels are taken
	}
	return id
}

func (c *channels) byID(id uint16) *channel {
	for _, ch := range c.list {
		if ch.dc != nil && ch.dc.StreamIdentifier() == id || ch.cfg.Negotiated != nil && *ch.cfg.Negotiated == id {
			return ch
		}
	}
	return nil
}

// accept takes a stream that the peer began; false aborts the association.
func (c *channels) accept(stream *sctp.Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID(stream.StreamIdentifier()) != nil {
		return true // negotiated: the peer was first to send
	}
	if len(c.list)+c.opening >= MaxChannels {
		_ = stream.Close()
		c.refused++
		return c.refused <= maxRefused
	}
	c.opening++
	c.peer.spawn(func() { c.receive(stream) })
	return true
}

// receive reads the open message of a stream and then its channel.
func (c *channels) receive(stream *sctp.Stream) {
	dc, err := datachannel.Server(stream, &datachannel.Config{LoggerFactory: quiet()})
	c.mu.Lock()
	c.opening--
	if err != nil || len(dc.Label) > MaxLabel {
		c.mu.Unlock()
		_ = stream.Close()
		return
	}
	ch := &channel{cfg: ChannelConfig{Label: dc.Label}, dc: dc}
	ch.lossy = dc.ChannelType&^datachannel.ChannelTypeReliableUnordered != datachannel.ChannelTypeReliable
	c.list = append(c.list, ch)
	c.ready(ch)
	c.mu.Unlock()
	c.read(ch)
}

// ready lets the writer use the channel.
func (c *channels) ready(ch *channel) {
	ch.dc.SetBufferedAmountLowThreshold(sctpBuffered / 2)
	ch.dc.OnBufferedAmountLow(c.wake)
	c.wake()
}

// wake never blocks: SCTP calls it with its own lock held.
func (c *channels) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// read hands the channel's messages to the handler until it closes. A message
// above MaxMessage closes it. The buffer grows with what the peer sends.
func (c *channels) read(ch *channel) {
	t := c.peer.transport
	buf := make([]byte, 2<<10)
	for {
		n, _, err := ch.dc.ReadDataChannel(buf)
		if errors.Is(err, io.ErrShortBuffer) && len(buf) < MaxMessage {
			buf = make([]byte, 2*len(buf))
			continue
		}
		if err != nil || c.messages.Wait(c.peer.ctx) != nil || c.bytes.WaitN(c.peer.ctx, n) != nil {
			break
		}
		t.metrics.messagesReceived.Inc()
		t.cfg.Handler.OnData(c.peer.id, ch.cfg.Label, bytes.Clone(buf[:n]))
	}
	_ = ch.dc.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(ch)
}

// forget drops a channel and what waits for it.
func (c *channels) forget(ch *channel) {
	i := slices.Index(c.list, ch)
	if i < 0 {
		return
	}
	c.list = slices.Delete(c.list, i, i+1)
	for len(ch.queue) > 0 {
		c.pop(ch)
	}
}

// send queues a message.
func (c *channels) send(label string, payload []byte) error {
	if len(payload) > MaxMessage {
		return fmt.Errorf("%w: want at most %d bytes, got %d", ErrTooLarge, MaxMessage, len(payload))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var ch *channel
	for _, candidate := range slices.Backward(c.list) {
		if candidate.cfg.Label == label {
			ch = candidate
			break
		}
	}
	if ch == nil {
		return fmt.Errorf("%w: none with label %.32q", ErrChannel, label)
	}
	for c.full(ch, len(payload)) {
		switch {
		case !ch.lossy:
			c.peer.transport.metrics.messagesDropped.WithLabelValues("slow_peer").Inc()
			return ErrSlowPeer
		case len(ch.queue) == 0: // reliable messages hold all the room
			c.peer.transport.metrics.messagesDropped.WithLabelValues("lossy").Inc()
			return nil
		}
		c.pop(ch)
		c.peer.transport.metrics.messagesDropped.WithLabelValues("lossy").Inc()
	}
	ch.queue = append(ch.queue, payload)
	ch.size += len(payload)
	c.queued++
	c.size += len(payload)
	c.wake()
	return nil
}

// full reports whether n more bytes are too many for the channel. What is lossy
// must not grow old, so its share is small.
func (c *channels) full(ch *channel, n int) bool {
	cfg := c.peer.transport.cfg
	return c.queued >= cfg.SendQueueMessages || c.size+n > cfg.SendQueueBytes ||
		ch.lossy && len(ch.queue) > 0 && ch.size+n > lossyBytes
}

// pop takes the channel's oldest message.
func (c *channels) pop(ch *channel) []byte {
	payload := ch.queue[0]
	ch.queue[0] = nil
	ch.queue = ch.queue[1:]
	ch.size -= len(payload)
	c.queued--
	c.size -= len(payload)
	return payload
}

// write feeds SCTP from the queues until stop closes.
func (c *channels) write(stop <-chan struct{}) {
	sent := c.peer.transport.metrics.messagesSent
	for {
		select {
		case <-stop:
			return
		case <-c.kick:
		}
		for dc, payload := c.next(); dc != nil; dc, payload = c.next() {
			// An error means that the channel is closing; its reader notices.
			if _, err := dc.Write(payload); err == nil {
				sent.Inc()
				c.peer.worker.countData(c.peer, len(payload))
			}
		}
	}
}

// next takes a message of a channel for which SCTP has room, in turn.
func (c *channels) next() (*datachannel.DataChannel, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		k := (c.turn + i) % len(c.list)
		if ch := c.list[k]; ch.dc != nil && len(ch.queue) > 0 && ch.dc.BufferedAmount() < sctpBuffered {
			c.turn = k + 1
			return ch.dc, c.pop(ch)
		}
	}
	return nil, nil
}

// associationConn is the net.Conn of an association: it reads what deliver
// brings and writes to DTLS. Closing it leaves DTLS alone.
type associationConn struct {
	net.Conn
	out io.Writer
}

// Write sends one SCTP packet.
func (c associationConn) Write(b []byte) (int, error) { return c.out.Write(b) }
