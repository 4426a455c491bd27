package jetstream

import (
	"log/slog"
	"net/netip"
	"regexp"
	"time"
)

const (
	// Schema is the layout of what an Orchestrator keeps: keys, and the form of
	// their values. A store of another one is refused.
	Schema = 1
	// deletedFor is how long a deletion is told to those who watch.
	deletedFor = time.Hour
	// DefaultMaxBytes bounds a store if nothing else is said: some 100,000 rooms.
	DefaultMaxBytes = 1 << 30
	// DefaultBucket is the name of the bucket.
	DefaultBucket = "drtc-orchestrator"

	minBytes  = 8 << 20
	openLimit = 30 * time.Second // of opening a store
)

// EmbeddedConfig is a store on the disk of this process.
type EmbeddedConfig struct {
	// Dir is made if need be, for this user alone.
	Dir string
	// MaxBytes bounds the disk, at least 8 MiB; 0 is DefaultMaxBytes.
	MaxBytes int64
	// Unsynced leaves it to the kernel when writes reach the disk, within 2 s:
	// what the machine loses with its power may be missing, what the process
	// wrote before it died is not.
	Unsynced bool
	// Listen is host:port where other members reach this store with Connect;
	// empty for nobody. The connection is not encrypted, so the address must be a
	// loopback or a private one.
	Listen string
	// Token is asked of those who connect, 16 to 256 bytes; needed with Listen.
	Token string
	// Log takes warnings; nil for none.
	Log *slog.Logger
}

// Validate names the field that is wrong.
func (c EmbeddedConfig) Validate() error {
	switch {
	case c.Dir == "":
		return wrong("Dir", "want a directory, got none")
	case c.MaxBytes != 0 && c.MaxBytes < minBytes:
		return wrong("MaxBytes", "want at least %d, got %d", minBytes, c.MaxBytes)
	case c.Token != "" && (len(c.Token) < 16 || len(c.Token) > 256):
		return wrong("Token", "want 16 to 256 bytes, got %d", len(c.Token))
	case c.Listen == "":
		return nil
	case c.Token == "":
		return wrong("Token", "want one where others connect, got none")
	}
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return wrong("Listen", "want an IP address and a port: %w", err)
	}
	if !at.Addr().IsLoopback() && !at.Addr().IsPrivate() {
		return wrong("Listen", "want a loopback or private address, got %s", at.Addr())
	}
	return nil
}

func (c EmbeddedConfig) withDefaults() EmbeddedConfig {
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// ConnectConfig is a bucket in a NATS cluster of version 2.11 or newer.
type ConnectConfig struct {
	// URLs of its servers, "nats://host:port" or "tls://host:port".
	URLs []string
	// Credentials is a file with a user's JWT and key, Token a secret; give at
	// most one.
	Credentials string
	Token       string
	// CA is a PEM file with the authorities that sign the servers' certificates;
	// empty for those of the system.
	CA string
	// Bucket is the name of the bucket, made if there is none; empty is
	// DefaultBucket.
	Bucket string
	// Replicas is on how many servers a new bucket is kept, 1 to 5; 0 is 1.
	Replicas int
	// MaxBytes bounds a new bucket, at least 8 MiB; 0 is DefaultMaxBytes.
	MaxBytes int64
	// Log hears of lost and new connections; nil for nobody.
	Log *slog.Logger
}

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Validate names the field that is wrong.
func (c ConnectConfig) Validate() error {
	switch {
	case len(c.URLs) == 0:
		return wrong("URLs", "want at least one")
	case c.Credentials != "" && c.Token != "":
		return wrong("Credentials", "want none with a token")
	case c.Bucket != "" && !bucketName.MatchString(c.Bucket):
		return wrong("Bucket", "want 1 to 64 of a-z A-Z 0-9 _ -, got %.80q", c.Bucket)
	case c.Replicas < 0 || c.Replicas > 5:
		return wrong("Replicas", "want 1 to 5, got %d", c.Replicas)
	case c.MaxBytes != 0 && c.MaxBytes < minBytes:
		return wrong("MaxBytes", "want at least %d, got %d", minBytes, c.MaxBytes)
	}
	return nil
}

func (c ConnectConfig) withDefaults() ConnectConfig {
	if c.Bucket == "" {
		c.Bucket = DefaultBucket
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
