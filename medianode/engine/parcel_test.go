package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/medianode/engine/codec"
)

// What a parcel carries comes out as it went in, in order, a frame at a time.
func TestParcel_carriesFrames(t *testing.T) {
	var p Parcel // one for all, as between two workers
	rapid.Check(t, func(t *rapid.T) {
		p.Reset()
		layers := []*layer{{index: 0}, {index: 1}}
		type sent struct {
			layer  int
			handle uint32
			packet packet
		}
		var in []sent
		for i := range rapid.IntRange(1, 100).Draw(t, "packets") {
			s := sent{layer: rapid.IntRange(0, 1).Draw(t, "layer"), handle: rapid.Uint32Range(1, 2).Draw(t, "handle")}
			s.packet = packet{
				seq: uint64(i) + 1<<40, timestamp: rapid.Uint32Range(1, 2).Draw(t, "timestamp"),
				marker: rapid.Bool().Draw(t, "marker"), repaired: rapid.Bool().Draw(t, "repaired"), key: rapid.Bool().Draw(t, "key"),
				arrived: time.Unix(1, int64(i)), codec: codec.AV1,
				payload: bytes.Repeat([]byte{byte(i)}, rapid.IntRange(1, 1500).Draw(t, "payload")),
			}
			if rapid.Bool().Draw(t, "level") {
				s.packet.level = []byte{byte(i + 1)}
			}
			if rapid.Bool().Draw(t, "dependency") {
				s.packet.dependency = bytes.Repeat([]byte{byte(i + 2)}, rapid.IntRange(1, 255).Draw(t, "descriptor"))
			}
			in = append(in, s)
			p.media(s.handle, layers[s.layer], &s.packet)
		}
		for i := 0; i < len(p.records); {
			frame := p.frame(i)
			for j := range frame {
				want, got := in[i+j], p.packet(&frame[j])
				if frame[j].handle != want.handle || int(frame[j].layer) != want.layer {
					t.Fatalf("packet %d: got handle %d layer %d, want %d and %d", i+j, frame[j].handle, frame[j].layer, want.handle, want.layer)
				}
				if got.timestamp != in[i].packet.timestamp || frame[j].handle != in[i].handle || int(frame[j].layer) != in[i].layer {
					t.Fatalf("packet %d is not of the frame of packet %d", i+j, i)
				}
				same := got.seq == want.packet.seq && got.marker == want.packet.marker && got.key == want.packet.key &&
					got.repaired == want.packet.repaired && got.arrived.Equal(want.packet.arrived) && got.codec == want.packet.codec
				if !same || !bytes.Equal(got.payload, want.packet.payload) || !bytes.Equal(got.level, want.packet.level) ||
					!bytes.Equal(got.dependency, want.packet.dependency) {
					t.Fatalf("packet %d: got %+v, want %+v", i+j, got, want.packet)
				}
			}
			i += len(frame)
		}
	})
}

func TestParcel_dropMediaKeepsTheLastWord(t *testing.T) {
	var p Parcel
	l := &layer{index: 2}
	p.tell(trackMessage{handle: 1, muted: true})
	p.tell(layerMessage{handle: 1, layer: 2, live: true})
	for i := range 5 {
		p.media(1, l, &packet{seq: uint64(i), payload: []byte{1}})
	}
	p.skip(1, l, &packet{seq: 5})
	p.tell(layerMessage{handle: 1, layer: 2})
	p.tell(trackMessage{handle: 1})
	p.tell(endedMessage{handle: 7})
	if got := p.DropMedia(); got != 5 {
		t.Errorf("got %d packets dropped, want 5", got)
	}
	want := []subject{
		trackMessage{handle: 1}.subject(), layerMessage{handle: 1, layer: 2}.subject(),
		endedMessage{handle: 7}.subject(), gapMessage{handle: 1, layer: 2}.subject(),
	}
	var got []subject
	for i := range p.records {
		got = append(got, p.messages[p.records[i].at].subject())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v left, want %v", got, want)
	}
	if m := p.messages[0].(trackMessage); m.muted {
		t.Error("the track is still said to be muted")
	}
	if m := p.messages[1].(layerMessage); m.live {
		t.Error("the layer is still said to live")
	}
	if got := p.DropMedia(); got != 0 || len(p.records) != len(want) {
		t.Errorf("dropped again: got %d packets and %d messages, want 0 and %d", got, len(p.records), len(want))
	}
	p.Reset()
	if !p.Empty() {
		t.Error("not empty after Reset")
	}
}

// A receiver that never takes anything costs no more than what there is to say.
func TestParcel_stalledReceiverCostsNoMemory(t *testing.T) {
	var p Parcel
	l := &layer{}
	for i := range 10_000 {
		p.media(1, l, &packet{seq: uint64(i), payload: make([]byte, 1200)})
		p.tell(clockMessage{handle: 1})
		p.DropMedia()
	}
	if len(p.records) != 2 || cap(p.arena) > 4096 || cap(p.messages) > 64 {
		t.Errorf("got %d records, %d bytes and room for %d messages, want 2 records and no growth", len(p.records), cap(p.arena), cap(p.messages))
	}
}
