package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// How long what a Registry says about itself is good, and when it says it anew.
const (
	announceLife  = 180 * time.Second
	announceEvery = 50 * time.Second
	admitLife     = 900 * time.Second
	admitEvery    = 200 * time.Second
	evidenceLife  = 24 * time.Hour
	retryEvery    = 5 * time.Second // after the disk or the rate limit refused
	maxCaught     = 1024            // equivocations that wait to be told
)

// duties are what a Registry says beside its answers: who and where it is, whom
// it admits, and who was caught signing two records of one version.
type duties struct {
	log      *slog.Logger
	author   *author
	self     func() (body []byte, err error) // RegistryBody
	admitted func() (body []byte, err error) // AdmissionBody; none when empty

	announceAt, admitAt time.Time
	admission           string // what was last to be said

	mu     sync.Mutex // guards caught
	caught []record.Equivocation
}

// tell remembers who was caught until run has time for it.
func (d *duties) tell(caught []record.Equivocation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caught = append(d.caught, caught[:min(len(caught), maxCaught-len(d.caught))]...)
}

// run says what is due until ctx is done.
func (d *duties) run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for now := time.Now(); ; {
		d.announce(ctx, now)
		d.admit(ctx, now)
		d.accuse(ctx, now)
		select {
		case <-ctx.Done():
			return
		case now = <-ticker.C:
		}
	}
}

func (d *duties) announce(ctx context.Context, now time.Time) {
	if now.Before(d.announceAt) {
		return
	}
	body, err := d.self()
	if err == nil {
		err = d.author.issue(ctx, now, statement{kind: record.KindRegistry, subject: d.author.key.ID(), ttl: announceLife, body: body})
	}
	d.announceAt = d.next(ctx, now, announceEvery, err)
}

// leave tells the network that this Registry stops.
func (d *duties) leave(ctx context.Context) {
	err := d.author.issue(ctx, time.Now(), statement{
		kind: record.KindRegistry, subject: d.author.key.ID(), ttl: announceLife, flags: envelope.Tombstone,
	})
	if err != nil && !errors.Is(err, errReader) {
		d.log.Warn("leave not written, the record will expire", slog.Any("error", err))
	}
}

func (d *duties) admit(ctx context.Context, now time.Time) {
	body, err := d.admitted()
	waits := string(body) == d.admission && now.Before(d.admitAt)
	if waits || err == nil && len(body) == 0 {
		return
	}
	if err == nil {
		err = d.author.issue(ctx, now, statement{kind: record.KindAdmission, subject: d.author.key.ID(), ttl: admitLife, body: body})
	}
	d.admission, d.admitAt = string(body), d.next(ctx, now, admitEvery, err)
}

// accuse publishes the proofs that came in.
func (d *duties) accuse(ctx context.Context, now time.Time) {
	d.mu.Lock()
	caught := d.caught
	d.caught = nil
	d.mu.Unlock()
	for _, c := range caught {
		d.log.Warn("an issuer signed two records of one version", slog.String("issuer", c.Offender.String()), slog.String("kind", c.First.Kind))
		body, err := wire.EquivocationBody(&c.First, &c.Second)
		if err == nil {
			err = d.author.issue(ctx, now, statement{kind: record.KindEquivocation, subject: c.Offender, ttl: evidenceLife, body: body})
		}
		d.next(ctx, now, 0, err) // a proof that is lost is found again with the next offence
	}
}

// next is when to speak again.
func (d *duties) next(ctx context.Context, now time.Time, usual time.Duration, err error) time.Time {
	if err == nil {
		return now.Add(usual)
	}
	if ctx.Err() == nil && !errors.Is(err, errReader) {
		d.log.Warn("statement not issued", slog.Any("error", err))
	}
	return now.Add(retryEvery)
}
