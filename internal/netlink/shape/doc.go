// Package shape decides what one direction of a network link does to packets:
// when each one leaves, or that it does not. It stands in for the kernel's
// netem, of which not every machine has the module.
//
// The contract in one sentence: the same settings, seed and arrivals give the
// same departures, whenever and however often the Shaper is polled.
//
//	Push                                                                Poll
//	 │   MTU ┌───────────┐   ┌────────┐   ┌──────┐   ┌───────────────┐   ▲
//	 └──────▶│ queue,    ├──▶│ rate   ├──▶│ loss ├──▶│ delay, jitter ├───┘
//	  or cut │ drop-tail │   │ bucket │   │      │   │ late, twice   │
//	         └─────┬─────┘   └────────┘   └──┬───┘   └───────────────┘
//	            Dropped                    Lost
//
// A packet first waits for the bottleneck, which sends one packet after the
// other at Rate. Loss comes behind it: a lost packet has used the bottleneck,
// as a damaged frame uses a radio channel. Then it flies for Delay and Jitter.
// Packets keep their order in flight, unless Jitter.Overtake says otherwise or
// Reorder holds one back.
//
// Each of loss, jitter, duplication and reordering draws from a generator of
// its own, so switching one on leaves the choices of the others as they were.
// Loss in bursts is the model of Gilbert and Elliott (E. O. Elliott, "Estimates
// of error rates for codes on burst-noise channels", 1963).
//
// A Shaper has no clock, socket or goroutine. It is not for concurrent use.
package shape
