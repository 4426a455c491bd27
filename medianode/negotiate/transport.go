package negotiate

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

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
	wishes     []wish  // in the order in which they came
	moved      bool    // the peer goes on here with a transport from elsewhere
	restored   []Source

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
	wish       string       // MIME type in which the peer wants to publish; may be empty
	published  bool         // the peer has published at some time
	extmaps    []extmap
	ids        Extensions
}

// entry is a track of the node and the section it has.
type entry struct {
	Track
	mid     string
	refused string
	// promised: the section is kept for it, until the second negotiation.
	promised bool
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
	c.lines, c.tracks, c.wishes = slices.Clone(s.lines), slices.Clone(s.tracks), slices.Clone(s.wishes)
	return c
}
