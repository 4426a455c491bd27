package transport

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// rawRecord builds a DTLS 1.2 record.
func rawRecord(kind byte, epoch uint16, body ...byte) []byte {
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
		name     string
		datagram []byte
		want     bool
	}{
		{"client hello", rawRecord(recordHandshake, 0, hello...), true},
		{"fragment", rawRecord(recordHandshake, 0, handshakeMessage(9000, 2, 1000, 1000)...), true},
		{"last flight", join(rawRecord(recordHandshake, 0, hello...), rawRecord(recordChangeCipherSpec, 0, 1), rawRecord(recordHandshake, 1, 1, 2, 3)), true},
		{"plain alert", rawRecord(recordAlert, 0, 2, 40), true},
		{"sealed alert", rawRecord(recordAlert, 1, 1, 2, 3), true},
		{"sealed data", rawRecord(recordApplication, 1, 1, 2, 3), true},
		{"plain data", rawRecord(recordApplication, 0, 1, 2, 3), false},
		{"odd change cipher spec", rawRecord(recordChangeCipherSpec, 0, 2), false},
		{"change cipher spec after the first cipher", rawRecord(recordChangeCipherSpec, 1, 1), false},
		{"odd alert", rawRecord(recordAlert, 0, 2), false},
		{"unknown type", rawRecord(24, 1, 1), false},
		{"later epoch", rawRecord(recordApplication, 2, 1), false},
		{"empty", nil, false},
		{"empty record", rawRecord(recordApplication, 1), false},
		{"short header", rawRecord(recordHandshake, 0)[:12], false},
		{"short body", rawRecord(recordHandshake, 0, hello...)[:20], false},
		{"bad tail", append(rawRecord(recordApplication, 1, 1), 9), false},
		{"other version", append([]byte{22, 3}, rawRecord(recordHandshake, 0, hello...)[2:]...), false},
		{"huge message", rawRecord(recordHandshake, 0, handshakeMessage(1<<20, 0, 0, 10)...), false},
		{"late message number", rawRecord(recordHandshake, 0, handshakeMessage(10, maxHandshakeSequence+1, 0, 10)...), false},
		{"fragment past the end", rawRecord(recordHandshake, 0, handshakeMessage(10, 0, 5, 10)...), false},
	} {
		if got := admit(c.datagram); got != c.want {
			t.Errorf("%s: admitted %v, want %v", c.name, got, c.want)
		}
	}
}

// What the handshake does not need waits for the record layer.
func TestGate_splits(t *testing.T) {
	hello := rawRecord(recordHandshake, 0, handshakeMessage(20, 0, 0, 20)...)
	finished, data, alert := rawRecord(recordHandshake, 1, 1, 2, 3), rawRecord(recordApplication, 1, 4, 5), rawRecord(recordAlert, 1, 6)
	for _, c := range []struct {
		name             string
		records          [][]byte
		handshake, other [][]byte
	}{
		{"handshake alone", [][]byte{hello, finished}, [][]byte{hello, finished}, nil},
		{"data alone", [][]byte{data, alert}, nil, [][]byte{data, alert}},
		{"data behind the Finished", [][]byte{hello, finished, data, alert}, [][]byte{hello, finished}, [][]byte{data, alert}},
		{"mixed", [][]byte{data, hello, alert, finished}, [][]byte{hello, finished}, [][]byte{data, alert}},
	} {
		datagram := slices.Concat(c.records...)
		before := bytes.Clone(datagram)
		handshake, other := split(datagram)
		if !bytes.Equal(handshake, slices.Concat(c.handshake...)) || !bytes.Equal(other, slices.Concat(c.other...)) {
			t.Errorf("%s: %x and %x", c.name, handshake, other)
		}
		if !bytes.Equal(datagram, before) {
			t.Errorf("%s: the datagram was overwritten", c.name)
		}
	}
}

// What passes the gate is a whole number of records that pion can cut apart,
// and pion gets none that is not of a handshake.
func FuzzGate(f *testing.F) {
	f.Add(rawRecord(recordHandshake, 0, handshakeMessage(20, 0, 0, 20)...))
	f.Add(append(rawRecord(recordChangeCipherSpec, 0, 1), rawRecord(recordHandshake, 1, 1, 2, 3)...))
	f.Add(append(rawRecord(recordAlert, 0, 2, 40), rawRecord(recordAlert, 1, 2, 40)...))
	f.Add(rawRecord(recordApplication, 1, 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !admit(b) {
			return
		}
		handshake, other := split(b)
		if len(handshake)+len(other) != len(b) {
			t.Fatalf("%d and %d bytes of %d", len(handshake), len(other), len(b))
		}
		for _, part := range []struct {
			b         []byte
			handshake bool
		}{{handshake, true}, {other, false}} {
			for rest := part.b; len(rest) > 0; {
				kind, plain := rest[0], binary.BigEndian.Uint16(rest[3:]) == 0
				if plain && kind == recordApplication || !plain && kind == recordChangeCipherSpec {
					t.Fatalf("admitted type %d, plain %v: %x", kind, plain, b)
				}
				if part.handshake != (plain || kind == recordHandshake) {
					t.Fatalf("type %d, plain %v, went the wrong way: %x", kind, plain, b)
				}
				rest = rest[13+int(binary.BigEndian.Uint16(rest[11:])):]
			}
		}
	})
}
