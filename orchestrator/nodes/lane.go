package nodes

import (
	"context"
	"log/slog"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// maxTries is how often a call without a result is made when the node does not
// answer; such calls may be repeated.
const maxTries = 3

type laneKey = drtc.SessionID

// job is one command on its way.
type job struct {
	session drtc.SessionID
	command room.NodeCommand
	term    uint64
	done    func(room.Command)
	fenced  func(term uint64)
}

// lane holds the commands of one session that wait for the one under way.
type lane struct{ waiting []job }

// enqueue adds a job to its session's lane. It reports false when the lane is
// full.
func (l *link) enqueue(j job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.lanes[j.session]; q != nil {
		if len(q.waiting) >= l.pool.config.MaxLane {
			return false
		}
		q.waiting = append(q.waiting, j)
		return true
	}
	if l.ctx.Err() != nil {
		return false
	}
	q := &lane{}
	l.lanes[j.session] = q
	l.pool.group.Go(func() { l.work(q, j) })
	return true
}

// work carries out the jobs of a lane until none is left.
func (l *link) work(q *lane, j job) {
	for {
		j.done(l.carryOut(j))
		l.mu.Lock()
		if len(q.waiting) == 0 {
			delete(l.lanes, j.session)
			l.mu.Unlock()
			return
		}
		j, q.waiting = q.waiting[0], q.waiting[1:]
		l.mu.Unlock()
	}
}

// carryOut makes the call and returns its result, if the command has one.
func (l *link) carryOut(j job) room.Command {
	name := nameOf(j.command)
	repeatable := failure(l.target.ID, j.session, j.command, "", 0) == nil
	for try := 1; ; try++ {
		began := time.Now()
		result, err := l.attempt(j)
		l.pool.config.Report(name, err == nil, time.Since(began))
		if err == nil {
			return result
		}
		if l.ctx.Err() == nil && repeatable && try < maxTries && l.getStatus().Up && transient(err) {
			continue
		}
		if term, ok := Fenced(err); ok && j.fenced != nil {
			j.fenced(term)
		}
		l.pool.config.Log.Debug("command to a media node failed", slog.String("node", l.target.ID.String()),
			slog.String("session", string(j.session)), slog.String("command", name), slog.Any("error", err))
		return failure(l.target.ID, j.session, j.command, reasonOf(err), connect.CodeOf(err))
	}
}

// attempt makes one call, within the deadline. It waits for the node to come up
// and for one of the call tokens.
func (l *link) attempt(j job) (room.Command, error) {
	ctx, cancel := context.WithTimeout(WithTerm(l.ctx, j.term), l.pool.config.CallTimeout)
	defer cancel()
	l.mu.Lock()
	up := l.up
	l.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
		return nil, connect.NewError(connect.CodeUnavailable, ctx.Err())
	}
	select {
	case l.calls <- struct{}{}:
	case <-ctx.Done():
		return nil, connect.NewError(connect.CodeDeadlineExceeded, ctx.Err())
	}
	defer func() { <-l.calls }()
	return l.call(ctx, j.session, j.command)
}

func transient(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		return true
	}
	return false
}

// reasonOf is the node's own text, without the code that connect puts before it.
func reasonOf(err error) string {
	if e, ok := asConnect(err); ok && e.Message() != "" {
		return e.Message()
	}
	return err.Error()
}
