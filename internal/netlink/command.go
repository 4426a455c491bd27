package netlink

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"syscall"
)

// Cmd is an exec.Cmd whose program runs in a host. Fields are set and Wait is
// called as there; Start, Run, Output and CombinedOutput are those of Cmd.
//
// The program is killed when ctx is done, when the Net is closed, and when this
// process ends in whatever way. Programs that it starts itself are not.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command is exec.CommandContext for a program in the host.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{exec.CommandContext(ctx, name, args...), h}
}

// Wrap has a command that is made already run in the host.
func (h *Host) Wrap(c *exec.Cmd) *Cmd { return &Cmd{c, h} }

// Start starts the program. A child has the namespace of the thread that forks
// it, and gets its parent-death signal when that thread ends: so it is started
// by the host's own thread, which lives until Close.
func (c *Cmd) Start() error {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var err error
	doErr := c.host.do(func() { err = c.Cmd.Start() })
	return firstError(doErr, err)
}

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote to its standard output. As
// with exec.Cmd, an ExitError has what it wrote to its standard error.
func (c *Cmd) Output() ([]byte, error) {
	var out, complaint bytes.Buffer
	if c.Stderr == nil {
		c.Stderr = &complaint
	}
	c.Stdout = &out
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = complaint.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the program and returns all that it wrote.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
