package transport

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"runtime"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/prometheus/client_golang/prometheus"
)

// Limits of one peer. They are the same for everybody, so that two nodes treat
// a client alike.
const (
	// MaxMessage is the largest data channel message, bytes. The answer's
	// max-message-size says the same.
	MaxMessage = 64 << 10
	// MaxChannels is how many data channels a peer may have open.
	MaxChannels = 8
	// MaxLabel is the longest label of a data channel, bytes.
	MaxLabel = 256
)

// Config of a Transport. The zero value of an optional field means its default.
type Config struct {
	// Listen holds one or two addresses to bind: at most one of IPv4 and one of
	// IPv6. Port 0 picks a free one.
	Listen []netip.AddrPort
	// Handler takes the events. Required.
	Handler Handler
	// Engine configures the cores; Self is not looked at. Without them they get a
	// Random and a secret for their STUN limiters. Several cores call Random at
	// once.
	Engine engine.Config
	// Workers is how many threads share the work, each with a core and sockets
	// of its own, 1 to 64; default is one for each processor that the process may
	// use. Portable sockets serve one.
	Workers int
	// HoldProcessors lets waiting workers keep their processor of Go's scheduler,
	// which saves the scheduler's attempts to use it. Only where GOMAXPROCS is
	// above Workers by what the rest of the program needs.
	HoldProcessors bool
	// Together is how many peers of a room live with one worker before another
	// takes part in it, at least 1; default 256: with 160 packets a second to
	// each that is a fifth of a processor. Media of smaller rooms is not copied
	// between workers.
	Together int
	// Certificate is the DTLS identity; nil makes a fresh ECDSA P-256 one.
	Certificate *tls.Certificate
	// Logger takes rare messages; nil means slog.Default().
	Logger *slog.Logger
	// Metrics takes the collectors; nil registers none.
	Metrics prometheus.Registerer
	// SocketBuffer is the size asked of the kernel for each socket's receive
	// and send buffer, bytes, 64 KiB to 1 GiB; default 4 MiB.
	SocketBuffer int
	// Portable chooses the sockets of package net, one system call per datagram,
	// where the system has faster ones (see package mmsg).
	Portable bool
	// HandshakeTimeout bounds a DTLS handshake, 1 s to 1 min; default 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes is how many DTLS handshakes run at once, 1 to 65536;
	// default 256. Others wait inside their own timeout.
	MaxHandshakes int
	// SendQueueBytes bounds the data channel bytes that wait for one slow peer,
	// at least MaxMessage; default 1 MiB.
	SendQueueBytes int
	// SendQueueMessages bounds their number, at least 1; default 1024.
	SendQueueMessages int
	// DataRate is how many data channel bytes per second are taken from one
	// peer, at least MaxMessage; default 4 MiB. Faster senders are slowed down
	// by their SCTP window.
	DataRate int
	// DataMessages is the same limit in messages per second, at least 1;
	// default 2000.
	DataMessages int
}

// Handler takes what the transport reports. OnEvent and OnClosed are called
// from one goroutine in the order of what happened; a call that blocks delays
// the next. OnData is called from a goroutine of the peer, in order per
// channel; a call that blocks slows that peer alone.
type Handler interface {
	// OnEvent takes an event of the core (never DTLSDatagram).
	OnEvent(event engine.Event)
	// OnData takes a message that a peer sent; the payload is the handler's.
	OnData(peer engine.PeerID, label string, payload []byte)
	// OnClosed is a peer's last call: it is gone, for the reason given (one of
	// this package's errors, compare with errors.Is).
	OnClosed(peer engine.PeerID, reason error)
}

// Reasons given to Handler.OnClosed.
var (
	// ErrClosed: this side closed the peer.
	ErrClosed = errors.New("transport: closed")
	// ErrClosedByPeer: close_notify or a fatal alert came from the peer.
	ErrClosedByPeer = errors.New("transport: closed by the peer")
	// ErrHandshake: DTLS failed.
	ErrHandshake = errors.New("transport: dtls handshake failed")
	// ErrHandshakeTimeout: DTLS took longer than HandshakeTimeout.
	ErrHandshakeTimeout = errors.New("transport: dtls handshake timed out")
	// ErrFingerprint: the peer's certificate is not the one its SDP promised.
	ErrFingerprint = errors.New("transport: certificate does not match the fingerprint")
	// ErrConsent: the core lost the peer's consent (RFC 7675).
	ErrConsent = errors.New("transport: consent expired")
)

// Errors of Transport's methods.
var (
	// ErrPeer: there is no such peer, or there is one already.
	ErrPeer = errors.New("transport: peer")
	// ErrFingerprintChanged: a re-offer names another certificate, which would
	// need another DTLS association.
	ErrFingerprintChanged = errors.New("transport: fingerprint changed in a re-offer")
	// ErrChannel: the peer has no open channel with that label, or may not have
	// another one.
	ErrChannel = errors.New("transport: data channel")
	// ErrSlowPeer: a reliable message was not queued since too much waits
	// already. What follows on that channel would leave a hole.
	ErrSlowPeer = errors.New("transport: peer reads too slowly")
	// ErrTooLarge: the message exceeds MaxMessage, or MaxRelayMessage.
	ErrTooLarge = errors.New("transport: message too large")
)

// PeerConfig opens a peer.
type PeerConfig struct {
	engine.PeerConfig
	// RemoteFingerprints are those of the peer's SDP; the certificate must match
	// one of them. A node that offers leaves them out and learns them from the
	// answer by Update: DTLS waits for them.
	RemoteFingerprints []Fingerprint
	// Active makes this side the DTLS client. It then offers AES-GCM alone,
	// since Chromium would choose SHA1_80 from a longer list.
	Active bool
	// SCTP starts the association for data channels after the handshake.
	SCTP bool
	// SendQueueBytes, SendQueueMessages, DataRate and DataMessages, where given,
	// take the place of the transport's for this peer: a relay peer carries the
	// data of many clients.
	SendQueueBytes, SendQueueMessages, DataRate, DataMessages int
}

// Update is what a later offer or an answer may change.
type Update struct {
	// Local and Remote are new ICE credentials: both for a restart, Remote alone
	// for those that an answer brings, none to keep the old.
	Local, Remote *engine.ICE
	// RemoteFingerprints, where given, must be those that are known already; a
	// peer that was opened without any takes them, and Active with them.
	RemoteFingerprints []Fingerprint
	// Active as in PeerConfig, for a peer that was opened without fingerprints.
	Active bool
	// SCTP starts the association if it isn't there yet.
	SCTP bool
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Engine.Random == nil {
		c.Engine.Random = mathrand.Uint32
	}
	if c.Engine.STUN.Key == [16]byte{} {
		rand.Read(c.Engine.STUN.Key[:]) // never fails
	}
	if c.Workers == 0 {
		c.Workers = min(runtime.NumCPU(), c.maxWorkers())
	}
	setDefault(&c.Together, 256)
	setDefault(&c.SocketBuffer, 4<<20)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.MaxHandshakes, 256)
	setDefault(&c.SendQueueBytes, 1<<20)
	setDefault(&c.SendQueueMessages, 1024)
	setDefault(&c.DataRate, 4<<20)
	setDefault(&c.DataMessages, 2000)
	return c
}

// maxWorkers is how many can share the port.
func (c Config) maxWorkers() int {
	if c.Portable {
		return 1
	}
	return maxWorkers
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate names the first field that can't be used and how to correct it.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Handler == nil {
		return errors.New("transport: Handler: required")
	}
	if err := validateListen(c.Listen); err != nil {
		return err
	}
	for _, bound := range []struct {
		field          string
		value, low, hi int
	}{
		{"Workers", c.Workers, 1, c.maxWorkers()},
		{"Together", c.Together, 1, 1 << 20},
		{"SocketBuffer", c.SocketBuffer, 64 << 10, 1 << 30},
		{"MaxHandshakes", c.MaxHandshakes, 1, 65536},
		{"SendQueueBytes", c.SendQueueBytes, MaxMessage, 1 << 30},
		{"SendQueueMessages", c.SendQueueMessages, 1, 1 << 20},
		{"DataRate", c.DataRate, MaxMessage, 1 << 30},
		{"DataMessages", c.DataMessages, 1, 1 << 20},
	} {
		if bound.value < bound.low || bound.value > bound.hi {
			return fmt.Errorf("transport: %s: want %d to %d, got %d", bound.field, bound.low, bound.hi, bound.value)
		}
	}
	if c.HandshakeTimeout < time.Second || c.HandshakeTimeout > time.Minute {
		return fmt.Errorf("transport: HandshakeTimeout: want 1s to 1m, got %v", c.HandshakeTimeout)
	}
	return nil
}

func validateListen(listen []netip.AddrPort) error {
	if len(listen) == 0 || len(listen) > 2 {
		return fmt.Errorf("transport: Listen: want one or two addresses, got %d", len(listen))
	}
	for _, addr := range listen {
		if !addr.IsValid() || addr.Addr().Is4In6() {
			return fmt.Errorf("transport: Listen: want an IPv4 or IPv6 address with a port, got %v", addr)
		}
	}
	if len(listen) == 2 && listen[0].Addr().Is4() == listen[1].Addr().Is4() {
		return fmt.Errorf("transport: Listen: want at most one address of each IP version, got %v and %v", listen[0], listen[1])
	}
	return nil
}
