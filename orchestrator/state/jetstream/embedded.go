package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// ErrInUse says that another process has the directory.
var ErrInUse = errors.New("jetstream: the directory is in use by another process")

// Embedded opens the store in a directory, a new one if there is none. It fails
// with ErrInUse while another process has it.
func Embedded(ctx context.Context, c EmbeddedConfig) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	undo := &closers{}
	s, err := embed(ctx, c, undo)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("jetstream: opening %s: %w", c.Dir, err), undo.close())
	}
	return s, nil
}

// embed leaves in undo what must be closed, the last first.
func embed(ctx context.Context, c EmbeddedConfig, undo *closers) (*Store, error) {
	unlock, err := lock(c.Dir)
	if err != nil {
		return nil, err
	}
	undo.push(unlock)
	inside, err := serve(c)
	if err != nil {
		return nil, err
	}
	undo.push(func() error {
		inside.Shutdown()
		inside.WaitForShutdown()
		return nil
	})
	if left := time.Until(deadline(ctx)); !inside.ReadyForConnections(left) {
		return nil, errors.New("the server inside is not ready in time")
	}
	if c.Listen != "" {
		c.Log.Info("store listens for other members", slog.String("address", inside.Addr().String()))
	}
	s, err := dial(ctx, "", bucket{name: DefaultBucket, maxBytes: c.MaxBytes, replicas: 1, own: true}, c.Log, undo,
		nats.InProcessServer(inside), nats.Token(c.Token))
	if err != nil {
		return nil, err
	}
	closeDoor, err := openDoor(c.Dir, inside.InProcessConn, c.Log)
	if err != nil {
		return nil, err
	}
	undo.push(closeDoor)
	s.closers = undo
	if c.Listen != "" {
		s.url = "nats://" + inside.Addr().String()
	}
	return s, nil
}

// serve starts a server that only this process reaches, unless Listen is set.
func serve(c EmbeddedConfig) (*server.Server, error) {
	o := &server.Options{
		ServerName: "drtc", DontListen: true,
		JetStream: true, StoreDir: filepath.Join(c.Dir, "store"),
		SyncAlways: !c.Unsynced, SyncInterval: 2 * time.Second,
		JetStreamMaxMemory: 1 << 20, JetStreamMaxStore: c.MaxBytes + c.MaxBytes/8,
		MaxPayload: 1 << 20, Authorization: c.Token,
		NoSigs: true, NoSystemAccount: true,
	}
	if c.Listen != "" {
		at := netip.MustParseAddrPort(c.Listen) // Validate has read it
		o.DontListen, o.Host, o.Port = false, at.Addr().String(), int(at.Port())
		if o.Port == 0 {
			o.Port = server.RANDOM_PORT
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	s.SetLoggerV2(logger{c.Log}, false, false, false)
	s.Start()
	return s, nil
}

// lock takes the directory until unlock; the kernel frees it when the process
// dies.
func lock(dir string) (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("locking: %w", err)
	}
	return f.Close, nil
}

// closers are called once, the last first.
type closers struct{ list []func() error }

func (c *closers) push(f func() error) { c.list = append(c.list, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(c.list) - 1; i >= 0; i-- {
		errs = append(errs, c.list[i]())
	}
	c.list = nil
	return errors.Join(errs...)
}

func deadline(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(openLimit)
}

// logger takes what the server inside has to say: warnings and worse.
type logger struct{ log *slog.Logger }

func (l logger) say(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "store server", slog.String("message", fmt.Sprintf(format, v...)))
}

func (l logger) Warnf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l logger) Errorf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (l logger) Fatalf(format string, v ...any) { l.say(slog.LevelError, format, v) }
func (logger) Noticef(string, ...any)           {}
func (logger) Debugf(string, ...any)            {}
func (logger) Tracef(string, ...any)            {}
