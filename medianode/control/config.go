package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode/negotiate"
	"github.com/drtc-network/drtc/medianode/relay"
)

// Admission says who may command the node (design decision 4).
type Admission struct {
	// Mode is "anyone", "allow-list" or "network": whom a list names that a
	// quorum of Registries has signed.
	Mode string `toml:"mode"`
	// Allow lists the Orchestrators of an allow-list; with "network" they may
	// command the node as well.
	Allow []drtc.NodeID `toml:"allow"`
	// Registries are the ids of those whose quorum is believed at first, with
	// "network".
	Registries []drtc.NodeID `toml:"registries"`
	// File remembers the last list over a restart, with "network"; empty for
	// none.
	File string `toml:"file"`
	// Grace is how long the list counts after its signatures have expired.
	Grace time.Duration `toml:"grace"`
}

// The admission modes.
const (
	AdmitAnyone    = "anyone"
	AdmitAllowList = "allow-list"
	AdmitNetwork   = "network"
)

// Validate names the field that is wrong.
func (a Admission) Validate() error {
	switch {
	case a.Mode == AdmitNetwork && len(a.Registries) == 0:
		return errors.New("control: admission.registries: want the ids of the Registries whose quorum is believed")
	case a.Grace < 0:
		return fmt.Errorf("control: admission.grace: want 0s or more, got %s", a.Grace)
	case a.Mode == AdmitAnyone, a.Mode == AdmitNetwork:
		return nil
	case a.Mode != AdmitAllowList:
		return fmt.Errorf("control: admission.mode: want %q, %q or %q, got %.32q", AdmitAnyone, AdmitAllowList, AdmitNetwork, a.Mode)
	case len(a.Allow) == 0:
		return errors.New("control: admission.allow: want at least one Orchestrator id in an allow-list")
	}
	return nil
}

// ErrUnlisted is why an allow-list refuses.
var ErrUnlisted = errors.New("control: the caller is not in the node's allow-list")

// Check returns nil if an Orchestrator may command the node, or why not. network
// is asked with the mode of its name about those who are not in Allow.
func (a Admission) Check(caller drtc.NodeID, network func(drtc.NodeID) error) error {
	switch {
	case a.Mode == AdmitAnyone || slices.Contains(a.Allow, caller):
		return nil
	case a.Mode == AdmitNetwork:
		return network(caller)
	}
	return ErrUnlisted
}

// Config of a Service.
type Config struct {
	// MaxSessions is how many sessions the node admits, default 500.
	MaxSessions int
	// CapacityBps is what the operator offers, bits per second of egress; 0 for
	// no limit. Sessions are admitted while less than 95 % of it is used.
	CapacityBps uint64
	// Refused, if set, hears of each session that is not admitted: one of the
	// Refused constants. It must not block.
	Refused func(reason string)
	// Lease of an event stream (design decision 4), default 10 min.
	Lease time.Duration
	// OrphanAfter is how long sessions outlive the last event stream of their
	// Orchestrator, default 5 min: media flows on while it restarts.
	OrphanAfter time.Duration
	// Candidates are the UDP addresses that go into answers.
	Candidates []netip.AddrPort
	// Fingerprint of the DTLS certificate.
	Fingerprint negotiate.Fingerprint
	// Self is the id of the node's own key, which may call Drain alone.
	Self drtc.NodeID
	// Instance tells this run of the node from others.
	Instance string
	// Key signs this node's ends of relay links; without one it has none.
	Key *identity.Key
	// Receipts keeps accounts with Orchestrators; nil if the node asks for none.
	Receipts Receipts
	// RelayMaxVersion is the highest version of the relay protocol that the node
	// speaks, 1 to relay.Newest, which is the default; it speaks the one before
	// as well.
	RelayMaxVersion uint8
}

func (c Config) withDefaults() Config {
	if c.MaxSessions == 0 {
		c.MaxSessions = 500
	}
	if c.Lease == 0 {
		c.Lease = 10 * time.Minute
	}
	if c.OrphanAfter == 0 {
		c.OrphanAfter = 5 * time.Minute
	}
	if c.RelayMaxVersion == 0 {
		c.RelayMaxVersion = relay.Newest
	}
	if c.Refused == nil {
		c.Refused = func(string) {}
	}
	return c
}

// Bounds of what one caller can make the node remember.
const (
	maxIDBytes       = 64
	maxTracks        = 64   // published by one session
	maxSubscriptions = 512  // of one session
	maxEvents        = 4096 // kept per owner for a stream that comes back
	maxReports       = 256  // in one heartbeat
	maxPacket        = 64 << 10
	// An answer costs 0.3 ms, a hostile offer up to 0.1 s: a session may make
	// this many a second, and so many at once when a crowd joins its room.
	offerRate  = 5
	offerBurst = 40
)
