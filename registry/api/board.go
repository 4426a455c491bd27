package api

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/drtc-network/drtc/registry/index"
)

// Board is where a Registry puts up its View. The zero Board shows nothing. It
// is safe for concurrent use; publishers take turns among themselves if their
// Snapshots follow one another.
type Board struct {
	mu      sync.Mutex // one Publish at a time
	current atomic.Pointer[posted]
}

type posted struct {
	view  View
	newer chan struct{}
}

func post(v View) *posted {
	p := &posted{view: v, newer: make(chan struct{})}
	p.view.Newer = p.newer
	return p
}

// Publish replaces the View and wakes those who wait for it.
func (b *Board) Publish(nodes *index.Snapshot, root [32]byte, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.current.Swap(post(View{Nodes: nodes, Root: root, At: at}))
	if old != nil {
		close(old.newer)
	}
}

// View implements a method of Nodes.
func (b *Board) View() View {
	p := b.current.Load()
	if p == nil {
		b.current.CompareAndSwap(nil, post(View{Nodes: new(index.Snapshot)}))
		p = b.current.Load()
	}
	return p.view
}
