package admission

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drtc-network/drtc"
)

// MaxBody bounds the bytes of a body: some 2900 ids.
const MaxBody = 64 << 10

// Errors of this package. Those about a list wrap one of them.
var (
	// ErrMalformed: not the canonical bytes of a body.
	ErrMalformed = errors.New("admission: not the canonical bytes of a list")
	// ErrField: a field of a body is out of range; the error names it.
	ErrField = errors.New("admission: field out of range")
	// ErrQuorum: too few of the trusted Registries signed the list.
	ErrQuorum = errors.New("admission: too few Registries signed the list")
	// ErrOld: the list has a lower serial than the one held.
	ErrOld = errors.New("admission: the list is older than the one held")
	// ErrFork: another list of the same serial is held.
	ErrFork = errors.New("admission: another list of this serial is held")
)

// Body is the list as Registries write it, drtc.registry.v1.AdmissionBody.
type Body struct {
	// Serial rises with each change of the list, from 1.
	Serial uint64
	// Orchestrators may command nodes; empty when AnyOrchestrator is set.
	Orchestrators []drtc.NodeID
	// Registries may attest, at least one.
	Registries []drtc.NodeID
	// AnyOrchestrator lets everybody command nodes. For development.
	AnyOrchestrator bool
}

// Field numbers of drtc.registry.v1.AdmissionBody.
const (
	fieldSerial = iota + 1
	fieldOrchestrators
	fieldRegistries
	fieldAny
)

// Encode returns the canonical bytes; ids may be in any order and come twice.
// The error wraps ErrField.
func (b Body) Encode() ([]byte, error) {
	b.Orchestrators, b.Registries = ascending(b.Orchestrators), ascending(b.Registries)
	if err := b.check(); err != nil {
		return nil, err
	}
	return b.bytes(), nil
}

func ascending(ids []drtc.NodeID) []drtc.NodeID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}

func (b *Body) bytes() []byte {
	out := protowire.AppendTag(nil, fieldSerial, protowire.VarintType)
	out = protowire.AppendVarint(out, b.Serial)
	for _, id := range b.Orchestrators {
		out = protowire.AppendTag(out, fieldOrchestrators, protowire.BytesType)
		out = protowire.AppendBytes(out, id[:])
	}
	for _, id := range b.Registries {
		out = protowire.AppendTag(out, fieldRegistries, protowire.BytesType)
		out = protowire.AppendBytes(out, id[:])
	}
	if b.AnyOrchestrator {
		out = protowire.AppendTag(out, fieldAny, protowire.VarintType)
		out = protowire.AppendVarint(out, 1)
	}
	return out
}

// idBytes is what one id takes on the wire.
const idBytes = 2 + len(drtc.NodeID{})

func (b *Body) check() error {
	if b.Serial == 0 {
		return fmt.Errorf("%w: serial: want at least 1", ErrField)
	}
	if len(b.Registries) == 0 {
		return fmt.Errorf("%w: registries: want at least one, or nobody could sign the next list", ErrField)
	}
	if b.AnyOrchestrator && len(b.Orchestrators) > 0 {
		return fmt.Errorf("%w: orchestrators: want none where any_orchestrator is set, got %d", ErrField, len(b.Orchestrators))
	}
	if n := len(b.Orchestrators) + len(b.Registries); n > (MaxBody-16)/idBytes {
		return fmt.Errorf("%w: orchestrators and registries: want at most %d together, got %d", ErrField, (MaxBody-16)/idBytes, n)
	}
	for name, ids := range map[string][]drtc.NodeID{"orchestrators": b.Orchestrators, "registries": b.Registries} {
		for i, id := range ids {
			if id.IsZero() {
				return fmt.Errorf("%w: %s[%d]: is zero", ErrField, name, i)
			}
			if i > 0 && compareIDs(ids[i-1], id) >= 0 {
				return fmt.Errorf("%w: %s[%d]: want ids ascending, each once", ErrField, name, i)
			}
		}
	}
	return nil
}

// Parse reads canonical bytes. The error wraps ErrMalformed, or ErrField for a
// value out of range.
func Parse(raw []byte) (Body, error) {
	if len(raw) > MaxBody {
		return Body{}, fmt.Errorf("%w: want at most %d bytes, got %d", ErrMalformed, MaxBody, len(raw))
	}
	var b Body
	for rest := raw; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return Body{}, fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		rest = rest[n:]
		if n = b.field(number, kind, rest); n < 0 {
			return Body{}, fmt.Errorf("%w: field %d is unknown or has the wrong form", ErrMalformed, number)
		}
		rest = rest[n:]
	}
	if err := b.check(); err != nil {
		return Body{}, err
	}
	// One comparison rules out another order, repeated fields, spelled-out zeros
	// and long varints.
	if !bytes.Equal(b.bytes(), raw) {
		return Body{}, fmt.Errorf("%w: want each field in ascending order, in its shortest form", ErrMalformed)
	}
	return b, nil
}

// field takes one field's value and returns its length, below 0 if it has none.
func (b *Body) field(number protowire.Number, kind protowire.Type, rest []byte) int {
	switch {
	case kind == protowire.VarintType && (number == fieldSerial || number == fieldAny):
		v, n := protowire.ConsumeVarint(rest)
		if number == fieldSerial {
			b.Serial = v
		} else {
			b.AnyOrchestrator = v != 0
		}
		return n
	case kind == protowire.BytesType && (number == fieldOrchestrators || number == fieldRegistries):
		v, n := protowire.ConsumeBytes(rest)
		if n < 0 || len(v) != len(drtc.NodeID{}) {
			return -1
		}
		if number == fieldOrchestrators {
			b.Orchestrators = append(b.Orchestrators, drtc.NodeID(v))
		} else {
			b.Registries = append(b.Registries, drtc.NodeID(v))
		}
		return n
	}
	return -1
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }
