package transport

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/sctp"
	"github.com/pion/webrtc/v4"
)

// Whatever arrives from the address of an established peer, the node goes on
// and the peer's data channels too: nothing here carries the peer's keys.
func FuzzDatagram_afterTheHandshake(f *testing.F) {
	n := startNode(f, twoWorkers, nil)
	open, got := make(chan string, 1), make(chan message, 1)
	var dc *webrtc.DataChannel
	client := n.join(f, 1, clientConfig{prepare: withChannel(f, "_reliable", nil, &dc, open, got)})
	client.awaitState(f, webrtc.PeerConnectionStateConnected)
	n.awaitConnected(f, 1)
	receive(f, open, "the channel")
	n.awaitChannels(f, 1)
	var from netip.AddrPort
	n.do(f, 1, func(_ time.Time, c *engine.Core, _ *engine.Batch) { from = c.Address(1) })

	hello := handshakeMessage(20, 0, 0, 20)
	f.Add(rawRecord(recordHandshake, 0, hello...))
	f.Add(rawRecord(recordHandshake, 1, hello...))
	f.Add(rawRecord(recordAlert, 0, 2, 40))
	f.Add(rawRecord(recordAlert, 1, 2, 40))
	f.Add(rawRecord(recordChangeCipherSpec, 0, 1))
	f.Add(rawRecord(recordChangeCipherSpec, 1, 1))
	f.Add(rawRecord(recordChangeCipherSpec, 1, make([]byte, 64)...))
	f.Add(rawRecord(recordApplication, 1, make([]byte, 64)...))
	f.Add(append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)) // STUN
	f.Add(packet(f, 7, 1, 100))                                                    // RTP
	f.Add([]byte{0x80, 200, 0, 6})                                                 // RTCP
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n.workers[len(b)%2].handle(one(from, b)) // the peer's worker, or the other
		if err := n.SendData(1, "_reliable", []byte("still here")); err != nil {
			t.Fatal(err)
		}
		receive(t, got, "a message after garbage")
	})
}

// An authentic client may send any SCTP chunk. The association may end; the
// node must not, and closing the peer must still work.
func FuzzSCTP_chunks(f *testing.F) {
	n := startNode(f, oneWorker, nil)
	f.Add([]byte{0, 3, 0, 20, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0, 0, 51, 1, 2, 3, 4}) // DATA
	f.Add([]byte{3, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 1})              // SACK
	f.Add([]byte{6, 0, 0, 4})                                                   // ABORT
	f.Add([]byte{7, 0, 0, 8, 0, 0, 0, 0})                                       // SHUTDOWN
	f.Add([]byte{130, 0, 0, 20, 0, 13, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1})          // RE-CONFIG
	f.Add([]byte{192, 0, 0, 8, 0, 0, 0, 9})                                     // FORWARD-TSN
	f.Add([]byte{1, 0, 0, 20})                                                  // INIT
	f.Fuzz(func(t *testing.T, chunks []byte) {
		limits, err := boundsOf(n.cfg, PeerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(n.Transport, n.workers[0], PeerConfig{SCTP: true}, limits)
		w := &wire{in: make(chan []byte, 64), done: make(chan struct{}), deliver: p.channels.deliver}
		p.channels.established(w)
		far, err := sctp.ClientWithOptions(sctp.WithNetConn(farWire{wire: w}), sctp.WithLoggerFactory(quiet()))
		if err != nil {
			t.Fatal(err)
		}
		p.channels.deliver(w.forge(chunks))
		p.shutdown()
		close(w.done)
		_ = far.Close()
	})
}

// wire joins the node's association and a client's in memory.
type wire struct {
	in      chan []byte
	done    chan struct{} // the client is gone
	deliver func([]byte)

	mu     sync.Mutex
	header [8]byte // ports and verification tag of the client's packets
}

// Write takes a packet of the node.
func (w *wire) Write(b []byte) (int, error) {
	select {
	case w.in <- bytes.Clone(b):
	default:
	}
	return len(b), nil
}

// forge builds a packet that the node takes for the client's.
func (w *wire) forge(chunks []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := append(append(w.header[:len(w.header):len(w.header)], 0, 0, 0, 0), chunks...)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// farWire is the client's end of a wire.
type farWire struct {
	*wire
	net.Conn // nil: SCTP reads, writes and closes
}

func (w farWire) Read(b []byte) (int, error) {
	select {
	case packet := <-w.in:
		return copy(b, packet), nil
	case <-w.done:
		return 0, io.EOF
	}
}

func (w farWire) Write(b []byte) (int, error) {
	w.mu.Lock()
	copy(w.header[:], b)
	w.mu.Unlock()
	w.deliver(b)
	return len(b), nil
}

func (farWire) Close() error { return nil }
