package econ

// Bitrates of whitepaper 2.3.2, kbit/s of one stream.
const (
	AudioKbps      = 64
	VideoKbps      = 650
	AudioVideoKbps = 700
)

// Meeting is a session in the whitepaper's terms, for a quote of its price. It
// leaves out simulcast, layers nobody watches and what goes between nodes: what
// is paid is metered.
type Meeting struct {
	Kbps      uint64 // of one stream, at most 2^40
	Producers uint64 // send and receive, at most 2^32
	Consumers uint64 // receive only, at most 2^32
	Seconds   uint64 // at most 2^40
}

// EgressKbps is what the node sends, kbit/s: every producer's stream to everybody
// else (spec E15).
func (m Meeting) EgressKbps() Wei {
	if m.Producers == 0 {
		return Wei{}
	}
	receivers := NewWei(m.Producers - 1).Add(NewWei(m.Consumers))
	return NewWei(m.Kbps).MulDiv(NewWei(m.Producers), NewWei(1)).MulDiv(receivers, NewWei(1))
}

// Bytes is the nominal data of the session, rounded down (spec E15).
func (m Meeting) Bytes() Bytes {
	const bitsOfKbit, bitsOfByte = 1000, 8
	return m.EgressKbps().MulDiv(NewWei(m.Seconds).MulDiv(NewWei(bitsOfKbit), NewWei(1)), NewWei(bitsOfByte))
}
