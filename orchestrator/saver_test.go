package orchestrator

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/orchestrator/state"
)

// A room of 200 who all see each other has some 40,000 subscriptions, 7 MiB of
// text that repeats itself.
func TestPack_largeRoomsFitTheStore(t *testing.T) {
	var b bytes.Buffer
	for viewer := range 200 {
		fmt.Fprintf(&b, `{"id":"PA_%026d","subscriptions":{`, viewer*7919)
		for track := range 400 {
			fmt.Fprintf(&b, `"TR_%016X":{"told":1,"on":true,"stream":"PA_%026d|camera"},`, track*104729+viewer%2, track)
		}
		b.WriteString("}},")
	}
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	packed := p.pack(b.Bytes())
	if most := state.MaxValueSize / 4 * 3; len(packed) > most { // base64 makes it a third longer
		t.Errorf("%d bytes are %d when packed, want at most %d", b.Len(), len(packed), most)
	}
	back, err := p.unpack(packed)
	if err != nil || !bytes.Equal(back, b.Bytes()) {
		t.Errorf("unpacked %d bytes, %v, want the %d that were packed", len(back), err, b.Len())
	}
	for _, damaged := range []string{"", "x", string(packed[:len(packed)/2]), strings.Repeat("\x28\xb5", 9)} {
		if _, err := p.unpack([]byte(damaged)); err == nil {
			t.Errorf("%.8q was unpacked", damaged)
		}
	}
}
