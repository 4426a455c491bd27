// Package tally counts what a subscriber received: packets once, duplicates,
// and delays, of one measurement window.
//
// Contract: a packet counts if it was sent inside the window, however late it
// comes, and counts once; so the loss has no error at the window's edges.
//
// A Track is used by the goroutine that reads it, and may be read by another at
// any time; a Histogram is used by one goroutine.
package tally
