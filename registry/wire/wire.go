// Package wire turns the messages of drtc.registry.v1 into the Registry's own
// types and back (whitepaper section 4.2.3).
//
// Contract: what comes out of FromProto, Node and ParseRegistry is bounded and in range; what
// is not checked here is the signature. All functions are safe for concurrent
// use.
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/node"
)

// ErrRecord is returned for a message without a record or a body that is not
// what its kind says.
var ErrRecord = errors.New("wire")

// FromProto reads a record. The error wraps ErrRecord, envelope.ErrField or
// envelope.ErrMalformed and names the field.
func FromProto(r *registryv1.Record) (envelope.Envelope, error) {
	if r == nil {
		return envelope.Envelope{}, fmt.Errorf("%w: record: is missing", ErrRecord)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return envelope.Envelope{}, fmt.Errorf("%w: record: %w", ErrRecord, err)
	}
	return envelope.Parse(b)
}

// ToProto writes a record.
func ToProto(e *envelope.Envelope) (*registryv1.Record, error) {
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("wire: writing a record: %w", err)
	}
	return &r, nil
}

// Node reads the body of a record of kind "node" and checks it. The error wraps
// ErrRecord or node.ErrPayload and names the field.
func Node(body []byte) (node.Payload, error) {
	p, err := HeldNode(body)
	if err != nil {
		return p, err
	}
	return p, p.Check()
}

// HeldNode reads the body of a record that CheckNode has accepted before, at a
// tenth of the cost.
func HeldNode(body []byte) (node.Payload, error) {
	var b registryv1.NodeBody
	if err := proto.Unmarshal(body, &b); err != nil {
		return node.Payload{}, fmt.Errorf("%w: body: not a NodeBody: %w", ErrRecord, err)
	}
	id, err := drtc.ParseNodeID(b.GetNodeId())
	if err != nil {
		return node.Payload{}, fmt.Errorf("%w: body: node_id: %w", ErrRecord, err)
	}
	p := node.Payload{
		NodeID:         id,
		Region:         drtc.Region(b.GetRegion()),
		Geolocation:    b.GetGeolocation(),
		URL:            b.GetUrl(),
		DiscoveryURL:   b.GetDiscoveryUrl(),
		IP:             b.GetIp(),
		MetricsURL:     b.GetMetricsUrl(),
		PubKey:         b.GetPubKey(),
		Version:        b.GetVersion(),
		CapacityMbps:   b.GetCapacityMbps(),
		LoadMbps:       b.GetLoadMbps(),
		Cores:          b.GetCores(),
		Features:       b.GetFeatures(),
		TLSFingerprint: hex.EncodeToString(b.GetTlsFingerprint()),
		MediaAddresses: b.GetMediaAddresses(),
		MaxSessions:    b.GetMaxSessions(),
		Sessions:       b.GetSessions(),
		PlaceName:      b.GetPlaceName(),
		Owner:          b.GetOwner(),
		Draining:       b.GetDraining(),
	}
	return p, nil
}

// CheckNode is the rule of kind "node" about bodies: a NodeBody in which every
// field is in its syntax and node_id is the record's subject; no body at all in
// a tombstone.
func CheckNode(e *envelope.Envelope) error {
	if e.IsTombstone() {
		return checkTombstone(e)
	}
	p, err := HeldNode(e.Body)
	if err != nil {
		return err
	}
	if p.NodeID != e.Subject {
		return fmt.Errorf("%w: body: node_id: want the record's subject %s, got %s", ErrRecord, e.Subject, p.NodeID)
	}
	return p.CheckFields()
}

// CheckNodeKey is the rule about pub_key in such a body, given the key that
// signed it.
func CheckNodeKey(e *envelope.Envelope, signer identity.PublicKey) error {
	if e.IsTombstone() {
		return nil
	}
	var b registryv1.NodeBody
	if err := proto.Unmarshal(e.Body, &b); err != nil {
		return fmt.Errorf("%w: body: not a NodeBody: %w", ErrRecord, err)
	}
	p := node.Payload{NodeID: e.Subject, PubKey: b.GetPubKey()}
	return p.CheckKey(signer)
}
