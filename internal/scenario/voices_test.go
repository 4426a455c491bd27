package scenario

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

// voiceMedia is a talker with hardly a picture.
var voiceMedia = media{{FramesPerSecond: 2, VideoPackets: 2, VideoBytes: 200, KeyFrameEvery: time.Second, AudioPackets: 50, AudioBytes: 60}}

// ear counts whose voice comes.
type ear struct {
	mu      sync.Mutex // guards packets
	packets map[int]int
}

func (e *ear) play(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	go func() {
		for buffer := make([]byte, 1700); ; {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			if trailer, ours := traffic.ReadTrailer(buffer[:n]); ours && trailer.Kind == traffic.Audio {
				e.mu.Lock()
				e.packets[int(trailer.Publisher)/streams]++
				e.mu.Unlock()
			}
		}
	}()
}

// hears is who is heard within d.
func (e *ear) hears(ctx context.Context, d time.Duration) []int {
	e.mu.Lock()
	clear(e.packets)
	e.mu.Unlock()
	pause(ctx, d)
	e.mu.Lock()
	defer e.mu.Unlock()
	var who []int
	for number := range e.packets {
		who = append(who, number)
	}
	slices.Sort(who)
	return who
}

// Six speak on one node, and two voices may cross a link: those who listen on
// another node hear the loudest two and nobody else, whoever they are; who
// listens on the same node hears all.
func TestVoices_theLoudestCrossALink(t *testing.T) {
	const speakers, limit = 6, 2
	berlin, singapore := drtc.Place{Lat: 52.5, Lon: 13.4}, drtc.Place{Lat: 1.35, Lon: 103.82}
	ctx, cancel := context.WithCancel(t.Context())
	bed, err := Start(ctx, BedConfig{
		Program: program, Dir: t.TempDir(), Region: drtc.Europe, NeedMbps: 0.3,
		Sites: []Site{
			{Name: "berlin", Region: drtc.Europe, Place: berlin, MaxSessions: 50},
			{Name: "singapore", Region: drtc.Asia, Place: singapore, MaxSessions: 50},
		},
		Plan: map[string]any{"strategy": "proximity", "audio_limit": limit, "standby": false},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer bed.Stop()
	const room = "voices"
	door := func() *client.Signal {
		api, err := client.NewAPI(client.Options{NACK: true, TWCC: true, Levels: true, Interfaces: client.LoopbackInterfaces("127.0.0.1")})
		if err != nil {
			t.Fatal(err)
		}
		return &client.Signal{API: api, Base: bed.url, Room: room, Sign: func(identity string, _ bool) (string, error) { return bed.sign(room, identity) }}
	}()
	at := func(p drtc.Place) string { return fmt.Sprintf("%v,%v", p.Lat, p.Lon) }
	join := func(node int, p client.Participant) {
		t.Helper()
		session, err := door.Join(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = session.Close() })
		if got, err := bed.node(ctx, room, p.Name); err != nil || got != node {
			t.Fatalf("%s is on node %d (%v), want %d", p.Name, got, err, node)
		}
	}

	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel()
	var mics []*voice
	for i := range speakers {
		talker, err := newTalker(i, fmt.Sprintf("speaker-%d", i), voiceMedia, new(atomic.Uint32))
		if err != nil {
			t.Fatal(err)
		}
		talker.audio.level.Store(127)
		mics = append(mics, talker.audio)
		sending.Go(func() { talker.run(ctx) })
		join(0, client.Participant{Name: fmt.Sprintf("speaker-%d", i), Place: at(berlin), Publish: talker.publisher()})
	}
	ears := map[string]*ear{"far": {}, "also far": {}, "near": {}}
	for name, e := range ears {
		e.packets = map[int]int{}
		node, place := 1, singapore
		if name == "near" {
			node, place = 0, berlin
		}
		join(node, client.Participant{Name: name, Place: at(place), Play: &client.Subscriber{Name: name, Track: e.play}})
	}

	// become waits until everybody who is far hears these, for a second, and is to
	// hear nobody else for the next one.
	become := func(what string, want ...int) {
		t.Helper()
		for tries := 0; ; tries++ {
			if got := ears["far"].hears(ctx, time.Second); slices.Equal(got, want) {
				break
			} else if tries == 15 {
				t.Fatalf("%s: %v are heard far away, want %v", what, got, want)
			}
		}
		var all sync.WaitGroup
		for name, e := range ears {
			all.Go(func() {
				want := want
				if name == "near" {
					want = []int{0, 1, 2, 3, 4, 5}
				}
				if got := e.hears(ctx, time.Second); !slices.Equal(got, want) {
					t.Errorf("%s: %s hears %v, want %v", what, name, got, want)
				}
			})
		}
		all.Wait()
	}
	mics[1].level.Store(20)
	mics[3].level.Store(25)
	become("two speak", 1, 3)
	mics[0].level.Store(24)
	become("a third is hardly louder", 1, 3)
	mics[0].level.Store(12)
	become("it is clearly louder", 0, 1)
	mics[5].level.Store(8)
	mics[1].level.Store(127)
	become("one speaks up and another falls silent", 0, 5)
}
