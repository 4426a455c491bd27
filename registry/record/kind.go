package record

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
)

// Names of the kinds of records that the network has.
const (
	KindNode         = "node"         // a Media Node about itself
	KindRegistry     = "registry"     // a Registry about itself: how to reach it
	KindLiveness     = "liveness"     // a Registry about a page of nodes
	KindEquivocation = "equivocation" // proof that an issuer signed two records of one version
	KindAdmission    = "admission"    // a Registry's reading of who takes part
	KindReceipt      = "receipt"      // a Media Node's receipts of an epoch, a page
)

// Role is what somebody takes part in the network as.
type Role string

// The roles that sign records and calls.
const (
	RoleNode         Role = "node"
	RoleRegistry     Role = "registry"
	RoleOrchestrator Role = "orchestrator"
)

// Bonding says who may take part. Its answers come from agreed data, so that
// Registries that read the same data hold the same records. It must answer from
// memory, and from any goroutine.
type Bonding interface {
	Bonded(role Role, id drtc.NodeID) bool
	// MinGeneration is the lowest generation that is accepted of id; records of
	// lower ones are revoked.
	MinGeneration(id drtc.NodeID) uint64
}

// Kind is what holds for all records of one kind. A network has as many as it
// has things to say; a Set refuses kinds that it does not list.
type Kind struct {
	Name    string
	MaxBody int           // bytes
	MaxTTL  time.Duration // whole seconds
	// SelfIssued kinds are written only by their subject.
	SelfIssued bool
	// Tombstones says whether a subject can leave before its record expires.
	Tombstones bool
	// Issuer is who may write, asked of Rules.Bonding.
	Issuer Role
	// RateEvery, RateBurst and MaxPerIssuer narrow or widen the Rules' fields of
	// the same names for this kind; 0 leaves them as they are.
	RateEvery    time.Duration
	RateBurst    int
	MaxPerIssuer int
	// Check, if set, judges the body of an envelope within the bounds above.
	// Its error reaches whoever sent the record. It may be called from several
	// goroutines at once.
	Check func(*envelope.Envelope) error
	// CheckSigner, if set, judges the body against the issuer's key, which the
	// signature reveals.
	CheckSigner func(*envelope.Envelope, identity.PublicKey) error
}

// NodeKind is the kind of a Media Node's own record (whitepaper 4.2.3.1).
func NodeKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindNode, MaxBody: 4 << 10, MaxTTL: 900 * time.Second,
		SelfIssued: true, Tombstones: true, Issuer: RoleNode, Check: check,
	}
}

// RegistryKind is the kind of a Registry's own record.
func RegistryKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindRegistry, MaxBody: 4 << 10, MaxTTL: 900 * time.Second,
		SelfIssued: true, Tombstones: true, Issuer: RoleRegistry, Check: check,
	}
}

// LivenessKind is the kind of what a Registry saw of the nodes that it probes, a
// page a record. The subject names the page; a tombstone takes a page back. Pages
// change with each vote, so they may change more often than other records.
func LivenessKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindLiveness, MaxBody: 4 << 10, MaxTTL: 900 * time.Second,
		Tombstones: true, Issuer: RoleRegistry, RateEvery: time.Second, RateBurst: 10, Check: check,
	}
}

// EquivocationKind is the kind of a proof that its subject signed two records of
// one version with different contents. It holds both.
func EquivocationKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindEquivocation, MaxBody: 10 << 10, MaxTTL: 24 * time.Hour,
		Issuer: RoleRegistry, MaxPerIssuer: 256, Check: check,
	}
}

// AdmissionKind is the kind of a Registry's attestation of who takes part.
func AdmissionKind(check func(*envelope.Envelope) error) Kind {
	return Kind{
		Name: KindAdmission, MaxBody: 64 << 10, MaxTTL: 900 * time.Second,
		SelfIssued: true, Issuer: RoleRegistry, Check: check,
	}
}

// ReceiptKind is the kind of a page of receipts that Orchestrators gave a Media
// Node. The subject names the page. Nobody takes one back; it lives until what it
// says was paid can't be disputed any more.
func ReceiptKind(life time.Duration, check func(*envelope.Envelope) error) Kind {
	return Kind{Name: KindReceipt, MaxBody: 64 << 10, MaxTTL: life, Issuer: RoleNode, Check: check}
}
