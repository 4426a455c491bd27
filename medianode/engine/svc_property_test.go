package engine_test

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/engine/dependency"
)

// TestCore_anyScalableStream sends random streams to viewers who change their
// minds, through a network that loses, repairs and reorders on the way to the
// node, and reads what arrives as a strict receiver does.
func TestCore_anyScalableStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetworkOf(t, engine.Config{NoReplay: true})
		codec, mode := rapid.SampledFrom([]engine.PayloadType{av1, vp9}).Draw(rt, "codec"), anyMode(rt)
		cam := n.join(1).scalable(codec, mode)
		cam.describes = rapid.Bool().Draw(rt, "describes")
		lossy := rapid.Bool().Draw(rt, "lossy")
		viewers := []*client{n.join(2), n.join(3)}
		var now [2]engine.Settings
		for i, v := range viewers {
			now[i] = anySettings.Draw(rt, "first settings")
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
				now[i] = anySettings.Draw(rt, "settings")
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
			if want := highestWanted(mode, now[i]); highest != want {
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
	leaves          bool // the viewer may leave off in the middle of a picture
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

// check fails unless every run of packets can be decoded, and no more numbers
// are missing than packets never came.
func (r receiver) check(packets []seen, gone int) {
	r.rt.Helper()
	holes := 0
	for i, p := range packets[min(1, len(packets)):] {
		gap := p.SequenceNumber - packets[i].SequenceNumber
		if gap == 0 {
			r.rt.Fatalf("number %d was sent twice", p.SequenceNumber)
		}
		holes += int(gap) - 1
		if int32(p.Timestamp-packets[i].Timestamp) < 0 && !r.lossy {
			r.rt.Fatalf("number %d: timestamp %d after %d", p.SequenceNumber, p.Timestamp, packets[i].Timestamp)
		}
	}
	if holes > gone {
		r.rt.Fatalf("%d numbers are missing, but the network lost %d", holes, gone)
	}
	if !r.lossy {
		r.checkMarkers(packets)
	}
	for _, run := range r.runs(packets) {
		r.checkRun(run)
	}
}

// run is packets of which the frames are numbered as their camera did, but for
// an offset. It begins with a key picture.
type run struct {
	packets []seen
	offset  uint16
}

// runs parts what a viewer was sent where the offset changes.
func (r receiver) runs(packets []seen) (out []run) {
	r.rt.Helper()
	for _, p := range packets {
		if p.number < 0 {
			continue // padding
		}
		offset := r.offset(p)
		if len(out) == 0 || out[len(out)-1].offset != offset {
			f := r.cam.frames[p.number]
			if !f.KeyPicture || f.S > 0 || p.part > 0 {
				r.rt.Fatalf("packet %d of frame %d (S%d T%d) begins a run", p.part, p.number, p.s, p.t)
			}
			out = append(out, run{offset: offset})
		}
		last := &out[len(out)-1]
		last.packets = append(last.packets, p)
	}
	return out
}

// offset is by how much the node moved the number of a packet's frame, or of its
// picture.
func (r receiver) offset(p seen) uint16 {
	r.rt.Helper()
	if r.cam.codec != vp9 {
		return dependency.Number(p.GetExtension(7)) - uint16(p.number)
	}
	var d codecs.VP9Packet
	if _, err := d.Unmarshal(p.Payload); err != nil {
		r.rt.Fatal(err)
	}
	if int(d.SID) != p.s {
		r.rt.Fatalf("frame %d of S%d says S%d", p.number, p.s, d.SID)
	}
	return (d.PictureID - uint16(r.cam.frames[p.number].Picture)) & 0x7fff
}

func (r receiver) checkRun(run run) {
	r.rt.Helper()
	got, packets := map[int]bool{}, map[[2]int]bool{}
	for _, p := range run.packets {
		if packets[[2]int{p.number, p.part}] {
			r.rt.Fatalf("packet %d of frame %d was sent twice", p.part, p.number)
		}
		got[p.number], packets[[2]int{p.number, p.part}] = true, true
	}
	for number := range got {
		for _, reference := range r.cam.frames[number].References {
			if !got[reference] && !r.lost[reference] && !r.superseded(reference) {
				r.rt.Fatalf("frame %d was sent but builds on %d, which was not", number, reference)
			}
		}
	}
	if !r.lossy && r.cam.codec == av1 {
		r.checkDescriptors(run)
	}
}

func (r receiver) checkMarkers(packets []seen) {
	r.rt.Helper()
	for i, p := range packets {
		last := i == len(packets)-1 || packets[i+1].Timestamp != p.Timestamp
		if cut := r.leaves && last && (i == len(packets)-1 || r.cam.frames[packets[i+1].number].KeyPicture); p.Marker != last && !cut {
			r.rt.Fatalf("packet %d of frame %d (S%d): marker %v, last of its picture %v: %s", p.part, p.number, p.s, p.Marker, last, layersOf(packets))
		}
		if !last && packets[i+1].number < p.number {
			r.rt.Fatalf("frame %d comes after %d of the same picture", packets[i+1].number, p.number)
		}
	}
}

// checkDescriptors follows the chains of the targets that are said to be active
// (AV1 RTP specification section A.6): each frame must find the one before.
func (r receiver) checkDescriptors(run run) {
	r.rt.Helper()
	var s dependency.Structure
	active, got := uint32(0), map[uint16]bool{}
	for _, p := range run.packets {
		f, err := s.Read(p.GetExtension(7))
		if err != nil {
			r.rt.Fatalf("frame %d has descriptor %x: %v", p.number, p.GetExtension(7), err)
		}
		if f.HasActive {
			active = f.Active
		}
		if f.First != (p.part == 0) || f.Last != (p.part == r.cam.perFrame-1) || int(f.Spatial) != p.s {
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
