package loadtest

import (
	"fmt"
	"net/url"
	"time"

	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/traffic"
)

// Protocol is how clients talk to the server.
type Protocol string

// The protocols.
const (
	// WHIP publishes by RFC 9725 and plays by WHEP.
	WHIP Protocol = "whip"
	// Signal is the client protocol of LiveKit SDKs, over a WebSocket.
	Signal Protocol = "signal"
)

// Config says what is run.
type Config struct {
	Protocol Protocol
	// URL of the server, http or https (for Signal ws or wss, too).
	URL string
	// Room that everybody joins.
	Room string
	// Token is used by every client. Sign makes one for each, and goes first.
	// With neither, none is shown.
	Token string
	Sign  client.Sign

	// Play names participants who publish already, such as browsers; they are
	// played and nobody else publishes. How long their packets take is not known,
	// and what is lost only by the gaps that it leaves.
	Play        []string
	Publishers  int // 0 with Play
	Subscribers int // each plays every publisher
	Mix         traffic.Mix

	// Ramp is subscribers that join per second.
	Ramp float64
	// Warm is how long everything settles once all have joined.
	Warm time.Duration
	// Duration is the length of the window; with Packets set it ends as soon as
	// so many packets have been delivered in it.
	Duration time.Duration
	Packets  uint64
	// Patience is how long joins and the first video may take after the last
	// join began.
	Patience time.Duration

	// PIDs are the server's processes, on this machine. Beside are others whose
	// cost is shown apart, such as an Orchestrator's.
	PIDs, Beside []int

	// Client options; see client.Options. PLI has subscribers ask for a key
	// frame until they have one, as browsers do.
	NACK, RTX, TWCC, PLI bool
	// Interfaces are the clients' network interfaces. Empty means loopback for
	// a server on loopback, and all others for any other.
	Interfaces []string

	// Progress is told what happens, some times a second; nil for nobody.
	Progress func(Progress)
}

// Progress is where a run is.
type Progress struct {
	// Phase is joining, settling, measuring or waiting.
	Phase string
	// Elapsed and Length are of the phase; Length is 0 where it has none.
	Elapsed, Length time.Duration
	// Joined counts subscribers that have video of every publisher.
	Joined, Subscribers int
	// Received counts packets of all subscribers since the start.
	Received uint64
}

// DefaultConfig is one publisher and ten subscribers by WHIP, for 20 seconds.
func DefaultConfig() Config {
	return Config{
		Protocol: WHIP, URL: "http://127.0.0.1:7880", Room: "loadtest",
		Publishers: 1, Subscribers: 10, Mix: traffic.DefaultMix(),
		Ramp: 20, Warm: 3 * time.Second, Duration: 20 * time.Second, Patience: 20 * time.Second,
		NACK: true, RTX: true, TWCC: true, PLI: true,
	}
}

// Limits of one run.
const (
	MaxPublishers  = 1000
	MaxSubscribers = 10000
)

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	server, err := url.Parse(c.URL)
	switch {
	case c.Protocol != WHIP && c.Protocol != Signal:
		return fmt.Errorf("loadtest: protocol: want %s or %s, got %q", WHIP, Signal, c.Protocol)
	case err != nil:
		return fmt.Errorf("loadtest: url: %w", err)
	case server.Host == "":
		return fmt.Errorf("loadtest: url: want one such as http://127.0.0.1:7880, got %q", c.URL)
	case c.Room == "":
		return fmt.Errorf("loadtest: room: want a name, got none")
	case len(c.Play) > 0 && c.Protocol != WHIP:
		return fmt.Errorf("loadtest: play: needs protocol %s, got %s", WHIP, c.Protocol)
	case c.Protocol == Signal && c.Token == "" && c.Sign == nil:
		return fmt.Errorf("loadtest: token: protocol %s needs an API key and secret, or a token", Signal)
	case c.Protocol == Signal && c.Sign == nil && c.Publishers+c.Subscribers > 1:
		return fmt.Errorf("loadtest: token: one token is one participant of protocol %s; give an API key and secret", Signal)
	case len(c.Play) > 0 && c.Publishers != 0:
		return fmt.Errorf("loadtest: publishers: want 0 where others are played, got %d", c.Publishers)
	case len(c.Play) > MaxPublishers:
		return fmt.Errorf("loadtest: play: want at most %d names, got %d", MaxPublishers, len(c.Play))
	case len(c.Play) == 0 && c.Publishers < 1 || c.Publishers > MaxPublishers:
		return fmt.Errorf("loadtest: publishers: want 1 to %d, got %d", MaxPublishers, c.Publishers)
	case c.Subscribers < 1 || c.Subscribers > MaxSubscribers:
		return fmt.Errorf("loadtest: subscribers: want 1 to %d, got %d", MaxSubscribers, c.Subscribers)
	case c.Ramp <= 0 || c.Ramp > 1000:
		return fmt.Errorf("loadtest: ramp: want joins per second, up to 1000, got %v", c.Ramp)
	case c.Warm < 0:
		return fmt.Errorf("loadtest: warm: want 0s or more, got %v", c.Warm)
	case c.Duration <= 0:
		return fmt.Errorf("loadtest: duration: want more than 0s, got %v", c.Duration)
	case c.Patience <= 0:
		return fmt.Errorf("loadtest: patience: want more than 0s, got %v", c.Patience)
	}
	return c.Mix.Validate()
}

// played is how many publishers each subscriber plays.
func (c Config) played() int { return c.Publishers + len(c.Play) }
