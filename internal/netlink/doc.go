// Package netlink is a network on one machine for tests: hosts that are network
// namespaces of the kernel, joined by links that delay, lose, limit and reorder
// packets as their settings say. Programs and sockets in a host are real ones;
// only the wire between them is ours. It stands in for the kernel's netem, of
// which not every machine has the module.
//
// The contract in one sentence: a packet from one host to another goes through
// the sender's Up and the receiver's Down settings, and between them through the
// path of the two hosts where there is one, and reaches nothing else.
//
//	 host "alice"                 this process                   host "bob"
//	┌──────────────┐        ┌──────────────────────┐        ┌──────────────┐
//	│ sockets,     │        │        router        │        │ sockets,     │
//	│ programs     │        │  ┌────────────────┐  │        │ programs     │
//	│ ┌──────────┐ │   ┌────┴─┐│                │┌─┴────┐   │ ┌──────────┐ │
//	│ │  link0   ├─┼──▶│  Up  ├▶                ├▶ Down ├───┼▶│  link0   │ │
//	│ │  (TUN)   │◀┼───┤ Down ◀┤                ◀┤  Up  │◀──┼─┤  (TUN)   │ │
//	│ └──────────┘ │   └────┬─┘│                │└─┬────┘   │ └──────────┘ │
//	│ 198.18.0.1   │        │  └────────────────┘  │        │ 198.18.1.1   │
//	└──────────────┘        └──────────────────────┘        └──────────────┘
//
// Host number i has the addresses 198.18.i.1 and 2001:2:0:i::1 (RFC 2544 and
// RFC 5180: for measurement, never on the Internet), each in a network of its
// own, and routes to the other hosts alone: the outside is "network is
// unreachable". Nothing but unicast between hosts is carried.
//
// A test writes:
//
//	net := netlink.Start(t, netlink.Config{Seed: 1, Hosts: []netlink.HostConfig{
//		{Name: "node"},
//		{Name: "client", Up: shape.Settings{Delay: 20 * time.Millisecond}},
//	}})
//	client := net.Host("client")
//	conn, err := client.ListenPacket(ctx, "udp", ":0")
//	err = client.Command(ctx, "drtc", "medianode").Run()
//	client.Set(netlink.Up, shape.Settings{Loss: shape.Loss{Probability: 0.02}})
//
// It needs CAP_SYS_ADMIN, CAP_NET_ADMIN and /dev/net/tun; New says which of
// them is missing and how to get it.
//
// The namespaces have no names: threads, sockets and open files of this process
// and of programs started by Command hold them. All are gone when the process
// is, however it ends.
//
// One thread carries all packets of a Net, so that they have one order; it
// sleeps in ppoll until a packet comes or leaves. What it adds to the settings
// is measured by the benchmarks and written into docs/benchmarks.md. A packet
// that it wakes up late for is late itself, but the links compute with the
// times that should have been, so lateness does not add up.
//
// All methods may be called from any goroutine.
package netlink
