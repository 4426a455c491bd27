package medianode

import "testing"

func TestMemory_isGivenBackOnceAfterALoad(t *testing.T) {
	var m memory
	given := 0
	seconds := func(n int, sent uint64, shedding bool) {
		for range n {
			if m.due(sent, shedding) {
				given++
			}
		}
	}
	seconds(60, 1000, false)
	if given != 0 {
		t.Errorf("an idle node gave memory back %d times, want never", given)
	}
	seconds(20, 50<<20, false)
	seconds(20, 30<<20, false)
	seconds(20, 10<<20, true)
	if given != 0 {
		t.Errorf("during the load: gave memory back %d times, want never", given)
	}
	seconds(4, 1000, false)
	seconds(1, 50<<20, false)
	seconds(4, 1000, false)
	if given != 0 {
		t.Errorf("in a short pause: gave memory back %d times, want never", given)
	}
	seconds(60, 1000, false)
	if given != 1 {
		t.Errorf("after the load: gave memory back %d times, want once", given)
	}
}
