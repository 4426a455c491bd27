package engine

// CoreID numbers the cores of one node from zero; it is below MaxCores.
type CoreID uint8

// MaxCores is how many cores a node can have.
const MaxCores = 64

// Parcel is what one core has to say to another: media and the state of tracks,
// in order. Its memory is reused. The zero Parcel is ready; it belongs to one
// core at a time.
type Parcel struct {
	records []record
}

// record is one entry of a Parcel.
type record struct{}

// Empty reports whether there is nothing in the parcel.
func (p *Parcel) Empty() bool { return p == nil || len(p.records) == 0 }

// Reset empties the parcel and keeps its memory.
func (p *Parcel) Reset() { p.records = p.records[:0] }

// DropMedia takes the media out of the parcel and leaves what must not be lost,
// for a receiver that does not keep up. It returns the number of packets taken
// out.
func (p *Parcel) DropMedia() int { return 0 }
