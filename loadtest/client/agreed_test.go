package client

import (
	"slices"
	"testing"
)

func TestAgreed_readsTheAnswer(t *testing.T) {
	const head = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\n"
	for sdp, want := range map[string][]string{
		"":                           nil,
		head:                         nil,
		head + "a=rtcp-fb:96 nack\n": {"NACK"},
		head + "a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n":                                               {"PLI"},
		head + "a=rtcp-fb:* transport-cc\r\na=rtpmap:97 rtx/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli": {"NACK", "PLI", "RTX", "TWCC"},
	} {
		if got := agreed(sdp); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q, of %q", got, want, sdp)
		}
	}
}
