// Package netsim is a simulated network for cores: nodes that are values, a
// virtual clock and one event after the other, so that hours of loss, partition
// and crashes pass in milliseconds and a failed run can be repeated exactly.
//
// Contract: with the same seed and the same calls a Network does the same, event
// for event, and Hash says so; Run always ends, at its time or at MaxEvents.
//
// A Node is any value with Start, Receive and Timeout. It acts through its Port:
// it sends, asks to be woken, saves what must survive a crash, and reads a clock
// that may be wrong. An honest node wraps a core as its shell would; a hostile
// one does whatever it likes.
//
//	net := netsim.New(netsim.Config[string]{Seed: seed, Link: netsim.Link{
//		Delay: netsim.Uniform(10*time.Millisecond, 50*time.Millisecond), Loss: 0.05,
//	}})
//	a := net.Add(func(p *netsim.Port[string]) netsim.Node[string] { return &node{port: p} })
//	net.At(10*time.Second, func() { net.Partition([]int{a}) })
//	net.At(20*time.Second, net.Heal)
//	err := net.Run(time.Minute)
//
// Between every two nodes lies a Link in each direction. Send is a datagram: it
// may be lost, doubled and overtaken. SendReliable is a frame of a stream: the
// losses of the link become delays, and only a partition, a crash or a full
// queue loses it. What is under way when a partition begins or its receiver
// crashes is lost.
//
// On failure print Report: it has the seed and the last events.
//
// The clock of a node (Port.Now and the now of callbacks) is the true time plus
// its offset; Port.After counts true time, as the monotonic clock of a real
// machine does when its wall clock is set.
//
// There is no goroutine and no real time in here. A Network belongs to one
// goroutine; several Networks may run side by side.
package netsim
