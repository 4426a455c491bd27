package transport_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/stun"
	"github.com/drtc-network/drtc/medianode/transport"
)

var (
	vp8  = engine.PayloadType{Number: 96, RTXNumber: 97, Mime: "video/VP8", ClockRate: 90000}
	h264 = engine.PayloadType{Number: 102, RTXNumber: 103, Mime: "video/H264", ClockRate: 90000}
	opus = engine.PayloadType{Number: 111, Mime: "audio/opus", ClockRate: 48000}

	extensions = engine.ExtensionIDs{Mid: 1, RID: 2, RepairedRID: 3, TransportCC: 4}
)

const password = "passwordpasswordpassword"

// browser is a peer of the node whose SRTP is pion's, with replay protection.
type browser struct {
	*world
	core *seatOfCore
	id   engine.PeerID
	addr netip.AddrPort
	ssrc uint32 // with which it reports
	// seal protects what it sends. open takes what the network let through; tap
	// sees all that the node sends, as it sends it.
	seal, open, tap *srtp.Context
	checks          uint32
	transportSeq    uint16
	encoders        []*encoder
	views           []*view
	arrivals        *twcc.Recorder
}

// join opens a peer in a core and has it connect.
func (w *world) join(core int, profile srtp.ProtectionProfile) *browser {
	w.t.Helper()
	id := engine.PeerID(len(w.browsers) + 1)
	b := &browser{world: w, core: w.cores[core], id: id, ssrc: 0xb000 + uint32(id), arrivals: twcc.NewRecorder(0xb000 + uint32(id))}
	b.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(id)}), 5000)
	w.browsers = append(w.browsers, b)
	w.byAddr[b.addr] = b
	w.must(b.core.AddPeer(w.now, engine.PeerConfig{
		ID: id, Session: drtc.SessionID(b.ufrag()), Room: "room", Local: engine.ICE{Ufrag: b.ufrag(), Pwd: password},
	}))
	b.checkDirectly()
	keys := b.exchangeKeys(profile)
	w.must(b.core.Protect(w.now, id, keys, &b.core.batch))
	w.flush(b.core)
	w.every(2500*time.Millisecond, b.check)
	w.every(10*time.Millisecond, b.tick)
	w.every(50*time.Millisecond, b.feedback)
	w.every(time.Second, b.report)
	return b
}

func (b *browser) ufrag() string { return "user" + string(rune('a'+b.id)) }

func (b *browser) exchangeKeys(profile srtp.ProtectionProfile) engine.Protection {
	saltLen, err := profile.SaltLen()
	b.must(err)
	random := func(n int) []byte {
		k := make([]byte, n)
		for i := range k {
			k[i] = byte(b.random.Uint32())
		}
		return k
	}
	cfg := srtp.Config{Profile: profile, Keys: srtp.SessionKeys{
		LocalMasterKey: random(16), LocalMasterSalt: random(saltLen),
		RemoteMasterKey: random(16), RemoteMasterSalt: random(saltLen),
	}}
	keys, err := transport.ProtectionOf(cfg)
	b.must(err)
	replay := []srtp.ContextOption{srtp.SRTPReplayProtection(1024), srtp.SRTCPReplayProtection(1024)}
	b.seal, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, profile)
	b.must(err)
	b.open, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, profile, replay...)
	b.must(err)
	b.tap, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, profile, replay...)
	b.must(err)
	return keys
}

func (b *browser) binding() []byte {
	b.checks++
	id := [12]byte{byte(b.id)}
	binary.BigEndian.PutUint32(id[8:], b.checks)
	return stun.AppendBindingRequest(nil, id, b.ufrag()+":peer", password, stun.RequestOptions{
		Priority: 1, UseCandidate: true, Controlling: true, TieBreaker: 1,
	})
}

// checkDirectly is a connectivity check that nothing can happen to.
func (b *browser) checkDirectly() {
	b.core.HandleDatagram(b.now, b.addr, b.binding(), &b.core.batch)
	b.flush(b.core)
}

func (b *browser) check() {
	request := b.binding()
	b.carry(func(int) { b.deliver(request) })
}

func (b *browser) deliver(datagram []byte) {
	b.core.HandleDatagram(b.now, b.addr, datagram, &b.core.batch)
	b.flush(b.core)
}

// up sends a protected datagram to the node, which must refuse all copies but
// one.
func (b *browser) up(datagram []byte) {
	b.carry(func(before int) {
		if before > 0 {
			b.duplicates++
		}
		b.deliver(datagram)
	})
}

func (b *browser) sendRTP(p *rtp.Packet) {
	b.transportSeq++
	b.must(p.SetExtension(extensions.TransportCC, binary.BigEndian.AppendUint16(nil, b.transportSeq)))
	raw, err := p.Marshal()
	b.must(err)
	sealed, err := b.seal.EncryptRTP(nil, raw, nil)
	b.must(err)
	b.up(sealed)
}

func (b *browser) sendRTCP(packets ...rtcp.Packet) {
	raw, err := rtcp.Marshal(packets)
	b.must(err)
	sealed, err := b.seal.EncryptRTCP(nil, raw, nil)
	b.must(err)
	b.up(sealed)
}

// send is the node's: it takes a datagram over the network to the browser. In
// the order in which the node sends, no packet has the index of another.
func (b *browser) send(payload []byte) {
	if stun.Is(payload) {
		return
	}
	d := slices.Clone(payload)
	control := d[1] >= 192 && d[1] <= 223
	if err := decrypt(b.tap, d, control, func([]byte) {}); err != nil {
		b.t.Fatalf("browser %d: %s as sent: %v", b.id, describe(d, control), err)
	}
	b.carry(func(before int) {
		err := decrypt(b.open, d, control, func(plain []byte) {
			switch {
			case before > 0:
				b.t.Fatalf("browser %d: %s was taken twice", b.id, describe(d, control))
			case control:
				b.receiveRTCP(plain)
			default:
				b.receiveRTP(plain)
			}
		})
		if before == 0 && err != nil {
			b.t.Fatalf("browser %d: %s: %v", b.id, describe(d, control), err)
		}
	})
}

func decrypt(keys *srtp.Context, datagram []byte, control bool, take func(plain []byte)) error {
	var plain []byte
	var err error
	if control {
		plain, err = keys.DecryptRTCP(nil, datagram, nil)
	} else {
		plain, err = keys.DecryptRTP(nil, datagram, nil)
	}
	if err == nil {
		take(plain)
	}
	return err
}

func describe(d []byte, control bool) string {
	if control {
		return "RTCP"
	}
	return fmt.Sprintf("RTP packet %d of %d", binary.BigEndian.Uint16(d[2:]), binary.BigEndian.Uint32(d[8:]))
}

func (b *browser) receiveRTP(plain []byte) {
	p := &rtp.Packet{}
	b.must(p.Unmarshal(plain))
	if v := p.GetExtension(extensions.TransportCC); len(v) == 2 {
		b.arrivals.Record(p.SSRC, binary.BigEndian.Uint16(v), b.now.UnixMicro())
	}
	for _, v := range b.views {
		if p.SSRC == v.ssrc {
			v.receive(p, false)
			return
		}
		if p.SSRC == v.rtx {
			v.receiveRepair(p)
			return
		}
	}
}

func (b *browser) receiveRTCP(plain []byte) {
	packets, err := rtcp.Unmarshal(plain)
	b.must(err)
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			for _, v := range b.views {
				if v.ssrc == p.SSRC {
					v.reported, v.reportedAt = uint32(p.NTPTime>>16), b.now
				}
			}
		case *rtcp.PictureLossIndication:
			if e := b.encoder(p.MediaSSRC); e != nil {
				e.picture()
			}
		case *rtcp.TransportLayerNack:
			if e := b.encoder(p.MediaSSRC); e != nil {
				for _, pair := range p.Nacks {
					pair.Range(func(seq uint16) bool {
						e.resend(seq)
						return true
					})
				}
			}
		}
	}
}

func (b *browser) encoder(ssrc uint32) *encoder {
	for _, e := range b.encoders {
		if e.ssrc == ssrc {
			return e
		}
	}
	return nil
}

func (b *browser) tick() {
	for _, v := range b.views {
		v.tick()
	}
}

func (b *browser) feedback() {
	for _, p := range b.arrivals.BuildFeedbackPacket() {
		b.sendRTCP(p)
	}
}

func (b *browser) report() {
	for _, e := range b.encoders {
		b.sendRTCP(e.report())
	}
	rr := &rtcp.ReceiverReport{SSRC: b.ssrc}
	for _, v := range b.views {
		if v.started {
			rr.Reports = append(rr.Reports, v.report())
		}
	}
	b.sendRTCP(rr)
}

// mark is what a payload ends with: which packet of which frame it is.
type mark struct {
	Track, Layer, Generation uint8
	Key                      bool
	Index, Count             uint8
	Codec                    uint8 // payload type
	Frame                    uint32
}

const markSize = 11

// appendContent appends what only the packet with this mark has.
func appendContent(dst []byte, m mark) []byte {
	n := int(m.Frame+uint32(m.Index)*7) % 23
	dst = append(dst, bytes.Repeat([]byte{byte(m.Frame) ^ m.Layer}, n)...)
	key := byte(0)
	if m.Key {
		key = 1
	}
	dst = append(dst, m.Track, m.Layer, m.Generation, key, m.Index, m.Count, m.Codec)
	return binary.BigEndian.AppendUint32(dst, m.Frame)
}

func readMark(payload []byte) (mark, bool) {
	if len(payload) < markSize {
		return mark{}, false
	}
	b := payload[len(payload)-markSize:]
	m := mark{
		Track: b[0], Layer: b[1], Generation: b[2], Key: b[3] == 1, Index: b[4], Count: b[5], Codec: b[6],
		Frame: binary.BigEndian.Uint32(b[7:]),
	}
	return m, bytes.HasSuffix(payload, appendContent(nil, m))
}
