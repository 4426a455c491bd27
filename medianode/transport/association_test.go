package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
)

// far is the peer of an association under test: pion's conn, fed in memory.
type far struct {
	*dtls.Conn
	packets *packetConn
	near    *association
	got     chan string // what the association reported
	lose    func(b []byte) bool
}

func (f *far) send(b []byte) {
	if f.lose == nil || !f.lose(b) {
		f.packets.push(bytes.Clone(b))
	}
}
func (f *far) deliver(content []byte) { f.got <- string(content) }
func (f *far) gone()                  { f.got <- "gone" }
func (f *far) later(fn func())        { go fn() }

// newFar runs a handshake of an association, as server or as client, with pion,
// up to where the association takes over.
func newFar(t *testing.T, active bool, lose func(b []byte) bool) (f *far, establish func()) {
	t.Helper()
	certificate, err := newCertificate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f = &far{got: make(chan string, 64), lose: lose}
	f.near = newAssociation(f)
	f.packets = newPacketConn(func(b []byte) { f.near.push(bytes.Clone(b)) })
	near := dtlsConn(t, f.near.conn, certificate, active)
	f.Conn = dtlsConn(t, f.packets, certificate, !active)
	t.Cleanup(func() { _ = f.Close() })
	ended := make(chan error, 1)
	go func() { ended <- f.Handshake() }()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := near.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	return f, func() {
		t.Helper()
		state, ok := near.ConnectionState()
		if !ok {
			t.Fatal("no connection state")
		}
		layer, err := f.near.takeOver(near, &state)
		if err != nil {
			t.Fatal(err)
		}
		f.near.sealWith(layer)
		f.near.openWith(layer)
		if err := receive(t, ended, "pion's end of the handshake"); err != nil {
			t.Fatal(err)
		}
	}
}

func dtlsConn(t *testing.T, on *packetConn, certificate tls.Certificate, client bool) *dtls.Conn {
	t.Helper()
	var conn *dtls.Conn
	var err error
	if client {
		conn, err = dtls.ClientWithOptions(on, on.LocalAddr(), dtls.WithCertificates(certificate), dtls.WithInsecureSkipVerify(true),
			dtls.WithCipherSuites(suites()...), dtls.WithLoggerFactory(quiet()), dtls.WithFlightInterval(50*time.Millisecond))
	} else {
		conn, err = dtls.ServerWithOptions(on, on.LocalAddr(), dtls.WithCertificates(certificate), dtls.WithClientAuth(dtls.RequireAnyClientCert),
			dtls.WithInsecureSkipVerifyHello(true), dtls.WithLoggerFactory(quiet()), dtls.WithFlightInterval(50*time.Millisecond))
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// read is pion's next record.
func (f *far) read(t *testing.T) string {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	n, err := f.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

func TestAssociation_goesOnWherePionStopped(t *testing.T) {
	for _, active := range []bool{false, true} {
		t.Run(fmt.Sprintf("active %v", active), func(t *testing.T) {
			f, establish := newFar(t, active, nil)
			establish()
			for i := range 3 {
				out, back := fmt.Sprint("out ", i), fmt.Sprint("back ", i)
				if _, err := f.near.Write([]byte(out)); err != nil {
					t.Fatal(err)
				}
				if got := f.read(t); got != out {
					t.Errorf("pion got %q, want %q", got, out)
				}
				if _, err := f.Write([]byte(back)); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, f.got, "data"); got != back {
					t.Errorf("the association got %q, want %q", got, back)
				}
			}
			f.near.close()
			if got := f.read(t); got != "EOF" {
				t.Errorf("pion read %q after our goodbye, want EOF", got)
			}
			if _, err := f.near.Write([]byte("late")); err == nil {
				t.Error("a closed association sent data")
			}
		})
	}
}

func TestAssociation_peersGoodbyeEndsIt(t *testing.T) {
	f, establish := newFar(t, false, nil)
	establish()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, f.got, "the end"); got != "gone" {
		t.Errorf("got %q, want gone", got)
	}
}

// What comes before the association has taken over is not lost, and bounded.
func TestAssociation_earlyDataWaits(t *testing.T) {
	f, establish := newFar(t, false, nil)
	if err := f.Handshake(); err != nil {
		t.Fatal(err)
	}
	for i := range earlyDatagrams {
		if _, err := f.Write([]byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.near.push(rawRecord(recordApplication, 1, 1)); got != "dtls_queue" {
		t.Errorf("one datagram more was dropped for %q, want dtls_queue", got)
	}
	if got := f.near.push([]byte{22}); got != "dtls_malformed" {
		t.Errorf("half a header was dropped for %q, want dtls_malformed", got)
	}
	establish()
	for i := range earlyDatagrams {
		if got := receive(t, f.got, "early data"); got != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got, i)
		}
	}
}

// A peer that did not hear the end of our handshake repeats the end of its own,
// and hears ours again from the record layer.
func TestAssociation_lastFlightIsRepeated(t *testing.T) {
	var sent atomic.Int32
	f, establish := newFar(t, false, func(b []byte) bool { return b[0] == recordChangeCipherSpec && sent.Add(1) <= 3 })
	establish()
	if got := sent.Load(); got < 4 {
		t.Errorf("the last flight was sent %d times, want at least 4", got)
	}
	if _, err := f.near.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := f.read(t); got != "hello" {
		t.Errorf("pion got %q, want hello", got)
	}
}

// Nothing that carries no key of the peer ends an established association.
func TestAssociation_forgeriesChangeNothing(t *testing.T) {
	f, establish := newFar(t, false, nil)
	establish()
	hello := handshakeMessage(20, 0, 0, 20)
	for epoch := range uint16(3) {
		for kind := range byte(26) {
			for _, body := range [][]byte{nil, {1}, {1, 0}, {2, 40}, hello, make([]byte, 64)} {
				f.near.push(rawRecord(kind, epoch, body...))
			}
		}
	}
	if _, err := f.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, f.got, "data"); got != "still here" {
		t.Errorf("got %q after forgeries, want the data", got)
	}
	if _, err := f.near.Write([]byte("so am I")); err != nil {
		t.Fatal(err)
	}
	if got := f.read(t); got != "so am I" {
		t.Errorf("pion got %q, want so am I", got)
	}
}
