package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrSchema says that the bucket was not written by this version of an Orchestrator, or
// not by an Orchestrator.
var ErrSchema = errors.New("jetstream: not a store of this version")

// schemaKey names the schema in the metadata of a bucket.
const schemaKey = "drtc-orchestrator-schema"

// Connect opens a bucket of a NATS cluster and makes it if there is none. The
// Store reconnects by itself for as long as it is open; calls fail meanwhile.
func Connect(ctx context.Context, c ConnectConfig) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	var options []nats.Option
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.Token != "" {
		options = append(options, nats.Token(c.Token))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	undo := &closers{}
	s, err := dial(ctx, strings.Join(c.URLs, ","), bucket{name: c.Bucket, maxBytes: c.MaxBytes, replicas: c.Replicas}, c.Log, undo, options...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("jetstream: connecting: %w", err), undo.close())
	}
	s.closers = undo
	return s, nil
}

// bucket is what to open.
type bucket struct {
	name     string
	maxBytes int64
	replicas int
	own      bool // the server is ours: nothing else may be in it
	existing bool // it is not made
}

// dial connects and opens the bucket. What must be closed is left in undo.
func dial(ctx context.Context, url string, b bucket, log *slog.Logger, undo *closers, options ...nats.Option) (*Store, error) {
	s := &Store{log: log, subjects: "$KV." + b.name + ".", done: make(chan struct{})}
	options = append(options,
		nats.Name("drtc orchestrator"),
		nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1), // a call while there is no connection fails at once
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(5*time.Second),
		nats.DisconnectErrHandler(s.disconnected), nats.ReconnectHandler(s.reconnected),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Debug("store connection", slog.Any("error", err))
		}),
	)
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, err
	}
	undo.push(func() error {
		conn.Close()
		return nil
	})
	s.conn = conn
	if s.watches, err = conn.JetStream(nats.MaxWait(callLimit)); err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(callLimit)); err != nil {
		return nil, err
	}
	if s.stream, err = s.open(ctx, b); err != nil {
		return nil, err
	}
	s.name = s.stream.CachedInfo().Config.Name
	return s, nil
}

// open finds the bucket's stream, or makes it.
func (s *Store) open(ctx context.Context, b bucket) (jetstream.Stream, error) {
	account, err := s.js.AccountInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for JetStream: %w", err)
	}
	if account.API.Level < 1 {
		return nil, errors.New("the NATS servers are older than version 2.11: they can't forget deleted keys")
	}
	name := "KV_" + b.name
	stream, err := s.js.Stream(ctx, name)
	switch {
	case err == nil:
		return stream, checkSchema(b.name, stream.CachedInfo().Config)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("looking for bucket %s: %w", b.name, err)
	case b.existing:
		return nil, fmt.Errorf("%w: there is no bucket %s", ErrSchema, b.name)
	case b.own && account.Streams > 0:
		return nil, fmt.Errorf("%w: the directory holds streams of another program", ErrSchema)
	}
	stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Description: "state of dRTC Orchestrators", Subjects: []string{s.subjects + ">"},
		Storage: jetstream.FileStorage, Replicas: b.replicas,
		MaxBytes: b.maxBytes, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowMsgTTL: true,
		// A direct get may be answered by a server that lags behind.
		AllowDirect: false,
		Metadata:    map[string]string{schemaKey: strconv.Itoa(Schema)},
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another member was quicker
		b.existing = true
		return s.open(ctx, b)
	}
	if err != nil {
		return nil, fmt.Errorf("making bucket %s: %w", b.name, err)
	}
	return stream, nil
}

// checkSchema refuses what this version did not write.
func checkSchema(name string, c jetstream.StreamConfig) error {
	text, ok := c.Metadata[schemaKey]
	if !ok {
		return fmt.Errorf("%w: bucket %s is not an Orchestrator's", ErrSchema, name)
	}
	switch n, err := strconv.Atoi(text); {
	case err != nil:
		return fmt.Errorf("%w: bucket %s has schema %.20q, which is no number", ErrSchema, name, text)
	case n > Schema:
		return fmt.Errorf("%w: bucket %s has schema %d and this version knows %d: run a newer version, or restore a back-up into an empty store",
			ErrSchema, name, n, Schema)
	case n < Schema:
		return fmt.Errorf("%w: bucket %s has schema %d, which this version can't read any more (it knows %d)", ErrSchema, name, n, Schema)
	}
	return nil
}

// disconnected and reconnected are called by the connection.
func (s *Store) disconnected(_ *nats.Conn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = time.Now()
	if err != nil {
		s.log.Warn("store connection lost", slog.Any("error", err))
	}
}

func (s *Store) reconnected(c *nats.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away.IsZero() && time.Since(s.away) > deletedFor/2 {
		s.gaps++ // deletions may have been forgotten meanwhile
	}
	s.away = time.Time{}
	s.log.Info("store connected again", slog.String("server", c.ConnectedUrlRedacted()))
}
