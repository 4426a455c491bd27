package till

import (
	"context"
	"crypto/tls"
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
	"github.com/drtc-network/drtc/identity"
)

// recordKind is that of pages of receipts.
const recordKind = "receipt"

// publisher brings the pages to every Registry. The last record of each page is
// made once and sent until it is held everywhere.
type publisher struct {
	till   *Till
	shelf  []*shop
	base   *http.Transport
	roused chan struct{} // holds one: there are new receipts

	mu     sync.Mutex // guards issued
	issued map[drtc.NodeID]issue
}

// issue is the newest record of a page.
type issue struct {
	hash   [32]byte // of the page
	at     time.Time
	record envelope.Envelope
}

// shop is one Registry.
type shop struct {
	url    string
	client registryv1connect.RegistryServiceClient
	held   map[drtc.NodeID]uint64 // seq that it has of each page
}

func newPublisher(t *Till) *publisher {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	p := &publisher{
		till: t, roused: make(chan struct{}, 1), issued: map[drtc.NodeID]issue{},
		base: &http.Transport{
			Protocols: &protocols, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}, TLSHandshakeTimeout: t.config.Timeout,
			IdleConnTimeout: 2 * time.Minute, HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
		},
	}
	for _, url := range t.config.Registries {
		p.shelf = append(p.shelf, &shop{
			url: url, held: map[drtc.NodeID]uint64{},
			client: registryv1connect.NewRegistryServiceClient(&http.Client{Transport: p.base}, url, connect.WithGRPC(), connect.WithReadMaxBytes(1<<20)),
		})
	}
	return p
}

// wake has the pages looked at soon.
func (p *publisher) wake() {
	select {
	case p.roused <- struct{}{}:
	default:
	}
}

func (p *publisher) run(ctx context.Context) {
	defer p.base.CloseIdleConnections()
	tick := time.NewTicker(p.till.config.PublishEvery)
	defer tick.Stop()
	p.wake() // what an earlier run did not bring everywhere
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.roused:
		}
		records := p.renew(time.Now())
		var calls sync.WaitGroup
		for _, s := range p.shelf {
			calls.Go(func() { p.send(ctx, s, records) })
		}
		calls.Wait()
	}
}

// renew signs pages that changed, each PublishEvery at most, and returns the
// newest record of all.
func (p *publisher) renew(now time.Time) []envelope.Envelope {
	p.mu.Lock()
	defer p.mu.Unlock()
	var records []envelope.Envelope
	present := map[drtc.NodeID]bool{}
	for _, page := range p.till.pages() {
		subject, body := page.Subject(), page.Bytes()
		present[subject] = true
		last, known := p.issued[subject]
		if hash := identity.Keccak256(body); !known || last.hash != hash && now.Sub(last.at) >= p.till.config.PublishEvery {
			e := envelope.Envelope{
				Kind: recordKind, Network: p.till.config.Network, Subject: subject, Seq: max(last.record.Seq+1, uint64(now.UnixMilli())),
				IssuedAt: now, TTL: p.till.config.Life.Truncate(time.Second), Body: body,
			}
			if err := e.Sign(p.till.key); err != nil {
				p.till.log.Error("a page of receipts can't be signed", slog.Any("error", err))
				continue
			}
			last = issue{hash, now, e}
			p.issued[subject] = last
		}
		records = append(records, last.record)
	}
	for subject := range p.issued {
		if !present[subject] {
			delete(p.issued, subject)
		}
	}
	return records
}

// send brings a Registry what it does not have.
func (p *publisher) send(ctx context.Context, s *shop, records []envelope.Envelope) {
	present := map[drtc.NodeID]bool{}
	for _, e := range records {
		present[e.Subject] = true
		if s.held[e.Subject] == e.Seq {
			continue
		}
		if err := p.publish(ctx, s, e); err != nil {
			if ctx.Err() == nil {
				p.till.meter.published.WithLabelValues("failed").Inc()
				p.till.log.Debug("a Registry did not take receipts", slog.String("registry", s.url), slog.Any("error", err))
			}
			if connect.CodeOf(err) == connect.CodeUnavailable || ctx.Err() != nil {
				return
			}
			continue
		}
		p.till.meter.published.WithLabelValues("held").Inc()
		s.held[e.Subject] = e.Seq
	}
	for subject := range s.held {
		if !present[subject] {
			delete(s.held, subject)
		}
	}
}

// errNewer: another run of this node, whose clock was ahead, has published.
var errNewer = errors.New("till: the Registry holds a newer record of this page")

func (p *publisher) publish(ctx context.Context, s *shop, e envelope.Envelope) error {
	ctx, cancel := context.WithTimeout(ctx, p.till.config.Timeout)
	defer cancel()
	record := &registryv1.Record{}
	if err := proto.Unmarshal(e.Bytes(), record); err != nil { // an envelope's bytes are the message's
		return fmt.Errorf("till: %w", err)
	}
	resp, err := s.client.Publish(ctx, connect.NewRequest(&registryv1.PublishRequest{Record: record}))
	if err != nil {
		return err
	}
	if resp.Msg.GetAccepted() {
		return nil
	}
	return p.continueFrom(e, resp.Msg.GetHeld())
}

// continueFrom has the next record of a page follow the one that a Registry holds,
// if it is this node's own.
func (p *publisher) continueFrom(sent envelope.Envelope, r *registryv1.Record) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return fmt.Errorf("till: %w", err)
	}
	held, err := envelope.Parse(b)
	if err == nil {
		err = held.Verify()
	}
	if err != nil || held.Issuer != sent.Issuer || held.Kind != sent.Kind || held.Subject != sent.Subject || held.Network != sent.Network {
		return errors.Join(errors.New("till: the Registry names a record in the way that is not this node's"), err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.issued[sent.Subject]; ok && last.record.Version().Less(held.Version()) {
		last.hash, last.at, last.record.Seq = [32]byte{}, time.Time{}, held.Seq
		p.issued[sent.Subject] = last
	}
	return fmt.Errorf("%w: sequence %d", errNewer, held.Seq)
}
