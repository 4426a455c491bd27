package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	poll = 20 * time.Millisecond
	// lastWords is how much of a child's log an error quotes, in bytes.
	lastWords = 2000
)

// child is one process that a comparison started.
type child struct {
	name  string
	cmd   *exec.Cmd
	log   string        // path
	ended chan struct{} // closed when it is gone
}

// startChild runs program in a process group of its own, so that Ctrl-C in a
// terminal reaches the comparison alone, with its output in a file of dir. The
// kernel kills it when the thread that started it ends: a goroutine keeps that
// thread.
func startChild(dir, name, program string, args, env []string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(program, args...), log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	defer log.Close()
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // the state says as much
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("compare: starting %s: %w", name, err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end, and after patience does not ask.
func (c *child) stop(patience time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.ended:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
}

// died describes the end of a process that should live.
func (c *child) died() error {
	log, err := os.ReadFile(c.log)
	if err != nil {
		return fmt.Errorf("compare: %s ended: %w", c.name, err)
	}
	log = log[max(0, len(log)-lastWords):]
	return fmt.Errorf("compare: %s ended; its last lines:\n%s", c.name, strings.TrimSpace(string(log)))
}

// await calls ready until it says yes, the process ends, or patience does.
func (c *child) await(ctx context.Context, patience time.Duration, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ok, err := ready(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-c.ended:
			return c.died()
		case <-ctx.Done():
			return fmt.Errorf("compare: %s does not become ready: %w", c.name, ctx.Err())
		case <-tick.C:
		}
	}
}

// readReady reads a ready file into v, and reports false when it is not there.
func readReady(path string, v any) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, fmt.Errorf("compare: %w", err)
		}
		if err := json.NewDecoder(bytes.NewReader(text)).Decode(v); err != nil {
			return false, fmt.Errorf("compare: reading %s: %w", path, err)
		}
		return true, nil
	}
}
