package transport

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/stun/v3"
	"github.com/pion/webrtc/v4"
)

// relay is a NAT between one client and the node, which can change its port.
type relay struct {
	t     *testing.T
	node  netip.AddrPort
	front *net.UDPConn // towards the client
	wg    sync.WaitGroup

	mu     sync.Mutex
	back   *net.UDPConn // towards the node
	client netip.AddrPort
	cut    bool // nothing goes through
}

func newRelay(t *testing.T, node netip.AddrPort) *relay {
	r := &relay{t: t, node: node, front: bind(t)}
	r.rebind()
	r.wg.Go(func() {
		buf := make([]byte, readSize)
		for {
			n, from, err := r.front.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			if r.client = from; !r.cut {
				_, _ = r.back.WriteToUDPAddrPort(buf[:n], r.node)
			}
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		r.front.Close()
		r.mu.Lock()
		r.back.Close()
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

func bind(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback4))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func (r *relay) addr() netip.AddrPort { return r.front.LocalAddr().(*net.UDPAddr).AddrPort() }

// interrupt lets nothing through from now on, or everything again.
func (r *relay) interrupt(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
}

// nominate sends a check as Chromium repeats it on the pair in use. (pion's own
// say USE-CANDIDATE only once, and the core follows no other.)
func (r *relay) nominate(ice engine.ICE) {
	check, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ice.Ufrag+":far"),
		stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.NewShortTermIntegrity(ice.Pwd), stun.Fingerprint)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.back.WriteToUDPAddrPort(check.Raw, r.node); err != nil {
		r.t.Fatal(err)
	}
}

// rebind continues from another port; what goes to the old one is lost.
func (r *relay) rebind() {
	back := bind(r.t)
	r.mu.Lock()
	if r.back != nil {
		r.back.Close()
	}
	r.back = back
	r.mu.Unlock()
	r.wg.Go(func() {
		buf := make([]byte, readSize)
		for {
			n, _, err := back.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			client, cut := r.client, r.cut
			r.mu.Unlock()
			if !cut {
				_, _ = r.front.WriteToUDPAddrPort(buf[:n], client)
			}
		}
	})
}

// DTLS and SCTP follow the address that the core believes in, so a rebinding
// costs neither a handshake nor a message.
func TestMove_dataChannelsFollow(t *testing.T) { overSetups(t, testMove_dataChannelsFollow) }

func testMove_dataChannelsFollow(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	r := newRelay(t, n.Addrs()[0])
	var ice engine.ICE
	client := n.join(t, 1, clientConfig{
		through: []netip.AddrPort{r.addr()},
		prepare: dataOnly(t),
		peer:    func(p *PeerConfig) { ice = p.Local },
	})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	n.expectOpen(t, client)
	for range 2 {
		r.rebind()
		r.nominate(ice)
		awaitEvent(t, n, anyEvent[engine.PeerMoved])
		n.expectOpen(t, client)
	}
}
