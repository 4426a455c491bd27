package scenario

import (
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

	"github.com/BurntSushi/toml"

	"github.com/drtc-network/drtc/internal/netlink"
)

const (
	readyWithin = 30 * time.Second // a child, on a busy machine
	stopWithin  = 5 * time.Second
	pollEvery   = 20 * time.Millisecond
)

// process is one child: a role with a folder of its own.
type process struct {
	name  string
	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone
}

// launch writes config into the child's folder, starts the role in host (nil is
// this machine) and waits until it has written its ready file, which it reads
// into said.
func launch(ctx context.Context, b *BedConfig, host *netlink.Host, role, name string, config map[string]any, env []string, said any) (*process, error) {
	p := &process{name: name, dir: filepath.Join(b.Dir, name), ended: make(chan struct{})}
	ready := filepath.Join(p.dir, "ready.json")
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	file, err := os.Create(filepath.Join(p.dir, "config.toml"))
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	if err := errors.Join(toml.NewEncoder(file).Encode(config), file.Close()); err != nil {
		return nil, fmt.Errorf("scenario: configuration of %s: %w", name, err)
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer log.Close()
	p.cmd = exec.Command(b.Program, role, "--config", file.Name(), "--ready-file", ready)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.start(host); err != nil {
		return nil, fmt.Errorf("scenario: starting %s: %w", name, err)
	}
	if err := p.await(ctx, ready, said); err != nil {
		p.stop(syscall.SIGKILL)
		return nil, err
	}
	return p, nil
}

// start runs the child, which the kernel kills when this process dies. That is
// when the thread ends that forked it, so the thread waits for the child.
func (p *process) start(host *netlink.Host) error {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if host != nil {
		inHost := host.Wrap(p.cmd)
		if err := inHost.Start(); err != nil {
			return err
		}
		go func() {
			_ = p.cmd.Wait() // how it ended is nobody's concern
			close(p.ended)
		}()
		return nil
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.ended)
		}
	}()
	return <-started
}

// await reads the ready file once it is there.
func (p *process) await(ctx context.Context, path string, said any) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			if err := json.Unmarshal(text, said); err != nil {
				return fmt.Errorf("scenario: reading %s: %w", path, err)
			}
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("scenario: %s ended before it was ready; it wrote:\n%s", p.name, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("scenario: %s is not ready: %w; it wrote:\n%s", p.name, ctx.Err(), p.lastWords())
		case <-tick.C:
		}
	}
}

// stop sends a signal and returns when the child is gone, killed if need be.
func (p *process) stop(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // one that has ended takes no harm
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// lastWords is the end of the child's log.
func (p *process) lastWords() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	const most = 15
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
