package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// Everybody names the policy of the applications that have none of their own.
const Everybody = "*"

// maxChanges is how many events may wait for one application's policy.
const maxChanges = 1000

// Config of Policies. Log is required.
type Config struct {
	Applications []Application
	// Custom are policies of programs that embed an Orchestrator, by application.
	Custom map[string]Policy
	// Plan is how rooms spread whose application says nothing else.
	Plan plan.Policy
	// Order has an application's room obey, as roomservice.Rooms.Do does; required
	// where a policy is a Watcher.
	Order func(ctx context.Context, application, room string, orders []room.Order) error
	Log   *slog.Logger
	Now   func() time.Time
	// Report, if set, hears of every join: "admitted", "lobby", "refused" or
	// "failed"; and of events that were left out, "dropped".
	Report func(application, outcome string)
}

// Validate names the field that is missing or out of range.
func (c Config) Validate() error {
	if c.Log == nil {
		return errors.New("policy: config: Log: required")
	}
	seen := map[string]bool{}
	for i, a := range c.Applications {
		if err := a.Validate(); err != nil {
			return fmt.Errorf("policy: applications[%d]: %w", i, err)
		}
		if err := a.Plan.over(c.Plan).Validate(); err != nil {
			return fmt.Errorf("policy: applications[%d]: plan: %w", i, err)
		}
		if seen[a.Name] || c.Custom[a.Name] != nil {
			return fmt.Errorf("policy: applications[%d]: name: %q has a policy already", i, a.Name)
		}
		seen[a.Name] = true
	}
	return nil
}

// Policies are those of all applications of an Orchestrator.
type Policies struct {
	config  Config
	of      map[string]Policy
	queues  map[string]chan Change
	admit   map[string]bool // what a failure does
	timeout time.Duration
}

// New makes the policies of the configuration. An application without one has
// that of Everybody, which is Open unless it is configured.
func New(c Config) (*Policies, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Report == nil {
		c.Report = func(string, string) {}
	}
	p := &Policies{
		config: c, of: map[string]Policy{Everybody: Open{}}, queues: map[string]chan Change{}, admit: map[string]bool{}, timeout: timeout,
	}
	for name, custom := range c.Custom {
		p.of[name] = custom
	}
	for _, a := range c.Applications {
		made, err := a.policy(c)
		if err != nil {
			return nil, fmt.Errorf("policy: application %q: %w", a.Name, err)
		}
		p.of[a.Name], p.admit[a.Name] = made, a.Policy == kindWebhook && a.Webhook.OnFailure == OnFailureAdmit
	}
	for name, made := range p.of {
		if _, ok := made.(Watcher); ok {
			if c.Order == nil {
				return nil, errors.New("policy: config: Order: required where a policy is told of changes")
			}
			p.queues[name] = make(chan Change, maxChanges)
		}
	}
	return p, nil
}

// Admit asks the application's policy about a Join and returns the Join that the
// room is to have. The error is a *Refusal with a reason for the client, or that
// of ctx.
func (p *Policies) Admit(ctx context.Context, application, name string, j room.Join) (room.Join, error) {
	whose := p.whose(application)
	deciding := p.of[whose]
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	q := requestOf(application, name, j)
	v, err := deciding.Admit(limited, q)
	if err != nil {
		if ctx.Err() != nil {
			return j, fmt.Errorf("policy: %w", ctx.Err())
		}
		p.config.Report(application, "failed")
		p.config.Log.Warn("a policy failed", slog.String("application", application), slog.Bool("admitted", p.admit[whose]), slog.Any("error", err))
		if !p.admit[whose] {
			return j, &Refusal{"the application can't decide now whether you may come in: try again"}
		}
		v = Verdict{Role: q.Role()}
	}
	if v.Refuse == "" && v.Lobby && q.Via != ViaClient {
		v.Refuse = "the room has a lobby, in which WHIP and WHEP clients can't wait"
	}
	if v.Refuse != "" {
		p.config.Report(application, "refused")
		return j, &Refusal{v.Refuse}
	}
	outcome := "admitted"
	if v.Lobby {
		outcome = "lobby"
	}
	p.config.Report(application, outcome)
	j.Role, j.Lobby = v.Role, v.Lobby
	if err == nil {
		j.Rules = &v.Rules
	}
	if v.Limit != nil {
		j.Permission = j.Permission.Within(*v.Limit)
	}
	return j, nil
}

// Wants reports whether an application's policy is told of changes
// (room.Config.Notify).
func (p *Policies) Wants(application string) bool { return p.queues[p.whose(application)] != nil }

// whose is the application whose policy counts for this one.
func (p *Policies) whose(application string) string {
	if p.of[application] != nil {
		return application
	}
	return Everybody
}

// Notify queues an event for an application's policy, if that wants it. It does
// not block.
func (p *Policies) Notify(application, name string, e room.Event) {
	queue := p.queues[p.whose(application)]
	if queue == nil {
		return
	}
	for {
		select {
		case queue <- Change{Application: application, Room: name, Event: e}:
			return
		default:
		}
		select {
		case <-queue: // the oldest
			p.config.Report(application, "dropped")
		default:
		}
	}
}

// Run tells policies of changes until ctx ends, and returns when all have
// answered.
func (p *Policies) Run(ctx context.Context) error {
	var watchers sync.WaitGroup
	for name, queue := range p.queues {
		w, _ := p.of[name].(Watcher)
		watchers.Go(func() {
			for {
				select {
				case c := <-queue:
					p.tell(ctx, w, c)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	<-ctx.Done()
	watchers.Wait()
	return nil
}

// tell tells a policy of a change, and the room what the policy wants.
func (p *Policies) tell(ctx context.Context, w Watcher, c Change) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	orders, err := w.Changed(ctx, c)
	if err == nil && len(orders) > 0 {
		err = p.config.Order(ctx, c.Application, c.Room, orders)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		p.config.Log.Info("a policy's orders were not obeyed", slog.String("application", c.Application), slog.Any("error", err))
	}
}
