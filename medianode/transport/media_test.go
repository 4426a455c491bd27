package transport

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/dtls/v3"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

var opus = engine.PayloadType{Number: 111, Mime: webrtc.MimeTypeOpus, ClockRate: 48000}

// A publisher's packets reach a subscriber through the real engine, whatever
// each of them negotiated: what one profile sealed the other opens.
func TestMedia_reachesTheSubscriber(t *testing.T) { overSetups(t, testMedia_reachesTheSubscriber) }

func testMedia_reachesTheSubscriber(t *testing.T, on setup) {
	gcmOnly := []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM}
	shaOnly := []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	for _, c := range []struct {
		name           string
		up, down       []dtls.SRTPProtectionProfile
		ipv6, activeUp bool
	}{
		{name: "GCM to GCM", up: gcmOnly, down: gcmOnly},
		{name: "SHA1_80 to GCM", up: shaOnly, down: gcmOnly},
		{name: "GCM to SHA1_80", up: gcmOnly, down: shaOnly},
		{name: "active to passive over IPv6", up: gcmOnly, down: gcmOnly, ipv6: true, activeUp: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, on, func(cfg *Config) {
				if c.ipv6 { // one publisher on IPv6, one subscriber on IPv4
					cfg.Listen = []netip.AddrPort{loopback4, netip.MustParseAddrPort("[::1]:0")}
				}
			})
			track := n.publish(t, 1, clientConfig{
				profiles: c.up, ipv6: c.ipv6, peer: func(p *PeerConfig) { p.Active = c.activeUp },
			})
			got := n.subscribe(t, 2, clientConfig{profiles: c.down})
			payload := []byte("an opus frame, opaque to the node")
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			deadline := time.After(patience)
			received := 0
			for sequence := uint16(65530); ; { // over the wrap
				select {
				case packet := <-got:
					if !bytes.Equal(packet.Payload, payload) {
						t.Fatalf("subscriber got payload %q, want %q", packet.Payload, payload)
					}
					if packet.PayloadType != opus.Number {
						t.Errorf("payload type %d, want %d", packet.PayloadType, opus.Number)
					}
					if received++; received == 20 {
						return
					}
				case <-tick.C:
					err := track.WriteRTP(&rtp.Packet{
						Header:  rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: uint32(sequence) * 960},
						Payload: payload,
					})
					if err != nil {
						t.Fatal(err)
					}
					sequence++
				case <-deadline:
					for i, c := range n.cores {
						n.workers[i].enter(func(time.Time) {
							t.Fatalf("no media arrived; core %d counts %+v", i, c.Counters())
						})
					}
				}
			}
		})
	}
}

// publish joins a client that sends audio as track TR_a.
func (n *node) publish(t *testing.T, id engine.PeerID, cfg clientConfig) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "a", "s")
	if err != nil {
		t.Fatal(err)
	}
	cfg.prepare = func(pc *webrtc.PeerConnection) {
		if _, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{
			Direction: webrtc.RTPTransceiverDirectionSendonly,
		}); err != nil {
			t.Fatal(err)
		}
	}
	cfg.opened = func() []string {
		n.do(t, id, func(now time.Time, c *engine.Core, _ *engine.Batch) {
			err = c.SetReceive(now, id, []engine.ReceiveSection{{Mid: "0", Codecs: []engine.PayloadType{opus}, Active: true}})
			if err == nil {
				err = c.Publish(now, id, engine.TrackConfig{ID: "TR_a", Mid: "0"})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return []string{"a=recvonly"}
	}
	n.join(t, id, cfg).awaitState(t, webrtc.PeerConnectionStateConnected)
	return track
}

// subscribe joins a client to which track TR_a is forwarded.
func (n *node) subscribe(t *testing.T, id engine.PeerID, cfg clientConfig) <-chan *rtp.Packet {
	t.Helper()
	got := make(chan *rtp.Packet, 1024)
	cfg.prepare = func(pc *webrtc.PeerConnection) {
		if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{
			Direction: webrtc.RTPTransceiverDirectionRecvonly,
		}); err != nil {
			t.Fatal(err)
		}
		pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			for packet, _, err := track.ReadRTP(); err == nil; packet, _, err = track.ReadRTP() {
				got <- packet
			}
		})
	}
	cfg.opened = func() []string {
		const ssrc, rtx = 5000, 5001
		home, err := n.Home(1)
		if err != nil {
			t.Fatal(err)
		}
		n.do(t, id, func(now time.Time, c *engine.Core, _ *engine.Batch) {
			if err = c.Subscribe(now, id, engine.SubscribeConfig{Track: "TR_a", Home: home, SSRC: ssrc, RTX: rtx}); err == nil {
				err = c.SetSend(now, id, []engine.SendSection{{Track: "TR_a", Mid: "0", Codec: opus, Active: true}})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		return []string{"a=sendonly", "a=msid:s a", fmt.Sprintf("a=ssrc:%d cname:node", ssrc)}
	}
	n.join(t, id, cfg).awaitState(t, webrtc.PeerConnectionStateConnected)
	return got
}
