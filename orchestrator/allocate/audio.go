package allocate

// What stands for a session of an audio-only room: three voices down and one up,
// 200 packets a second, which come one at a time and so cost about 4 us of a
// processor each (docs/benchmarks.md). Half of a core is left for everything else.
const (
	audioPerCore = 500
	audioPerMbps = 6 // 0.15 Mbit/s each, with what headers add
)

// AudioCapacity is how many audio-only sessions a node takes that declares so many
// cores, Mbit/s of egress and sessions; each is unknown or unlimited when 0. It is
// never more than maxSessions, past which a node refuses whatever a session is
// for. 0 is unknown.
func AudioCapacity(cores int, capacityMbps float64, maxSessions int) int {
	least := 0
	for _, bound := range []int{cores * audioPerCore, int(capacityMbps * audioPerMbps), maxSessions} {
		if bound > 0 && (least == 0 || bound < least) {
			least = bound
		}
	}
	return least
}
