package relay_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/relay"
)

// The vectors are written by hand from spec/relay.md; the values that they stand
// for are here.
func messages() map[string]relay.Message {
	a, b, owner := node(1), node(2), node(9)
	return map[string]relay.Message{
		"hello":  relay.Hello{Version: 2, Node: a, Peer: b},
		"open":   relay.Open{Number: 1, Owner: owner, Link: "L1", Instance: relay.Instance{5, 6}, Room: "RM_1"},
		"close":  relay.Close{Number: 1, Reason: "bye"},
		"routes": relay.Routes{Number: 1, Origins: []drtc.NodeID{a, b}},
		"track of audio": relay.Track{Number: 1, Track: "TR_a", Announcement: relay.Announcement{
			Path: []drtc.NodeID{a}, Codecs: []relay.Codec{{Mime: relay.Opus, Channels: 2, Fmtp: "useinbandfec=1"}}, Streams: []relay.Stream{{SSRC: 7}},
		}},
		"track of video": relay.Track{Number: 2, Track: "TR_v", Announcement: relay.Announcement{
			Path: []drtc.NodeID{a, b}, Video: true, Muted: true, Mime: relay.VP8, Codecs: []relay.Codec{{Mime: relay.VP8}},
			Sizes:   []relay.Size{{RID: "q", Width: 320, Height: 180, Bitrate: 100_000}, {RID: "h", Width: 640, Height: 360, Bitrate: 400_000}},
			Streams: []relay.Stream{{RID: "q", SSRC: 0x01020304, RTX: 0x05060708}, {RID: "h", SSRC: 9, RTX: 10}},
		}},
		"gone":  relay.Gone{Number: 1, Track: "TR_a", Ended: true},
		"want":  relay.Want{Number: 1, Track: "TR_v", Wish: relay.Wish{Streams: 5, Quality: 2}},
		"state": relay.State{Number: 1, Track: "TR_v", Muted: true, Mime: relay.H264},
	}
}

func node(n byte) (id drtc.NodeID) {
	for i := range id {
		id[i] = n
	}
	return id
}

type vectors struct {
	Messages []struct {
		Name    string `json:"name"`
		Version uint8  `json:"version"`
		Hex     string `json:"hex"`
	} `json:"messages"`
	Refused []struct {
		Name    string `json:"name"`
		Version uint8  `json:"version"`
		Hex     string `json:"hex"`
		Why     string `json:"why"`
	} `json:"refused"`
	Data []struct {
		Version  uint8  `json:"version"`
		Hops     uint8  `json:"hops"`
		Sequence uint64 `json:"sequence"`
		Packet   string `json:"packet"`
		Hex      string `json:"hex"`
	} `json:"data"`
}

func readVectors(t testing.TB) (v vectors) {
	b, err := os.ReadFile("../../spec/vectors/relay.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCodec_vectors(t *testing.T) {
	v := readVectors(t)
	want := messages()
	if len(v.Messages) != len(want) {
		t.Errorf("got %d vectors, want %d", len(v.Messages), len(want))
	}
	for _, c := range v.Messages {
		m := want[c.Name]
		if got := relay.Encode(nil, c.Version, m); !bytes.Equal(got, unhex(t, c.Hex)) {
			t.Errorf("%s: encoded\n%x, want\n%x", c.Name, got, unhex(t, c.Hex))
		}
		if got, err := relay.Decode(c.Version, unhex(t, c.Hex)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: decoded %+v (%v), want %+v", c.Name, got, err, m)
		}
	}
	for _, c := range v.Refused {
		if m, err := relay.Decode(c.Version, unhex(t, c.Hex)); !errors.Is(err, relay.ErrProtocol) || !strings.Contains(err.Error(), c.Why) {
			t.Errorf("%s: got %+v, %v, want a refusal with %q", c.Name, m, err, c.Why)
		}
	}
	for _, c := range v.Data {
		d := relay.Data{Number: 3, Origin: node(1), Hops: c.Hops, Sequence: c.Sequence, Packet: []byte(c.Packet)}
		if got := relay.EncodeData(nil, c.Version, d); !bytes.Equal(got, unhex(t, c.Hex)) {
			t.Errorf("data in version %d: encoded %x, want %s", c.Version, got, c.Hex)
		}
		if got, err := relay.DecodeData(c.Version, unhex(t, c.Hex)); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("data in version %d: decoded %+v (%v), want %+v", c.Version, got, err, d)
		}
	}
}

// A node of the first version neither tells nor takes what came later.
func TestCodec_firstVersionKnowsNothingOfTheSecond(t *testing.T) {
	m := messages()["track of video"].(relay.Track)
	got, err := relay.Decode(relay.Version1, relay.Encode(nil, relay.Version1, m))
	if err != nil {
		t.Fatal(err)
	}
	if m.Muted = false; !reflect.DeepEqual(got, relay.Message(m)) {
		t.Errorf("got %+v, want the track without its mute", got)
	}
	for name, m := range map[string]relay.Message{"state": messages()["state"], "mute": messages()["track of video"]} {
		if got, err := relay.Decode(relay.Version1, relay.Encode(nil, relay.Version2, m)); err == nil {
			t.Errorf("%s: a node of version 1 takes %+v", name, got)
		}
	}
}

// A newer node may announce formats that this one has never heard of.
func TestCodec_unknownFormatsAreLeftOut(t *testing.T) {
	m := messages()["track of video"].(relay.Track)
	m.Codecs = []relay.Codec{{Mime: 200, Fmtp: "x=1"}, {Mime: relay.VP9}, {Mime: relay.Opus}}
	got, err := relay.Decode(relay.Version2, relay.Encode(nil, relay.Version2, m))
	if err != nil {
		t.Fatal(err)
	}
	if c := got.(relay.Track).Codecs; len(c) != 1 || c[0].Mime != relay.VP9 {
		t.Errorf("got codecs %v, want VP9 alone", c)
	}
}

func FuzzDecode(f *testing.F) {
	v := readVectors(f)
	for _, c := range v.Messages {
		f.Add(c.Version, unhex(f, c.Hex))
	}
	for _, c := range v.Refused {
		f.Add(c.Version, unhex(f, c.Hex))
	}
	f.Fuzz(func(t *testing.T, version uint8, b []byte) {
		version = 1 + version%relay.Newest
		m, err := relay.Decode(version, b)
		if err != nil {
			if !errors.Is(err, relay.ErrProtocol) {
				t.Fatalf("got %v, want an ErrProtocol", err)
			}
			return
		}
		again := relay.Encode(nil, version, m)
		if track, ok := m.(relay.Track); ok && len(track.Codecs) == 0 {
			return // all its formats were unknown
		}
		back, err := relay.Decode(version, again)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%+v was encoded as %x, which decodes to %+v (%v)", m, again, back, err)
		}
	})
}

func FuzzDecodeData(f *testing.F) {
	for _, c := range readVectors(f).Data {
		f.Add(c.Version, unhex(f, c.Hex))
	}
	f.Fuzz(func(t *testing.T, version uint8, b []byte) {
		version = 1 + version%relay.Newest
		d, err := relay.DecodeData(version, b)
		if err != nil {
			if !errors.Is(err, relay.ErrProtocol) {
				t.Fatalf("got %v, want an ErrProtocol", err)
			}
			return
		}
		if again := relay.EncodeData(nil, version, d); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes and encodes to %x", b, again)
		}
	})
}
