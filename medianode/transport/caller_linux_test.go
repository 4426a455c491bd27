package transport

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"
)

// caller is a client without DTLS: it passes connectivity checks from a socket
// of its own and shares keys with the node.
type caller struct {
	*node
	id       engine.PeerID
	ice      engine.ICE
	keys     *protection // the node's
	seal     *srtp.Context
	open     *srtp.Context
	conn     *net.UDPConn
	sequence uint16
}

// call opens a peer of a room, with a section on which it can publish.
func (n *node) call(t *testing.T, id engine.PeerID, room drtc.RoomID) *caller {
	t.Helper()
	c := &caller{node: n, id: id, ice: engine.ICE{Ufrag: fmt.Sprint("caller", id), Pwd: fmt.Sprint("password-of-the-node-", id)}}
	if err := n.Open(PeerConfig{PeerConfig: engine.PeerConfig{
		ID: id, Room: room, Session: drtc.SessionID(fmt.Sprint("SE_", id)), Local: c.ice,
	}}); err != nil {
		t.Fatal(err)
	}
	c.keys, c.seal, c.open = pair(t, profiles[0])
	n.do(t, id, func(now time.Time, core *engine.Core, batch *engine.Batch) {
		err := core.SetReceive(now, id, []engine.ReceiveSection{{Mid: "0", Codecs: []engine.PayloadType{opus}, Active: true}})
		if err == nil {
			err = core.Publish(now, id, engine.TrackConfig{ID: c.track(), Mid: "0"})
		}
		if err == nil {
			err = core.Protect(now, id, c.keys, batch)
		}
		if err != nil {
			t.Error(err)
		}
	})
	c.move(t)
	return c
}

// track is the caller's own.
func (c *caller) track() drtc.TrackID { return drtc.TrackID(fmt.Sprint("TR_", c.id)) }

// move goes on from another port.
func (c *caller) move(t *testing.T) {
	t.Helper()
	c.conn = bind(t)
	t.Cleanup(func() { c.conn.Close() })
}

func (c *caller) addr() netip.AddrPort { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (c *caller) write(t *testing.T, b []byte) {
	t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(b, c.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

// subscribe has a track of another caller forwarded.
func (c *caller) subscribe(t *testing.T, to *caller, home engine.CoreID) {
	t.Helper()
	c.do(t, c.id, func(now time.Time, core *engine.Core, _ *engine.Batch) {
		err := core.Subscribe(now, c.id, engine.SubscribeConfig{Track: to.track(), Home: home, SSRC: 5000, RTX: 5001})
		if err == nil {
			err = core.SetSend(now, c.id, []engine.SendSection{{Track: to.track(), Mid: "0", Codec: opus, Active: true}})
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// hears says what is wrong unless a media packet comes in time.
func (c *caller) hears(t *testing.T, in time.Duration) (problem string) {
	t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(in)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, readSize)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			return fmt.Sprintf("caller %d hears nothing", c.id)
		}
		if isMedia(buf[:n]) && buf[1]&0x7f == opus.Number {
			return ""
		}
	}
}

// listen returns the publisher's sequence number of the next media packet.
func (c *caller) listen(t *testing.T) (sequence uint16) {
	t.Helper()
	c.read(t, "media", func(b []byte) bool {
		if !isMedia(b) || b[1]&0x7f != opus.Number {
			return false
		}
		plain, err := c.open.DecryptRTP(nil, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		sequence = uint16(plain[len(plain)-1])
		return true
	})
	return sequence
}

// check sends a connectivity check.
func (c *caller) check(t *testing.T) {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(c.ice.Ufrag+":far"),
		stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.NewShortTermIntegrity(c.ice.Pwd), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, m.Raw)
}

// speak sends the next media packet.
func (c *caller) speak(t *testing.T) {
	t.Helper()
	plain := packet(t, uint32(1000+c.id), c.sequence, 100)
	plain[1] = opus.Number
	binary.BigEndian.PutUint32(plain[4:], uint32(c.sequence)*960)
	c.sequence++
	sealed, err := c.seal.EncryptRTP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, sealed)
}

// report sends a control packet as a receive-only browser does: its SSRC says
// nothing.
func (c *caller) report(t *testing.T) {
	t.Helper()
	plain, err := (&rtcp.ReceiverReport{SSRC: 1}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.seal.EncryptRTCP(nil, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, sealed)
}

// read waits for the next datagram of which it is told to accept.
func (c *caller) read(t *testing.T, what string, accept func(b []byte) bool) {
	t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, readSize)
	for {
		n, err := c.conn.Read(buf)
		if err != nil {
			t.Fatalf("caller %d waited for %s: %v", c.id, what, err)
		}
		if accept(buf[:n]) {
			return
		}
	}
}

// arrive passes a check and waits for the answer.
func (c *caller) arrive(t *testing.T) {
	t.Helper()
	c.check(t)
	c.read(t, "the answer to its check", func(b []byte) bool {
		return stun.IsMessage(b) && binary.BigEndian.Uint16(b) == 0x0101
	})
}

// home is the worker that has the caller.
func (c *caller) home(t *testing.T) *worker {
	t.Helper()
	id, err := c.Home(c.id)
	if err != nil {
		t.Fatal(err)
	}
	return c.workers[id]
}

// awaitAddress waits until the caller's core believes that it is where it is.
func (c *caller) awaitAddress(t *testing.T) {
	t.Helper()
	eventually(t, func() (problem string) {
		c.do(t, c.id, func(_ time.Time, core *engine.Core, _ *engine.Batch) {
			if got := core.Address(c.id); got != c.addr() {
				problem = fmt.Sprintf("caller %d is believed at %v, want %v", c.id, got, c.addr())
			}
		})
		return problem
	})
}
