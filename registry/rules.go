package registry

import (
	"path/filepath"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// Rules are what every Registry of the network holds records to, with everybody
// allowed to take part. Who signed the receipts in records is not looked at, since
// that takes the network's parameters.
func Rules(network string) record.Rules {
	c := DefaultConfig()
	c.Network = network
	rules := c.ledger(nil).Rules
	rules.Kinds = append(rules.Kinds, record.ReceiptKind(envelope.MaxTTL, wire.CheckReceipts(receipt.Network{})))
	return rules
}

// RecordsDir is where a Registry whose Config has that Dir keeps its records.
func RecordsDir(dir string) string { return filepath.Join(dir, "records") }
