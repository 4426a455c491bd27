package record

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/alert"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
	"pgregory.net/rapid"
)

// finished is a Finished message as a handshake numbers it.
var finished = append([]byte{messageFinished, 0, 0, 12, 0, 5, 0, 0, 0, 0, 0, 12}, bytes.Repeat([]byte{7}, 12)...)

// oracle is the other side of an association, by pion's ciphers.
type oracle struct {
	gcm      *ciphersuite.GCM // what the peer has
	own      *ciphersuite.GCM // what our side has, for what it sent before
	sequence uint64
}

func secretsOf(suite uint16, client bool) Secrets {
	s := Secrets{Suite: suite, Client: client, Master: bytes.Repeat([]byte{1, 2, 3}, 16)}
	for i := range 32 {
		s.ClientRandom[i], s.ServerRandom[i] = byte(i), byte(100+i)
	}
	return s
}

// pair makes a Layer that follows a handshake, and its peer.
func pair(t testing.TB, suite uint16, client bool) (*Layer, *oracle) {
	t.Helper()
	secrets := secretsOf(suite, client)
	keySize, h, _ := parameters(suite)
	keys, err := prf.GenerateEncryptionKeys(secrets.Master, secrets.ClientRandom[:], secrets.ServerRandom[:], 0, keySize, 4, h)
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{}
	theirs, ours := &o.own, &o.gcm
	if client {
		theirs, ours = ours, theirs
	}
	if *theirs, err = ciphersuite.NewGCM(keys.ServerWriteKey, keys.ServerWriteIV, keys.ClientWriteKey, keys.ClientWriteIV); err != nil {
		t.Fatal(err)
	}
	if *ours, err = ciphersuite.NewGCM(keys.ClientWriteKey, keys.ClientWriteIV, keys.ServerWriteKey, keys.ServerWriteIV); err != nil {
		t.Fatal(err)
	}
	var sent Sent
	sent.Watch(plain(recordlayer.Header{ContentType: protocol.ContentTypeHandshake, SequenceNumber: 4}, finished))
	flight := plain(recordlayer.Header{ContentType: protocol.ContentTypeChangeCipherSpec, SequenceNumber: 5}, []byte{1})
	sent.Watch(append(flight, seal(t, o.own, protocol.ContentTypeHandshake, 0, finished)...))
	l, err := New(secrets, sent)
	if err != nil {
		t.Fatal(err)
	}
	return l, o
}

func plain(h recordlayer.Header, content []byte) []byte {
	h.Version, h.ContentLen = protocol.Version1_2, uint16(len(content))
	b, err := h.Marshal()
	if err != nil {
		panic(err)
	}
	return append(b, content...)
}

func seal(t testing.TB, gcm *ciphersuite.GCM, kind protocol.ContentType, sequence uint64, content []byte) []byte {
	t.Helper()
	h := recordlayer.Header{ContentType: kind, Version: protocol.Version1_2, Epoch: 1, SequenceNumber: sequence, ContentLen: uint16(len(content))}
	b, err := gcm.Encrypt(&recordlayer.RecordLayer{Header: h}, plain(h, content))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal is the peer's next record.
func (o *oracle) seal(t testing.TB, kind protocol.ContentType, content []byte) []byte {
	t.Helper()
	o.sequence++
	return seal(t, o.gcm, kind, o.sequence-1, content)
}

// open is what the peer makes of one of our records.
func (o *oracle) open(t testing.TB, record []byte) (recordlayer.Header, []byte) {
	t.Helper()
	var h recordlayer.Header
	if err := h.Unmarshal(record); err != nil {
		t.Fatal(err)
	}
	b, err := o.gcm.Decrypt(recordlayer.Header{}, bytes.Clone(record))
	if err != nil {
		t.Fatal(err)
	}
	return h, b[headerSize:]
}

func everySide(t *testing.T, test func(t *testing.T, suite uint16, client bool)) {
	for _, suite := range Suites() {
		for _, client := range []bool{false, true} {
			t.Run(fmt.Sprintf("suite %#04x, client %v", suite, client), func(t *testing.T) { test(t, suite, client) })
		}
	}
}

func TestLayer_speaksWithPion(t *testing.T) {
	everySide(t, func(t *testing.T, suite uint16, client bool) {
		l, o := pair(t, suite, client)
		for i, size := range []int{1, 20, 1200, MaxPayload} {
			payload := bytes.Repeat([]byte{byte(i)}, size)
			sealed, err := l.Seal([]byte("before"), payload)
			if err != nil {
				t.Fatal(err)
			}
			h, got := o.open(t, sealed[len("before"):])
			// Number 0 was the Finished.
			if !bytes.Equal(got, payload) || h.SequenceNumber != uint64(i)+1 || h.ContentType != protocol.ContentTypeApplicationData {
				t.Errorf("pion got %d bytes in %+v, want %d in record %d", len(got), h, size, i+1)
			}
			kind, got, rest := l.Open(append(o.seal(t, protocol.ContentTypeApplicationData, payload), 1, 2, 3))
			if kind != Data || !bytes.Equal(got, payload) || !bytes.Equal(rest, []byte{1, 2, 3}) {
				t.Errorf("opened kind %d, %d bytes, rest %v; want Data, %d bytes, 1 2 3", kind, len(got), rest, size)
			}
		}
	})
}

func TestLayer_whatARecordAsksFor(t *testing.T) {
	message := func(kind byte) []byte { return append([]byte{kind, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0}, 1, 2) }
	for _, c := range []struct {
		name           string
		contentType    protocol.ContentType
		content        []byte
		server, client Kind
	}{
		{"data", protocol.ContentTypeApplicationData, []byte("x"), Data, Data},
		{"empty data", protocol.ContentTypeApplicationData, nil, Nothing, Nothing},
		{"close_notify", protocol.ContentTypeAlert, []byte{1, 0}, Closed, Closed},
		{"fatal alert", protocol.ContentTypeAlert, []byte{2, 40}, Closed, Closed},
		{"warning", protocol.ContentTypeAlert, []byte{1, 100}, Nothing, Nothing},
		{"broken alert", protocol.ContentTypeAlert, []byte{2}, Nothing, Nothing},
		{"Finished", protocol.ContentTypeHandshake, finished, Repeat, Nothing},
		{"ClientHello", protocol.ContentTypeHandshake, message(1), Renegotiation, Nothing},
		{"HelloRequest", protocol.ContentTypeHandshake, message(0), Nothing, Renegotiation},
		{"Certificate", protocol.ContentTypeHandshake, message(11), Nothing, Nothing},
		{"half a message", protocol.ContentTypeHandshake, finished[:5], Nothing, Nothing},
		{"ChangeCipherSpec", protocol.ContentTypeChangeCipherSpec, []byte{1}, Nothing, Nothing},
	} {
		for client, want := range map[bool]Kind{false: c.server, true: c.client} {
			l, o := pair(t, 0xc02b, client)
			sequence := uint64(9)
			if kind, _, _ := l.Open(seal(t, o.gcm, c.contentType, sequence, c.content)); kind != want && c.contentType != protocol.ContentTypeChangeCipherSpec {
				t.Errorf("%s, client %v: %d, want %d", c.name, client, kind, want)
			}
			if kind, _, _ := l.Open(seal(t, o.own, c.contentType, sequence+1, c.content)); kind != Nothing {
				t.Errorf("%s reflected, client %v: %d, want Nothing", c.name, client, kind)
			}
			h := recordlayer.Header{ContentType: c.contentType, SequenceNumber: sequence + 2}
			for epoch := range uint16(3) {
				h.Epoch = epoch
				if kind, _, _ := l.Open(plain(h, c.content)); kind != Nothing {
					t.Errorf("%s in the clear in epoch %d, client %v: %d, want Nothing", c.name, epoch, client, kind)
				}
			}
		}
	}
}

func TestLayer_lastFlightIsSentAgain(t *testing.T) {
	everySide(t, func(t *testing.T, suite uint16, client bool) {
		l, o := pair(t, suite, client)
		if client {
			return // the server's flight is the last
		}
		for i := range uint64(3) {
			b, err := l.LastFlight(nil)
			if err != nil {
				t.Fatal(err)
			}
			change, rest := cut(b)
			if want := plain(recordlayer.Header{ContentType: protocol.ContentTypeChangeCipherSpec, SequenceNumber: 6 + i}, []byte{1}); !bytes.Equal(change, want) {
				t.Errorf("ChangeCipherSpec %x, want %x", change, want)
			}
			h, got := o.open(t, rest)
			if !bytes.Equal(got, finished) || h.ContentType != protocol.ContentTypeHandshake || h.SequenceNumber != 1+i {
				t.Errorf("pion got %x in %+v, want the Finished in record %d", got, h, 1+i)
			}
		}
	})
}

func TestLayer_alertsReachPion(t *testing.T) {
	l, o := pair(t, 0xc02b, true)
	for name, c := range map[string]struct {
		seal func([]byte) ([]byte, error)
		want alert.Alert
	}{
		"Goodbye": {l.Goodbye, alert.Alert{Level: alert.Warning, Description: alert.CloseNotify}},
		"Refusal": {l.Refusal, alert.Alert{Level: alert.Warning, Description: alert.NoRenegotiation}},
	} {
		b, err := c.seal(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got alert.Alert
		h, content := o.open(t, b)
		if err := got.Unmarshal(content); err != nil || got != c.want || h.ContentType != protocol.ContentTypeAlert {
			t.Errorf("%s: %+v in %+v, %v; want %+v", name, got, h, err, c.want)
		}
	}
}

func TestLayer_answersAreBounded(t *testing.T) {
	l, o := pair(t, 0xc02b, false)
	for i := range 2 * MaxAnswers {
		want := Repeat
		if i >= MaxAnswers {
			want = Nothing
		}
		if got, _, _ := l.Open(o.seal(t, protocol.ContentTypeHandshake, finished)); got != want {
			t.Fatalf("Finished %d: %d, want %d", i, got, want)
		}
	}
	if got, _, _ := l.Open(o.seal(t, protocol.ContentTypeApplicationData, []byte("x"))); got != Data {
		t.Errorf("data after too many handshake messages: %d, want Data", got)
	}
}

// A record opens once, in any order inside the window, and a forgery with a
// number far ahead moves nothing.
func TestLayer_replayLikeAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l, o := pair(t, 0xc02b, false)
		opened := map[uint64]bool{}
		at, highest := rapid.Uint64Range(0, 1<<40).Draw(rt, "first"), uint64(0)
		for range rapid.IntRange(1, 200).Draw(rt, "records") {
			at += uint64(rapid.Int64Range(-80, 90).Draw(rt, "step"))
			at &= 1<<47 - 1
			record := seal(t, o.gcm, protocol.ContentTypeApplicationData, at, []byte("x"))
			if rapid.Bool().Draw(rt, "forged") {
				record[5] |= 0x80 // numbers here are below 2^47
				if kind, _, _ := l.Open(record); kind != Nothing {
					rt.Fatalf("a forgery was opened: %d", kind)
				}
				continue
			}
			want := Nothing
			if !opened[at] && (len(opened) == 0 || at+64 > highest) {
				want = Data
				opened[at], highest = true, max(highest, at)
			}
			if kind, _, _ := l.Open(record); kind != want {
				rt.Fatalf("record %d with %d the highest: %d, want %d", at, highest, kind, want)
			}
		}
	})
}

func TestLayer_bounds(t *testing.T) {
	l, _ := pair(t, 0xc02b, false)
	if _, err := l.Seal(nil, make([]byte, MaxPayload+1)); !errors.Is(err, ErrPayload) {
		t.Errorf("too long a payload: %v, want %v", err, ErrPayload)
	}
	l.next[1] = maxSequence
	if _, err := l.Seal(nil, []byte("last")); err != nil {
		t.Errorf("the last record: %v", err)
	}
	if _, err := l.Seal(nil, []byte("x")); !errors.Is(err, ErrExhausted) {
		t.Errorf("one record too many: %v, want %v", err, ErrExhausted)
	}
}

func TestNew_refuses(t *testing.T) {
	good := secretsOf(0xc02b, false)
	foreign, _ := pair(t, 0xc030, false)
	other, err := foreign.Seal(nil, finished)
	if err != nil {
		t.Fatal(err)
	}
	other[0] = typeHandshake
	var sent Sent
	sent.Watch(other)
	short, suite := good, good
	short.Master = short.Master[:47]
	suite.Suite = 0xc00a
	for name, c := range map[string]struct {
		secrets Secrets
		sent    Sent
	}{
		"no Finished":      {good, Sent{}},
		"a strange one":    {good, sent},
		"a short secret":   {short, sent},
		"an unknown suite": {suite, sent},
	} {
		if _, err := New(c.secrets, c.sent); !errors.Is(err, ErrHandover) {
			t.Errorf("%s: %v, want %v", name, err, ErrHandover)
		}
	}
}

// Nobody without the keys gets anything out of a Layer, nor changes it.
func FuzzOpen(f *testing.F) {
	l, o := pair(f, 0xc02b, false)
	f.Add(seal(f, o.own, protocol.ContentTypeAlert, 3, []byte{2, 40}))
	f.Add(plain(recordlayer.Header{ContentType: protocol.ContentTypeAlert}, []byte{1, 0}))
	f.Add(plain(recordlayer.Header{ContentType: protocol.ContentTypeHandshake, Epoch: 1, SequenceNumber: 1 << 40}, finished))
	f.Add(plain(recordlayer.Header{ContentType: protocol.ContentTypeApplicationData, Epoch: 1}, make([]byte, 24)))
	f.Add([]byte{23, 0xfe, 0xfd})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			before := len(rest)
			var kind Kind
			if kind, _, rest = l.Open(rest); kind != Nothing {
				t.Fatalf("a record without the key: kind %d", kind)
			}
			if len(rest) >= before {
				t.Fatalf("%d bytes are left of %d", len(rest), before)
			}
		}
		if kind, _, _ := l.Open(o.seal(t, protocol.ContentTypeApplicationData, []byte("x"))); kind != Data {
			t.Fatalf("a genuine record after garbage: kind %d, want Data", kind)
		}
	})
}

// What an authentic peer puts into a record comes out as pion put it in.
func FuzzOpen_authentic(f *testing.F) {
	l, o := pair(f, 0xc02b, false)
	f.Add(byte(typeApplication), []byte("hello"))
	f.Add(byte(typeAlert), []byte{2, 40})
	f.Add(byte(typeHandshake), finished)
	f.Add(byte(25), []byte{0})
	f.Fuzz(func(t *testing.T, contentType byte, content []byte) {
		if contentType == typeChangeCipherSpec || len(content) > MaxPayload {
			return // pion does not seal it
		}
		kind, got, rest := l.Open(o.seal(t, protocol.ContentType(contentType), content))
		if isData := contentType == typeApplication && len(content) > 0; isData != (kind == Data) || isData && !bytes.Equal(got, content) || len(rest) != 0 {
			t.Fatalf("type %d: kind %d, %d bytes, rest %d; put in %d", contentType, kind, len(got), len(rest), len(content))
		}
	})
}

func FuzzSent(f *testing.F) {
	_, o := pair(f, 0xc02b, false)
	f.Add(seal(f, o.own, protocol.ContentTypeHandshake, 3, finished))
	f.Add([]byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var sent Sent
		sent.Watch(b)
		l, err := New(secretsOf(0xc02b, false), sent)
		if err != nil {
			return
		}
		if _, err := l.LastFlight(nil); err != nil && !errors.Is(err, ErrExhausted) {
			t.Fatal(err)
		}
	})
}

func TestLayer_allocatesNothing(t *testing.T) {
	l, o := pair(t, 0xc02b, false)
	records := make([][]byte, 101)
	for i := range records {
		records[i] = o.seal(t, protocol.ContentTypeApplicationData, make([]byte, 1000))
	}
	dst, i := make([]byte, 0, 1100), 0
	if got := testing.AllocsPerRun(len(records)-1, func() {
		_, payload, _ := l.Open(records[i])
		i++
		if _, err := l.Seal(dst, payload); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations to open and seal, want 0", got)
	}
}

func BenchmarkOpen(b *testing.B) {
	l, o := pair(b, 0xc02b, false)
	sealed := o.seal(b, protocol.ContentTypeApplicationData, make([]byte, 1100))
	record := make([]byte, len(sealed))
	b.ReportAllocs()
	for b.Loop() {
		copy(record, sealed)
		l.replay = replay{}
		if kind, _, _ := l.Open(record); kind != Data {
			b.Fatal(kind)
		}
	}
}
