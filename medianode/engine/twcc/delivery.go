package twcc

import "time"

// minPackets is how many packets must be told of before their loss says
// anything.
const minPackets = 20

// Delivery sums reports to how much arrives and how much is lost. The zero
// value is ready.
type Delivery struct {
	since          time.Time
	bytes          int
	received, lost int
}

// Quality of the way to one receiver over the last window.
type Quality struct {
	// Rate at which what was sent was acknowledged, bits per second.
	Rate uint64
	// Loss is 0 to 1: of the packets that feedback told of.
	Loss float64
	// Known says that there was feedback on enough packets to tell.
	Known bool
}

// Add takes a report.
func (d *Delivery) Add(r *Report) {
	d.bytes += r.Bytes
	d.received += r.Received
	d.lost += r.Lost - r.Recovered
}

// Close ends the window that began with the last Close and returns what it
// held. Packets that the window before had counted as lost and that came after
// all are taken off this one's losses.
func (d *Delivery) Close(now time.Time) Quality {
	q := Quality{}
	if told := d.received + max(d.lost, 0); told >= minPackets {
		q.Loss, q.Known = float64(max(d.lost, 0))/float64(told), true
	}
	if elapsed := now.Sub(d.since); !d.since.IsZero() && elapsed > 0 {
		q.Rate = uint64(float64(d.bytes) * 8 / elapsed.Seconds())
	}
	*d = Delivery{since: now}
	return q
}
