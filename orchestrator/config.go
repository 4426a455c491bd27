package orchestrator

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/discovery"
	"github.com/drtc-network/drtc/orchestrator/gate"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/policy"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/webhook"
	"github.com/drtc-network/drtc/orchestrator/whip"
	"github.com/drtc-network/drtc/receipt"
)

// Config of an Orchestrator. Start from DefaultConfig.
type Config struct {
	// Listen is the TCP address of clients and metrics; port 0 picks a free one.
	Listen string `toml:"listen"`
	// TLSCert and TLSKey are PEM files; without them a proxy must do TLS.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// Dir holds the key, unless KeyFile says otherwise, and what was last known of
	// the nodes, so that a start needs no Registry.
	Dir     string `toml:"dir"`
	KeyFile string `toml:"key_file"`
	// State says where rooms are kept.
	State State `toml:"state"`
	// Member is this process's name among the Orchestrators of one operator that
	// share key, API keys and store: 1 to 32 of a-z A-Z 0-9 _ -.
	Member string `toml:"member"`
	// MemberURL is where the other members reach this one, http://host:port;
	// empty for one that is alone.
	MemberURL string `toml:"member_url"`
	// Network is the name that records of nodes must carry.
	Network string `toml:"network"`
	// Registries are the base URLs at which nodes are looked up.
	Registries []string `toml:"registries"`
	// LearnRegistries is how many further ones are asked that those know, 0 to
	// 16.
	LearnRegistries int `toml:"learn_registries"`
	// Keys are the API keys of applications.
	Keys []Key `toml:"keys"`
	// Region of this Orchestrator, shown to clients and used for those whose
	// place is not known.
	Region drtc.Region `toml:"region"`
	// Plan says how rooms spread over nodes, and weighs nodes.
	Plan plan.Policy `toml:"plan"`
	// NeedMbps is what a node is expected to send for one participant.
	NeedMbps float64 `toml:"need_mbps"`
	// MaxNodes is how many nodes are connected to choose from; those that carry
	// sessions come on top.
	MaxNodes int `toml:"max_nodes"`
	// AllocateWait is how long a first participant waits for a node to come up.
	AllocateWait time.Duration `toml:"allocate_wait"`

	// Grace is how long a participant stays after its connection was lost.
	Grace time.Duration `toml:"grace"`
	// EmptyTimeout is how long an empty room lives.
	EmptyTimeout time.Duration `toml:"empty_timeout"`
	// ReportInterval is the time between reports of connection quality.
	ReportInterval time.Duration `toml:"report_interval"`
	// MaxParticipants bounds a room, MaxTracks what one participant publishes.
	MaxParticipants int `toml:"max_participants"`
	MaxTracks       int `toml:"max_tracks"`
	// MaxSpectators bounds those who watch a room by WHEP.
	MaxSpectators int `toml:"max_spectators"`

	// MaxSockets bounds client connections, and WHIP and WHEP sessions as well;
	// ConnectRate (a second) and ConnectBurst those of one address, a negative
	// rate bounds nothing.
	MaxSockets   int     `toml:"max_sockets"`
	ConnectRate  float64 `toml:"connect_rate"`
	ConnectBurst int     `toml:"connect_burst"`
	// ICEServers are the STUN and TURN servers that WHIP and WHEP clients are
	// told of. A client that reaches a node needs none.
	ICEServers []whip.ICEServer `toml:"ice_servers"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `toml:"trusted_proxies"`
	// TestDrills obeys clients that ask to simulate failures.
	TestDrills bool `toml:"test_drills"`
	// RemoteUnmute lets applications' servers unmute participants.
	RemoteUnmute bool `toml:"remote_unmute"`
	// Webhooks are told what happens in rooms.
	Webhooks []webhook.Hook `toml:"webhooks"`
	// Gates let holders of tokens on a chain into rooms. Key of each is one of
	// Keys, and its Secret comes from there.
	Gates []gate.Config `toml:"gates"`
	// Receipts says what the network's receipts are, and how they are given.
	Receipts Receipts `toml:"receipts"`
	// Budgets bound what rooms, API keys and applications may use.
	Budgets []receipt.Budget `toml:"budgets"`
	// Applications say who takes part in their rooms, and how these run.
	Applications []policy.Application `toml:"applications"`
}

// Key is one API key.
type Key struct {
	Key    string `toml:"key"`
	Secret string `toml:"secret"`
	// Application is who pays and whose rooms the key opens; empty is the key.
	Application string `toml:"application"`
	// Account is the application's on the chain, which pays; without one this
	// Orchestrator's own does. Keys of one application have the same.
	Account drtc.NodeID `toml:"account"`
}

// DefaultConfig returns the configuration of an Orchestrator; Dir, Network,
// Registries and Keys are to be filled in.
func DefaultConfig() Config {
	rooms := room.DefaultConfig()
	return Config{
		Listen:          "127.0.0.1:7880",
		State:           State{Kind: StateEmbedded},
		Member:          "main",
		Plan:            plan.DefaultPolicy(),
		NeedMbps:        3,
		MaxNodes:        32,
		LearnRegistries: 4,
		AllocateWait:    2 * time.Second,
		Grace:           rooms.Grace,
		EmptyTimeout:    rooms.EmptyTimeout,
		ReportInterval:  rooms.ReportInterval,
		MaxParticipants: rooms.MaxParticipants,
		MaxTracks:       rooms.MaxTracks,
		MaxSpectators:   rooms.MaxSpectators,
		MaxSockets:      10_000,
		ConnectRate:     5,
		ConnectBurst:    30,
		Receipts:        defaultReceipts(),
	}
}

// Validate names the field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Listen == "":
		return errors.New("orchestrator: listen is empty: give host:port")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("orchestrator: tls_cert and tls_key: give both or neither")
	case c.Dir == "" && c.KeyFile == "":
		return errors.New("orchestrator: dir is empty: give a directory for the key")
	case c.Dir == "" && c.State.Kind == StateEmbedded && c.State.Dir == "":
		return errors.New("orchestrator: state.dir is empty: give a directory, or one in dir, or another state.kind")
	case len(c.Keys) == 0:
		return errors.New("orchestrator: keys is empty: give at least one API key and its secret")
	case c.MaxNodes < 1:
		return fmt.Errorf("orchestrator: max_nodes must be at least 1, is %d", c.MaxNodes)
	case c.LearnRegistries < 0 || c.LearnRegistries > discovery.MaxLearn:
		return fmt.Errorf("orchestrator: learn_registries must be 0 to %d, is %d", discovery.MaxLearn, c.LearnRegistries)
	case c.NeedMbps < 0:
		return fmt.Errorf("orchestrator: need_mbps must be at least 0, is %v", c.NeedMbps)
	case c.AllocateWait < 0:
		return fmt.Errorf("orchestrator: allocate_wait must be at least 0, is %s", c.AllocateWait)
	case c.MaxSockets < 1:
		return fmt.Errorf("orchestrator: max_sockets must be at least 1, is %d", c.MaxSockets)
	case c.ConnectRate > 0 && c.ConnectBurst < 1:
		return fmt.Errorf("orchestrator: connect_burst must be at least 1, is %d", c.ConnectBurst)
	}
	seen := map[string]bool{}
	for i, k := range c.Keys {
		switch {
		case k.Key == "":
			return fmt.Errorf("orchestrator: keys[%d]: key is empty", i)
		case len(k.Secret) < 32:
			return fmt.Errorf("orchestrator: keys[%d]: secret must have at least 32 characters, has %d", i, len(k.Secret))
		case len(k.Key) > 64 || len(k.Application) > 64:
			return fmt.Errorf("orchestrator: keys[%d]: key and application must have at most 64 characters", i)
		case seen[k.Key]:
			return fmt.Errorf("orchestrator: keys[%d]: %q comes twice", i, k.Key)
		}
		seen[k.Key] = true
	}
	if err := c.validateBills(); err != nil {
		return err
	}
	if err := c.validateGates(); err != nil {
		return err
	}
	if err := c.State.Validate(); err != nil {
		return err
	}
	if err := errors.Join(c.Plan.Validate(), c.room().Validate()); err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	return nil
}

// cacheFile is empty where there is no folder.
func (c Config) cacheFile() string {
	if c.Dir == "" {
		return ""
	}
	return filepath.Join(c.Dir, "nodes.json")
}

func (c Config) keyFile() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.Dir, "orchestrator.key")
}

func (c Config) room() room.Config {
	rooms := room.DefaultConfig()
	rooms.Grace, rooms.EmptyTimeout, rooms.ReportInterval = c.Grace, c.EmptyTimeout, c.ReportInterval
	rooms.MaxParticipants, rooms.MaxTracks, rooms.MaxSpectators = c.MaxParticipants, c.MaxTracks, c.MaxSpectators
	return rooms
}

func (c Config) signalKeys() map[string]signal.Key {
	keys := map[string]signal.Key{}
	for _, k := range c.Keys {
		keys[k.Key] = signal.Key{Secret: k.Secret, Application: k.Application}
	}
	return keys
}
