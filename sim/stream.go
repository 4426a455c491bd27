package sim

import "math"

// stream is a counted source of chance: draw n of an agent is a hash of seed,
// agent and n.
type stream struct {
	key, n uint64
	spare  float64 // the second of a pair of normal draws
	has    bool
}

// kinds of agents, for their streams.
const (
	ofPrice uint64 = iota + 1
	ofOracle
	ofNode
	ofNodeStart
	ofHolder
	ofApplication
	ofDemand
)

func newStream(seed, kind, agent uint64) stream {
	return stream{key: mix(mix(mix(seed)+kind) + agent)}
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s *stream) uint64() uint64 {
	s.n++
	return mix(s.key + s.n*0x9e3779b97f4a7c15)
}

// uniform is in (0, 1).
func (s *stream) uniform() float64 { return (float64(s.uint64()>>11) + 0.5) / (1 << 53) }

// normal is a draw from the standard normal distribution (Marsaglia's polar method).
func (s *stream) normal() float64 {
	if s.has {
		s.has = false
		return s.spare
	}
	for {
		a, b := 2*s.uniform()-1, 2*s.uniform()-1
		if r := a*a + b*b; r > 0 && r < 1 {
			scale := math.Sqrt(-2 * math.Log(r) / r)
			s.spare, s.has = b*scale, true
			return a * scale
		}
	}
}

// between is uniform in (a, b).
func (s *stream) between(a, b float64) float64 { return a + (b-a)*s.uniform() }

// below is an integer from 0 to n-1.
func (s *stream) below(n int) int { return min(int(s.uniform()*float64(n)), n-1) }
