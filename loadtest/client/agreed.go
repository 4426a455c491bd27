package client

import (
	"strings"

	"github.com/pion/webrtc/v4"
)

// Agreed lists what both sides of the session negotiated, of NACK, PLI, RTX and
// TWCC.
func (s *Session) Agreed() []string {
	answer := s.pc.RemoteDescription()
	if answer == nil || answer.Type != webrtc.SDPTypeAnswer {
		answer = s.pc.LocalDescription()
	}
	if answer == nil {
		return nil
	}
	return agreed(answer.SDP)
}

// agreed reads an answer: the attributes rtcp-fb (RFC 4585, 4.2) and rtpmap.
func agreed(sdp string) []string {
	found := map[string]bool{}
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if feedback, is := strings.CutPrefix(line, "a=rtcp-fb:"); is {
			_, feedback, _ = strings.Cut(feedback, " ")
			found[feedback] = true
		}
		if strings.HasPrefix(line, "a=rtpmap:") && strings.HasSuffix(line, " rtx/90000") {
			found["rtx"] = true
		}
	}
	var names []string
	for _, f := range []struct{ attribute, name string }{
		{"nack", "NACK"}, {"nack pli", "PLI"}, {"rtx", "RTX"}, {"transport-cc", "TWCC"},
	} {
		if found[f.attribute] {
			names = append(names, f.name)
		}
	}
	return names
}
