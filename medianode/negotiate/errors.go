package negotiate

import "errors"

// What a description can be refused for. The returned error wraps one of these
// and names the section (its number from 0, and its mid) and the fix.
var (
	// ErrConfig: a field of Config is missing or out of range.
	ErrConfig = errors.New("bad configuration")
	// ErrTooLarge: more bytes, lines or sections than this package reads.
	ErrTooLarge = errors.New("description too large")
	// ErrMalformed: not SDP, a bad value, or a line given twice.
	ErrMalformed = errors.New("malformed description")
	// ErrNoBundle: no a=group:BUNDLE with a section that can be used.
	ErrNoBundle = errors.New("no usable BUNDLE group")
	// ErrNoCodec: no section has a codec that both sides know.
	ErrNoCodec = errors.New("no codec in common")
	// ErrNoRTCPMux: a media section lacks a=rtcp-mux.
	ErrNoRTCPMux = errors.New("no rtcp-mux")
	// ErrNoICE: no usable a=ice-ufrag and a=ice-pwd.
	ErrNoICE = errors.New("no ICE credentials")
	// ErrNoFingerprint: no usable a=fingerprint.
	ErrNoFingerprint = errors.New("no certificate fingerprint")
	// ErrFingerprintChanged: another certificate than before; DTLS is set up once.
	ErrFingerprintChanged = errors.New("certificate fingerprint changed")
	// ErrSetup: a=setup is missing, unknown, or contradicts the DTLS role in use.
	ErrSetup = errors.New("bad DTLS setup")
	// ErrMidChanged: the order, number, mid or kind of agreed sections changed.
	ErrMidChanged = errors.New("media sections changed")
	// ErrRole: Answer on an offering transport, or Offer or Accept on an answering one.
	ErrRole = errors.New("wrong role")
	// ErrPending: Offer while another offer waits for its answer.
	ErrPending = errors.New("offer pending")
	// ErrNoOffer: Accept without an offer.
	ErrNoOffer = errors.New("no offer pending")
	// ErrTrack: a track that cannot be written in SDP, or that is bound already.
	ErrTrack = errors.New("bad track")
	// ErrPlace: Place after the first negotiation, or two tracks on one mid.
	ErrPlace = errors.New("bad placement")
)
