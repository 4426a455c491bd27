package devnet

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/drtc-network/drtc"
)

// Network is the name that every signed record of a devnet carries.
const networkName = "devnet"

// What devnet writes into a child's configuration file: only what differs from
// the role's defaults, so that the file reads as an example.
type (
	registryFile struct {
		Network string `toml:"network"`
		KeyFile string `toml:"key_file"`
		Dir     string `toml:"dir"`
		Listen  string `toml:"listen"`
		// Bootstrap is empty for the first.
		Bootstrap           []string `toml:"bootstrap,omitempty"`
		GossipListen        string   `toml:"gossip_listen"`
		AllowPrivateTargets bool     `toml:"allow_private_targets"`
		// One of the two says who takes part.
		BondingFile string `toml:"bonding_file,omitempty"`
		LogLevel    string `toml:"log_level"`
		Chain       *bonds `toml:"chain,omitempty"`
	}
	bonds struct {
		RPC       string `toml:"rpc"`
		Addresses string `toml:"addresses"`
		// What this chain has said of a block stays true, so the newest will do.
		Finality  string        `toml:"finality"`
		PollEvery time.Duration `toml:"poll_every"`
		AnyNode   bool          `toml:"any_node"`
	}
	medianodeFile struct {
		Network       string      `toml:"network"`
		KeyFile       string      `toml:"key_file"`
		Listen        string      `toml:"listen"`
		MediaListen   []string    `toml:"media_listen"`
		AdvertiseIPs  []string    `toml:"advertise_ips"`
		MetricsListen string      `toml:"metrics_listen"`
		Registries    []string    `toml:"registries"`
		Region        drtc.Region `toml:"region"`
		Place         placeTable  `toml:"place"`
		PlaceName     string      `toml:"place_name"`
		Owner         drtc.NodeID `toml:"owner"`
		LogLevel      string      `toml:"log_level"`
		Admission     admission   `toml:"admission"`
		media
	}
	media struct {
		Workers         int            `toml:"workers,omitzero"`
		WorkerRoomPeers int            `toml:"worker_room_peers,omitzero"`
		Portable        bool           `toml:"portable,omitempty"`
		FrameHold       *time.Duration `toml:"frame_hold,omitempty"`
		PadFrames       *bool          `toml:"pad_frames,omitempty"`
	}
	orchestratorFile struct {
		Network    string   `toml:"network"`
		KeyFile    string   `toml:"key_file"`
		Dir        string   `toml:"dir"`
		Listen     string   `toml:"listen"`
		Registries []string `toml:"registries"`
		LogLevel   string   `toml:"log_level"`
		// The rest is for one of several.
		Member    string `toml:"member,omitempty"`
		MemberURL string `toml:"member_url,omitempty"`
		State     *state `toml:"state,omitempty"`
	}
	chainFile struct {
		Dir      string    `toml:"dir"`
		Listen   string    `toml:"listen"`
		Funded   []account `toml:"funded"`
		LogLevel string    `toml:"log_level"`
	}
	account struct {
		Address drtc.NodeID `toml:"address"`
		Ether   uint64      `toml:"ether"`
	}
	state struct {
		Kind string   `toml:"kind"`
		URLs []string `toml:"urls"`
	}
	placeTable struct {
		Lat float64 `toml:"lat"`
		Lon float64 `toml:"lon"`
	}
	admission struct {
		Mode       string        `toml:"mode"`
		Registries []drtc.NodeID `toml:"registries"`
		File       string        `toml:"file"`
	}
)

func writeConfig(h home, v any) error {
	var text bytes.Buffer
	text.WriteString("# Written by drtc devnet; read at the next start, then written again.\n")
	if err := toml.NewEncoder(&text).Encode(v); err != nil {
		return fmt.Errorf("devnet: %s: %w", h.config(), err)
	}
	if err := writeFile(h.config(), text.Bytes()); err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	return nil
}

// configureFurther adds Config.OrchestratorConfig to an Orchestrator's file.
func (n *Network) configureFurther(files *layout, name string) error {
	if n.cfg.OrchestratorConfig == "" {
		return nil
	}
	more, err := os.ReadFile(n.cfg.OrchestratorConfig)
	if err != nil {
		return fmt.Errorf("devnet: orchestrator configuration: %w", err)
	}
	h, err := files.child(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(h.config())
	if err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	text = append(text, "\n# From "+n.cfg.OrchestratorConfig+"\n"...)
	if err := writeFile(h.config(), append(text, more...)); err != nil {
		return fmt.Errorf("devnet: %w", err)
	}
	return nil
}

// media is what c changes of how nodes carry media.
func (c Config) media() media {
	m := media{Workers: c.Workers, WorkerRoomPeers: c.WorkerRoomPeers, Portable: c.Portable}
	usual := DefaultConfig()
	if c.FrameHold != usual.FrameHold {
		m.FrameHold = &c.FrameHold
	}
	if c.PadFrames != usual.PadFrames {
		m.PadFrames = &c.PadFrames
	}
	return m
}

// mediaAddresses derives from where the Orchestrator listens where media does,
// and which addresses clients are told: all of the machine's IPv4 addresses
// when it listens on every one.
func mediaAddresses(listen netip.Addr) (bind string, advertise []string, err error) {
	bind = netip.AddrPortFrom(listen, 0).String()
	if !listen.IsUnspecified() {
		return bind, []string{listen.String()}, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", nil, fmt.Errorf("devnet: listing addresses: %w", err)
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			advertise = append(advertise, prefix.Addr().String())
		}
	}
	return bind, advertise, nil
}

// checkFree fails when somebody listens at addr, with what to do about it.
func checkFree(addr netip.AddrPort) error {
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		return fmt.Errorf("devnet: listen: %w; choose another address with --listen, such as 127.0.0.1:0", err)
	}
	return l.Close()
}
