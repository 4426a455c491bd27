package api

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/drtc-network/drtc/registry/index"
)

// nodeWriter writes nodes as JSON straight from the bodies that they signed: a
// page of 500 in a tenth of the time that decoding and encoding them takes. The
// names are those of node.Payload, which a test holds equal.
type nodeWriter struct{ fields [21]nodeField }

// nodeField is one field of NodeBody by its number.
type nodeField struct {
	name   string
	kind   fieldKind
	always bool // written when it is zero too
}

type fieldKind int

const (
	text fieldKind = iota + 1
	list
	number
	truth
	binaryText // bytes, as hex
)

func newNodeWriter() nodeWriter {
	return nodeWriter{[21]nodeField{
		2: {name: "region", kind: text}, 3: {name: "geolocation", kind: text}, 4: {name: "url", kind: text},
		5: {name: "discoveryUrl", kind: text}, 6: {name: "ip", kind: text}, 7: {name: "metricsUrl", kind: text},
		8: {name: "pubKey", kind: text}, 9: {name: "version", kind: text},
		10: {name: "capacityMbps", kind: number, always: true}, 11: {name: "cores", kind: number},
		12: {name: "features", kind: list}, 13: {name: "tlsFingerprint", kind: binaryText},
		14: {name: "mediaAddresses", kind: list}, 15: {name: "maxSessions", kind: number},
		16: {name: "sessions", kind: number, always: true}, 17: {name: "loadMbps", kind: number, always: true},
		18: {name: "placeName", kind: text}, 19: {name: "owner", kind: text}, 20: {name: "draining", kind: truth},
	}}
}

// append writes the members of one node's object, without the braces.
// distanceKm below 0 is left out.
func (w *nodeWriter) append(b []byte, e *index.Entry, distanceKm float64) []byte {
	b = append(b, `"nodeId":`...)
	b = appendHex(append(b, `"0x`...), e.ID[:])
	b = append(w.appendBody(append(b, '"'), e.Body), `,"generation":"`...)
	b = append(strconv.AppendUint(b, e.Version.Generation, 10), `","seq":"`...)
	b = append(strconv.AppendUint(b, e.Version.Seq, 10), `","issuedAt":"`...)
	b = append(e.IssuedAt().AppendFormat(b, time.RFC3339Nano), `","expiresAt":"`...)
	b = append(e.ExpiresAt().AppendFormat(b, time.RFC3339Nano), `","quality":`...)
	b = append(appendFloat(b, e.Quality), `,"availability":`...)
	b = append(appendFloat(b, e.Availability), `,"state":"`...)
	b = append(append(b, e.State.String()...), '"')
	if e.PlaceVerdict != "" {
		b = appendText(append(b, `,"placeVerdict":`...), []byte(e.PlaceVerdict))
	}
	for i, reason := range e.PlaceReasons {
		if i == 0 {
			b = append(b, `,"placeReasons":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendText(b, []byte(reason))
	}
	if len(e.PlaceReasons) > 0 {
		b = append(b, ']')
	}
	if distanceKm >= 0 {
		b = appendFloat(append(b, `,"distanceKm":`...), math.Round(distanceKm*1000)/1000)
	}
	return b
}

// appendBody writes the fields of a NodeBody that are not empty. Of a field that
// is there twice the last counts, as everywhere in protobuf.
func (w *nodeWriter) appendBody(b, body []byte) []byte {
	var last [len(w.fields)][]byte // what stands behind the tag
	var numbers [len(w.fields)]uint64
	for rest := body; len(rest) > 0; {
		n, wire, size := protowire.ConsumeTag(rest)
		if size < 0 {
			break // it was checked before it was stored
		}
		rest = rest[size:]
		size = protowire.ConsumeFieldValue(n, wire, rest)
		if size < 0 {
			break
		}
		if int(n) < len(w.fields) {
			switch kind := w.fields[n].kind; {
			case kind == 0:
			case (kind == number || kind == truth) && wire == protowire.VarintType:
				numbers[n], _ = protowire.ConsumeVarint(rest)
			case (kind == text || kind == binaryText || kind == list) && wire == protowire.BytesType:
				last[n], _ = protowire.ConsumeBytes(rest)
			}
		}
		rest = rest[size:]
	}
	for n := range w.fields {
		f := &w.fields[n]
		switch f.kind {
		case text, binaryText:
			if len(last[n]) == 0 {
				continue
			}
			b = appendName(b, f.name)
			if f.kind == text {
				b = appendText(b, last[n])
				continue
			}
			b = append(appendHex(append(b, '"'), last[n]), '"')
		case list:
			if last[n] != nil {
				b = appendList(appendName(b, f.name), body, protowire.Number(n))
			}
		case number:
			if v := uint32(numbers[n]); v != 0 || f.always {
				b = strconv.AppendUint(appendName(b, f.name), uint64(v), 10)
			}
		case truth:
			if numbers[n] != 0 {
				b = append(appendName(b, f.name), "true"...)
			}
		}
	}
	return b
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, ',', '"'), name...), '"', ':')
}

func appendList(b, body []byte, field protowire.Number) []byte {
	b = append(b, '[')
	items := 0
	for len(body) > 0 {
		n, wire, size := protowire.ConsumeTag(body)
		if size < 0 {
			break
		}
		body = body[size:]
		size = protowire.ConsumeFieldValue(n, wire, body)
		if size < 0 {
			break
		}
		if n == field && wire == protowire.BytesType {
			if items++; items > 1 {
				b = append(b, ',')
			}
			item, _ := protowire.ConsumeBytes(body)
			b = appendText(b, item)
		}
		body = body[size:]
	}
	return append(b, ']')
}

func appendText(b, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(string(s))
			if err != nil { // a string has no such error
				return append(b, `""`...)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendHex(b, v []byte) []byte { return hex.AppendEncode(b, v) }

// appendFloat writes numbers in the usual form, and 0 for what JSON cannot say.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}
