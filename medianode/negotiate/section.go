package negotiate

import (
	"fmt"
	"net/netip"
	"slices"
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

// payload is what the attributes say about one payload type.
type payload struct {
	name     string
	clock    uint32
	channels uint16
	fmtp     string
	feedback []string
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

// readFormat reads the lines that begin with a payload type.
func (s *section) readFormat(a sdp.Attribute, seen once) error {
	number, value, ok := strings.Cut(a.Value, " ")
	value = strings.TrimSpace(value)
	if a.Key == "rtcp-fb" && number == "*" {
		s.anyFB = addFeedback(s.anyFB, value)
		return nil
	}
	pt, err := strconv.ParseUint(number, 10, 8)
	if err != nil || pt > 127 || !ok {
		if !slices.Contains(s.formats, number) {
			return nil // of a format that is not a payload type
		}
		return s.errorf(ErrMalformed, "a=%s: want a payload type and a value, got %.40q", a.Key, a.Value)
	}
	p := s.payloads[uint8(pt)]
	if p == nil {
		p = &payload{}
		s.payloads[uint8(pt)] = p
	}
	if a.Key == "rtcp-fb" {
		p.feedback = addFeedback(p.feedback, value)
		return nil
	}
	if !seen.add(a.Key + number) {
		return s.twice(a.Key + ":" + number)
	}
	if a.Key == "fmtp" {
		p.fmtp = value
		return nil
	}
	return s.readRtpmap(p, value)
}

// feedbackKinds are the values of a=rtcp-fb that the node understands. Not
// goog-remb: who offers both would then send no transport-wide feedback.
func feedbackKinds() []string { return []string{"nack", "nack pli", "ccm fir", "transport-cc"} }

func addFeedback(list []string, value string) []string {
	if slices.Contains(feedbackKinds(), value) && !slices.Contains(list, value) {
		return append(list, value)
	}
	return list
}

func (s *section) readRtpmap(p *payload, value string) error {
	name, rest, _ := strings.Cut(value, "/")
	rate, channels, stereo := strings.Cut(rest, "/")
	clock, err := strconv.ParseUint(rate, 10, 32)
	if err != nil || name == "" {
		return s.errorf(ErrMalformed, "a=rtpmap: want name/rate, got %.40q", value)
	}
	p.name, p.clock = name, uint32(clock)
	if stereo {
		n, err := strconv.ParseUint(channels, 10, 16)
		if err != nil {
			return s.errorf(ErrMalformed, "a=rtpmap: want a number of channels, got %.40q", value)
		}
		p.channels = uint16(n)
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

// readSimulcast reads a=rid and a=simulcast (RFC 8851, RFC 8853).
func (s *section) readSimulcast(a sdp.Attribute, seen once) error {
	fields := strings.Fields(a.Value)
	if a.Key == "rid" {
		if len(fields) < 2 || !isRID(fields[0]) {
			return s.errorf(ErrMalformed, "a=rid: want an id and send or recv, got %.40q", a.Value)
		}
		if !seen.add("rid" + fields[1] + fields[0]) {
			return s.twice("rid:" + fields[0])
		}
		if fields[1] == "send" && len(s.sendRIDs) < maxSources {
			s.sendRIDs = append(s.sendRIDs, fields[0])
		}
		return nil
	}
	for i := 0; i+1 < len(fields); i += 2 {
		// One line should hold both directions; pion's later offers repeat
		// the answer's recv in a line of its own.
		if !seen.add("simulcast" + fields[i]) {
			return s.twice(a.Key)
		}
		if fields[i] != "send" {
			continue
		}
		for stream := range strings.SplitSeq(fields[i+1], ";") {
			rid, _, _ := strings.Cut(stream, ",") // the first of the alternatives
			if len(s.simulcast) < maxSources {
				s.simulcast = append(s.simulcast, strings.TrimPrefix(rid, "~"))
			}
		}
	}
	return nil
}

func (s *section) readMsid(value string) {
	stream, track, _ := strings.Cut(value, " ")
	if s.cid != "" || len(value) > 256 {
		return // a track in several streams: the first names it
	}
	if stream != "-" {
		s.streamID = stream
	}
	s.cid = strings.TrimSpace(track)
}

// readSource reads a=ssrc and a=ssrc-group (RFC 5576).
func (s *section) readSource(a sdp.Attribute) error {
	fields := strings.Fields(a.Value)
	if len(fields) == 0 {
		return s.errorf(ErrMalformed, "a=%s is empty", a.Key)
	}
	numbers := fields[:1]
	if a.Key == "ssrc-group" {
		numbers = fields[1:]
	}
	var ssrcs []uint32
	for _, text := range numbers {
		v, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return s.errorf(ErrMalformed, "a=%s: want SSRCs of 32 bits, got %.40q", a.Key, a.Value)
		}
		ssrcs = append(ssrcs, uint32(v))
	}
	for _, v := range ssrcs {
		if !slices.Contains(s.ssrcs, v) && len(s.ssrcs) < maxSources {
			s.ssrcs = append(s.ssrcs, v)
		}
	}
	if a.Key == "ssrc-group" && fields[0] == "FID" && len(ssrcs) == 2 && len(s.rtxOf) < maxSources {
		s.rtxOf[ssrcs[0]] = ssrcs[1]
	}
	if a.Key == "ssrc" && len(fields) > 2 && s.cid == "" {
		if stream, ok := strings.CutPrefix(fields[1], "msid:"); ok && len(a.Value) <= 256 {
			s.readMsid(stream + " " + fields[2])
		}
	}
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

// codecs lists the enabled formats that the section names, in its order, with
// their retransmission payload types.
func (s *section) codecs(enabled []string) []Codec {
	rtx := make(map[string]uint8)
	var opus string
	for _, f := range s.formats {
		pt, p := s.payload(f)
		if p == nil {
			continue
		}
		if apt, ok := parameter(p.fmtp, "apt"); ok && strings.EqualFold(p.name, "rtx") && rtx[apt] == 0 {
			rtx[apt] = pt
		}
		if opus == "" && strings.EqualFold(p.name, "opus") {
			opus = f
		}
	}
	var out []Codec
	for _, f := range s.formats {
		pt, p := s.payload(f)
		if p == nil || slices.ContainsFunc(out, func(c Codec) bool { return c.PayloadType == pt }) {
			continue
		}
		spec, ok := specByName(s.kind, p.name, p.clock, p.channels)
		if !ok || !contains(enabled, spec.mime) || !spec.usable(p.fmtp) {
			continue
		}
		if blocks := strings.Split(p.fmtp, "/"); spec.mime == RED && (opus == "" || blocks[0] != opus) {
			continue
		}
		c := Codec{PayloadType: pt, Mime: spec.mime, ClockRate: spec.clock, Channels: spec.channels, Fmtp: p.fmtp}
		if s.kind == Video {
			c.RTXPayloadType = rtx[f]
		}
		for _, fb := range feedbackKinds() {
			if slices.Contains(p.feedback, fb) || slices.Contains(s.anyFB, fb) {
				c.Feedback = append(c.Feedback, fb)
			}
		}
		out = append(out, c)
	}
	return out
}

// payload finds a format's attributes; nil when it is no payload type that may
// be used beside RTCP on one port (RFC 5761 section 4).
func (s *section) payload(format string) (uint8, *payload) {
	pt, err := strconv.ParseUint(format, 10, 8)
	if err != nil || pt > 127 || pt >= 64 && pt <= 95 {
		return 0, nil
	}
	return uint8(pt), s.payloads[uint8(pt)]
}

// rids are the simulcast layers to accept: named by both kinds of line.
func (s *section) rids() []string {
	var out []string
	for _, rid := range s.simulcast {
		if slices.Contains(s.sendRIDs, rid) && !slices.Contains(out, rid) && len(out) < MaxRIDs {
			out = append(out, rid)
		}
	}
	return out
}

// sources lists the streams without their retransmission streams.
func (s *section) sources() []SourceGroup {
	var out []SourceGroup
	for _, v := range s.ssrcs {
		isRTX := false
		for _, r := range s.rtxOf {
			isRTX = isRTX || r == v
		}
		if !isRTX {
			out = append(out, SourceGroup{SSRC: v, RTX: s.rtxOf[v]})
		}
	}
	return out
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

// isRID reports whether s is an RFC 8851 rid that fits a one-byte header.
func isRID(s string) bool {
	return isToken(s, 16) && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
