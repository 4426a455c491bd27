package enrol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// maxMessage bounds what a Registry may answer: a record and its fields.
const maxMessage = 8 << 10

// attempts at registering: a newer record may stand in the way, and a generation
// that is too low.
const attempts = 3

// errVersion: as many attempts with a newer version each were not new enough.
var errVersion = errors.New("enrol: the Registry holds a newer record of this node")

// member is the node's membership with one Registry.
type member struct {
	enrolment *Enrolment
	url       string
	log       *slog.Logger
	http      *http.Client
	client    registryv1connect.RegistryServiceClient

	unknown chan struct{} // holds one: the Registry does not know the node

	mu     sync.Mutex // guards status
	status Status
}

func newMember(e *Enrolment, url string, transport http.RoundTripper) *member {
	m := &member{
		enrolment: e, url: url, log: e.log.With(slog.String("registry", url)), http: newHTTP(transport),
		unknown: make(chan struct{}, 1), status: Status{Registry: url},
	}
	m.client = newClient(m.http, url)
	return m
}

func newHTTP(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func newClient(h *http.Client, url string) registryv1connect.RegistryServiceClient {
	return registryv1connect.NewRegistryServiceClient(h, url, connect.WithReadMaxBytes(maxMessage))
}

// keepAlive is the member's stream. One that the Registry ends because it does
// not know the node makes it register again.
func (m *member) keepAlive() *stream {
	return &stream{
		enrolment: m.enrolment, log: m.log, client: m.client,
		registry: func() drtc.NodeID { return m.current().ID },
		alive: func(on bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.status.KeepAlive = on
		},
		unknown: func() {
			select {
			case m.unknown <- struct{}{}:
			default:
			}
		},
	}
}

func (m *member) current() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// set records the outcome of a call.
func (m *member) set(result Result, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.status.Since.IsZero() || m.status.Result != result
	m.status.Result, m.status.Err = result, err
	if !changed {
		return
	}
	m.status.Since = time.Now()
	if result == Success {
		m.log.Info("node is registered", slog.String("result", result.String()))
	} else {
		m.log.Warn("node is not registered", slog.String("result", result.String()), slog.Any("error", err))
	}
}

// run registers, refreshes and answers until ctx is done.
func (m *member) run(ctx context.Context) {
	var keepAlive sync.WaitGroup
	defer keepAlive.Wait()
	first := true
	retry := backoff{config: m.enrolment.config}
	for ctx.Err() == nil {
		_, renewed := m.enrolment.author.current()
		if result, _ := m.register(ctx); result != Success {
			retry.wait(ctx)
			continue
		}
		retry.reset()
		if first {
			first = false
			keepAlive.Go(func() { m.keepAlive().hold(ctx) })
		}
		m.refreshes(ctx, renewed)
	}
}

// refreshes sends each new record until that fails or the Registry says that it
// does not know the node, after which the node has to register again.
func (m *member) refreshes(ctx context.Context, renewed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.unknown:
			return
		case <-renewed:
		}
		_, renewed = m.enrolment.author.current()
		if err := m.refresh(ctx); err != nil {
			if ctx.Err() == nil {
				m.log.Debug("refresh failed", slog.Any("error", err))
			}
			return
		}
	}
}

// register is algorithm 2. It goes on from a newer record of the node's own that
// the Registry holds.
func (m *member) register(ctx context.Context) (Result, error) {
	result, err := m.tryRegister(ctx)
	if ctx.Err() == nil {
		m.set(result, err)
	}
	return result, err
}

func (m *member) tryRegister(ctx context.Context) (Result, error) {
	for range attempts {
		record, err := m.record()
		if err != nil {
			return RegistrationFailed, err
		}
		call, cancel := context.WithTimeout(ctx, m.enrolment.config.Timeout)
		answer, err := m.client.RegisterNode(call, connect.NewRequest(&registryv1.RegisterNodeRequest{Record: record}))
		cancel()
		if err != nil {
			if connect.IsWireError(err) {
				return RegistrationFailed, fmt.Errorf("enrol: registering with %s: %w", m.url, err)
			}
			return ConnectionFailed, fmt.Errorf("enrol: connecting to %s: %w", m.url, err)
		}
		if err := m.setID(answer.Msg.GetRegistry()); err != nil {
			return RegistrationFailed, err
		}
		raised, err := m.enrolment.heard(m.url, answer.Msg.GetMinGeneration(), answer.Msg.GetProbers())
		switch {
		case err != nil:
			return RegistrationFailed, fmt.Errorf("enrol: registering with %s: %w", m.url, err)
		case answer.Msg.GetAccepted():
			return Success, nil
		case raised:
			continue
		case answer.Msg.GetHeld() == nil:
			return RegistrationFailed, fmt.Errorf("%w by %s: %d; too few others say so", errGeneration, m.url, answer.Msg.GetMinGeneration())
		}
		if err := m.goOn(answer.Msg.GetHeld()); err != nil {
			return RegistrationFailed, fmt.Errorf("enrol: registering with %s: %w", m.url, err)
		}
	}
	return RegistrationFailed, fmt.Errorf("%w: %s", errVersion, m.url)
}

func (m *member) setID(text string) error {
	id, err := drtc.ParseNodeID(text)
	if err != nil {
		return fmt.Errorf("enrol: id of %s: %w", m.url, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status.ID = id
	return nil
}

// record is the newest record for the wire.
func (m *member) record() (*registryv1.Record, error) {
	e, _ := m.enrolment.author.current()
	return toProto(&e)
}

func toProto(e *envelope.Envelope) (*registryv1.Record, error) {
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("enrol: writing the record: %w", err)
	}
	return &r, nil
}

// goOn continues from the record that stands in the way.
func (m *member) goOn(held *registryv1.Record) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(held)
	if err != nil {
		return fmt.Errorf("%w: %w", errForeign, err)
	}
	e, err := envelope.Parse(b)
	if err != nil {
		return fmt.Errorf("%w: %w", errForeign, err)
	}
	return m.enrolment.author.continueFrom(time.Now(), e)
}

func (m *member) refresh(ctx context.Context) error {
	record, err := m.record()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.enrolment.config.Timeout)
	defer cancel()
	answer, err := m.client.RefreshNode(ctx, connect.NewRequest(&registryv1.RefreshNodeRequest{Record: record}))
	if err != nil {
		return fmt.Errorf("enrol: refreshing with %s: %w", m.url, err)
	}
	if _, err := m.enrolment.heard(m.url, answer.Msg.GetMinGeneration(), answer.Msg.GetProbers()); err != nil {
		return fmt.Errorf("enrol: refreshing with %s: %w", m.url, err)
	}
	if !answer.Msg.GetAccepted() {
		return errVersion
	}
	return nil
}

func (m *member) deregister(ctx context.Context, tombstone envelope.Envelope) {
	r, err := toProto(&tombstone)
	if err == nil {
		_, err = m.client.DeregisterNode(ctx, connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: r}))
	}
	if err != nil {
		m.log.Warn("leave not taken, the record will expire", slog.Any("error", err))
		return
	}
	m.log.Info("node has left")
}

// backoff is the time between attempts, from RetryMin doubling to RetryMax.
type backoff struct {
	config Config
	next   time.Duration
}

func (b *backoff) reset() { b.next = 0 }

// wait returns early when ctx is done.
func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, b.config.RetryMin), b.config.RetryMax)
	timer := time.NewTimer(spread(b.next, 0.5))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
