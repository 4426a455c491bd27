package orchestrator

import (
	"strings"
	"testing"
)

// What is wrong with a store is said by the key of the file.
func TestState_namesTheKey(t *testing.T) {
	for _, c := range []struct {
		want  string
		state State
	}{
		{"state.kind", State{Kind: "x"}},
		{"state.max_bytes", State{Kind: StateEmbedded, MaxBytes: 1}},
		{"state.listen", State{Kind: StateEmbedded, Listen: "8.8.8.8:1", Token: "0123456789abcdef"}},
		{"state.token (DRTC_STATE_TOKEN)", State{Kind: StateEmbedded, Listen: "127.0.0.1:1"}},
		{"state.urls", State{Kind: StateNATS}},
		{"state.bucket", State{Kind: StateNATS, URLs: []string{"nats://127.0.0.1"}, Bucket: "a b"}},
		{"state.replicas", State{Kind: StateNATS, URLs: []string{"nats://127.0.0.1"}, Replicas: 9}},
		{"state.credentials", State{Kind: StateNATS, URLs: []string{"nats://127.0.0.1"}, Credentials: "f", Token: "t"}},
	} {
		if err := c.state.Validate(); err == nil || !strings.HasPrefix(err.Error(), "orchestrator: "+c.want+": want") {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
