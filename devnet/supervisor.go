package devnet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Child is one process of the network.
type Child struct {
	// Name stands in front of its log lines.
	Name string
	// Args follow the program's name.
	Args []string
	// Env is added to devnet's own environment, "NAME=value".
	Env []string
	// Silent throws away what it prints; log lines are kept.
	Silent bool
	// Ready returns once the child serves, with what to tell about it. It
	// gives up when ctx ends, which it does when the child ends.
	Ready func(ctx context.Context) (detail string, err error)
}

// supervisor starts children in stages and stops them in reverse. Its methods
// are called from one goroutine.
type supervisor struct {
	program  string
	term     *terminal
	patience time.Duration
	grace    time.Duration

	stages  [][]*process
	watches sync.WaitGroup
	// quiet is closed when children are meant to end.
	quiet chan struct{}
}

func newSupervisor(c Config, term *terminal) *supervisor {
	return &supervisor{
		program:  c.Program,
		term:     term,
		patience: c.Patience,
		grace:    c.Grace,
		quiet:    make(chan struct{}),
	}
}

// startStage starts children together and returns their processes when all are
// ready, or the first error. What it started it leaves to stop.
func (s *supervisor) startStage(ctx context.Context, children []Child) ([]*process, error) {
	s.stages = append(s.stages, nil)
	stage := &s.stages[len(s.stages)-1]
	for _, child := range children {
		p, err := startProcess(s.program, child, s.term)
		if err != nil {
			return nil, err
		}
		*stage = append(*stage, p)
	}
	results := make(chan error, len(*stage))
	for _, p := range *stage {
		go func() { results <- s.awaitReady(ctx, p) }()
	}
	var first error
	for range *stage {
		first = errors.Join(first, <-results)
	}
	if first != nil {
		return nil, first
	}
	for _, p := range *stage {
		s.watches.Go(func() { s.watch(p) })
	}
	return *stage, nil
}

// awaitReady tells when p is ready, or why it never will be.
func (s *supervisor) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	go func() {
		select {
		case <-p.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	detail, err := p.child.Ready(ctx)
	select {
	case <-p.ended:
		return fmt.Errorf("devnet: %s ended before it was ready: %s; %s", p.child.Name, p.state, p.lastWords())
	default:
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("devnet: %s was not ready within %s: %w; %s", p.child.Name, seconds(s.patience), err, p.lastWords())
	case err != nil:
		return fmt.Errorf("devnet: waiting for %s: %w", p.child.Name, err)
	}
	s.term.say(p.child.Name, fmt.Sprintf("ready in %s: %s", p.age(), detail))
	return nil
}

// runOnce runs a child to its end, which is to be a good one.
func (s *supervisor) runOnce(ctx context.Context, child Child) error {
	p, err := startProcess(s.program, child, s.term)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
	switch {
	case p.cmd.ProcessState.Success():
		s.term.say(child.Name, "done in "+p.age())
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("devnet: %s was not done within %s; %s", child.Name, seconds(s.patience), p.lastWords())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("devnet: %s failed: %s; %s", child.Name, p.state, p.lastWords())
}

// watch reports the end of a child that nobody asked to end.
func (s *supervisor) watch(p *process) {
	select {
	case <-s.quiet:
	case <-p.ended:
		s.term.say("devnet", fmt.Sprintf("%s (pid %d) ended after %s: %s; the rest goes on; %s",
			p.child.Name, p.cmd.Process.Pid, p.age(), p.state, p.lastWords()))
	}
}

// stop ends every child, last stage first, and returns when all are gone. The
// grace period is for all of them together; then they are killed.
func (s *supervisor) stop() {
	close(s.quiet)
	s.watches.Wait()
	deadline := time.NewTimer(s.grace)
	defer deadline.Stop()
	expired := false
	for i := len(s.stages) - 1; i >= 0; i-- {
		for _, p := range s.stages[i] {
			p.signal(syscall.SIGTERM)
		}
		for _, p := range s.stages[i] {
			if !expired {
				select {
				case <-p.ended:
					continue
				case <-deadline.C:
					expired = true
				}
			}
			select {
			case <-p.ended:
				continue
			default:
			}
			s.term.say("devnet", fmt.Sprintf("%s did not stop within %s and is killed", p.child.Name, seconds(s.grace)))
			p.signal(syscall.SIGKILL)
			<-p.ended
		}
	}
}
