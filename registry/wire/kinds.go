package wire

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/epoch"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/liveness"
	"github.com/drtc-network/drtc/registry/node"
	"github.com/drtc-network/drtc/registry/record"
)

// Kinds are the kinds of records that a network has, with the rules about their
// bodies: that of receipts if there are any.
func Kinds(receipts receipt.Network) []record.Kind {
	nodes := record.NodeKind(CheckNode)
	nodes.CheckSigner = CheckNodeKey
	kinds := []record.Kind{
		nodes, record.RegistryKind(CheckRegistry), record.LivenessKind(liveness.Check),
		record.EquivocationKind(CheckEquivocation), record.AdmissionKind(CheckAdmission),
	}
	if receipts.Enabled() {
		kinds = append(kinds, record.ReceiptKind(receipts.Life(), CheckReceipts(receipts)))
	}
	return kinds
}

// CheckReceipts is the rule of kind "receipt" about bodies: a page of the issuer's
// whose place is the record's subject, every receipt of which its Orchestrator
// signed. Without the network's parameters signatures are not looked at.
func CheckReceipts(n receipt.Network) func(*envelope.Envelope) error {
	domain := n.Domain()
	return func(e *envelope.Envelope) error {
		p, err := receipt.ParsePage(e.Body)
		switch {
		case err != nil:
			return fmt.Errorf("%w: body: %w", ErrRecord, err)
		case p.Node != e.Issuer:
			return bad("node", "want the record's issuer %s, got %s", e.Issuer, p.Node)
		case p.Subject() != e.Subject:
			return bad("subject", "want %s, of page %d of epoch %d, got %s", p.Subject(), p.Number, p.Epoch, e.Subject)
		}
		if !n.Enabled() {
			return nil
		}
		if present := n.Clock().At(e.IssuedAt); present == epoch.None || p.Epoch > present {
			return bad("epoch", "%d had not begun when the record was issued", p.Epoch)
		}
		if err := p.Verify(domain); err != nil {
			return fmt.Errorf("%w: body: %w", ErrRecord, err)
		}
		return nil
	}
}

// Bounds of the bodies of Registries' records.
const (
	MaxAddresses = 8   // of a Registry in the gossip network
	MaxAddress   = 256 // bytes of one
	MaxVersion   = 64  // bytes
)

// Registry is what a Registry says of itself: the body of kind "registry".
type Registry struct {
	ID          drtc.NodeID
	URL         string   // base of its API, http or https
	Addresses   []string // in the gossip network: multiaddresses that end in /p2p/ID
	Version     string
	Geolocation string // "lat,lon", empty when not declared
	PubKey      string // compressed, hex
}

// Body writes a Registry as the body of its record. The error wraps ErrRecord and
// names the field.
func (r Registry) Body() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return canonical(&registryv1.RegistryBody{
		RegistryId: r.ID.String(), Url: r.URL, Addresses: r.Addresses, Version: r.Version,
		Geolocation: r.Geolocation, PubKey: r.PubKey,
	})
}

// ParseRegistry reads the body of a record of kind "registry". The error wraps
// ErrRecord and names the field.
func ParseRegistry(body []byte) (Registry, error) {
	var b registryv1.RegistryBody
	if err := proto.Unmarshal(body, &b); err != nil {
		return Registry{}, fmt.Errorf("%w: body: not a RegistryBody: %w", ErrRecord, err)
	}
	id, err := drtc.ParseNodeID(b.GetRegistryId())
	if err != nil {
		return Registry{}, fmt.Errorf("%w: body: registry_id: %w", ErrRecord, err)
	}
	r := Registry{
		ID: id, URL: b.GetUrl(), Addresses: b.GetAddresses(), Version: b.GetVersion(),
		Geolocation: b.GetGeolocation(), PubKey: b.GetPubKey(),
	}
	return r, r.check()
}

func (r *Registry) check() error {
	if key, err := identity.ParsePublicKey(r.PubKey); err != nil || key.ID() != r.ID {
		return bad("pub_key", "want the compressed key whose address is registry_id %s", r.ID)
	}
	if !node.ValidURL(r.URL) {
		return bad("url", "want an http or https URL of at most %d bytes with a host and without user or fragment, got %.60q", node.MaxText, r.URL)
	}
	if len(r.Addresses) > MaxAddresses {
		return bad("addresses", "want at most %d, got %d", MaxAddresses, len(r.Addresses))
	}
	for _, a := range r.Addresses {
		if a == "" || !node.Printable(a, MaxAddress) {
			return bad("addresses", "want 1 to %d printable bytes each, got %.60q", MaxAddress, a)
		}
	}
	if !node.Printable(r.Version, MaxVersion) {
		return bad("version", "want at most %d printable bytes", MaxVersion)
	}
	if _, err := drtc.ParsePlace(r.Geolocation); err != nil && r.Geolocation != "" {
		return bad("geolocation", "want lat,lon in decimal degrees or nothing, got %.40q", r.Geolocation)
	}
	return nil
}

// CheckRegistry is the rule of kind "registry" about bodies: a RegistryBody in
// which every field is in its syntax and registry_id is the record's subject; no
// body at all in a tombstone.
func CheckRegistry(e *envelope.Envelope) error {
	if e.IsTombstone() {
		return checkTombstone(e)
	}
	r, err := ParseRegistry(e.Body)
	if err != nil {
		return err
	}
	if r.ID != e.Subject {
		return bad("registry_id", "want the record's subject %s, got %s", e.Subject, r.ID)
	}
	return nil
}

// Equivocation reads the body of a record of kind "equivocation": two records of
// one key and version, the smaller hash first. Neither is verified. The error
// wraps ErrRecord and names the field.
func Equivocation(body []byte) (first, second envelope.Envelope, err error) {
	var b registryv1.EquivocationBody
	if err := parse(body, &b, "EquivocationBody"); err != nil {
		return first, second, err
	}
	if first, err = envelope.Parse(b.GetFirst()); err != nil {
		return first, second, fmt.Errorf("%w: body: first: %w", ErrRecord, err)
	}
	if second, err = envelope.Parse(b.GetSecond()); err != nil {
		return first, second, fmt.Errorf("%w: body: second: %w", ErrRecord, err)
	}
	return first, second, nil
}

// EquivocationBody writes two records as the body of a record of kind
// "equivocation".
func EquivocationBody(first, second *envelope.Envelope) ([]byte, error) {
	return canonical(&registryv1.EquivocationBody{First: first.Bytes(), Second: second.Bytes()})
}

// CheckEquivocation is the rule of kind "equivocation" about bodies: two genuine
// records that the subject signed under one key and version and that say different
// things, the smaller hash first.
func CheckEquivocation(e *envelope.Envelope) error {
	first, second, err := Equivocation(e.Body)
	if err != nil {
		return err
	}
	a, errA := first.Digest()
	b, errB := second.Digest()
	if err := errors.Join(errA, errB); err != nil {
		return fmt.Errorf("%w: body: %w", ErrRecord, err)
	}
	x, y := first.Hash(), second.Hash()
	switch {
	case first.Kind != second.Kind || first.Subject != second.Subject || first.Issuer != second.Issuer || first.Version() != second.Version():
		return bad("second", "want a record of the same kind, subject, issuer, generation and seq as first")
	case first.Network != e.Network || second.Network != e.Network:
		return bad("network", "want records of %q, got %q and %q", e.Network, first.Network, second.Network)
	case a == b:
		return bad("second", "says the same as first")
	case bytes.Compare(x[:], y[:]) > 0:
		return bad("first", "want the record with the smaller hash")
	case first.Issuer != e.Subject:
		return bad("first", "want a record that the subject %s signed, got one of %s", e.Subject, first.Issuer)
	}
	if err := errors.Join(first.Verify(), second.Verify()); err != nil {
		return fmt.Errorf("%w: body: %w", ErrRecord, err)
	}
	return nil
}

// CheckAdmission is the rule of kind "admission" about bodies: an AdmissionBody
// whose lists name each id once and in rising order; none of Orchestrators when
// anybody may command nodes.
func CheckAdmission(e *envelope.Envelope) error {
	var b registryv1.AdmissionBody
	if err := parse(e.Body, &b, "AdmissionBody"); err != nil {
		return err
	}
	if b.GetAnyOrchestrator() && len(b.GetOrchestrators()) > 0 {
		return bad("orchestrators", "want none beside any_orchestrator, got %d", len(b.GetOrchestrators()))
	}
	if err := checkIDs("orchestrators", b.GetOrchestrators()); err != nil {
		return err
	}
	return checkIDs("registries", b.GetRegistries())
}

// checkIDs wants addresses in rising order, none twice and none zero.
func checkIDs(field string, ids [][]byte) error {
	last := make([]byte, len(drtc.NodeID{}))
	for i, id := range ids {
		if len(id) != len(last) {
			return bad(field, "want %d bytes each, got %d", len(last), len(id))
		}
		if bytes.Compare(last, id) >= 0 {
			return bad(field, "want addresses that are not zero, in rising order, each once; number %d is not", i)
		}
		last = id
	}
	return nil
}

func checkTombstone(e *envelope.Envelope) error {
	if len(e.Body) != 0 {
		return fmt.Errorf("%w: body: want none in a tombstone, got %d bytes", ErrRecord, len(e.Body))
	}
	return nil
}

// parse reads a body that has one spelling only, so that equal statements are
// equal bytes.
func parse(body []byte, into proto.Message, name string) error {
	if err := proto.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: body: not a %s: %w", ErrRecord, name, err)
	}
	again, err := canonical(into)
	if err != nil {
		return err
	}
	if len(into.ProtoReflect().GetUnknown()) > 0 || !bytes.Equal(again, body) {
		return fmt.Errorf("%w: body: not a %s in its canonical form: want each field once, in ascending order, in its shortest form, and no other", ErrRecord, name)
	}
	return nil
}

func canonical(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: body: %w", ErrRecord, err)
	}
	return b, nil
}

func bad(field, format string, args ...any) error {
	return fmt.Errorf("%w: body: %s: %s", ErrRecord, field, fmt.Sprintf(format, args...))
}
