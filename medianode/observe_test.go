package medianode_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode"
)

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// dataPacket is a user packet of the client protocol with a forged sender.
func dataPacket(text string) []byte {
	var user, out []byte
	user = protowire.AppendBytes(protowire.AppendTag(user, 2, protowire.BytesType), []byte(text))
	out = protowire.AppendBytes(protowire.AppendTag(out, 2, protowire.BytesType), user)
	return protowire.AppendString(protowire.AppendTag(out, 4, protowire.BytesType), "mallory")
}

// senderOf reads participant_identity.
func senderOf(t *testing.T, b []byte) (identity string) {
	t.Helper()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal("bad data packet")
		}
		b = b[n:]
		if num == 4 && typ == protowire.BytesType {
			identity, _ = protowire.ConsumeString(b)
		}
		b = b[protowire.ConsumeFieldValue(num, typ, b):]
	}
	return identity
}

func TestNode_showsHealthAndMetrics(t *testing.T) {
	n := startNode(t, nil)
	for path, want := range map[string]string{"/healthz": "ok", "/metrics": "drtc_medianode_sessions_count 0"} {
		resp, err := http.Get(n.MetricsURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %d, want 200 and %q", path, resp.StatusCode, want)
		}
	}
}

// Profiles are there for who asked for them alone.
func TestNode_profilesOnRequest(t *testing.T) {
	for wanted, status := range map[bool]int{false: http.StatusNotFound, true: http.StatusOK} {
		n := startNode(t, func(c *medianode.Config) { c.Profile = wanted })
		resp, err := http.Get(n.MetricsURL() + "/debug/pprof/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("profile = %v: got %d, want %d", wanted, resp.StatusCode, status)
		}
	}
}

func TestConfig_namesTheWrongField(t *testing.T) {
	for field, change := range map[string]func(*medianode.Config){
		"workers":              func(c *medianode.Config) { c.Workers = 65 },
		"worker_room_peers":    func(c *medianode.Config) { c.WorkerRoomPeers = 0 },
		"workers: want 1":      func(c *medianode.Config) { c.Portable, c.Workers = true, 2 },
		"frame_hold":           func(c *medianode.Config) { c.FrameHold = 3*time.Millisecond + 1 },
		"frame_hold: want":     func(c *medianode.Config) { c.FrameHold = -1 },
		"network":              func(c *medianode.Config) { c.Network = "Dev Net" },
		"key_file":             func(c *medianode.Config) { c.KeyFile = "" },
		"listen":               func(c *medianode.Config) { c.Listen = "7443" },
		"url":                  func(c *medianode.Config) { c.URL = "http://plain" },
		"media_listen":         func(c *medianode.Config) { c.MediaListen = nil },
		"registries":           func(c *medianode.Config) { c.Registries = []string{"ftp://x"} },
		"region":               func(c *medianode.Config) { c.Region = "MOON" },
		"place":                func(c *medianode.Config) { c.Place.Lat = 91 },
		"capacity_mbps":        func(c *medianode.Config) { c.CapacityMbps = 0 },
		"relay_max_version":    func(c *medianode.Config) { c.RelayMaxVersion = 3 },
		"max_sessions":         func(c *medianode.Config) { c.MaxSessions = 0 },
		"admission":            func(c *medianode.Config) { c.Admission.Mode = "friends" },
		"admission.registries": func(c *medianode.Config) { c.Admission.Mode = "network" },
		"admission.grace":      func(c *medianode.Config) { c.Admission.Grace = -1 },
		"registries: want": func(c *medianode.Config) {
			c.Admission.Mode, c.Admission.Registries = "network", []drtc.NodeID{{19: 1}}
		},
	} {
		c := medianode.DefaultConfig()
		c.Region = "EU"
		c.Admission.Mode = "anyone"
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
