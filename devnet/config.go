package devnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// Limits of a network on one machine.
const (
	MaxNodes         = 64
	MaxRegistries    = 16
	MaxOrchestrators = 8 // of one operator
	MaxWorkers       = 64
	maxFrameHold     = 3 * time.Millisecond
)

// Config says how large the network is and where it listens.
type Config struct {
	// Dir holds keys, databases and configuration. Empty means a temporary
	// folder that is removed at the end; a named one is kept and used again.
	Dir string
	// Nodes and Registries are how many of each to start, from 1.
	Nodes      int
	Registries int
	// Orchestrators is how many share key and rooms, from 1. With more than one,
	// a process of its own keeps the rooms for all of them.
	Orchestrators int
	// Chain runs a chain beside them, at a free port.
	Chain bool
	// Workers is how many threads carry media in each node, 0 for one of each
	// processor, and WorkerRoomPeers how many clients of a room one of them
	// carries before another takes part in it, 0 for the node's default.
	Workers, WorkerRoomPeers int
	// Portable has the nodes use the sockets that every system has.
	Portable bool
	// FrameHold and PadFrames are the nodes' settings of the same names.
	FrameHold time.Duration
	PadFrames bool
	// Listen is where the first Orchestrator serves clients and the page, host:port
	// with an IP address or localhost. Port 0 picks a free one; the others always
	// get such a one.
	Listen string
	// OrchestratorConfig is a TOML file whose tables are added to the
	// Orchestrators' configuration, such as [[applications]]; empty for none.
	OrchestratorConfig string
	// Command is how the user called the program, for the final block; empty
	// means drtc.
	Command string
	// ReadyFile is written as JSON once everything is ready; empty for none.
	ReadyFile string
	// LogLevel is passed to every child: debug, info, warn or error.
	LogLevel string

	// Program is the binary that the children run, usually os.Executable.
	Program string
	// Out takes the children's log lines and what devnet has to say.
	Out io.Writer
	// Color marks the children's names with ANSI colours.
	Color bool

	// Patience is how long a child may take to become ready.
	Patience time.Duration
	// Grace is how long all children together may take to stop before they are
	// killed.
	Grace time.Duration
}

// DefaultConfig is four Registries, three Media Nodes, a chain and an Orchestrator
// on 127.0.0.1:7880. Program is left empty.
func DefaultConfig() Config {
	return Config{
		Nodes:         3,
		Registries:    4,
		Orchestrators: 1,
		Chain:         true,
		FrameHold:     time.Millisecond,
		PadFrames:     true,
		Listen:        "127.0.0.1:7880",
		LogLevel:      "info",
		Out:           os.Stdout,
		Patience:      20 * time.Second,
		Grace:         5 * time.Second,
	}
}

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Nodes < 1 || c.Nodes > MaxNodes:
		return fmt.Errorf("devnet: nodes: want 1 to %d, got %d", MaxNodes, c.Nodes)
	case c.Registries < 1 || c.Registries > MaxRegistries:
		return fmt.Errorf("devnet: registries: want 1 to %d, got %d", MaxRegistries, c.Registries)
	case c.Orchestrators < 1 || c.Orchestrators > MaxOrchestrators:
		return fmt.Errorf("devnet: orchestrators: want 1 to %d, got %d", MaxOrchestrators, c.Orchestrators)
	case c.Workers < 0 || c.Workers > MaxWorkers:
		return fmt.Errorf("devnet: workers: want 1 to %d, or 0 for one of each processor, got %d", MaxWorkers, c.Workers)
	case c.Portable && c.Workers > 1:
		return fmt.Errorf("devnet: workers: want 1 with portable sockets, got %d", c.Workers)
	case c.WorkerRoomPeers < 0:
		return fmt.Errorf("devnet: worker room peers: want 1 or more, or 0 for the default, got %d", c.WorkerRoomPeers)
	case c.FrameHold < 0 || c.FrameHold > maxFrameHold:
		return fmt.Errorf("devnet: frame hold: want 0s to %v, got %v", maxFrameHold, c.FrameHold)
	case c.Program == "":
		return errors.New("devnet: program: want the path of the drtc binary")
	case c.Out == nil:
		return errors.New("devnet: out: want a writer for log lines")
	case c.Patience <= 0 || c.Grace <= 0:
		return errors.New("devnet: patience and grace: want positive durations")
	}
	if _, err := c.listenAddr(); err != nil {
		return err
	}
	return nil
}

// listenAddr reads Listen. localhost is 127.0.0.1, so that the address that
// devnet prints is the one that it listens on.
func (c Config) listenAddr() (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("devnet: listen: want host:port such as 127.0.0.1:7880, got %q", c.Listen)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("devnet: listen: want an IP address or localhost in front of the port, got %q", c.Listen)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("devnet: listen: want a port from 0 to 65535, got %q", c.Listen)
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}
