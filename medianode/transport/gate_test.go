package transport

import (
	"encoding/binary"
	"testing"
)

// record builds a DTLS 1.2 record.
func record(kind byte, epoch uint16, body ...byte) []byte {
	b := []byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}
	binary.BigEndian.PutUint16(b[3:], epoch)
	binary.BigEndian.PutUint16(b[11:], uint16(len(body)))
	return append(b, body...)
}

// handshakeMessage builds a handshake fragment with a body of size zero bytes.
func handshakeMessage(total int, sequence uint16, offset, size int) []byte {
	put := func(v int) []byte { return []byte{byte(v >> 16), byte(v >> 8), byte(v)} }
	b := append([]byte{1}, put(total)...)
	b = binary.BigEndian.AppendUint16(b, sequence)
	b = append(append(b, put(offset)...), put(size)...)
	return append(b, make([]byte, size)...)
}

func TestGate_admits(t *testing.T) {
	hello := handshakeMessage(20, 0, 0, 20)
	join := func(records ...[]byte) (b []byte) {
		for _, r := range records {
			b = append(b, r...)
		}
		return b
	}
	for _, c := range []struct {
		name          string
		datagram      []byte
		during, after bool
	}{
		{"client hello", record(recordHandshake, 0, hello...), true, true},
		{"fragment", record(recordHandshake, 0, handshakeMessage(9000, 2, 1000, 1000)...), true, true},
		{"last flight", join(record(recordHandshake, 0, hello...), record(recordChangeCipherSpec, 0, 1), record(recordHandshake, 1, 1, 2, 3)), true, true},
		{"plain alert", record(recordAlert, 0, 2, 40), true, false},
		{"sealed alert", record(recordAlert, 1, 1, 2, 3), true, true},
		{"sealed data", record(recordApplication, 1, 1, 2, 3), true, true},
		{"plain data", record(recordApplication, 0, 1, 2, 3), false, false},
		{"odd change cipher spec", record(recordChangeCipherSpec, 0, 2), false, false},
		{"change cipher spec after the first cipher", record(recordChangeCipherSpec, 1, 1), false, false},
		{"odd alert", record(recordAlert, 0, 2), false, false},
		{"unknown type", record(24, 1, 1), false, false},
		{"later epoch", record(recordApplication, 2, 1), false, false},
		{"empty", nil, false, false},
		{"empty record", record(recordApplication, 1), false, false},
		{"short header", record(recordHandshake, 0)[:12], false, false},
		{"short body", record(recordHandshake, 0, hello...)[:20], false, false},
		{"bad tail", append(record(recordApplication, 1, 1), 9), false, false},
		{"other version", append([]byte{22, 3}, record(recordHandshake, 0, hello...)[2:]...), false, false},
		{"huge message", record(recordHandshake, 0, handshakeMessage(1<<20, 0, 0, 10)...), false, false},
		{"late message number", record(recordHandshake, 0, handshakeMessage(10, maxHandshakeSequence+1, 0, 10)...), false, false},
		{"fragment past the end", record(recordHandshake, 0, handshakeMessage(10, 0, 5, 10)...), false, false},
	} {
		for established, want := range map[bool]bool{false: c.during, true: c.after} {
			var g gate
			if got := g.admit(c.datagram, established); got != want {
				t.Errorf("%s, established %v: admitted %v, want %v", c.name, established, got, want)
			}
		}
	}
}

func TestGate_boundsLateHandshakes(t *testing.T) {
	var g gate
	sealed := record(recordHandshake, 1, 1, 2, 3)
	for i := range 2 * lateHandshakes {
		if !g.admit(sealed, false) {
			t.Fatal("refused during the handshake")
		}
		if got, want := g.admit(sealed, true), i < lateHandshakes; got != want {
			t.Fatalf("late handshake datagram %d: admitted %v, want %v", i, got, want)
		}
	}
	if !g.admit(record(recordApplication, 1, 1), true) {
		t.Error("data refused after too many late handshakes")
	}
}

// What passes the gate is a whole number of records that pion can cut apart.
func FuzzGate(f *testing.F) {
	f.Add(record(recordHandshake, 0, handshakeMessage(20, 0, 0, 20)...), false)
	f.Add(append(record(recordChangeCipherSpec, 0, 1), record(recordHandshake, 1, 1, 2, 3)...), true)
	f.Add(record(recordAlert, 0, 2, 40), true)
	f.Add(record(recordApplication, 1, 1, 2, 3), true)
	f.Fuzz(func(t *testing.T, b []byte, established bool) {
		var g gate
		if !g.admit(b, established) {
			return
		}
		for rest := b; len(rest) > 0; {
			size := 13 + int(binary.BigEndian.Uint16(rest[11:]))
			plain := binary.BigEndian.Uint16(rest[3:]) == 0
			if !plain && rest[0] == recordChangeCipherSpec {
				t.Fatalf("admitted a ChangeCipherSpec that nothing authenticates: %x", b)
			}
			if plain && rest[0] == recordApplication || plain && established && rest[0] == recordAlert {
				t.Fatalf("admitted a plain record of type %d: %x", rest[0], b)
			}
			rest = rest[size:]
		}
	})
}
