package netlink

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/drtc-network/drtc/internal/netlink/shape"
)

// MaxHosts bounds the hosts of one Net.
const MaxHosts = 250

// ErrClosed is returned by methods of a Net and its hosts after Close.
var ErrClosed = errors.New("netlink: the network is closed")

// ErrExit is handed over by Host.Go when the function ended its goroutine
// (t.Fatal, runtime.Goexit) and did not return.
var ErrExit = errors.New("netlink: the function did not return")

// Config describes a Net.
type Config struct {
	// Seed is where all chance comes from. Which packet arrives when still
	// depends on when programs send it.
	Seed  uint64
	Hosts []HostConfig // 1 to MaxHosts
	// Paths are what lies between the access links of two hosts, where that is
	// anything: the distance between cities. Each is one direction.
	Paths []PathConfig
}

// PathConfig describes the way from one host's Up to another's Down.
type PathConfig struct {
	From, To string // names of hosts
	Settings shape.Settings
}

// HostConfig describes one host and its access link.
type HostConfig struct {
	Name string         // for people and Net.Host; not empty, no two alike
	Up   shape.Settings // from the host to the router
	Down shape.Settings // from the router to the host
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	if len(c.Hosts) == 0 || len(c.Hosts) > MaxHosts {
		return fmt.Errorf("netlink: Hosts has %d entries, give 1 to %d", len(c.Hosts), MaxHosts)
	}
	seen := map[string]bool{}
	for i, h := range c.Hosts {
		switch {
		case h.Name == "":
			return fmt.Errorf("netlink: Hosts[%d].Name is empty", i)
		case seen[h.Name]:
			return fmt.Errorf("netlink: Hosts[%d].Name %q is another host's too", i, h.Name)
		}
		seen[h.Name] = true
		if err := h.Up.Validate(); err != nil {
			return fmt.Errorf("netlink: Hosts[%d].Up: %w", i, err)
		}
		if err := h.Down.Validate(); err != nil {
			return fmt.Errorf("netlink: Hosts[%d].Down: %w", i, err)
		}
	}
	paths := map[[2]string]bool{}
	for i, p := range c.Paths {
		ends := [2]string{p.From, p.To}
		switch {
		case !seen[p.From]:
			return fmt.Errorf("netlink: Paths[%d].From %q is no host's name", i, p.From)
		case !seen[p.To]:
			return fmt.Errorf("netlink: Paths[%d].To %q is no host's name", i, p.To)
		case paths[ends]:
			return fmt.Errorf("netlink: Paths[%d] is from %s to %s, and so is one before", i, p.From, p.To)
		}
		paths[ends] = true
		if err := p.Settings.Validate(); err != nil {
			return fmt.Errorf("netlink: Paths[%d]: %w", i, err)
		}
	}
	return nil
}

// Net is a running network.
type Net struct {
	hosts  []*Host
	router *router
}

// New builds the network and starts to carry packets.
func New(config Config) (*Net, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	n := &Net{}
	fail := func(err error) (*Net, error) {
		return nil, errors.Join(err, n.Close())
	}
	r, err := newRouter()
	if err != nil {
		return nil, err
	}
	n.router = r
	for i, hc := range config.Hosts {
		h, err := newHost(hc.Name, addresses(i), mtu(hc), r)
		if err != nil {
			return fail(err)
		}
		n.hosts = append(n.hosts, h)
		if err := r.attach(h, hc, config.Seed); err != nil {
			return fail(err)
		}
	}
	for _, p := range config.Paths {
		if err := r.join(n.Host(p.From), n.Host(p.To), p.Settings, config.Seed); err != nil {
			return fail(err)
		}
	}
	r.start()
	return n, nil
}

// SetPath changes what lies between two hosts now, in the one direction. Packets
// take up a way that was not there before with the next one sent.
func (n *Net) SetPath(from, to *Host, settings shape.Settings) error {
	return n.router.change(func(now time.Time) error {
		if s := from.paths[to]; s != nil {
			return s.Set(now, settings)
		}
		return n.router.join(from, to, settings, 0)
	})
}

// Start is New for tests: it ends the test if there is no network, closes the
// network after it, and logs seed and counters if the test failed.
func Start(t testing.TB, config Config) *Net {
	t.Helper()
	n, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("netlink: seed %d, 99 %% of packets late by at most %v", config.Seed, n.Lateness(0.99))
			for _, h := range n.hosts {
				t.Logf("netlink: %s: up %+v", h.name, h.Counters(Up))
				t.Logf("netlink: %s: down %+v", h.name, h.Counters(Down))
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// Close stops carrying packets, kills the programs that were started in the
// hosts, and gives the namespaces back: they are gone when no socket in them
// is open and no function given to Run is left.
func (n *Net) Close() error {
	err := n.router.close()
	for _, h := range n.hosts {
		h.close()
	}
	return err
}

// Hosts returns the hosts in the order of Config.
func (n *Net) Hosts() []*Host { return n.hosts }

// Host returns the host of that name, or nil.
func (n *Net) Host(name string) *Host {
	for _, h := range n.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// Strays returns how many packets hosts sent to nobody: to addresses that no
// host has, to multicast groups, or to a host whose interface is down.
func (n *Net) Strays() uint64 { return n.router.countStrays() }

// Lateness returns what the given share, in [0, 1], of all packets that arrived
// at a host were late by at most: how well this machine kept the settings up to
// now. It is precise to a fifth, and zero before the first packet.
func (n *Net) Lateness(share float64) time.Duration { return n.router.lateness(share) }

// addresses returns those of the host at that index. Their prefixes hold every
// host and nothing else, so that the kernel has a route to those alone.
func addresses(index int) [2]netip.Prefix {
	return [2]netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(index), 1}), 15),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0, 2, 0, 0, 0, byte(index), 15: 1}), 48),
	}
}

// mtu returns that of a host's interface: what both directions carry, so that
// the kernel splits or refuses what the link would lose.
func mtu(c HostConfig) int {
	const (
		usual = 1500
		least = 1280 // or the interface has no IPv6 (RFC 8200 section 5)
	)
	m := usual
	for _, limit := range []int{c.Up.MTU, c.Down.MTU} {
		if limit > 0 {
			m = min(m, limit)
		}
	}
	return max(m, least)
}
