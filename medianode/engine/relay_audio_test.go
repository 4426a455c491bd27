package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
)

// voices are microphones of one node that another hears.
type voices struct {
	*mesh
	h      *hop
	mics   []*mic
	tracks []*onHop
}

type mic struct {
	*client
	level byte // -dBov
	seq   uint16
}

func newVoices(t testing.TB, count int) *voices {
	m := newMesh(t, 2, engine.Config{})
	v := &voices{mesh: m, h: m.link(m.nodes[0], m.nodes[1])}
	listener := m.nodes[1].join(200)
	var sections []engine.SendSection
	for i := range count {
		c := m.nodes[0].join(engine.PeerID(1 + i))
		id := drtc.TrackID(fmt.Sprintf("TR_%d", i))
		m.must(m.nodes[0].core.SetReceive(m.now, c.id, []engine.ReceiveSection{{Mid: "a", Codecs: []engine.PayloadType{opus}, Extensions: ids, Active: true}}))
		m.must(m.nodes[0].core.Publish(m.now, c.id, engine.TrackConfig{ID: id, Mid: "a"}))
		v.mics = append(v.mics, &mic{client: c, level: 127, seq: uint16(100 * i)})
		track := v.h.carry(engine.TrackConfig{ID: id}, audio, 1)
		track.group = "link"
		v.tracks = append(v.tracks, track)
		m.must(m.nodes[1].core.Subscribe(m.now, listener.id, engine.SubscribeConfig{Track: id, SSRC: uint32(6000 + 2*i), RTX: uint32(6001 + 2*i)}))
		sections = append(sections, engine.SendSection{Track: id, Mid: fmt.Sprint(i), Codec: opus, Active: true})
	}
	m.must(m.nodes[1].core.SetSend(m.now, listener.id, sections))
	m.pass(100 * time.Millisecond)
	return v
}

// say has all microphones send for a while, and returns who was heard behind the
// hop in the last 100 ms of it.
func (v *voices) say(d time.Duration) (heard []int) {
	for left := d; left > 0; left -= 20 * time.Millisecond {
		if left == 100*time.Millisecond {
			v.h.rtp = nil
		}
		for i, c := range v.mics {
			c.seq++
			p := &rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: opus.Number, SSRC: uint32(700 + i), SequenceNumber: c.seq, Timestamp: uint32(v.now.UnixMilli() * 48),
			}, Payload: []byte{byte(i), 1, byte(c.seq)}}
			v.must(p.SetExtension(extMid, []byte("a")))
			v.must(p.SetExtension(extLevel, []byte{c.level}))
			c.send(p)
		}
		v.pass(20 * time.Millisecond)
	}
	for i, track := range v.tracks {
		if len(track.of(0)) > 0 {
			heard = append(heard, i)
		}
	}
	return heard
}

func (v *voices) limit(n int) {
	v.must(v.nodes[0].core.SetAudioLimit(v.now, v.h.upPeer, "link", n))
}

// A hop carries the loudest voices. Who has begun goes on until another is clearly
// louder; who comes back goes on with the next number.
func TestRelay_audioLimit(t *testing.T) {
	v := newVoices(t, 5)
	if got := v.say(time.Second); len(got) != 5 {
		t.Fatalf("without a limit %v are heard, want all", got)
	}
	v.limit(2)
	v.mics[1].level, v.mics[3].level = 20, 25
	expect := func(what string, want ...int) {
		t.Helper()
		if got := v.say(time.Second); !slices.Equal(got, want) {
			t.Errorf("%s: %v are heard, want %v", what, got, want)
		}
	}
	expect("two speak", 1, 3)
	v.mics[0].level = 24
	expect("a third is hardly louder", 1, 3)
	v.mics[0].level = 15
	expect("it is clearly louder", 0, 1)
	v.mics[0].level, v.mics[1].level, v.mics[3].level = 127, 127, 127
	expect("nobody speaks: who spoke last goes on", 0, 1)
	v.mics[4].level = 40
	if got := v.say(time.Second); !slices.Contains(got, 4) || len(got) != 2 {
		t.Errorf("a soft voice among silence: %v are heard, want two and 4 of them", got)
	}
	v.limit(0)
	if got := v.say(time.Second); len(got) != 5 {
		t.Errorf("without a limit again %v are heard, want all", got)
	}
	listener := v.nodes[1].peers[0]
	bySSRC := map[uint32][]*rtp.Packet{}
	for _, p := range listener.rtp {
		bySSRC[p.SSRC] = append(bySSRC[p.SSRC], p)
	}
	for ssrc, all := range bySSRC {
		for i, p := range all[1:] {
			if p.SequenceNumber != all[i].SequenceNumber+1 || int32(p.Timestamp-all[i].Timestamp) <= 0 {
				t.Errorf("stream %d: number %d at %d follows %d at %d", ssrc, p.SequenceNumber, p.Timestamp, all[i].SequenceNumber, all[i].Timestamp)
			}
			if level := p.GetExtension(extLevel); len(level) != 0 {
				t.Errorf("stream %d has levels though its viewer did not negotiate them", ssrc)
			}
		}
	}
	if len(bySSRC) != 5 {
		t.Errorf("the listener heard %d streams, want 5", len(bySSRC))
	}
	if e, told := last[engine.Speakers](v.nodes[1]); told {
		t.Errorf("the listener's node names speakers of another node: %+v", e)
	}
	if _, told := last[engine.Speakers](v.nodes[0]); !told {
		t.Error("the home names no speakers")
	}
}

// Audio that nobody hears crosses no hop, and that is told at once.
func TestRelay_audioDemand(t *testing.T) {
	v := newVoices(t, 1)
	if got := v.say(200 * time.Millisecond); len(got) != 1 {
		t.Fatalf("%v are heard, want the only one", got)
	}
	if d, told := lastDemand(v.nodes[1], "TR_0"); !told || !slices.Equal(d, []int{0}) {
		t.Errorf("demand %v, told %v; want layer 0", d, told)
	}
	if _, told := lastDemand(v.nodes[0], "TR_0"); told {
		t.Error("a client's audio has a demand that is told")
	}
	v.must(v.nodes[1].core.Unsubscribe(v.now, 200, "TR_0"))
	v.say(700 * time.Millisecond)
	if got := v.say(200 * time.Millisecond); len(got) != 0 {
		t.Errorf("%v cross the hop, want none", got)
	}
}

// A lost packet of audio is sent again on a hop: with one loss in twenty on each of
// four hops a listener would else lack a fifth.
func TestRelay_repairsAudio(t *testing.T) {
	v := newVoices(t, 1)
	v.say(2 * time.Second) // a round trip is known
	listener := v.nodes[1].peers[0]
	listener.rtp = nil
	v.say(40 * time.Millisecond)
	v.h.cut = true
	v.say(20 * time.Millisecond)
	v.h.cut = false
	v.say(200 * time.Millisecond)
	if len(listener.rtp) < 12 {
		t.Errorf("%d packets came of the 12 or more that were on the way", len(listener.rtp))
	}
	seqs := map[uint16]bool{}
	low, high := listener.rtp[0].SequenceNumber, listener.rtp[0].SequenceNumber
	for _, p := range listener.rtp {
		seqs[p.SequenceNumber] = true
		low, high = min(low, p.SequenceNumber), max(high, p.SequenceNumber)
	}
	if int(high-low)+1 != len(seqs) {
		t.Errorf("numbers %d to %d, but %d packets", low, high, len(seqs))
	}
}
