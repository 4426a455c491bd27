package negotiate

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"

	"github.com/drtc-network/drtc"
)

// Role says which side of a transport makes the offers. It never changes.
type Role uint8

// The node answers the client (single mode; the publisher transport of dual
// mode; WHIP and WHEP) or offers to it (the subscriber transport of dual mode).
const (
	Answerer Role = iota
	Offerer
)

// maxTracks bounds the tracks of a transport, placed and waiting.
const maxTracks = 512

// Config is what a transport needs to know about its node.
type Config struct {
	// Role of the node; the zero value answers.
	Role Role
	// Candidates are the UDP addresses at which clients reach the node, most
	// wanted first, 1 to 32.
	Candidates []netip.AddrPort
	// Fingerprint of the node's DTLS certificate.
	Fingerprint Fingerprint
	// NewICE makes fresh random credentials; it is called once by New and once
	// for each ICE restart.
	NewICE func() ICE
	// Codecs are the MIME types to negotiate; nil means DefaultCodecs. RED is
	// preferred over Opus on what the peer publishes when it is among them.
	Codecs []string
	// MaxMessageSize is the largest data message the node takes, in bytes; 0
	// means 65536.
	MaxMessageSize uint32
}

// Validate names the first field that is wrong. The error wraps ErrConfig.
func (c Config) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("negotiate: %w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	if c.Role != Answerer && c.Role != Offerer {
		return bad("Role: want Answerer or Offerer")
	}
	if len(c.Candidates) == 0 || len(c.Candidates) > 32 {
		return bad("Candidates: want 1 to 32 addresses, got %d", len(c.Candidates))
	}
	for _, a := range c.Candidates {
		if !a.IsValid() || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() {
			return bad("Candidates: %s is not an address that a client can reach", a)
		}
	}
	if n := sumLength(c.Fingerprint.Algorithm); n == 0 || len(c.Fingerprint.Sum) != n {
		return bad("Fingerprint: want a sha-256, sha-384 or sha-512 sum")
	}
	if c.NewICE == nil {
		return bad("NewICE: want a source of credentials")
	}
	for _, mime := range c.Codecs {
		if _, ok := specByMime(mime); !ok {
			return bad("Codecs: unknown MIME type %.32q", mime)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Codecs == nil {
		c.Codecs = DefaultCodecs()
	}
	if c.MaxMessageSize == 0 {
		c.MaxMessageSize = 65536
	}
	return c
}

// Transport is the negotiation state of one transport of one session.
type Transport struct {
	cfg     Config
	session uint64 // session id of the o= line
	state
}

// state is what a negotiation changes, as a whole or not at all.
type state struct {
	local      ICE
	remote     ICE
	prints     []Fingerprint
	role       DTLSRole
	version    uint64 // of the o= line
	negotiated bool   // one Answer or Accept has succeeded
	lines      []line
	tracks     []entry // in the order in which they came

	pending bool // an offer waits for its answer
	offered []drtc.TrackID
	restart bool // the next offer carries new credentials
}

// line is a media section of the transport.
type line struct {
	mid        string
	kind       Kind
	peer       section      // as last described; zero before
	refusal    string       // why the section is refused (port 0); empty for one in use
	codecs     []Codec      // common to both sides
	shown      drtc.TrackID // the node's track of the last negotiation
	active     bool         // the peer receives it
	publishing bool         // the peer publishes
	published  bool         // the peer has published at some time
	extmaps    []extmap
	ids        Extensions
}

// entry is a track of the node and the section it has.
type entry struct {
	Track
	mid     string
	refused string
}

// New makes a transport. The error wraps ErrConfig.
func New(cfg Config) (*Transport, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Transport{cfg: cfg.withDefaults()}
	if err := t.renewICE(); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(t.local.Ufrag))
	t.session = h.Sum64() >> 2 // RFC 8829: 62 bits are safe everywhere
	if cfg.Role == Offerer {
		t.lines = []line{{mid: "0", kind: application}}
	}
	return t, nil
}

// LocalICE returns the node's credentials of the last description.
func (t *Transport) LocalICE() ICE { return t.local }

func (t *Transport) renewICE() error {
	ice := t.cfg.NewICE()
	if !ice.valid() {
		return fmt.Errorf("negotiate: %w: NewICE: want 4 to 256 and 22 to 256 printable characters", ErrConfig)
	}
	t.local = ice
	return nil
}

func (c ICE) valid() bool {
	for _, s := range []string{c.Ufrag, c.Pwd} {
		for i := range len(s) {
			if s[i] <= ' ' || s[i] >= 0x7f {
				return false
			}
		}
	}
	return len(c.Ufrag) >= 4 && len(c.Ufrag) <= 256 && len(c.Pwd) >= 22 && len(c.Pwd) <= 256
}

// Bind asks for a section for a track; the track appears in the next
// negotiation. An answering transport takes a section on which the client
// offered to receive, or keeps the track waiting; an offering one opens a
// section where none is free. Bind of a track that is bound already reports
// where it is. Errors wrap ErrTrack.
func (t *Transport) Bind(track Track) (Binding, error) {
	if e := t.track(track.ID); e != nil {
		if e.Kind != track.Kind || e.SSRC != track.SSRC || e.RTXSSRC != track.RTXSSRC {
			return Binding{}, fmt.Errorf("negotiate: bind %s: %w: bound with other streams, unbind it first", track.ID, ErrTrack)
		}
		return e.binding(), nil
	}
	if err := t.checkTrack(track); err != nil {
		return Binding{}, fmt.Errorf("negotiate: bind %.64q: %w", track.ID, err)
	}
	t.tracks = append(t.tracks, entry{Track: track})
	e := &t.tracks[len(t.tracks)-1]
	if t.cfg.Role == Offerer {
		t.open(e)
	} else {
		t.assign(e)
	}
	return e.binding(), nil
}

// Place puts a track on a mid before the first answer: when a session moves
// here from another node, the client's sections keep their tracks. A track
// that cannot go there, by the client's offer, is treated as bound without a
// place. Errors wrap ErrPlace or ErrTrack.
func (t *Transport) Place(mid string, track Track) error {
	switch {
	case t.cfg.Role != Answerer || t.negotiated:
		return fmt.Errorf("negotiate: place %.64q: %w: only before the first answer", track.ID, ErrPlace)
	case !isToken(mid, 32) || t.on(mid) != nil:
		return fmt.Errorf("negotiate: place %.64q: %w: mid %.32q is malformed or taken", track.ID, ErrPlace, mid)
	}
	if err := t.checkTrack(track); err != nil {
		return fmt.Errorf("negotiate: place %.64q: %w", track.ID, err)
	}
	t.tracks = append(t.tracks, entry{Track: track, mid: mid})
	return nil
}

// Unbind forgets a track. Its section goes inactive in the next negotiation
// and is free after it. It reports whether the track was known.
func (t *Transport) Unbind(id drtc.TrackID) bool {
	i := slices.IndexFunc(t.tracks, func(e entry) bool { return e.ID == id })
	if i < 0 {
		return false
	}
	t.tracks = slices.Delete(t.tracks, i, i+1)
	return true
}

// Free is the number of sections of a kind that a new track can take at once.
func (t *Transport) Free(kind Kind) int {
	n := 0
	for i := range t.lines {
		l := &t.lines[i]
		if l.kind == kind && l.refusal == "" && l.shown == "" && t.on(l.mid) == nil && (t.cfg.Role == Offerer || l.willing()) {
			n++
		}
	}
	return n
}

// Pending counts the tracks that wait for sections which the client has not
// offered, by kind. Refused tracks do not wait.
func (t *Transport) Pending() map[Kind]int {
	n := make(map[Kind]int)
	for _, e := range t.tracks {
		if e.mid == "" && e.refused == "" {
			n[e.Kind]++
		}
	}
	return n
}

// Stale reports whether the bindings differ from what the peer was last told,
// so that a negotiation is due: the node offers, or asks the client to. While
// an offer is open it compares with the negotiation before.
func (t *Transport) Stale() bool {
	for i := range t.lines {
		var id drtc.TrackID
		if e := t.on(t.lines[i].mid); e != nil {
			id = e.ID
		}
		if id != t.lines[i].shown {
			return true
		}
	}
	return t.restart || t.cfg.Role == Offerer && !t.negotiated
}

func (t *Transport) checkTrack(track Track) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrTrack, fmt.Sprintf(format, args...))
	}
	spec, ok := specByMime(track.Codec.Mime)
	switch {
	case len(t.tracks) >= maxTracks:
		return bad("more than %d tracks", maxTracks)
	case !isName(string(track.ID)) || !isName(track.Stream):
		return bad("ID and Stream: want 1 to 64 printable characters without space")
	case !ok || spec.kind != track.Kind:
		return bad("Codec.Mime: no %s codec %.32q", track.Kind, track.Codec.Mime)
	case track.SSRC == 0 || track.SSRC == track.RTXSSRC:
		return bad("SSRC: want two different numbers, SSRC not 0")
	}
	for _, e := range t.tracks {
		if e.ID == track.ID {
			return bad("ID: placed already")
		}
		for _, v := range []uint32{track.SSRC, track.RTXSSRC} {
			if v != 0 && (v == e.SSRC || v == e.RTXSSRC) {
				return bad("SSRC %d is in use by track %s", v, e.ID)
			}
		}
	}
	return nil
}

// isName reports whether s may stand in a=msid.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (e *entry) binding() Binding {
	return Binding{Mid: e.mid, NeedsSection: e.mid == "" && e.refused == "", Refused: e.refused}
}

func (s *state) track(id drtc.TrackID) *entry {
	for i := range s.tracks {
		if s.tracks[i].ID == id {
			return &s.tracks[i]
		}
	}
	return nil
}

// on is the track of a section.
func (s *state) on(mid string) *entry {
	for i := range s.tracks {
		if mid != "" && s.tracks[i].mid == mid {
			return &s.tracks[i]
		}
	}
	return nil
}

func (s *state) line(mid string) *line {
	for i := range s.lines {
		if s.lines[i].mid == mid {
			return &s.lines[i]
		}
	}
	return nil
}

// clone copies what a negotiation changes.
func (s *state) clone() state {
	c := *s
	c.lines, c.tracks = slices.Clone(s.lines), slices.Clone(s.tracks)
	return c
}

// willing reports whether the client offered to receive on the section and
// does not use it for media of its own.
func (l *line) willing() bool { return l.peer.direction.receives() && !l.peer.publishes() }

// fits reports whether a track may be on the section.
func (l *line) fits(track *Track) bool {
	if l.kind != track.Kind || l.refusal != "" || !l.willing() {
		return false
	}
	_, ok := choose(l.codecs, track.Codec)
	return ok
}

// assign gives a waiting track a free section of an answering transport, or
// notes why none will do.
func (s *state) assign(e *entry) {
	seen, suits := false, false
	for i := range s.lines {
		l := &s.lines[i]
		if l.kind != e.Kind || l.peer.off() || !l.willing() {
			continue
		}
		seen = true
		if !l.fits(&e.Track) {
			continue
		}
		suits = true
		if s.on(l.mid) == nil && (l.shown == "" || l.shown == e.ID) {
			e.mid, e.refused = l.mid, ""
			return
		}
	}
	e.mid, e.refused = "", ""
	if seen && !suits {
		e.refused = "the client's " + string(e.Kind) + " sections offer no " + e.Codec.describe()
	}
}

// open gives a track a section of an offering transport: a free one, or a new
// one at the end.
func (t *Transport) open(e *entry) {
	if _, ok := choose(offeredCodecs(e.Kind, t.cfg.Codecs), e.Codec); !ok {
		e.refused = "the node does not offer " + e.Codec.describe()
		return
	}
	for i := range t.lines {
		l := &t.lines[i]
		if l.kind == e.Kind && l.refusal == "" && t.on(l.mid) == nil && (l.shown == "" || l.shown == e.ID) {
			e.mid = l.mid
			return
		}
	}
	if len(t.lines) >= MaxSections {
		e.refused = "the transport has " + strconv.Itoa(MaxSections) + " sections, all in use"
		return
	}
	e.mid = strconv.Itoa(len(t.lines))
	t.lines = append(t.lines, line{mid: e.mid, kind: e.Kind})
}

// describe names a codec in a reason.
func (c Codec) describe() string {
	if c.Mime == H264 {
		return H264 + fmt.Sprintf(" with packetization-mode=1 and the profile of %.80q", c.Fmtp)
	}
	return c.Mime
}
