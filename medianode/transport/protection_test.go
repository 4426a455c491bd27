package transport

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var profiles = []srtp.ProtectionProfile{srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80}

// pair returns a protection and pion's contexts of the other side.
func pair(t testing.TB, profile srtp.ProtectionProfile) (p *protection, far *srtp.Context, farOpen *srtp.Context) {
	t.Helper()
	saltLen, err := profile.SaltLen()
	if err != nil {
		t.Fatal(err)
	}
	random := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	cfg := srtp.Config{Profile: profile, Keys: srtp.SessionKeys{
		LocalMasterKey: random(16), LocalMasterSalt: random(saltLen),
		RemoteMasterKey: random(16), RemoteMasterSalt: random(saltLen),
	}}
	if p, err = protectionFrom(cfg, maxStreams); err != nil {
		t.Fatal(err)
	}
	if far, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, profile); err != nil {
		t.Fatal(err)
	}
	if farOpen, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, profile); err != nil {
		t.Fatal(err)
	}
	return p, far, farOpen
}

// headerSize is that of packet's header.
const headerSize = 12 + 4 + 4

func packet(t testing.TB, ssrc uint32, sequence uint16, size int) []byte {
	t.Helper()
	h := rtp.Header{Version: 2, PayloadType: 96, SSRC: ssrc, SequenceNumber: sequence}
	if err := h.SetExtension(3, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	b, err := (&rtp.Packet{Header: h, Payload: bytes.Repeat([]byte{byte(sequence)}, size)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProtection_roundTripsRTP(t *testing.T) {
	for _, profile := range profiles {
		p, far, farOpen := pair(t, profile)
		scratch := make([]byte, 0, 1500)
		for i := range 200 {
			plain := packet(t, 7, uint16(65436+i), 1000) // over the wrap
			sealed, err := p.SealRTP(append(scratch, plain...), headerSize, 65436+uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			if &sealed[:1][0] != &scratch[:1][0] {
				t.Fatal("SealRTP left the packet's memory")
			}
			got, err := farOpen.DecryptRTP(nil, sealed, nil)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%v: packet %d sealed by us: got %x, %v; want the plain packet", profile, i, got, err)
			}
			if sealed, err = far.EncryptRTP(nil, plain, nil); err != nil {
				t.Fatal(err)
			}
			if got, err = p.OpenRTP(scratch, sealed); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%v: packet %d sealed by pion: got %x, %v; want the plain packet", profile, i, got, err)
			}
		}
	}
}

func TestProtection_tellsTheRTCPIndex(t *testing.T) {
	for _, profile := range profiles {
		p, far, farOpen := pair(t, profile)
		plain, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1}, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}})
		if err != nil {
			t.Fatal(err)
		}
		for want := uint32(1); want <= 3; want++ {
			sealed, err := far.EncryptRTCP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, index, err := p.OpenRTCP(nil, sealed)
			if err != nil || !bytes.Equal(got, plain) || index != want {
				t.Fatalf("%v: OpenRTCP: %x, index %d, %v; want the plain packet and index %d", profile, got, index, err, want)
			}
			if _, _, err := p.OpenRTCP(nil, sealed); err == nil {
				t.Errorf("%v: a replayed SRTCP packet was opened", profile)
			}
			if sealed, err = p.SealRTCP(nil, plain); err != nil {
				t.Fatal(err)
			}
			if got, err := farOpen.DecryptRTCP(nil, sealed, nil); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%v: SealRTCP: pion opened %x, %v; want the plain packet", profile, got, err)
			}
		}
	}
}

func TestProtection_replayIsRefused(t *testing.T) {
	for _, profile := range profiles {
		p, far, _ := pair(t, profile)
		sealed := make([][]byte, 2*rtpWindow)
		for i := range sealed {
			var err error
			if sealed[i], err = far.EncryptRTP(nil, packet(t, 7, uint16(i), 20), nil); err != nil {
				t.Fatal(err)
			}
		}
		open := func(i int) error { _, err := p.OpenRTP(nil, sealed[i]); return err }
		last := len(sealed) - 1
		for i := range sealed {
			if i == last-5 || i == last-rtpWindow+1 || i == last-rtpWindow-1 {
				continue // late
			}
			if err := open(i); err != nil {
				t.Fatalf("%v: packet %d: %v", profile, i, err)
			}
		}
		for _, c := range []struct {
			behind int
			first  bool
		}{{5, true}, {rtpWindow - 1, true}, {rtpWindow + 1, false}} {
			if err := open(last - c.behind); (err == nil) != c.first {
				t.Errorf("%v: packet %d behind the newest: error %v, want opened %v", profile, c.behind, err, c.first)
			}
			if err := open(last - c.behind); err == nil {
				t.Errorf("%v: packet %d behind the newest was opened twice", profile, c.behind)
			}
		}
	}
}

func TestProtection_forgeryChangesNothing(t *testing.T) {
	for _, profile := range profiles {
		p, far, _ := pair(t, profile)
		seal := func(ssrc uint32, sequence uint16) []byte {
			b, err := far.EncryptRTP(nil, packet(t, ssrc, sequence, 50), nil)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		if _, err := p.OpenRTP(nil, seal(7, 100)); err != nil {
			t.Fatal(err)
		}
		for ssrc := range uint32(2 * maxStreams) { // each of a new SSRC, far ahead
			forged := seal(7, 101)
			binary.BigEndian.PutUint16(forged[2:], 40000)
			binary.BigEndian.PutUint32(forged[8:], 1000+ssrc)
			if _, err := p.OpenRTP(nil, forged); err == nil {
				t.Fatal("a forged packet was opened")
			}
		}
		if _, err := p.OpenRTP(nil, seal(7, 102)); err != nil {
			t.Errorf("%v: after forgeries: %v", profile, err)
		}
		if _, err := p.OpenRTP(nil, seal(8, 1)); err != nil {
			t.Errorf("%v: a new SSRC after forgeries: %v", profile, err)
		}
	}
}

func TestProtection_boundsStreams(t *testing.T) {
	p, far, _ := pair(t, profiles[0])
	var err error
	for ssrc := range uint32(maxStreams + 1) {
		sealed, e := far.EncryptRTP(nil, packet(t, ssrc, 1, 10), nil)
		if e != nil {
			t.Fatal(e)
		}
		if _, err = p.OpenRTP(nil, sealed); err != nil && ssrc < maxStreams {
			t.Fatalf("SSRC %d of %d: %v", ssrc, maxStreams, err)
		}
	}
	if !errors.Is(err, errStreams) {
		t.Errorf("SSRC %d: error %v, want %v", maxStreams, err, errStreams)
	}
}

func TestProtection_garbageIsAnError(t *testing.T) {
	for _, profile := range profiles {
		p, _, _ := pair(t, profile)
		for size := range 64 {
			for _, first := range []byte{0x00, 0x80, 0x90, 0xbf, 0xff} {
				b := bytes.Repeat([]byte{first}, size)
				if _, err := p.OpenRTP(nil, b); err == nil {
					t.Errorf("%v: OpenRTP of %x succeeded", profile, b)
				}
				if _, _, err := p.OpenRTCP(nil, b); err == nil {
					t.Errorf("%v: OpenRTCP of %x succeeded", profile, b)
				}
			}
		}
	}
}

func BenchmarkSealRTP(b *testing.B) {
	for _, profile := range profiles {
		b.Run(fmt.Sprint(profile), func(b *testing.B) {
			p, _, _ := pair(b, profile)
			plain, dst := packet(b, 7, 1, 1180), make([]byte, 0, 1500)
			b.ReportAllocs()
			b.SetBytes(int64(len(plain)))
			for i := 0; b.Loop(); i++ {
				binary.BigEndian.PutUint16(plain[2:], uint16(i))
				if _, err := p.SealRTP(append(dst, plain...), headerSize, uint64(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenRTP(b *testing.B) {
	for _, profile := range profiles {
		b.Run(fmt.Sprint(profile), func(b *testing.B) {
			p, far, _ := pair(b, profile)
			dst := make([]byte, 0, 1500)
			sealed := make([][]byte, 4096)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(sealed) == 0 {
					b.StopTimer()
					for k := range sealed {
						var err error
						if sealed[k], err = far.EncryptRTP(sealed[k], packet(b, 7, uint16(i+k), 1180), nil); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
				if _, err := p.OpenRTP(dst, sealed[i%len(sealed)]); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(1180)
		})
	}
}

// One packet costs no allocation: that is what keeps the forwarding path flat.
// (pion's SHA1_80 draws from a sync.Pool, which the race detector empties at
// random; its benchmark shows 0 too.)
func TestProtection_allocatesNothing(t *testing.T) {
	p, far, _ := pair(t, srtp.ProtectionProfileAeadAes128Gcm)
	plain, dst := packet(t, 7, 1, 1180), make([]byte, 0, 1500)
	sealed := make([][]byte, 200)
	for i := range sealed {
		var err error
		if sealed[i], err = far.EncryptRTP(nil, packet(t, 7, uint16(i), 1180), nil); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	allocs := testing.AllocsPerRun(len(sealed)-1, func() {
		binary.BigEndian.PutUint16(plain[2:], uint16(i))
		if _, err := p.SealRTP(append(dst, plain...), headerSize, uint64(i)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.OpenRTP(dst, sealed[i]); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if allocs != 0 {
		t.Errorf("%v allocations per packet, want 0", allocs)
	}
}
