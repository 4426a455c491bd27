package transport

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"net"
	"sync"

	"github.com/drtc-network/drtc/medianode/transport/record"
	"github.com/pion/dtls/v3"
)

// earlyDatagrams is how many datagrams may wait for the end of the handshake
// that are not of it: what the peer sends right behind its Finished.
const earlyDatagrams = 16

// owner is what an association needs of its peer. deliver, gone and later are
// called inside the worker and must not block.
type owner interface {
	// send sends a datagram to wherever the peer is now.
	send(b []byte)
	// deliver takes the content of a record; the bytes are its to keep.
	deliver(content []byte)
	// gone says that the peer has ended the association.
	gone()
	// later runs fn in a goroutine.
	later(fn func())
}

// association is a peer's DTLS association. The handshake is pion's, in
// goroutines; then the record layer is ours, which needs none.
type association struct {
	owner owner

	mu    sync.Mutex  // guards what follows
	conn  *packetConn // of the handshake
	early [][]byte
	open  *record.Layer // nil until the handshake is done
	left  bool          // the peer has said goodbye

	sealing sync.Mutex // guards what follows
	seal    *record.Layer
	over    bool
}

func newAssociation(o owner) *association {
	return &association{owner: o, conn: newPacketConn(o.send)}
}

// push takes a datagram, which becomes the association's, and reports why it
// was dropped; empty when it was not.
func (a *association) push(b []byte) (drop string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open != nil {
		a.records(b)
		return ""
	}
	if !admit(b) {
		return "dtls_malformed"
	}
	handshake, other := split(b)
	if len(other) > 0 {
		if len(a.early) >= earlyDatagrams {
			return "dtls_queue"
		}
		a.early = append(a.early, other)
	}
	if len(handshake) > 0 && !a.conn.push(handshake) {
		return "dtls_queue"
	}
	return ""
}

// records acts on what an established peer has sent.
func (a *association) records(b []byte) {
	for len(b) > 0 && !a.left {
		kind, content, rest := a.open.Open(b)
		switch kind {
		case record.Data:
			a.owner.deliver(content)
		case record.Repeat:
			a.owner.later(func() { a.reply(a.open.LastFlight) })
		case record.Renegotiation:
			a.owner.later(func() { a.reply(a.open.Refusal) })
		case record.Closed:
			a.left = true
			a.owner.gone()
		}
		b = rest
	}
}

// takeOver ends the handshake's conn without a word to the peer and returns the
// record layer that goes on where it stopped.
func (a *association) takeOver(conn *dtls.Conn, state *dtls.State) (*record.Layer, error) {
	sent := a.conn.mute()
	// The error is about the goodbye, which nobody shall hear.
	_ = conn.Close()
	secrets, err := secretsOf(state)
	if err != nil {
		return nil, err
	}
	return record.New(secrets, sent)
}

// sealWith lets Write send, sealed by the layer.
func (a *association) sealWith(layer *record.Layer) {
	a.sealing.Lock()
	defer a.sealing.Unlock()
	a.seal = layer
}

// openWith opens what has come and what comes.
func (a *association) openWith(layer *record.Layer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	early := a.early
	a.open, a.conn, a.early = layer, nil, nil
	for _, b := range early {
		a.records(b)
	}
}

// Write sends application data. It keeps nothing of b.
func (a *association) Write(b []byte) (int, error) {
	const overhead = 13 + 8 + 16 // header, nonce, tag
	a.sealing.Lock()
	if a.seal == nil || a.over {
		a.sealing.Unlock()
		return 0, net.ErrClosed
	}
	sealed, err := a.seal.Seal(make([]byte, 0, overhead+len(b)), b)
	a.sealing.Unlock()
	if err != nil {
		return 0, err
	}
	a.owner.send(sealed)
	return len(b), nil
}

// reply sends what seal makes, unless the association is over.
func (a *association) reply(seal func(dst []byte) ([]byte, error)) {
	a.sealing.Lock()
	if a.over {
		a.sealing.Unlock()
		return
	}
	sealed, err := seal(nil)
	a.sealing.Unlock()
	if err == nil { // else it is out of sequence numbers
		a.owner.send(sealed)
	}
}

// close says goodbye, where there is a cipher to say it with.
func (a *association) close() {
	a.sealing.Lock()
	seal := a.seal
	a.sealing.Unlock()
	if seal != nil {
		a.reply(seal.Goodbye)
	}
	a.sealing.Lock()
	a.over = true
	a.sealing.Unlock()
}

// secretsOf reads what the handshake has agreed on out of pion's state, whose
// binary form is the one that holds it all.
func secretsOf(state *dtls.State) (record.Secrets, error) {
	b, err := state.MarshalBinary()
	if err != nil {
		return record.Secrets{}, fmt.Errorf("transport: exporting the dtls state: %w", err)
	}
	var s struct {
		LocalRandom, RemoteRandom [32]byte
		CipherSuiteID             uint16
		MasterSecret              []byte
		IsClient                  bool
	}
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return record.Secrets{}, fmt.Errorf("transport: reading the dtls state: %w", err)
	}
	secrets := record.Secrets{
		Suite: s.CipherSuiteID, Master: s.MasterSecret, Client: s.IsClient,
		ClientRandom: s.RemoteRandom, ServerRandom: s.LocalRandom,
	}
	if s.IsClient {
		secrets.ClientRandom, secrets.ServerRandom = s.LocalRandom, s.RemoteRandom
	}
	return secrets, nil
}
