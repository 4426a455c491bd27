package whip

import (
	"fmt"
	"strings"
	"unicode"
)

// Bounds of an SDP fragment.
const (
	maxFragment   = 16 << 10
	maxCandidates = 64
	maxCandidate  = 1024
)

// fragment is an SDP fragment (RFC 8840): what a client says of its side of ICE.
type fragment struct {
	ufrag, pwd string
	mids       []string
	candidates []string // "candidate:…"
}

// readFragment reads untrusted text. The error names the line's fault.
func readFragment(text string) (fragment, error) {
	var f fragment
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "m=") {
			continue
		}
		attribute, ok := strings.CutPrefix(line, "a=")
		if !ok {
			return f, fmt.Errorf("%.20q: a fragment has m= and a= lines only", line)
		}
		if strings.ContainsFunc(line, unicode.IsControl) {
			return f, fmt.Errorf("%.20q: control characters", line)
		}
		key, value, _ := strings.Cut(attribute, ":")
		switch key {
		case "ice-ufrag":
			if err := only(&f.ufrag, key, value, 4); err != nil {
				return f, err
			}
		case "ice-pwd":
			if err := only(&f.pwd, key, value, 22); err != nil {
				return f, err
			}
		case "mid":
			f.mids = append(f.mids, value)
		case "candidate":
			if len(f.candidates) == maxCandidates || len(attribute) > maxCandidate {
				return f, fmt.Errorf("at most %d candidates of %d bytes each", maxCandidates, maxCandidate)
			}
			f.candidates = append(f.candidates, attribute)
		}
	}
	if (f.ufrag == "") != (f.pwd == "") {
		return f, fmt.Errorf("a=ice-ufrag and a=ice-pwd go together")
	}
	return f, nil
}

// only takes a value of 4 or 22 to 256 ICE characters (RFC 8839 section 5.4). It
// may be repeated, not changed: BUNDLE has one transport.
func only(to *string, key, value string, least int) error {
	if len(value) < least || len(value) > 256 || strings.Trim(value, iceChars) != "" {
		return fmt.Errorf("a=%s: want %d to 256 letters, digits, + or /", key, least)
	}
	if *to != "" && *to != value {
		return fmt.Errorf("a=%s is given twice: sections share one transport", key)
	}
	*to = value
	return nil
}

const iceChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"

// restarted returns an offer with other ICE credentials and candidates.
func restarted(sdp string, f fragment) string {
	var b strings.Builder
	told := false
	for line := range strings.Lines(sdp) {
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			line = "a=ice-ufrag:" + f.ufrag + "\r\n"
		case strings.HasPrefix(line, "a=ice-pwd:"):
			line = "a=ice-pwd:" + f.pwd + "\r\n"
		case strings.HasPrefix(line, "a=candidate:"), strings.HasPrefix(line, "a=end-of-candidates"), strings.HasPrefix(line, "a=remote-candidates:"):
			continue
		}
		b.WriteString(line)
		if strings.HasPrefix(line, "a=mid:") && !told {
			told = true
			for _, c := range f.candidates {
				b.WriteString("a=" + c + "\r\n")
			}
		}
	}
	return b.String()
}

// fragmentOf reduces an answer to its side of ICE: the session's lines and the
// first section in use, whose transport the others share.
func fragmentOf(answer string) string {
	var head, body strings.Builder
	inside, done, usable := false, false, false
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "m=") {
			if done = done || inside && usable; done {
				break
			}
			body.Reset()
			inside, usable = true, false
			body.WriteString(line)
			continue
		}
		switch {
		case !inside && (strings.HasPrefix(line, "a=ice-") || strings.HasPrefix(line, "a=group:BUNDLE")):
			head.WriteString(line)
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			usable = true
			body.WriteString(line)
		case inside && (strings.HasPrefix(line, "a=mid:") || strings.HasPrefix(line, "a=ice-") ||
			strings.HasPrefix(line, "a=candidate:") || strings.HasPrefix(line, "a=end-of-candidates")):
			body.WriteString(line)
		}
	}
	return head.String() + body.String()
}
