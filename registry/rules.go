package registry

import (
	"path/filepath"

	"github.com/drtc-network/drtc/registry/record"
)

// Rules are what every Registry of the network holds records to, with everybody
// allowed to take part.
func Rules(network string) record.Rules {
	c := DefaultConfig()
	c.Network = network
	return c.ledger(nil).Rules
}

// RecordsDir is where a Registry whose Config has that Dir keeps its records.
func RecordsDir(dir string) string { return filepath.Join(dir, "records") }
