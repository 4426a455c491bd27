package negotiate

import (
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// What this package reads at most. A browser describes a video section that
// receives in 5.5 kB, so MaxSize is about 180 of them.
const (
	MaxSize     = 1 << 20 // bytes of a description
	MaxSections = 256     // media sections
	MaxRIDs     = 4       // simulcast layers of a section

	maxLine       = 4096 // bytes of a line
	maxAttributes = 1024 // lines of a section
	maxFormats    = 128  // payload types of a section
	maxCandidates = 64   // candidates kept of a description
	maxSources    = 16   // SSRCs and rids kept of a section
	maxPrints     = 8    // fingerprints kept of a section
)

// description is a peer's SDP after reading.
type description struct {
	bundle     []string // mids of the BUNDLE group, in order
	allowMixed bool
	sections   []section
	candidates []Candidate
}

// parse reads untrusted text. Errors wrap ErrTooLarge, ErrMalformed or
// ErrNoBundle.
func parse(text string) (*description, error) {
	text, err := sift(text)
	if err != nil {
		return nil, err
	}
	var raw sdp.SessionDescription
	if err := raw.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %.120s", ErrMalformed, err.Error())
	}
	d := &description{}
	inherited, err := d.readSession(raw.Attributes)
	if err != nil {
		return nil, err
	}
	mids := make(map[string]int, len(raw.MediaDescriptions))
	for i, m := range raw.MediaDescriptions {
		s, err := readSection(i, m, inherited)
		if err != nil {
			return nil, err
		}
		if j, ok := mids[s.mid]; ok && s.mid != "" {
			return nil, s.errorf(ErrMalformed, "the mid is that of section %d too: give each section its own", j)
		}
		mids[s.mid] = i
		for _, c := range s.candidates {
			if len(d.candidates) < maxCandidates {
				d.candidates = append(d.candidates, c)
			}
		}
		d.sections = append(d.sections, s)
	}
	return d, d.checkBundle()
}

// sift bounds the text and keeps the lines that matter: v, o, s, t, m and a.
// The others (c, b, i, and letters of the future) decide nothing here.
func sift(text string) (string, error) {
	if len(text) > MaxSize {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(text), MaxSize)
	}
	var kept strings.Builder
	kept.Grow(len(text))
	sections, attributes, number := 0, 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		if err := checkLine(line, number); err != nil {
			return "", err
		}
		switch line[0] {
		case 'm':
			sections, attributes = sections+1, 0
		case 'a':
			attributes++
		case 'v', 'o', 's', 't':
		default:
			continue
		}
		if sections > MaxSections {
			return "", fmt.Errorf("%w: line %d: more than %d media sections", ErrTooLarge, number, MaxSections)
		}
		if attributes > maxAttributes {
			return "", fmt.Errorf("%w: line %d: more than %d attributes in a section", ErrTooLarge, number, maxAttributes)
		}
		kept.WriteString(line)
		kept.WriteString("\r\n")
	}
	if kept.Len() == 0 {
		return "", fmt.Errorf("%w: empty", ErrMalformed)
	}
	return kept.String(), nil
}

func checkLine(line string, number int) error {
	if len(line) > maxLine {
		return fmt.Errorf("%w: line %d: %d bytes, at most %d", ErrTooLarge, number, len(line), maxLine)
	}
	if len(line) < 2 || line[1] != '=' {
		return fmt.Errorf("%w: line %d: want a letter and =, got %.16q", ErrMalformed, number, line)
	}
	for i := range len(line) {
		if line[i] < ' ' && line[i] != '\t' || line[i] == 0x7f {
			return fmt.Errorf("%w: line %d: control character 0x%02x", ErrMalformed, number, line[i])
		}
	}
	return nil
}

// readSession reads the attributes before the first section; those that
// describe transport or direction are the default of every section.
func (d *description) readSession(attributes []sdp.Attribute) (section, error) {
	inherited := section{index: -1, direction: sendRecv}
	seen := make(once)
	for _, a := range attributes {
		switch a.Key {
		case "group":
			kind, mids, _ := strings.Cut(strings.TrimSpace(a.Value), " ")
			if kind != "BUNDLE" {
				continue
			}
			if !seen.add("group:BUNDLE") {
				return inherited, fmt.Errorf("%w: a=group:BUNDLE is given twice: put all mids in one group", ErrMalformed)
			}
			d.bundle = strings.Fields(mids)
		case "extmap-allow-mixed":
			d.allowMixed = true
		default:
			if err := inherited.readTransport(a, seen); err != nil {
				return inherited, err
			}
		}
	}
	return inherited, nil
}

// checkBundle marks the sections in the group. The group must name sections
// that exist, each once.
func (d *description) checkBundle() error {
	byMid := make(map[string]*section, len(d.sections))
	for i := range d.sections {
		byMid[d.sections[i].mid] = &d.sections[i]
	}
	for _, mid := range d.bundle {
		s := byMid[mid]
		if s == nil {
			return fmt.Errorf("%w: a=group:BUNDLE names mid %.32q, which no section has", ErrMalformed, mid)
		}
		if s.bundled {
			return s.errorf(ErrMalformed, "a=group:BUNDLE names the mid twice")
		}
		s.bundled = true
	}
	return nil
}

// once remembers the lines that may be given only once.
type once map[string]bool

// add reports whether key is new.
func (o once) add(key string) bool {
	if o[key] {
		return false
	}
	o[key] = true
	return true
}
