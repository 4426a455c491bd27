// Package loadtest puts synthetic publishers and subscribers on a network for
// real-time media and measures what they get and what it costs the server:
// loss, duplicates, one-way delay, time to the first packet and key frame, CPU
// per delivered packet and per join, memory per subscriber.
//
// Contract: Run returns figures of packets that were sent inside its window and
// of nothing else, and leaves no session behind.
//
//	joins at a steady rate      settles     window          late packets
//	|---------- ramp ----------|-- warm --|-- duration --|-- at most 1.5 s --|
//	^ CPU, memory             ^ CPU       ^ CPU          ^ CPU, memory
//
// The clients are of package client, their media of package traffic. The
// server is any dRTC network by WHIP and WHEP, any server that speaks the client
// protocol of LiveKit SDKs, or package floor. Package compare runs several
// servers side by side.
//
// It stands beside the three roles (whitepaper 4) and is part of none. Run may
// be called once at a time: it measures its own process, too.
package loadtest
