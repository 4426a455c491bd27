package registry

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// Whoever has an answer keeps it while nothing changes: a sweep that finds
// nothing makes no new Snapshot, whose version is the answers' ETag.
func TestDirectory_aSweepThatFindsNothingChangesNothing(t *testing.T) {
	c := DefaultConfig()
	c.Listen, c.GossipListen, c.Dir, c.Network = "127.0.0.1:0", "127.0.0.1:0", t.TempDir(), "devnet"
	r, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.listener.Close(), r.close()); err != nil {
			t.Error(err)
		}
	})
	before, now := r.directory.board.View(), time.Now().Add(time.Second)
	r.directory.sweep(now, 0)
	after := r.directory.board.View()
	if got, want := after.Nodes.Version(), before.Nodes.Version(); got != want {
		t.Errorf("version %d, want %d", got, want)
	}
	if !after.At.Equal(now) {
		t.Errorf("known at %s, want %s", after.At, now)
	}
}
