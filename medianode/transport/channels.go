package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	messages *rate.Limiter            // taken from the peer, per second
	bytes    *rate.Limiter            // the same in bytes
	conn     atomic.Pointer[sctpConn] // nil before SCTP starts

	mu      sync.Mutex // guards what follows; taken before peer.mu
	enabled bool       // SDP has an application section
	ended   bool
	out     io.Writer // DTLS; nil before the handshake is done
	assoc   *sctp.Association
	reading bool // a goroutine reads messages
	more    bool // and there may be more of them
	writing bool // a goroutine feeds SCTP
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
	return &channels{
		peer:     p,
		messages: rate.NewLimiter(rate.Limit(p.bounds.messages), p.bounds.messages),
		bytes:    rate.NewLimiter(rate.Limit(p.bounds.rate), p.bounds.rate),
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
	if c.enabled && c.out != nil && c.conn.Load() == nil && !c.ended {
		conn := newSCTPConn(c.out, c.peer.bounds.inbound, c.arrived)
		c.conn.Store(conn)
		c.peer.spawn(func() { c.run(conn) })
	}
}

// deliver hands the content of a DTLS record to the association, if there is
// one and it has room: SCTP sends again what is lost. It does not block.
func (c *channels) deliver(packet []byte) {
	if conn := c.conn.Load(); conn != nil && !conn.push(packet) {
		c.peer.transport.metrics.receiveDrops.WithLabelValues("sctp_queue").Inc()
	}
}

// run is the association's life.
func (c *channels) run(conn *sctpConn) {
	defer func() { _ = conn.Close() }()
	assoc, err := sctp.ClientWithOptions(
		sctp.WithNetConn(conn),
		sctp.WithLoggerFactory(quiet()),
		sctp.WithMaxReceiveBufferSize(c.peer.bounds.receive),
		sctp.WithMaxMessageSize(uint32(c.peer.bounds.message)),
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
	c.mu.Unlock()
	if conn := c.conn.Load(); conn != nil {
		_ = conn.Close()
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

// dial opens the stream of a channel of ours.
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

// receive reads the open message of a stream.
func (c *channels) receive(stream *sctp.Stream) {
	dc, err := datachannel.Server(stream, &datachannel.Config{LoggerFactory: quiet()})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opening--
	if err != nil || len(dc.Label) > MaxLabel || c.ended {
		_ = stream.Close()
		return
	}
	ch := &channel{cfg: ChannelConfig{Label: dc.Label}, dc: dc}
	ch.lossy = dc.ChannelType&^datachannel.ChannelTypeReliableUnordered != datachannel.ChannelTypeReliable
	c.list = append(c.list, ch)
	c.ready(ch)
}

// ready lets messages through, both ways.
func (c *channels) ready(ch *channel) {
	ch.dc.SetBufferedAmountLowThreshold(c.peer.bounds.inFlight / 2)
	ch.dc.OnBufferedAmountLow(func() { c.peer.spawn(c.drained) }) // SCTP holds its lock
	// Past its deadline a stream still gives what it has, and then does not
	// wait: nobody needs to sit in a read.
	_ = ch.dc.SetReadDeadline(time.Unix(0, 1))
	c.startReader()
	c.startWriter()
}

// drained is called when SCTP has room again.
func (c *channels) drained() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startWriter()
}

// startWriter lets a goroutine feed SCTP, unless one does.
func (c *channels) startWriter() {
	if !c.writing && c.assoc != nil {
		c.writing = true
		c.peer.spawn(c.write)
	}
}

// arrived is called by SCTP when a packet has had its effect.
func (c *channels) arrived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startReader()
}

// startReader lets a goroutine take messages, or look again.
func (c *channels) startReader() {
	c.more = len(c.list) > 0
	if c.more && !c.reading {
		c.reading = true
		c.peer.spawn(c.take)
	}
}

// take hands messages to the handler, one of each channel in turn, until there
// are no more.
func (c *channels) take() {
	scratch, _ := c.peer.transport.scratch.Get().(*[]byte)
	if scratch == nil {
		scratch = new([]byte)
		*scratch = make([]byte, 2<<10)
	}
	defer c.peer.transport.scratch.Put(scratch)
	for open := c.again(); len(open) > 0; open = c.again() {
		for len(open) > 0 {
			open = slices.DeleteFunc(open, func(ch *channel) bool { return !c.takeOne(ch, scratch) })
		}
	}
}

// again returns the channels if something may have come since the last time;
// with none of them the reader ends.
func (c *channels) again() (open []*channel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more {
		for _, ch := range c.list {
			if ch.dc != nil {
				open = append(open, ch)
			}
		}
	}
	c.more, c.reading = false, len(open) > 0
	return open
}

// takeOne hands on one message of a channel, if there is any. A message that is
// too large closes the channel. The buffer grows with what the peer sends.
func (c *channels) takeOne(ch *channel, buf *[]byte) bool {
	n, _, err := ch.dc.ReadDataChannel(*buf)
	for errors.Is(err, io.ErrShortBuffer) && len(*buf) < c.peer.bounds.message {
		*buf = make([]byte, min(2*len(*buf), c.peer.bounds.message))
		n, _, err = ch.dc.ReadDataChannel(*buf)
	}
	if errors.Is(err, sctp.ErrReadDeadlineExceeded) {
		return false
	}
	if err != nil || c.messages.Wait(c.peer.ctx) != nil || c.bytes.WaitN(c.peer.ctx, n) != nil {
		_ = ch.dc.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.forget(ch)
		return false
	}
	t := c.peer.transport
	t.metrics.messagesReceived.Inc()
	t.cfg.Handler.OnData(c.peer.id, ch.cfg.Label, bytes.Clone((*buf)[:n]))
	return true
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
	if most := c.peer.bounds.message; len(payload) > most {
		return fmt.Errorf("%w: want at most %d bytes, got %d", ErrTooLarge, most, len(payload))
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
	c.startWriter()
	return nil
}

// full reports whether n more bytes are too many for the channel. What is lossy
// must not grow old, so its share is small.
func (c *channels) full(ch *channel, n int) bool {
	b := &c.peer.bounds
	return c.queued >= b.queueMessages || c.size+n > b.queueBytes ||
		ch.lossy && len(ch.queue) > 0 && ch.size+n > b.lossy
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

// write feeds SCTP from the queues while it takes something.
func (c *channels) write() {
	sent := c.peer.transport.metrics.messagesSent
	for dc, payload := c.next(); dc != nil; dc, payload = c.next() {
		// An error means that the channel is closing; its reader notices.
		if _, err := dc.Write(payload); err == nil {
			sent.Inc()
			c.peer.worker.countData(c.peer, len(payload))
		}
	}
}

// next takes a message of a channel for which SCTP has room, in turn; without
// any the writer ends.
func (c *channels) next() (*datachannel.DataChannel, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.list {
		k := (c.turn + i) % len(c.list)
		if ch := c.list[k]; ch.dc != nil && len(ch.queue) > 0 && ch.dc.BufferedAmount() < c.peer.bounds.inFlight {
			c.turn = k + 1
			return ch.dc, c.pop(ch)
		}
	}
	c.writing = false
	return nil, nil
}
