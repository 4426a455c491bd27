package epoch

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// Charge is what an application consumed through one Orchestrator (spec P5).
type Charge struct {
	Application  [20]byte
	Orchestrator drtc.NodeID
	Bytes        econ.Bytes // weighted, 1 to 2^128-1
}

const chargeWords = 3

func (c Charge) append(b []byte) []byte {
	return appendWei(appendAddress(appendAddress(b, c.Application), c.Orchestrator), c.Bytes)
}

// compare orders charges by their payer.
func (c Charge) compare(d Charge) int {
	if order := bytes.Compare(c.Application[:], d.Application[:]); order != 0 {
		return order
	}
	return bytes.Compare(c.Orchestrator[:], d.Orchestrator[:])
}

// ChargesHash is the hash over charges in their order (spec P7).
func ChargesHash(charges []Charge) [32]byte {
	var h [32]byte
	for _, c := range charges {
		h = identity.Keccak256(c.append(append(make([]byte, 0, (1+chargeWords)*wordSize), h[:]...)))
	}
	return h
}

func validateCharges(charges []Charge) error {
	for i, c := range charges {
		switch {
		case c.Bytes.IsZero() || c.Bytes.Big().BitLen() > 128:
			return fmt.Errorf("%w: charge %d is for %s bytes, want 1 to 2^128-1", ErrInvalid, i, c.Bytes)
		case i > 0 && charges[i-1].compare(c) >= 0:
			return fmt.Errorf("%w: charge %d does not come after the one before by application and orchestrator", ErrInvalid, i)
		}
	}
	return nil
}

// Usage is what receipts prove for one application, Orchestrator and node in an
// epoch.
type Usage struct {
	Application             [20]byte
	Orchestrator            drtc.NodeID
	Node                    drtc.NodeID
	ClientBytes, RelayBytes econ.Bytes
}

// ChargesOf sums usage by payer so that the charges are exactly the rewardable
// bytes of the nodes' leaves (spec P6). Each payer and node come once. The order
// of usage does not matter and is left alone.
func ChargesOf(usage []Usage, relayWeight econ.Bps) ([]Charge, error) {
	ordered := slices.Clone(usage)
	slices.SortFunc(ordered, func(a, b Usage) int {
		if order := bytes.Compare(a.Node[:], b.Node[:]); order != 0 {
			return order
		}
		return a.payer().compare(b.payer())
	})
	var charges []Charge
	var client, relay econ.Bytes // of the node so far
	for i, u := range ordered {
		if i == 0 || ordered[i-1].Node != u.Node {
			client, relay = econ.Bytes{}, econ.Bytes{}
		} else if ordered[i-1].payer().compare(u.payer()) == 0 {
			return nil, fmt.Errorf("%w: node %s has two usages of one payer", ErrInvalid, u.Node)
		}
		before := client.Add(relay.Share(relayWeight))
		if _, err := econ.Rewardable(u.ClientBytes, u.RelayBytes, relayWeight); err != nil {
			return nil, fmt.Errorf("%w: usage of node %s: %w", ErrInvalid, u.Node, err)
		}
		client, relay = client.Add(u.ClientBytes), relay.Add(u.RelayBytes)
		after, err := econ.Rewardable(client, relay, relayWeight)
		if err != nil {
			return nil, fmt.Errorf("%w: usage of node %s together: %w", ErrInvalid, u.Node, err)
		}
		c := u.payer()
		if c.Bytes = after.Sub(before); !c.Bytes.IsZero() {
			charges = append(charges, c)
		}
	}
	slices.SortStableFunc(charges, Charge.compare)
	return merge(charges), nil
}

func (u Usage) payer() Charge {
	return Charge{Application: u.Application, Orchestrator: u.Orchestrator}
}

// merge joins neighbours of one payer.
func merge(charges []Charge) []Charge {
	var merged []Charge
	for _, c := range charges {
		if last := len(merged) - 1; last >= 0 && merged[last].compare(c) == 0 {
			merged[last].Bytes = merged[last].Bytes.Add(c.Bytes)
		} else {
			merged = append(merged, c)
		}
	}
	return merged
}
