package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
)

// PeersAnswer is whom a Registry knows, as it says itself.
type PeersAnswer struct {
	Registry  drtc.NodeID `json:"registry"`
	Network   string      `json:"network"`
	Addresses []string    `json:"addresses"` // of the gossip network, multiaddresses
	Peers     []Peer      `json:"peers"`
	// Raw is the whole answer, JSON.
	Raw json.RawMessage `json:"-"`
}

// Peer is another Registry in the eyes of one.
type Peer struct {
	Registry  drtc.NodeID
	URL       string
	Addresses []string
	// More is what else the Registry says about it, by the name in JSON.
	More map[string]any
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Peer) UnmarshalJSON(b []byte) error {
	var fixed struct {
		Registry  drtc.NodeID `json:"registry"`
		URL       string      `json:"url"`
		Addresses []string    `json:"addresses"`
	}
	if err := json.Unmarshal(b, &fixed); err != nil {
		return err
	}
	*p = Peer{Registry: fixed.Registry, URL: fixed.URL, Addresses: fixed.Addresses}
	if err := json.Unmarshal(b, &p.More); err != nil {
		return err
	}
	for _, known := range []string{"registry", "url", "addresses"} {
		delete(p.More, known)
	}
	return nil
}

// Peers asks a Registry whom it knows. Nothing of the answer is verified.
func Peers(ctx context.Context, registry string, timeout time.Duration) (PeersAnswer, error) {
	base, ok := baseURL(registry)
	if !ok {
		return PeersAnswer{}, checkURLs([]string{registry})
	}
	way := newCarriers(Config{Timeout: timeout}, false)
	defer way.close()
	return newClient(way.questions, base).peers(ctx)
}

func (c *client) peers(ctx context.Context) (PeersAnswer, error) {
	var p PeersAnswer
	if _, err := c.get(ctx, c.base+"/peers", "", &p.Raw); err != nil {
		return p, err
	}
	if err := json.Unmarshal(p.Raw, &p); err != nil {
		return p, fmt.Errorf("%w: peers: %w", errAnswer, err)
	}
	if p.Registry.IsZero() {
		return p, fmt.Errorf("%w: peers: registry is missing", errAnswer)
	}
	return p, nil
}
