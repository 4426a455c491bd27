package relay

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
)

// Types of messages, the first byte (spec RELAY-5).
const (
	typeHello = iota + 1
	typeOpen
	typeClose
	typeRoutes
	typeTrack
	typeGone
	typeWant
	typeState
)

const magic = "drtc-relay"

// Flags of a track.
const (
	flagVideo = 1 << iota
	flagMuted
)

// writer appends fields, all integers big endian.
type writer struct{ b []byte }

func (w *writer) u8(v uint8)         { w.b = append(w.b, v) }
func (w *writer) u32(v uint32)       { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64)       { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *writer) node(v drtc.NodeID) { w.b = append(w.b, v[:]...) }
func (w *writer) text(v string)      { w.b = append(append(w.b, uint8(len(v))), v...) }

func flag(set bool, bit uint8) uint8 {
	if set {
		return bit
	}
	return 0
}

// Encode appends a message in a version. The message must keep the bounds of
// this package; State is of Version2.
func Encode(dst []byte, version uint8, m Message) []byte {
	w := &writer{dst}
	switch m := m.(type) {
	case Hello:
		w.u8(typeHello)
		w.b = append(w.b, magic...)
		w.u8(m.Version)
		w.node(m.Node)
		w.node(m.Peer)
	case Open:
		w.head(typeOpen, m.Number)
		w.node(m.Owner)
		w.text(m.Link)
		w.u64(m.Instance[0])
		w.u64(m.Instance[1])
		w.text(m.Room)
	case Close:
		w.head(typeClose, m.Number)
		w.text(m.Reason[:min(len(m.Reason), MaxReason)])
	case Routes:
		w.head(typeRoutes, m.Number)
		w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(m.Origins)))
		for _, o := range m.Origins {
			w.node(o)
		}
	case Track:
		w.head(typeTrack, m.Number)
		w.text(string(m.Track))
		w.announcement(version, &m.Announcement)
	case Gone:
		w.head(typeGone, m.Number)
		w.text(string(m.Track))
		w.u8(flag(m.Ended, 1))
	case Want:
		w.head(typeWant, m.Number)
		w.text(string(m.Track))
		w.u8(m.Streams)
		w.u8(m.Quality)
	case State:
		w.head(typeState, m.Number)
		w.text(string(m.Track))
		w.u8(flag(m.Muted, flagMuted))
		w.u8(uint8(m.Mime))
	}
	return w.b
}

func (w *writer) head(kind uint8, number uint32) {
	w.u8(kind)
	w.u32(number)
}

func (w *writer) announcement(version uint8, a *Announcement) {
	flags := flag(a.Video, flagVideo)
	if version >= Version2 {
		flags |= flag(a.Muted, flagMuted)
	}
	w.u8(flags)
	w.u8(uint8(a.Mime))
	w.u8(uint8(len(a.Path)))
	for _, n := range a.Path {
		w.node(n)
	}
	w.u8(uint8(len(a.Codecs)))
	for _, c := range a.Codecs {
		w.u8(uint8(c.Mime))
		w.u8(c.Channels)
		w.text(c.Fmtp)
	}
	w.u8(uint8(len(a.Sizes)))
	for _, s := range a.Sizes {
		w.text(s.RID)
		w.u32(s.Width)
		w.u32(s.Height)
		w.u32(s.Bitrate)
	}
	w.u8(uint8(len(a.Streams)))
	for _, s := range a.Streams {
		w.text(s.RID)
		w.u32(s.SSRC)
		w.u32(s.RTX)
	}
}

// reader takes fields; the first failure sticks.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.b) < n {
		r.fail("message is cut short")
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) node() (id drtc.NodeID) {
	copy(id[:], r.take(len(id)))
	return id
}

// text takes a string of least to most bytes.
func (r *reader) text(field string, least, most int) string {
	n := int(r.u8())
	if n < least || n > most {
		r.fail("%s: want %d to %d bytes, got %d", field, least, most, n)
		return ""
	}
	return string(r.take(n))
}

// count takes a number of least to most.
func (r *reader) count(field string, least, most int) int {
	n := int(r.u8())
	if r.err == nil && (n < least || n > most) {
		r.fail("%s: want %d to %d, got %d", field, least, most, n)
	}
	if r.err != nil {
		return 0
	}
	return n
}

// flags takes a byte of which only some bits are known.
func (r *reader) flags(field string, known uint8) uint8 {
	v := r.u8()
	if v&^known != 0 {
		r.fail("%s: unknown bits %#x", field, v&^known)
	}
	return v
}

// Decode reads a message in a version. It fails with ErrProtocol.
func Decode(version uint8, b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%w: message of %d bytes, want at most %d", ErrProtocol, len(b), MaxMessage)
	}
	r := &reader{b: b}
	m := r.message(version)
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes behind the message", len(r.b))
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (r *reader) message(version uint8) Message {
	kind := r.u8()
	if kind == typeHello {
		if string(r.take(len(magic))) != magic {
			r.fail("no hello of this protocol")
		}
		return Hello{Version: r.u8(), Node: r.node(), Peer: r.node()}
	}
	number := r.u32()
	switch kind {
	case typeOpen:
		return Open{number, r.node(), r.text("link", 1, MaxID), Instance{r.u64(), r.u64()}, r.text("room", 1, MaxID)}
	case typeClose:
		return Close{number, r.text("reason", 0, MaxReason)}
	case typeRoutes:
		return Routes{number, r.origins()}
	case typeTrack:
		return Track{number, r.track(), r.announcement(version)}
	case typeGone:
		return Gone{number, r.track(), r.flags("end", 1) != 0}
	case typeWant:
		return Want{number, r.track(), Wish{r.u8(), r.u8()}}
	case typeState:
		if version >= Version2 {
			return State{number, r.track(), r.flags("state", flagMuted) != 0, Mime(r.u8())}
		}
	}
	r.fail("message of unknown type %d in version %d", kind, version)
	return nil
}

func (r *reader) track() drtc.TrackID { return drtc.TrackID(r.text("track", 1, MaxID)) }

func (r *reader) origins() []drtc.NodeID {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > MaxOrigins || n*20 > len(r.b) {
		r.fail("origins: want at most %d, got %d", MaxOrigins, n)
		return nil
	}
	out := make([]drtc.NodeID, 0, n)
	for range n {
		out = append(out, r.node())
	}
	return out
}

// announcement leaves out formats that this node doesn't know, so that a newer
// one may name more.
func (r *reader) announcement(version uint8) (a Announcement) {
	known := uint8(flagVideo)
	if version >= Version2 {
		known |= flagMuted
	}
	flags := r.flags("track", known)
	a.Video, a.Muted = flags&flagVideo != 0, flags&flagMuted != 0
	a.Mime = Mime(r.u8())
	for range r.count("path", 1, MaxPath) {
		a.Path = append(a.Path, r.node())
	}
	for range r.count("codecs", 1, MaxCodecs) {
		c := Codec{Mime(r.u8()), r.u8(), r.text("codecs.fmtp", 0, maxFmtp)}
		if f, ok := c.Mime.Format(); ok && f.Video == a.Video {
			a.Codecs = append(a.Codecs, c)
		}
	}
	for range r.count("sizes", 0, MaxStreams) {
		a.Sizes = append(a.Sizes, Size{r.text("sizes.rid", 0, maxRID), r.u32(), r.u32(), r.u32()})
	}
	for range r.count("streams", 1, MaxStreams) {
		a.Streams = append(a.Streams, Stream{r.text("streams.rid", 0, maxRID), r.u32(), r.u32()})
	}
	r.check(&a)
	return a
}

// check refuses what no honest node announces.
func (r *reader) check(a *Announcement) {
	for i, n := range a.Path {
		if slices.Contains(a.Path[:i], n) {
			r.fail("path: node %s comes twice", n)
		}
	}
	rids, ssrcs := map[string]bool{}, map[uint32]bool{}
	for _, s := range a.Streams {
		switch {
		case rids[s.RID], len(a.Streams) > 1 && s.RID == "":
			r.fail("streams: rid %q comes twice or is empty", s.RID)
		case s.SSRC == 0 || ssrcs[s.SSRC] || s.RTX == s.SSRC || s.RTX != 0 && ssrcs[s.RTX]:
			r.fail("streams: SSRC %d or %d is zero or comes twice", s.SSRC, s.RTX)
		case a.Video != (s.RTX != 0):
			r.fail("streams: want a retransmission stream of video and none of audio")
		}
		rids[s.RID], ssrcs[s.SSRC] = true, true
		if s.RTX != 0 {
			ssrcs[s.RTX] = true
		}
	}
}

// MaxFrame is the longest message of the control channel, bytes: one or more
// messages, each behind its length.
const MaxFrame = 64 << 10

// AppendFrame adds a message to a frame; false if it has no room.
func AppendFrame(frame, message []byte) ([]byte, bool) {
	if len(frame)+2+len(message) > MaxFrame {
		return frame, false
	}
	return append(binary.BigEndian.AppendUint16(frame, uint16(len(message))), message...), true
}

// SplitFrame returns the messages of a frame, which refer to b. It fails with
// ErrProtocol.
func SplitFrame(b []byte) (out [][]byte, err error) {
	r := &reader{b: b}
	for r.err == nil && len(r.b) > 0 {
		n := int(binary.BigEndian.Uint16(r.take(2)))
		if n == 0 || n > len(r.b) {
			r.fail("frame: a message of %d bytes, with %d left", n, len(r.b))
			break
		}
		out = append(out, r.take(n))
	}
	return out, r.err
}

// EncodeData appends a data packet's wrapper and the packet.
func EncodeData(dst []byte, version uint8, d Data) []byte {
	w := &writer{dst}
	w.u32(d.Number)
	w.node(d.Origin)
	w.u8(d.Hops)
	if version >= Version2 {
		w.u64(d.Sequence)
	}
	return append(w.b, d.Packet...)
}

// DecodeData takes the wrapper off; the packet refers to b. It fails with
// ErrProtocol.
func DecodeData(version uint8, b []byte) (d Data, err error) {
	r := &reader{b: b}
	d.Number, d.Origin, d.Hops = r.u32(), r.node(), r.u8()
	if version >= Version2 {
		d.Sequence = r.u64()
	}
	d.Packet = r.b
	switch {
	case r.err != nil:
	case d.Hops == 0 || d.Hops > MaxPath:
		r.fail("data: want 1 to %d hops, got %d", MaxPath, d.Hops)
	case len(d.Packet) == 0 || len(d.Packet) > MaxPacket:
		r.fail("data: want a packet of 1 to %d bytes, got %d", MaxPacket, len(d.Packet))
	}
	return d, r.err
}
