package transport_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

const (
	// giveUpAfter is how long a view waits for a packet before it asks for a key
	// frame instead.
	giveUpAfter = 300 * time.Millisecond
	// keyFrameEvery is how often it does.
	keyFrameEvery = 200 * time.Millisecond
	// settle is how long a key frame may be overtaken by what is before it.
	settle = 40 * time.Millisecond
	// tries is how often it asks for a packet.
	tries = 10
)

// view is one received stream: a jitter buffer in front of a decoder.
type view struct {
	*browser
	track     drtc.TrackID
	video     bool
	ssrc, rtx uint32
	settings  engine.Settings
	codec     engine.PayloadType
	// agreed is when the client and the node last began to agree on the section,
	// since when the node may replay.
	agreed time.Time
	ready  bool

	started          bool
	first, highest   int64 // extended sequence numbers
	next             int64 // the first packet of the next frame
	packets          map[int64]arrival
	missing          []absent
	numbers          map[mark]int64 // under which each packet of a source came
	decoding, broken bool
	picture          uint16
	last             mark // of the frame that was decoded last
	asked            time.Time

	reported   uint32
	reportedAt time.Time
	received   int64

	decoded, repaired, requests, nacked int
	firstDecode, lastDecode             time.Time
	freeze                              time.Duration
	frames                              map[uint32]bool
}

type arrival struct {
	packet *rtp.Packet
	mark   mark
	at     time.Time
}

type absent struct {
	number      int64
	since, last time.Time
	tries       int
}

func (b *browser) view(track drtc.TrackID, video bool, codec engine.PayloadType) *view {
	v := &view{browser: b, track: track, video: video, codec: codec}
	v.renew()
	b.views = append(b.views, v)
	return v
}

// renew begins with another SSRC.
func (v *view) renew() {
	fresh := view{
		browser: v.browser, track: v.track, video: v.video, codec: v.codec, settings: v.settings, agreed: v.now,
		decoded: v.decoded, repaired: v.repaired, requests: v.requests, nacked: v.nacked, freeze: v.freeze,
		packets: map[int64]arrival{}, numbers: map[mark]int64{}, frames: map[uint32]bool{},
	}
	fresh.ssrc = v.random.Uint32() | 1<<31
	fresh.rtx = fresh.ssrc ^ 1
	*v = fresh
}

// extend returns the extended number nearest to the highest.
func (v *view) extend(seq uint16) int64 {
	if !v.started {
		return int64(seq)
	}
	return v.highest + int64(int16(seq-uint16(v.highest)))
}

func (v *view) receiveRepair(p *rtp.Packet) {
	if !v.started || len(p.Payload) < 2 {
		return
	}
	p = p.Clone()
	p.SSRC, p.SequenceNumber = v.ssrc, binary.BigEndian.Uint16(p.Payload)
	p.PayloadType = codecOf(p.PayloadType).Number
	p.Payload = p.Payload[2:]
	v.repaired++
	v.receive(p, true)
}

// receive takes a packet and holds the node to what it must keep of it.
func (v *view) receive(p *rtp.Packet, repair bool) {
	p = p.Clone()
	n := v.extend(p.SequenceNumber)
	m, ok := readMark(p.Payload)
	if !ok || m.Codec != p.PayloadType {
		v.t.Fatalf("browser %d, %s: packet %d of payload type %d: nobody sent payload %x so", v.id, v.track, n, p.PayloadType, p.Payload)
	}
	if before, known := v.packets[n]; known {
		q := before.packet
		if !repair && before.mark == m || repair && q.Timestamp == p.Timestamp && q.Marker == p.Marker && q.PayloadType == p.PayloadType && bytes.Equal(q.Payload, p.Payload) {
			return
		}
		v.t.Fatalf("browser %d, %s: number %d is %+v and %+v (repair %v)", v.id, v.track, n, before.mark, m, repair)
	}
	replayed := v.now.Before(v.agreed.Add(2*time.Second + v.roundTrip() + 500*time.Millisecond))
	if before, known := v.numbers[m]; known && before != n && !replayed {
		v.t.Fatalf("browser %d, %s: %+v came as %d and as %d", v.id, v.track, m, before, n)
	}
	v.numbers[m] = n
	if !repair {
		v.received++
	}
	v.note(n)
	if n < v.next && v.decoding {
		return
	}
	v.packets[n] = arrival{p, m, v.now}
	v.decode()
}

// note keeps the list of what is missing.
func (v *view) note(n int64) {
	switch {
	case !v.started:
		v.started, v.first, v.highest, v.next = true, n, n, n
	case n > v.highest:
		for i := v.highest + 1; i < n; i++ {
			v.missing = append(v.missing, absent{number: i, since: v.now})
		}
		v.highest = n
	default:
		v.missing = slices.DeleteFunc(v.missing, func(a absent) bool { return a.number == n })
	}
}

// tick asks for what is missing, and for a key frame if it does not come.
func (v *view) tick() {
	v.decode()
	if v.codec.RTXNumber == 0 {
		v.missing = nil
		return
	}
	var lost []uint16
	hopeless := false
	for i := range v.missing {
		a := &v.missing[i]
		if a.tries < tries && v.now.Sub(a.last) >= v.roundTrip() {
			a.tries++
			a.last = v.now
			lost = append(lost, uint16(a.number))
		}
		hopeless = hopeless || v.now.Sub(a.since) > giveUpAfter
	}
	if len(lost) > 0 {
		v.nacked += len(lost)
		v.sendRTCP(&rtcp.TransportLayerNack{SenderSSRC: v.ssrc, MediaSSRC: v.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(lost)})
	}
	waiting := v.started && !v.decoding && v.received > 0
	if (hopeless || v.stalled() || v.broken || waiting) && v.now.Sub(v.asked) >= keyFrameEvery {
		v.asked = v.now
		v.requests++
		v.sendRTCP(&rtcp.PictureLossIndication{SenderSSRC: v.browser.ssrc, MediaSSRC: v.ssrc})
	}
}

// stalled reports whether a packet waits for too long, maybe for one from before
// the first that came, which nobody misses.
func (v *view) stalled() bool {
	for _, a := range v.packets {
		if v.video && v.now.Sub(a.at) > giveUpAfter {
			return true
		}
	}
	return false
}

// decode decodes all frames that can be.
func (v *view) decode() {
	if !v.video {
		v.hear()
		return
	}
	for {
		if v.decoding && !v.broken {
			if end, ok := v.complete(v.next); ok && v.show(v.next, end) {
				continue
			}
		}
		at, end, ok := v.keyFrame()
		if !ok {
			return
		}
		v.next, v.decoding, v.broken = at, true, false
		if !v.show(at, end) {
			v.t.Fatalf("browser %d, %s: key frame at %d does not decode", v.id, v.track, at)
		}
	}
}

// hear plays audio, which needs nothing but the packet.
func (v *view) hear() {
	for n, a := range v.packets {
		v.shown(a.mark)
		delete(v.packets, n)
	}
}

// complete reports whether a frame that begins at a number is there as a whole.
func (v *view) complete(from int64) (end int64, ok bool) {
	first, ok := v.packets[from]
	if !ok {
		return 0, false
	}
	for n := from; ; n++ {
		a, ok := v.packets[n]
		if !ok || a.packet.Timestamp != first.packet.Timestamp {
			return 0, false
		}
		if a.packet.Marker {
			return n, true
		}
	}
}

// keyFrame finds the first whole key frame with which decoding can begin or go
// on.
func (v *view) keyFrame() (at, end int64, ok bool) {
	for n, a := range v.packets {
		if n < v.next && v.decoding || ok && n >= at || !isKeyFrame(a.packet) {
			continue
		}
		if e, whole := v.complete(n); whole && v.now.Sub(v.packets[e].at) >= settle && v.now.Sub(a.at) >= settle {
			at, end, ok = n, e, true
		}
	}
	return at, end, ok
}

func isKeyFrame(p *rtp.Packet) bool {
	if p.PayloadType == vp8.Number {
		return p.Payload[0]&0x1f == 0x10 && p.Payload[6]&1 == 0
	}
	return p.Payload[0]&0x1f == 7
}

// show decodes a whole frame, if what it builds on was decoded, and holds the
// node to what the stream promised: a frame is one of the publisher's, and a
// frame that seems to follow another does.
func (v *view) show(from, end int64) bool {
	first := v.packets[from]
	key := isKeyFrame(first.packet)
	m := first.mark
	if first.packet.PayloadType == vp8.Number {
		id := binary.BigEndian.Uint16(first.packet.Payload[2:]) & 0x7fff
		if !key && id != (v.picture+1)&0x7fff {
			v.broken = true
			return false
		}
		v.picture = id
	}
	if int64(m.Count) != end-from+1 || m.Index != 0 || m.Key != key {
		v.t.Fatalf("browser %d, %s: packets %d to %d seem to be a frame, but begin with %+v", v.id, v.track, from, end, m)
	}
	for n := from; n <= end; n++ {
		want := m
		want.Index = uint8(n - from)
		if got := v.packets[n].mark; got != want {
			v.t.Fatalf("browser %d, %s: packet %d: got %+v, want %+v", v.id, v.track, n, got, want)
		}
	}
	if l := v.last; !key && (l.Track != m.Track || l.Layer != m.Layer || l.Generation != m.Generation || l.Frame+1 != m.Frame) {
		v.t.Fatalf("browser %d, %s: packet %d: %+v seems to build on %+v", v.id, v.track, from, m, l)
	}
	v.shown(m)
	v.next = end + 1
	for n := range v.packets {
		if n < v.next {
			delete(v.packets, n)
		}
	}
	v.missing = slices.DeleteFunc(v.missing, func(a absent) bool { return a.number < v.next })
	return true
}

func (v *view) shown(m mark) {
	v.last = m
	v.decoded++
	v.frames[m.Frame] = true
	if v.lastDecode.IsZero() {
		v.firstDecode = v.now
	} else {
		v.freeze = max(v.freeze, v.now.Sub(v.lastDecode))
	}
	v.lastDecode = v.now
}

func (v *view) report() rtcp.ReceptionReport {
	r := rtcp.ReceptionReport{SSRC: v.ssrc, LastSequenceNumber: uint32(v.highest)}
	r.TotalLost = uint32(max(v.highest-v.first+1-v.received, 0)) & 0xffffff
	if v.reported != 0 {
		r.LastSenderReport = v.reported
		r.Delay = uint32(v.now.Sub(v.reportedAt) * 65536 / time.Second)
	}
	return r
}
