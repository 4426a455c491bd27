package record

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	headerSize   = 13
	explicitSize = 8 // of the nonce, in front of the ciphertext
	tagSize      = 16
	version      = 0xfefd // DTLS 1.2
	// MaxPayload is the longest content of a record, bytes.
	MaxPayload = 1 << 14
	// MaxAnswers is how often a peer gets an answer to a handshake message.
	MaxAnswers = 64
	// maxSequence is the last sequence number of an epoch.
	maxSequence = 1<<48 - 1
)

// Content types.
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplication      = 23
)

// Handshake message types.
const (
	messageHelloRequest = 0
	messageClientHello  = 1
	messageFinished     = 20
)

// Alerts (RFC 5246 section 7.2).
const (
	levelWarning         = 1
	levelFatal           = 2
	alertCloseNotify     = 0
	alertNoRenegotiation = 100
)

// Kind says what a record asks for.
type Kind uint8

// Kinds of records.
const (
	// Nothing is to be done.
	Nothing Kind = iota
	// Data is content for whoever is above.
	Data
	// Repeat asks for LastFlight.
	Repeat
	// Renegotiation asks for Refusal.
	Renegotiation
	// Closed is the peer's close_notify or a fatal alert.
	Closed
)

// Errors of this package.
var (
	// ErrHandover: the handshake's outcome can't be taken over.
	ErrHandover = errors.New("record: handover")
	// ErrPayload: a payload is longer than MaxPayload.
	ErrPayload = errors.New("record: payload too long")
	// ErrExhausted: all sequence numbers are used up.
	ErrExhausted = errors.New("record: out of sequence numbers")
)

// Layer is one side's record layer. Use New.
type Layer struct {
	client   bool
	finished []byte // our last handshake message; nil for a client

	opener opener
	replay replay
	// answers counts what was answered to handshake messages.
	answers int

	sealer sealer
	next   [2]uint64 // sequence number of the next record of each epoch
}

// opener and sealer are the two directions of a cipher, with scratch memory.
type (
	opener direction
	sealer direction
)

type direction struct {
	aead  cipher.AEAD
	nonce [12]byte // begins with the direction's salt
	extra [headerSize]byte
}

// New goes on where a handshake ended. It fails with ErrHandover.
func New(secrets Secrets, sent Sent) (*Layer, error) {
	local, remote, err := secrets.directions()
	if err != nil {
		return nil, err
	}
	l := &Layer{client: secrets.Client, opener: opener(remote), sealer: sealer(local), next: sent.next}
	if l.client {
		return l, nil
	}
	if sent.finished == nil {
		return nil, fmt.Errorf("%w: a server must have sent its Finished", ErrHandover)
	}
	own := opener(local) // what this side has sealed
	if l.finished = own.open(sent.finished); l.finished == nil {
		return nil, fmt.Errorf("%w: our own Finished does not open with the keys", ErrHandover)
	}
	return l, nil
}

// Open takes the first record off a datagram and returns what it asks for, its
// content where that is Data, and the rest of the datagram. It decrypts in
// place; payload is in b's memory.
func (l *Layer) Open(b []byte) (kind Kind, payload, rest []byte) {
	first, rest := cut(b)
	if first == nil {
		return Nothing, nil, nil
	}
	sequence := binary.BigEndian.Uint64(first[3:]) & maxSequence
	if !l.replay.fresh(sequence) {
		return Nothing, nil, rest
	}
	content := l.opener.open(first)
	if content == nil {
		return Nothing, nil, rest
	}
	l.replay.mark(sequence)
	switch first[0] {
	case typeApplication:
		if len(content) > 0 {
			return Data, content, rest
		}
	case typeAlert:
		if len(content) == 2 && (content[0] == levelFatal || content[1] == alertCloseNotify) {
			return Closed, nil, rest
		}
	case typeHandshake:
		return l.handshake(content), nil, rest
	}
	return Nothing, nil, rest
}

// handshake judges an authentic handshake message of the peer.
func (l *Layer) handshake(message []byte) Kind {
	if len(message) < 12 || l.answers >= MaxAnswers {
		return Nothing
	}
	kind := Nothing
	switch {
	case message[0] == messageFinished && !l.client:
		kind = Repeat
	case message[0] == messageClientHello && !l.client, message[0] == messageHelloRequest && l.client:
		kind = Renegotiation
	}
	if kind != Nothing {
		l.answers++
	}
	return kind
}

// Seal appends a record with application data to dst.
func (l *Layer) Seal(dst, payload []byte) ([]byte, error) {
	return l.seal(dst, typeApplication, payload)
}

// LastFlight appends the end of a server's handshake again.
func (l *Layer) LastFlight(dst []byte) ([]byte, error) {
	if l.next[0] > maxSequence {
		return nil, ErrExhausted
	}
	dst = appendHeader(dst, typeChangeCipherSpec, l.next[0], 1)
	l.next[0]++
	return l.seal(append(dst, 1), typeHandshake, l.finished)
}

// Refusal appends the answer to a peer that wants to renegotiate.
func (l *Layer) Refusal(dst []byte) ([]byte, error) {
	return l.seal(dst, typeAlert, []byte{levelWarning, alertNoRenegotiation})
}

// Goodbye appends our close_notify.
func (l *Layer) Goodbye(dst []byte) ([]byte, error) {
	return l.seal(dst, typeAlert, []byte{levelWarning, alertCloseNotify})
}

// seal appends one record of epoch 1.
func (l *Layer) seal(dst []byte, contentType byte, payload []byte) ([]byte, error) {
	switch {
	case len(payload) > MaxPayload:
		return nil, fmt.Errorf("%w: want at most %d bytes, got %d", ErrPayload, MaxPayload, len(payload))
	case l.next[1] > maxSequence:
		return nil, ErrExhausted
	}
	sequence := 1<<48 | l.next[1]
	l.next[1]++
	s := &l.sealer
	dst = appendHeader(dst, contentType, sequence, explicitSize+len(payload)+tagSize)
	dst = binary.BigEndian.AppendUint64(dst, sequence)
	binary.BigEndian.PutUint64(s.nonce[4:], sequence)
	additional(&s.extra, contentType, sequence, len(payload))
	return s.aead.Seal(dst, s.nonce[:], payload, s.extra[:]), nil
}

// open decrypts one record of epoch 1 in place; nil if it is not authentic.
func (o *opener) open(record []byte) []byte {
	size := len(record) - headerSize - explicitSize - tagSize
	sequence := binary.BigEndian.Uint64(record[3:])
	if size < 0 || binary.BigEndian.Uint16(record[1:]) != version || sequence>>48 != 1 {
		return nil
	}
	copy(o.nonce[4:], record[headerSize:])
	additional(&o.extra, record[0], sequence, size)
	sealed := record[headerSize+explicitSize:]
	content, err := o.aead.Open(sealed[:0], o.nonce[:], sealed, o.extra[:])
	if err != nil {
		return nil
	}
	return content
}

// additional writes what the cipher authenticates besides (RFC 5246 section
// 6.2.3.3): the sequence number with its epoch, type, version and length.
func additional(dst *[headerSize]byte, contentType byte, sequence uint64, size int) {
	binary.BigEndian.PutUint64(dst[:], sequence)
	dst[8] = contentType
	binary.BigEndian.PutUint16(dst[9:], version)
	binary.BigEndian.PutUint16(dst[11:], uint16(size))
}

// appendHeader writes a record's header; sequence includes the epoch.
func appendHeader(dst []byte, contentType byte, sequence uint64, size int) []byte {
	dst = append(dst, contentType)
	dst = binary.BigEndian.AppendUint16(dst, version)
	dst = binary.BigEndian.AppendUint64(dst, sequence)
	return binary.BigEndian.AppendUint16(dst, uint16(size))
}

// cut takes the first record off a datagram; nil if there is no whole one.
func cut(b []byte) (record, rest []byte) {
	if len(b) < headerSize {
		return nil, nil
	}
	end := headerSize + int(binary.BigEndian.Uint16(b[11:]))
	if len(b) < end {
		return nil, nil
	}
	return b[:end], b[end:]
}
