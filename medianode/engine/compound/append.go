package compound

import (
	"encoding/binary"

	"github.com/pion/rtcp"
)

// MaxReports is how many reception reports one packet holds.
const MaxReports = 31

// SenderReportSize is the length of what AppendSenderReport appends.
const SenderReportSize = headerSize + 4 + senderSize

func appendHeader(dst []byte, countOrFormat int, packetType byte, size int) []byte {
	return append(dst, 2<<6|byte(countOrFormat), packetType, byte((size/4-1)>>8), byte(size/4-1))
}

// AppendSenderReport appends a sender report; the reports in r are left out.
func AppendSenderReport(dst []byte, r rtcp.SenderReport) []byte {
	dst = appendHeader(dst, 0, typeSenderReport, SenderReportSize)
	dst = binary.BigEndian.AppendUint32(dst, r.SSRC)
	dst = binary.BigEndian.AppendUint64(dst, r.NTPTime)
	dst = binary.BigEndian.AppendUint32(dst, r.RTPTime)
	dst = binary.BigEndian.AppendUint32(dst, r.PacketCount)
	return binary.BigEndian.AppendUint32(dst, r.OctetCount)
}

// AppendReceiverReport appends a receiver report with the first MaxReports of
// the reports given.
func AppendReceiverReport(dst []byte, sender uint32, reports []rtcp.ReceptionReport) []byte {
	reports = reports[:min(len(reports), MaxReports)]
	dst = appendHeader(dst, len(reports), typeReceiverReport, headerSize+4+len(reports)*reportSize)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	for i := range reports {
		r := &reports[i]
		dst = binary.BigEndian.AppendUint32(dst, r.SSRC)
		dst = binary.BigEndian.AppendUint32(dst, uint32(r.FractionLost)<<24|r.TotalLost&0xffffff)
		dst = binary.BigEndian.AppendUint32(dst, r.LastSequenceNumber)
		dst = binary.BigEndian.AppendUint32(dst, r.Jitter)
		dst = binary.BigEndian.AppendUint32(dst, r.LastSenderReport)
		dst = binary.BigEndian.AppendUint32(dst, r.Delay)
	}
	return dst
}

// AppendDescription appends a source description with a canonical name of at
// most 255 bytes, which every compound packet must carry (RFC 3550 section
// 6.1).
func AppendDescription(dst []byte, sender uint32, name string) []byte {
	const cname = 1
	name = name[:min(len(name), 255)]
	// A null byte ends the list of items, then the chunk is filled to a word.
	size := (headerSize + 4 + 2 + len(name) + 1 + 3) &^ 3
	start := len(dst)
	dst = appendHeader(dst, 1, typeDescription, size)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = append(dst, cname, byte(len(name)))
	dst = append(dst, name...)
	for len(dst)-start < size {
		dst = append(dst, 0)
	}
	return dst
}

// AppendPictureLoss appends a picture loss indication.
func AppendPictureLoss(dst []byte, sender, media uint32) []byte {
	dst = appendHeader(dst, formatPLI, typePayload, feedbackSize)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	return binary.BigEndian.AppendUint32(dst, media)
}

// AppendNACK appends a generic NACK that asks for the sequence numbers given,
// which are ascending. It appends nothing if there are none.
func AppendNACK(dst []byte, sender, media uint32, lost []uint16) []byte {
	if len(lost) == 0 {
		return dst
	}
	start := len(dst)
	dst = appendHeader(dst, formatNACK, typeTransport, feedbackSize)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, media)
	for len(lost) > 0 {
		first, after := lost[0], uint16(0)
		for lost = lost[1:]; len(lost) > 0; lost = lost[1:] {
			ahead := lost[0] - first
			if ahead > 16 {
				break
			}
			if ahead > 0 {
				after |= 1 << (ahead - 1)
			}
		}
		dst = binary.BigEndian.AppendUint16(dst, first)
		dst = binary.BigEndian.AppendUint16(dst, after)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16((len(dst)-start)/4-1))
	return dst
}
