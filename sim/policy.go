package sim

import "fmt"

// Policy is how the network mints and burns.
type Policy int

// The policies to compare.
const (
	// Static has a reward fixed in HUDL at genesis and a fixed burn: the whitepaper
	// to the letter.
	Static Policy = iota
	// Pegged has a reward that follows the oracle's price, and a fixed burn.
	Pegged
	// Adaptive has that reward and the burn projected on the band (spec E17 to E20,
	// E24 to E26).
	Adaptive
	// Filled is Adaptive with the filler (spec E21).
	Filled
)

// Policies are all of them, in the order of a table.
func Policies() []Policy { return []Policy{Static, Pegged, Adaptive, Filled} }

var policyNames = [...]string{"static", "usd-pegged", "adaptive", "adaptive+filler"}

// String is the policy's name.
func (p Policy) String() string { return policyNames[p] }

// MarshalText writes the policy's name.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ParsePolicy reads a policy's name.
func ParsePolicy(name string) (Policy, error) {
	for i, n := range policyNames {
		if n == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("sim: policy %q: want one of %v", name, policyNames)
}

func (p Policy) projects() bool { return p == Adaptive || p == Filled }
