package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
	"github.com/drtc-network/drtc/medianode/engine/svc/svctest"
)

// TestCore_anyScalableStream sends random streams to viewers who change their
// minds, through a network that loses, repairs and reorders on the way to the
// node, and reads what arrives as a strict receiver does.
func TestCore_anyScalableStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetwork(t)
		codec := rapid.SampledFrom([]engine.PayloadType{av1, vp9}).Draw(rt, "codec")
		mode := svctest.Mode{
			Spatial: rapid.IntRange(1, 3).Draw(rt, "spatial"), Temporal: rapid.IntRange(1, 3).Draw(rt, "temporal"), Key: rapid.Bool().Draw(rt, "key"),
		}
		cam := n.join(1).scalable(codec, mode)
		cam.describes = rapid.Bool().Draw(rt, "describes")
		lossy := rapid.Bool().Draw(rt, "lossy")
		viewers := []*client{n.join(2), n.join(3)}
		settings := rapid.Custom(func(t *rapid.T) engine.Settings {
			s := rapid.SampledFrom([]engine.Settings{small, medium, large, {}, {MaxLayer: 1}}).Draw(t, "settings")
			s.MaxTemporal = rapid.IntRange(0, 3).Draw(t, "temporal")
			return s
		})
		var now [2]engine.Settings
		for i, v := range viewers {
			now[i] = settings.Draw(rt, "first settings")
			v.look(codec, now[i])
		}
		lost, overtaken := map[int]bool{}, map[int]bool{} // frames of which a packet never came
		var late []*rtp.Packet                            // to be repaired, or overtaken
		newest := cam.seq                                 // that was sent: nothing newer can be repaired
		var gone, pictures int                            // packets that never came
		send := func(key bool) {
			pictures++
			for i, p := range cam.packets(key, mode.Spatial) {
				fate := rapid.IntRange(0, 39).Draw(rt, "fate")
				switch {
				case !lossy || key && i == 0 || fate > 2:
					cam.send(p)
					newest = p.SequenceNumber
				case fate == 0:
					gone++
					lost[truth(p)] = true
				default:
					late = append(late, p)
					overtaken[truth(p)] = true
				}
				for len(late) > 0 && rapid.IntRange(0, 3).Draw(rt, "comes") == 0 {
					if rapid.Bool().Draw(rt, "repaired") && int16(newest-late[0].SequenceNumber) > 0 {
						n.pass(2 * time.Millisecond) // a repair takes longer than the packets of a frame are held
						cam.repair(late[0])
					} else {
						cam.send(late[0])
						if int16(late[0].SequenceNumber-newest) > 0 {
							newest = late[0].SequenceNumber
						}
					}
					late = late[1:]
				}
			}
			n.pass(33 * time.Millisecond)
		}
		send(true)
		for range rapid.IntRange(1, 40).Draw(rt, "pictures") {
			if rapid.IntRange(0, 7).Draw(rt, "changes") == 0 {
				i := rapid.IntRange(0, 1).Draw(rt, "who")
				now[i] = settings.Draw(rt, "settings")
				viewers[i].resize(now[i])
			}
			send(cam.wantsKey())
		}
		for _, p := range late {
			cam.send(p)
		}
		n.pass(33 * time.Millisecond)
		for i, v := range viewers {
			receiver{rt: rt, cam: cam, lost: lost, overtaken: overtaken, lossy: lossy}.check(v.seen(), gone)
			if lossy {
				continue
			}
			for range 20 { // what is wanted comes, if the camera answers
				send(cam.wantsKey())
			}
			v.rtp = nil
			for range 4 {
				send(cam.wantsKey())
			}
			highest := 0
			for _, p := range v.seen() {
				highest = max(highest, p.s)
			}
			want := mode.Spatial - 1
			for s := mode.Spatial - 1; s >= 0; s-- {
				w, _ := mode.Size(s)
				if now[i].MaxLayer == 1 {
					want = 0
				} else if now[i].Width > 0 && uint32(w) >= now[i].Width {
					want = s
				}
			}
			if highest != want {
				rt.Fatalf("viewer %d with %+v gets layer %d, want %d", i, now[i], highest, want)
			}
		}
	})
}

// receiver checks what a viewer got against what its camera sent.
type receiver struct {
	rt              *rapid.T
	cam             *scalable
	lost, overtaken map[int]bool // frames of which a packet never came, or late
	lossy           bool
}

// superseded reports whether a frame came late and a key picture followed it: no
// receiver needs it any more.
func (r receiver) superseded(number int) bool {
	for _, f := range r.cam.frames {
		if f.KeyPicture && f.Picture > r.cam.frames[number].Picture {
			return r.overtaken[number]
		}
	}
	return false
}

func (r receiver) check(packets []seen, gone int) {
	got := map[int]bool{}
	holes := 0
	for i, p := range packets {
		if i > 0 {
			gap := p.SequenceNumber - packets[i-1].SequenceNumber
			if gap == 0 {
				r.rt.Fatalf("number %d was sent twice", p.SequenceNumber)
			}
			holes += int(gap) - 1
		}
		if p.number >= 0 {
			got[p.number] = true
		}
	}
	if holes > gone {
		r.rt.Fatalf("%d numbers are missing, but the network lost %d", holes, gone)
	}
	for number := range got {
		for _, reference := range r.cam.frames[number].References {
			if !got[reference] && !r.lost[reference] && !r.superseded(reference) {
				r.rt.Fatalf("frame %d was sent but builds on %d, which was not", number, reference)
			}
		}
	}
	if !r.lossy {
		r.checkMarkers(packets)
		r.checkPictures(packets)
	}
	if r.cam.codec == av1 && !r.lossy {
		r.checkDescriptors(packets)
	}
}

func (r receiver) checkMarkers(packets []seen) {
	for i, p := range packets {
		last := i == len(packets)-1 || packets[i+1].Timestamp != p.Timestamp
		if p.Marker != last {
			r.rt.Fatalf("packet %d of frame %d (S%d): marker %v, last of its picture %v: %s", p.part, p.number, p.s, p.Marker, last, layersOf(packets))
		}
	}
}

// checkPictures reads VP9's picture ids: they never step back.
func (r receiver) checkPictures(packets []seen) {
	if r.cam.codec != vp9 {
		return
	}
	for i, p := range packets {
		var d codecs.VP9Packet
		if _, err := d.Unmarshal(p.Payload); err != nil {
			r.rt.Fatal(err)
		}
		picture := r.cam.frames[p.number].Picture
		if int(d.PictureID) != picture&0x7fff || int(d.SID) != p.s || i > 0 && p.Timestamp == packets[i-1].Timestamp && p.number < packets[i-1].number {
			r.rt.Fatalf("frame %d of picture %d was sent as %d, S%d", p.number, picture, d.PictureID, d.SID)
		}
	}
}

// checkDescriptors follows the chains of the targets that are said to be active
// (AV1 RTP specification section A.6): each frame must find the one before.
func (r receiver) checkDescriptors(packets []seen) {
	var s dependency.Structure
	active, got := uint32(0), map[uint16]bool{}
	for _, p := range packets {
		f, err := s.Read(p.GetExtension(7))
		if err != nil {
			r.rt.Fatalf("frame %d has descriptor %x: %v", p.number, p.GetExtension(7), err)
		}
		if f.HasActive {
			active = f.Active
		}
		if f.First != (p.part == 0) || f.Last != (p.part == r.cam.perFrame-1) || int(f.Spatial) != p.s || f.Number != uint16(p.number) {
			r.rt.Fatalf("frame %d, S%d, part %d has descriptor %+v", p.number, p.s, p.part, f)
		}
		if f.Indications.Present()&active == 0 {
			r.rt.Fatalf("frame %d (S%d T%d) is of none of the active targets %x", p.number, p.s, p.t, active)
		}
		for target := range s.Targets {
			chain := s.ProtectedBy[target]
			if distance := uint16(f.Chains[chain]); active>>target&1 == 1 && distance != 0 && !got[f.Number-distance] {
				r.rt.Fatalf("frame %d: chain %d of active target %d (of %x) is broken", p.number, chain, target, active)
			}
		}
		got[f.Number] = true
	}
}
