package score

import "testing"

// An epoch of 10,000 nodes with full windows.
func BenchmarkAdvance_10000Nodes(b *testing.B) {
	w := newWorld(b, 1, 10_000, 0.1, DefaultRules())
	w.lie = func(w *world, _ int, _ float64) float64 { return bad(w) }
	for range 7 {
		w.step()
	}
	book, epoch := w.book, w.epoch
	b.ReportAllocs()
	b.ReportMetric(float64(len(book.Encode())), "book-bytes")
	for b.Loop() {
		w.book, w.epoch = book, epoch
		w.step()
	}
}
