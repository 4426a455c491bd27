package negotiate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

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

// isRID reports whether s is an RFC 8851 rid that fits a one-byte header.
func isRID(s string) bool {
	return isToken(s, 16) && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
