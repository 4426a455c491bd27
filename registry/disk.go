package registry

import (
	"context"
	"runtime"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/store"
)

// disk is a store as a ledger sees it.
type disk struct{ *store.Store }

// Each implements ledger.Disk on all processors.
func (d disk) Each(each func(envelope.Envelope) error) error {
	return d.Store.Each(context.Background(), runtime.GOMAXPROCS(0), each)
}

// Write implements ledger.Disk.
func (d disk) Write(put []envelope.Envelope, remove []record.Key, sync bool) error {
	return d.Commit(store.Batch{Put: put, Remove: remove, NoWait: !sync})
}
