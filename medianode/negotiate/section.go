package negotiate

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// section is one media section as the peer described it.
type section struct {
	index   int // from 0; -1 for the lines before the first section
	mid     string
	kind    Kind
	proto   string
	formats []string

	port       uint16
	bundleOnly bool
	bundled    bool // its mid is in the BUNDLE group
	direction  direction
	rtcpMux    bool
	rtcpRsize  bool
	allowMixed bool

	ice        ICE
	prints     []Fingerprint
	setup      string
	candidates []Candidate

	payloads  map[uint8]*payload
	anyFB     []string // a=rtcp-fb:*
	extmaps   []extmap
	sendRIDs  []string // a=rid with direction send
	simulcast []string // rids of a=simulcast:send
	ssrcs     []uint32
	rtxOf     map[uint32]uint32
	cid       string
	streamID  string

	sctpPort   uint16
	maxMessage uint32
}

// off reports whether the peer switched the section off for good.
func (s *section) off() bool { return s.port == 0 && !s.bundleOnly }

// publishes reports whether the peer has media of its own on the section. A
// sendrecv section without any sign of a source can still take a track of ours.
func (s *section) publishes() bool {
	signs := s.cid != "" || len(s.ssrcs) > 0 || len(s.sendRIDs) > 0
	return s.direction == sendOnly || s.direction == sendRecv && signs
}

// errorf makes an error that names the section.
func (s *section) errorf(cause error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	switch {
	case s.index < 0:
		return fmt.Errorf("%w: session lines: %s", cause, text)
	case s.mid == "":
		return fmt.Errorf("%w: section %d: %s", cause, s.index, text)
	}
	return fmt.Errorf("%w: section %d (mid %.32q): %s", cause, s.index, s.mid, text)
}

func readSection(index int, m *sdp.MediaDescription, inherited section) (section, error) {
	s := inherited
	s.index, s.kind = index, Kind(m.MediaName.Media)
	s.proto, s.formats = strings.Join(m.MediaName.Protos, "/"), m.MediaName.Formats
	s.payloads, s.rtxOf = make(map[uint8]*payload), make(map[uint32]uint32)
	s.sctpPort, s.maxMessage = 5000, 65536 // RFC 8841 sections 5.2 and 6.1
	if len(s.formats) == 0 || len(s.formats) > maxFormats {
		return s, s.errorf(ErrMalformed, "m= names %d formats, want 1 to %d", len(s.formats), maxFormats)
	}
	if p := m.MediaName.Port.Value; p < 0 || p > 65535 {
		return s, s.errorf(ErrMalformed, "port %d, want 0 to 65535", p)
	}
	s.port = uint16(m.MediaName.Port.Value)
	s.prints, s.candidates = nil, nil
	seen := make(once)
	for _, a := range m.Attributes {
		if err := s.readAttribute(a, seen); err != nil {
			return s, err
		}
	}
	if len(s.prints) == 0 {
		s.prints = inherited.prints
	}
	if s.mid == "" && !s.off() {
		return s, s.errorf(ErrMalformed, "a=mid is missing: give each section a mid")
	}
	return s, nil
}

// readAttribute reads a line of a media section; unknown ones are ignored.
func (s *section) readAttribute(a sdp.Attribute, seen once) error {
	switch a.Key {
	case "mid":
		if !seen.add(a.Key) {
			return s.twice(a.Key)
		}
		if !isToken(a.Value, 32) {
			return s.errorf(ErrMalformed, "a=mid: want 1 to 32 letters, digits or token characters")
		}
		s.mid = a.Value
	case "bundle-only":
		s.bundleOnly = true
	case "rtcp-mux":
		s.rtcpMux = true
	case "rtcp-rsize":
		s.rtcpRsize = true
	case "extmap-allow-mixed":
		s.allowMixed = true
	case "rtpmap", "fmtp", "rtcp-fb":
		return s.readFormat(a, seen)
	case "extmap":
		return s.readExtmap(a.Value, seen)
	case "rid", "simulcast":
		return s.readSimulcast(a, seen)
	case "msid":
		s.readMsid(a.Value)
	case "ssrc", "ssrc-group":
		return s.readSource(a)
	case "sctp-port", "max-message-size":
		return s.readSCTP(a, seen)
	default:
		return s.readTransport(a, seen)
	}
	return nil
}

func (s *section) twice(key string) error {
	return s.errorf(ErrMalformed, "a=%.32s is given twice: keep one", key)
}

// readTransport reads the lines that may also stand before the sections.
func (s *section) readTransport(a sdp.Attribute, seen once) error {
	switch a.Key {
	case "ice-ufrag", "ice-pwd", "setup":
		if !seen.add(a.Key) {
			return s.twice(a.Key)
		}
		switch a.Key {
		case "ice-ufrag":
			s.ice.Ufrag = a.Value
		case "ice-pwd":
			s.ice.Pwd = a.Value
		default:
			s.setup = a.Value
		}
	case "fingerprint":
		// A hash that we cannot check is no reason to refuse one that we can.
		if f, err := ParseFingerprint(a.Value); err == nil && len(s.prints) < maxPrints {
			s.prints = append(s.prints, f)
		}
	case "candidate":
		if c, ok := parseCandidate(a.Value); ok && len(s.candidates) < maxCandidates {
			s.candidates = append(s.candidates, c)
		}
	default:
		d, ok := parseDirection(a.Key)
		if !ok {
			return nil
		}
		if !seen.add("direction") {
			return s.errorf(ErrMalformed, "the direction is given twice: keep one of sendrecv, sendonly, recvonly, inactive")
		}
		s.direction = d
	}
	return nil
}

func (s *section) readExtmap(value string, seen once) error {
	fields := strings.Fields(value)
	if len(fields) < 2 {
		return s.errorf(ErrMalformed, "a=extmap: want an id and a URI, got %.40q", value)
	}
	number, way, explicit := strings.Cut(fields[0], "/")
	id, err := strconv.ParseUint(number, 10, 16)
	if err != nil || id == 0 {
		return s.errorf(ErrMalformed, "a=extmap: want an id above 0, got %.40q", value)
	}
	if !seen.add("extmap" + strconv.FormatUint(id, 10)) {
		return s.twice("extmap:" + number)
	}
	if id > 255 {
		return nil // 4096 and up ask us to choose an id; nobody we know needs it
	}
	x := extmap{id: uint8(id), direction: sendRecv, explicit: explicit, uri: fields[1]}
	if explicit {
		d, ok := parseDirection(way)
		if !ok {
			return s.errorf(ErrMalformed, "a=extmap: unknown direction in %.40q", value)
		}
		x.direction = d
	}
	s.extmaps = append(s.extmaps, x)
	return nil
}

func (s *section) readSCTP(a sdp.Attribute, seen once) error {
	if !seen.add(a.Key) {
		return s.twice(a.Key)
	}
	bits := 16
	if a.Key == "max-message-size" {
		bits = 64
	}
	v, err := strconv.ParseUint(strings.TrimSpace(a.Value), 10, bits)
	if err != nil {
		return s.errorf(ErrMalformed, "a=%s: want a number, got %.40q", a.Key, a.Value)
	}
	if a.Key == "sctp-port" {
		s.sctpPort = uint16(v)
		return nil
	}
	s.maxMessage = uint32(min(v, 1<<32-1))
	return nil
}

// parseCandidate reads an a=candidate value (RFC 8839). Names instead of
// addresses (mDNS) and TCP are of no use to an ICE-lite agent on UDP.
func parseCandidate(value string) (Candidate, bool) {
	f := strings.Fields(value)
	if len(f) < 8 || !strings.EqualFold(f[2], "udp") || f[6] != "typ" {
		return Candidate{}, false
	}
	addr, err := netip.ParseAddr(f[4])
	port, err2 := strconv.ParseUint(f[5], 10, 16)
	if err != nil || err2 != nil || addr.Zone() != "" || len(f[7]) > 8 {
		return Candidate{}, false
	}
	return Candidate{Addr: netip.AddrPortFrom(addr.Unmap(), uint16(port)), Type: f[7]}, true
}

// isToken reports whether s is an RFC 8866 token of 1 to limit bytes.
func isToken(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]", s[i]) >= 0 {
			return false
		}
	}
	return true
}
