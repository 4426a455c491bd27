package medianode

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/control"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/relay"
)

// Config of a Media Node, as its TOML file has it.
type Config struct {
	// Network names the network that the node joins, such as "devnet".
	Network string `toml:"network"`
	// KeyFile holds the node's private key; it is made if it is missing.
	KeyFile string `toml:"key_file"`
	// Listen is the TCP address of the control service, host:port.
	Listen string `toml:"listen"`
	// URL is how Orchestrators reach the control service, https://host:port;
	// empty means https:// and the address that Listen got.
	URL string `toml:"url"`
	// MediaListen are the UDP addresses for media, at most one of IPv4 and one
	// of IPv6. One port is all that a node needs.
	MediaListen []netip.AddrPort `toml:"media_listen"`
	// Workers is how many threads carry media, 1 to 64; 0 for one of each
	// processor.
	Workers int `toml:"workers"`
	// Alone says that the process is the node's own: it then raises GOMAXPROCS
	// by Workers while it runs, so that workers may keep theirs while they wait.
	Alone bool `toml:"-"`
	// WorkerRoomPeers is how many clients of a room one worker carries before
	// another takes part in it: media of a small room is not copied between them.
	WorkerRoomPeers int `toml:"worker_room_peers"`
	// Portable chooses the sockets that every system has, with one system call
	// for each packet, where faster ones are not allowed; one worker uses them.
	Portable bool `toml:"portable"`
	// FrameHold is how long the packets of a video frame wait for each other, so
	// that they leave for each client in one message, 0 to 3 ms; with 0 those
	// alone go together that came together.
	FrameHold time.Duration `toml:"frame_hold"`
	// PadFrames pads the packets of a frame by up to 16 bytes where they then
	// fit one message.
	PadFrames bool `toml:"pad_frames"`
	// AdvertiseIPs are the addresses at which clients reach the media port,
	// where they differ from what the machine itself has (NAT).
	AdvertiseIPs []netip.Addr `toml:"advertise_ips"`
	// MetricsListen serves /metrics and /healthz in plain HTTP; empty for none.
	MetricsListen string `toml:"metrics_listen"`
	// Profile adds Go's profiles, /debug/pprof/, to the metrics address.
	Profile bool `toml:"profile"`
	// Registries are the URLs of Registries to register with.
	Registries []string `toml:"registries"`
	// Region, Place and PlaceName say where the node is.
	Region    drtc.Region `toml:"region"`
	Place     drtc.Place  `toml:"place"`
	PlaceName string      `toml:"place_name"`
	// Owner is the EVM address of who runs the node: Orchestrators spread a room
	// and its standby nodes over owners. Empty leaves it open, which counts as
	// nobody's.
	Owner drtc.NodeID `toml:"owner"`
	// CapacityMbps is what the operator offers, Mbit/s of egress.
	CapacityMbps int `toml:"capacity_mbps"`
	// MaxSessions is how many participants the node carries at once.
	MaxSessions int `toml:"max_sessions"`
	// Admission says which Orchestrators may command the node.
	Admission control.Admission `toml:"admission"`
	// Receipts says what the network's receipts are and how much Orchestrators may
	// owe.
	Receipts Receipts `toml:"receipts"`
	// AllowBareAuth also takes calls signed in the paper's bare form, which
	// anybody who sees one can replay for two minutes.
	AllowBareAuth bool `toml:"allow_bare_auth"`
	// RelayMaxVersion is the highest version of the protocol between nodes that
	// the node speaks, 1 to 2; it speaks the one before as well.
	RelayMaxVersion int `toml:"relay_max_version"`
}

// DefaultConfig is the starting point of a configuration file.
func DefaultConfig() Config {
	return Config{
		Network:         "devnet",
		KeyFile:         "medianode.key",
		Listen:          "0.0.0.0:7443",
		MediaListen:     []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:7882")},
		WorkerRoomPeers: 256,
		FrameHold:       time.Millisecond,
		PadFrames:       true,
		MetricsListen:   "127.0.0.1:7091",
		CapacityMbps:    1000,
		MaxSessions:     500,
		RelayMaxVersion: relay.Newest,
		Receipts:        defaultReceipts(),
		Admission:       control.Admission{Mode: control.AdmitAllowList, Grace: 24 * time.Hour},
	}
}

var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate returns an error that names the first wrong field by its TOML name.
func (c Config) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("medianode: %s: %s", field, fmt.Sprintf(format, args...))
	}
	if !networkName.MatchString(c.Network) {
		return bad("network", "want 1 to 32 lower-case letters, digits or dashes, got %.40q", c.Network)
	}
	if c.KeyFile == "" {
		return bad("key_file", "want the path of the node's key")
	}
	if err := address(c.Listen); err != nil {
		return bad("listen", "%v", err)
	}
	if c.MetricsListen != "" {
		if err := address(c.MetricsListen); err != nil {
			return bad("metrics_listen", "%v", err)
		}
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Host == "" {
			return bad("url", "want https://host:port, got %.80q", c.URL)
		}
	}
	if len(c.MediaListen) < 1 || len(c.MediaListen) > 2 {
		return bad("media_listen", "want one or two addresses, got %d", len(c.MediaListen))
	}
	if c.Workers < 0 || c.Workers > engine.MaxCores {
		return bad("workers", "want 1 to %d, or 0 for one of each processor, got %d", engine.MaxCores, c.Workers)
	}
	if c.WorkerRoomPeers < 1 || c.WorkerRoomPeers > 1_000_000 {
		return bad("worker_room_peers", "want 1 to 1000000, got %d", c.WorkerRoomPeers)
	}
	if c.Portable && c.Workers > 1 {
		return bad("workers", "want 1 where portable is set, got %d", c.Workers)
	}
	if c.FrameHold < 0 || c.FrameHold > engine.MaxFrameHold {
		return bad("frame_hold", "want 0s to %v, got %v", engine.MaxFrameHold, c.FrameHold)
	}
	for _, r := range c.Registries {
		if u, err := url.Parse(r); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return bad("registries", "want http:// or https:// URLs, got %.80q", r)
		}
	}
	if _, err := drtc.ParseRegion(string(c.Region)); err != nil {
		return bad("region", "%v", err)
	}
	if !c.Place.Valid() {
		return bad("place", "want lat -90..90 and lon -180..180, got %s", c.Place)
	}
	if len(c.PlaceName) > 64 {
		return bad("place_name", "want at most 64 bytes, got %d", len(c.PlaceName))
	}
	if c.CapacityMbps < 1 || c.CapacityMbps > 1_000_000 {
		return bad("capacity_mbps", "want 1 to 1000000, got %d", c.CapacityMbps)
	}
	if c.MaxSessions < 1 || c.MaxSessions > 100_000 {
		return bad("max_sessions", "want 1 to 100000, got %d", c.MaxSessions)
	}
	if c.RelayMaxVersion < relay.Version1 || c.RelayMaxVersion > relay.Newest {
		return bad("relay_max_version", "want %d to %d, got %d", relay.Version1, relay.Newest, c.RelayMaxVersion)
	}
	if err := c.Admission.Validate(); err != nil {
		return bad("admission", "%v", err)
	}
	if err := c.Receipts.validate(); err != nil {
		return bad("receipts", "%v", err)
	}
	if c.Admission.Mode == control.AdmitNetwork && len(c.Registries) == 0 {
		return bad("registries", "want at least one URL where admission.mode is %q: the list comes from there", control.AdmitNetwork)
	}
	return nil
}

func address(s string) error {
	if _, _, err := net.SplitHostPort(s); err != nil {
		return fmt.Errorf("want host:port, got %.80q", s)
	}
	return nil
}

// engine is what the media engine is told, with secrets of its own.
func (c Config) engine() engine.Config {
	e := engine.Config{Random: random, FrameHold: c.FrameHold, NoPadding: !c.PadFrames}
	if c.FrameHold == 0 { // which is the engine's default
		e.FrameHold = -1
	}
	rand.Read(e.STUN.Key[:])
	return e
}
