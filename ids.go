package drtc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// NodeID names a Media Node, a Registry or an Orchestrator: the EVM address of
// its secp256k1 key (20 bytes). The zero NodeID names nobody.
type NodeID [20]byte

// ErrNodeID is returned by ParseNodeID for text that is not 0x and 40 hex digits.
var ErrNodeID = errors.New("drtc: node id: want 0x and 40 hexadecimal digits")

// ParseNodeID reads 0x and 40 hex digits in any letter case. An EIP-55 checksum
// is accepted and not checked: ids travel in lower case.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) != 2*len(id) {
		return NodeID{}, fmt.Errorf("%w, got %d characters", ErrNodeID, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return NodeID{}, ErrNodeID
	}
	return id, nil
}

// String returns 0x and 40 lower-case hex digits.
func (id NodeID) String() string { return "0x" + hex.EncodeToString(id[:]) }

// Short returns the first four bytes, for log lines and tables.
func (id NodeID) Short() string { return "0x" + hex.EncodeToString(id[:4]) }

// IsZero reports whether id names nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// MarshalText implements encoding.TextMarshaler.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Empty text is the zero id.
func (id *NodeID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = NodeID{}
		return nil
	}
	v, err := ParseNodeID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// The ids of the client protocol. They are opaque, chosen by the Orchestrator
// and global: a track keeps its id on every node that carries it.
type (
	// RoomID is a room's server id, "RM_" and random letters.
	RoomID string
	// ParticipantID is a participant's server id, "PA_" and random letters.
	ParticipantID string
	// TrackID is a published track's server id, "TR_" and random letters.
	TrackID string
	// SessionID names one participant's session on one Media Node.
	SessionID string
	// Identity is the name an application gave a participant; unique in a room.
	Identity string
)

// Prefixes of the ids above.
const (
	RoomPrefix        = "RM_"
	ParticipantPrefix = "PA_"
	TrackPrefix       = "TR_"
	SessionPrefix     = "SE_"
)
