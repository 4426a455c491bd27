package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"time"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/orchestrator/state/backup"
	"github.com/drtc-network/drtc/orchestrator/state/jetstream"
	"github.com/drtc-network/drtc/orchestrator/state/memory"
)

// passing are the keys that are of no use later: who writes which room now.
var passing = []string{"tenures.", "members."}

// The kinds of store.
const (
	StateEmbedded = "embedded" // NATS JetStream in this process, on its disk
	StateNATS     = "nats"     // a NATS cluster, or another member's embedded store
	StateMemory   = "memory"   // nothing outlives the process
)

// State says where rooms are kept.
type State struct {
	// Kind is embedded, nats or memory.
	Kind string `toml:"kind"`
	// Dir of an embedded store; empty is "state" in Config.Dir.
	Dir string `toml:"dir"`
	// MaxBytes bounds the store; 0 is 1 GiB.
	MaxBytes int64 `toml:"max_bytes"`
	// Unsynced leaves it to the kernel when writes reach the disk.
	Unsynced bool `toml:"unsynced"`
	// Listen is host:port at which other members reach an embedded store.
	Listen string `toml:"listen"`
	// URLs, Credentials, CA, Bucket and Replicas are those of a NATS cluster.
	URLs        []string `toml:"urls"`
	Credentials string   `toml:"credentials"`
	CA          string   `toml:"ca"`
	Bucket      string   `toml:"bucket"`
	Replicas    int      `toml:"replicas"`
	// Token is a secret that the store asks for; never in a file.
	Token string `toml:"-"`
}

// Validate names the field that is wrong.
func (s State) Validate() error {
	switch s.Kind {
	case StateMemory:
		return nil
	case StateEmbedded:
		c := s.embedded("state", nil)
		return prefixed(c.Validate())
	case StateNATS:
		return prefixed(s.connect(nil).Validate())
	}
	return fmt.Errorf("orchestrator: state.kind: want embedded, nats or memory, got %.40q", s.Kind)
}

// prefixed names the key of the file for a field that is wrong: State has the
// fields of package jetstream by the same names.
func prefixed(err error) error {
	if err == nil {
		return nil
	}
	var wrong *jetstream.FieldError
	if errors.As(err, &wrong) {
		key := wrong.Field
		if f, ok := reflect.TypeFor[State]().FieldByName(wrong.Field); ok {
			key = f.Tag.Get("toml")
		}
		if key == "-" {
			key = "token (DRTC_STATE_TOKEN)"
		}
		return fmt.Errorf("orchestrator: state.%s: %w", key, wrong.Err)
	}
	return fmt.Errorf("orchestrator: state: %w", err)
}

func (s State) embedded(dir string, log *slog.Logger) jetstream.EmbeddedConfig {
	if s.Dir != "" {
		dir = s.Dir
	}
	return jetstream.EmbeddedConfig{Dir: dir, MaxBytes: s.MaxBytes, Unsynced: s.Unsynced, Listen: s.Listen, Token: s.Token, Log: log}
}

func (s State) connect(log *slog.Logger) jetstream.ConnectConfig {
	return jetstream.ConnectConfig{
		URLs: s.URLs, Credentials: s.Credentials, CA: s.CA, Bucket: s.Bucket, Replicas: s.Replicas,
		MaxBytes: s.MaxBytes, Token: s.Token, Log: log,
	}
}

// stateDir is where an embedded store lies.
func (c Config) stateDir() string { return filepath.Join(c.Dir, "state") }

// openStore opens the store of a configuration. The closer is nil for none.
func openStore(ctx context.Context, c Config, log *slog.Logger) (state.Store, io.Closer, error) {
	switch c.State.Kind {
	case StateEmbedded:
		s, err := jetstream.Embedded(ctx, c.State.embedded(c.stateDir(), log))
		if err != nil {
			return nil, nil, prefixed(err)
		}
		return s, s, nil
	case StateNATS:
		s, err := jetstream.Connect(ctx, c.State.connect(log))
		if err != nil {
			return nil, nil, prefixed(err)
		}
		return s, s, nil
	case StateMemory:
		s, err := memory.New(memory.Config{})
		return s, nil, prefixed(err)
	}
	return nil, nil, errors.Join(c.State.Validate())
}

// joinStore is openStore, where another process may have an embedded store open.
func joinStore(ctx context.Context, c Config, log *slog.Logger) (state.Store, io.Closer, error) {
	switch c.State.Kind {
	case StateEmbedded:
		s, err := jetstream.Join(ctx, c.State.embedded(c.stateDir(), log))
		if err != nil {
			return nil, nil, prefixed(err)
		}
		return s, s, nil
	case StateNATS:
		return openStore(ctx, c, log)
	}
	return nil, nil, fmt.Errorf("orchestrator: state.kind: want embedded or nats, got %.40q: nothing is kept", c.State.Kind)
}

// Backup writes all rooms that the store of a configuration keeps into out, while
// Orchestrators may use it. It returns how many entries there are.
func Backup(ctx context.Context, c Config, out io.Writer, at time.Time, log *slog.Logger) (entries int, err error) {
	s, closer, err := joinStore(ctx, c, log)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	return backup.Write(ctx, s, out, jetstream.Schema, at, passing...)
}

// Restore puts what Backup wrote into the store of a configuration, which must
// have none of it. Nothing is written when the file is damaged.
func Restore(ctx context.Context, c Config, in io.ReadSeeker, log *slog.Logger) (entries int, err error) {
	s, closer, err := joinStore(ctx, c, log)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	return backup.Read(ctx, s, in, jetstream.Schema)
}
