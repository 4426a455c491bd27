package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/drtc-network/drtc/examples/stage/stagetest"
	"github.com/drtc-network/drtc/loadtest/client"
)

// An encoder sends, viewers get media from their nodes, and with the audience the
// room becomes a tree.
func TestStream(t *testing.T) {
	s := stagetest.Start(t, program, stream())
	var told struct{ Publish, Play, Token string }
	if status := s.Ask(http.MethodGet, "/api/encoder?room=show", nil, &told); status != http.StatusOK {
		t.Fatalf("no address for the encoder: %d", status)
	}
	base, err := url.Parse(s.Network.URL)
	if err != nil || told.Publish != s.Network.URL+"/whip/show/encoder" {
		t.Fatalf("the encoder is told %q", told.Publish)
	}
	api, err := client.NewAPI(client.Options{NACK: true, Interfaces: client.LoopbackInterfaces(base.Hostname())})
	if err != nil {
		t.Fatal(err)
	}
	door := func(token string) *client.WHIP {
		return &client.WHIP{API: api, Base: base, Room: "show", HTTP: http.DefaultClient, Sign: func(string, bool) (string, error) { return token, nil }}
	}
	audio, video := track(t, webrtc.MimeTypeOpus, "audio"), track(t, webrtc.MimeTypeVP8, "video")
	if _, err := door(s.Token("intruder", "show", "")).Publish(t.Context(), client.Publisher{Name: "intruder", Audio: audio, Video: video, KeyFrame: func() {}}); err == nil {
		t.Error("somebody who is no publisher sends")
	}
	encoder, err := door(told.Token).Publish(t.Context(), client.Publisher{Name: "encoder", Audio: audio, Video: video, KeyFrame: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	feed(t, audio, video)
	seen := make(chan int, 1000)
	for i := range 6 {
		name := fmt.Sprintf("viewer%d", i)
		viewer, err := door(s.Token(name, "show", "")).Play(t.Context(), client.Subscriber{Name: name, Track: func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			go func() {
				if _, _, err := track.ReadRTP(); err == nil {
					seen <- i
				}
			}()
		}}, "encoder")
		if err != nil {
			t.Fatal(err)
		}
		defer viewer.Close()
	}
	count := map[int]int{}
	timeout := time.After(20 * time.Second)
	for watching := 0; watching < 6; {
		select {
		case i := <-seen:
			if count[i]++; count[i] == 2 {
				watching++
			}
		case <-timeout:
			t.Fatalf("tracks of viewers that got media: %v, want 2 of each of 6", count)
		}
	}
	if resp, err := http.Get(s.Network.URL + "/metrics"); err != nil {
		t.Error(err)
	} else {
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), `drtc_orchestrator_plans_total{strategy="fanout"}`) {
			t.Error("the room did not fan out with its audience")
		}
	}
}

func track(t *testing.T, mime, id string) *webrtc.TrackLocalStaticSample {
	t.Helper()
	local, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, id, "show")
	if err != nil {
		t.Fatal(err)
	}
	return local
}

// feed sends frames until the test ends: opus, and VP8 of key frames alone.
func feed(t *testing.T, audio, video *webrtc.TrackLocalStaticSample) {
	key := []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 1, 180, 0, 0, 0}
	tick := time.NewTicker(20 * time.Millisecond)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
				_ = audio.WriteSample(media.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond})
				_ = video.WriteSample(media.Sample{Data: key, Duration: 20 * time.Millisecond})
			}
		}
	}()
}
