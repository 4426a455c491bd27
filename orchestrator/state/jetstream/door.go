package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	doorName = "store.sock"
	maxDoor  = 16 // connections at once
)

// openDoor lets processes of the same user in through a socket file in the
// directory.
func openDoor(dir string, inside func() (net.Conn, error), log *slog.Logger) (closeDoor func() error, err error) {
	folder, name, err := short(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	os.Remove(filepath.Join(dir, doorName)) // of a process that died
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", doorName, err)
	}
	// The path by which it was made means nothing once the folder is closed.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(dir, doorName), 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var group sync.WaitGroup
	done := make(chan struct{})
	group.Go(func() {
		places := make(chan struct{}, maxDoor)
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case places <- struct{}{}:
			default:
				outer.Close()
				continue
			}
			group.Go(func() {
				defer func() { <-places }()
				inner, err := inside()
				if err != nil {
					outer.Close()
					log.Warn("store takes no connection", slog.Any("error", err))
					return
				}
				join(outer, inner, done)
			})
		}
	})
	return func() error {
		err := l.Close()
		close(done)
		group.Wait()
		os.Remove(filepath.Join(dir, doorName))
		return err
	}, nil
}

// join carries bytes both ways until one side or done ends.
func join(a, b net.Conn, done <-chan struct{}) {
	over := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // either side may go at any time
		over <- struct{}{}
	}
	go carry(a, b)
	go carry(b, a)
	ended := 0
	select {
	case <-over:
		ended = 1
	case <-done:
	}
	a.Close()
	b.Close()
	for ; ended < 2; ended++ {
		<-over
	}
}

// short names the socket file within the length that the kernel takes, however
// long the directory's name. The name is good while folder is open.
func short(dir string) (folder *os.File, name string, err error) {
	if folder, err = os.Open(dir); err != nil {
		return nil, "", err
	}
	return folder, fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), doorName), nil
}

// door is a nats.CustomDialer through the socket file.
type door struct{ dir string }

// Dial implements nats.CustomDialer.
func (d door) Dial(_, _ string) (net.Conn, error) {
	folder, name, err := short(d.dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	return net.DialTimeout("unix", name, 2*time.Second)
}

// Join opens the store of a directory whether or not another process has it: a
// back-up is taken while the Orchestrator runs. Of the configuration, Dir, Token
// and Log count if it has; MaxBytes and Unsynced are the other process's.
func Join(ctx context.Context, c EmbeddedConfig) (*Store, error) {
	s, err := Embedded(ctx, c)
	if !errors.Is(err, ErrInUse) {
		return s, err
	}
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	undo := &closers{}
	s, err = dial(ctx, "nats://store", bucket{name: DefaultBucket, existing: true}, c.Log, undo,
		nats.SetCustomDialer(door{c.Dir}), nats.Token(c.Token))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("jetstream: joining the process that has %s: %w", c.Dir, err), undo.close())
	}
	s.closers = undo
	return s, nil
}
