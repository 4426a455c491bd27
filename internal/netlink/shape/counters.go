package shape

// Counters counts packets of one direction from the start. Always
//
//	In + Duplicated = Out + Lost + Dropped + Oversize + Cut + Queued + Flying
type Counters struct {
	In, InBytes   uint64
	Out, OutBytes uint64
	Lost          uint64 // by Settings.Loss
	Dropped       uint64 // because the queue was full
	Oversize      uint64 // because they were larger than Settings.MTU
	Cut           uint64 // because the link was down
	Duplicated    uint64 // the copies, not the originals
	Reordered     uint64 // that left after one that had arrived later
	Queued        int    // waiting for the rate now
	QueuedBytes   int    // their bytes
	Flying        int    // on their way now
}
