package compound

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

var reception = rtcp.ReceptionReport{
	SSRC: 5000, FractionLost: 12, TotalLost: 0xfffffe, LastSequenceNumber: 70_000, Jitter: 9, LastSenderReport: 0x01020304, Delay: 65536,
}

// sample is a compound with every kind that the engine reads, and two that it
// skips.
func sample(t testing.TB) []byte {
	t.Helper()
	b, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1, NTPTime: 1<<63 + 5, RTPTime: 6, PacketCount: 7, OctetCount: 8, Reports: []rtcp.ReceptionReport{reception}},
		&rtcp.ReceiverReport{SSRC: 2, Reports: []rtcp.ReceptionReport{reception, {SSRC: 9}}},
		rtcp.NewCNAMESourceDescription(2, "name"),
		&rtcp.TransportLayerNack{SenderSSRC: 3, MediaSSRC: 4, Nacks: []rtcp.NackPair{{PacketID: 65535, LostPackets: 0x8001}, {PacketID: 5}}},
		&rtcp.PictureLossIndication{SenderSSRC: 3, MediaSSRC: 4},
		&rtcp.FullIntraRequest{SenderSSRC: 3, MediaSSRC: 0, FIR: []rtcp.FIREntry{{SSRC: 44, SequenceNumber: 2}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 3, Bitrate: 1e6, SSRCs: []uint32{44}},
		&rtcp.TransportLayerCC{
			Header: rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5}, SenderSSRC: 3, MediaSSRC: 4,
			BaseSequenceNumber: 7, PacketStatusCount: 1, ReferenceTime: 3, FbPktCount: 9,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 1}},
			RecvDeltas:   []*rtcp.RecvDelta{{Type: 1, Delta: 250}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fields are those of a packet that the engine uses, read by us or by pion.
type fields struct {
	kind          Kind
	sender, media uint32
	report        rtcp.SenderReport
	receptions    []rtcp.ReceptionReport
	nacks         []rtcp.NackPair
	intras        []rtcp.FIREntry
}

func ours(p Packet) fields {
	f := fields{kind: p.Kind}
	if p.Kind == Other || p.Kind == Malformed {
		return f
	}
	f.sender = p.SenderSSRC()
	switch p.Kind {
	case SenderReport:
		f.report = p.Sender()
		fallthrough
	case ReceiverReport:
		for i := range p.Receptions().Len() {
			f.receptions = append(f.receptions, p.Receptions().At(i))
		}
	case NACK:
		f.media = p.MediaSSRC()
		for i := range p.NACKs().Len() {
			f.nacks = append(f.nacks, p.NACKs().At(i))
		}
	case FullIntra:
		for i := range p.FullIntras().Len() {
			f.intras = append(f.intras, p.FullIntras().At(i))
		}
	case PictureLoss, TransportFeedback:
		f.media = p.MediaSSRC()
	}
	return f
}

func pions(p rtcp.Packet) fields {
	switch p := p.(type) {
	case *rtcp.SenderReport:
		f := fields{kind: SenderReport, sender: p.SSRC, report: *p, receptions: p.Reports}
		f.report.Reports, f.report.ProfileExtensions = nil, nil
		return f
	case *rtcp.ReceiverReport:
		return fields{kind: ReceiverReport, sender: p.SSRC, receptions: p.Reports}
	case *rtcp.TransportLayerNack:
		return fields{kind: NACK, sender: p.SenderSSRC, media: p.MediaSSRC, nacks: p.Nacks}
	case *rtcp.PictureLossIndication:
		return fields{kind: PictureLoss, sender: p.SenderSSRC, media: p.MediaSSRC}
	case *rtcp.FullIntraRequest:
		return fields{kind: FullIntra, sender: p.SenderSSRC, intras: p.FIR}
	case *rtcp.TransportLayerCC:
		return fields{kind: TransportFeedback, sender: p.SenderSSRC, media: p.MediaSSRC}
	}
	return fields{kind: Other}
}

// likePion fails if pion takes b and we read other fields from it.
func likePion(t *testing.T, b []byte) {
	t.Helper()
	want, err := rtcp.Unmarshal(b)
	r, refused := Read(b)
	if err != nil {
		for p, ok := r.Next(); ok; p, ok = r.Next() { // must not panic, that is all
			ours(p)
		}
		return
	}
	if refused != nil {
		t.Fatalf("pion takes %x, we don't: %v", b, refused)
	}
	for i, packet := range want {
		padded := len(r.rest) > 0 && r.rest[0]&0x20 != 0
		p, ok := r.Next()
		if !ok {
			t.Fatalf("packet %d of %d is missing", i, len(want))
		}
		got, want := ours(p), pions(packet)
		if padded { // pion takes padding for content
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("packet %d of %x:\n got %+v\nwant %+v", i, b, got, want)
		}
	}
	if p, ok := r.Next(); ok {
		t.Fatalf("%d packets, and then %+v", len(want), p)
	}
}

func TestReader_readsWhatPionReads(t *testing.T) {
	b := sample(t)
	likePion(t, b)
	var kinds []Kind
	r, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	for p, ok := r.Next(); ok; p, ok = r.Next() {
		kinds = append(kinds, p.Kind)
	}
	want := []Kind{SenderReport, ReceiverReport, Other, NACK, PictureLoss, FullIntra, Other, TransportFeedback}
	if !slices.Equal(kinds, want) {
		t.Errorf("got kinds %v, want %v", kinds, want)
	}
}

func TestRead_refusesWhatIsNoChain(t *testing.T) {
	whole := sample(t)
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"half a header":  whole[:3],
		"cut":            whole[:len(whole)-4],
		"other version":  append([]byte{0x40}, whole[1:]...),
		"trailing bytes": append(slices.Clone(whole), 0x80, 201),
	} {
		if r, err := Read(b); !errors.Is(err, ErrCompound) {
			t.Errorf("%s: got %v, want ErrCompound", name, err)
		} else if p, ok := r.Next(); ok {
			t.Errorf("%s: yields %+v", name, p)
		}
	}
}

func TestReader_bodiesThatAreTooShort(t *testing.T) {
	for name, b := range map[string][]byte{
		"sender report without sender":    {0x80, 200, 0, 1, 0, 0, 0, 1},
		"receiver report without reports": {0x9f, 201, 0, 1, 0, 0, 0, 1},
		"NACK without entries":            {0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2},
		"PLI without a stream":            {0x81, 206, 0, 1, 0, 0, 0, 1},
		"FIR without entries":             {0x84, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2},
		"feedback without statuses":       {0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2},
		"all padding":                     {0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 12},
		"no padding":                      {0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		r, err := Read(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p, ok := r.Next(); !ok || p.Kind != Malformed {
			t.Errorf("%s: got %+v %v, want Malformed", name, p, ok)
		}
	}
}

// Padding belongs to no entry (RFC 3550 section 6.4.1).
func TestReader_leavesPaddingOut(t *testing.T) {
	b := []byte{0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0, 0, 4}
	r, err := Read(b)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := r.Next()
	if n := p.NACKs(); p.Kind != NACK || n.Len() != 1 || n.At(0).PacketID != 7 {
		t.Errorf("got %+v with %d entries, want one for 7", p, n.Len())
	}
}

func TestAppend_pionReadsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sender := rtcp.SenderReport{
			SSRC: rapid.Uint32().Draw(t, "ssrc"), NTPTime: rapid.Uint64().Draw(t, "ntp"), RTPTime: rapid.Uint32().Draw(t, "rtp"),
			PacketCount: rapid.Uint32().Draw(t, "packets"), OctetCount: rapid.Uint32().Draw(t, "octets"),
		}
		reports := make([]rtcp.ReceptionReport, rapid.IntRange(0, MaxReports).Draw(t, "reports"))
		for i := range reports {
			reports[i] = reception
			reports[i].SSRC, reports[i].TotalLost = uint32(i), rapid.Uint32Range(0, 1<<24-1).Draw(t, "lost")
		}
		name := rapid.StringN(0, 40, 200).Draw(t, "name")
		first, lost := rapid.Uint16().Draw(t, "first"), []uint16(nil)
		for i := range uint16(300) {
			if rapid.IntRange(0, 3).Draw(t, "gap") == 0 {
				lost = append(lost, first+i)
			}
		}
		b := AppendSenderReport([]byte("before"), sender)
		b = AppendReceiverReport(b, 11, reports)
		b = AppendDescription(b, 12, name)
		b = AppendPictureLoss(b, 13, 14)
		b = AppendNACK(b, 15, 16, lost)
		packets, err := rtcp.Unmarshal(b[len("before"):])
		if err != nil {
			t.Fatalf("pion refuses %x: %v", b, err)
		}
		if got, want := pions(packets[0]).report, sender; !reflect.DeepEqual(got, want) {
			t.Fatalf("sender report: got %+v, want %+v", got, want)
		}
		if got := pions(packets[1]); got.sender != 11 || !slices.Equal(got.receptions, reports) {
			t.Fatalf("receiver report: got %+v, want %+v", got, reports)
		}
		d := packets[2].(*rtcp.SourceDescription)
		if len(d.Chunks) != 1 || d.Chunks[0].Source != 12 || d.Chunks[0].Items[0].Type != rtcp.SDESCNAME || d.Chunks[0].Items[0].Text != name {
			t.Fatalf("description: got %+v, want %q", d, name)
		}
		if got := pions(packets[3]); got.kind != PictureLoss || got.sender != 13 || got.media != 14 {
			t.Fatalf("picture loss: got %+v", got)
		}
		if len(lost) == 0 {
			return
		}
		var asked []uint16
		for _, pair := range pions(packets[4]).nacks {
			asked = append(asked, pair.PacketList()...)
		}
		if !slices.Equal(asked, lost) {
			t.Fatalf("NACK: got %v, want %v", asked, lost)
		}
	})
}

func TestAllocations(t *testing.T) {
	b, out := sample(t), make([]byte, 0, 1500)
	var sum uint32
	if n := testing.AllocsPerRun(100, func() {
		r, _ := Read(b)
		for p, ok := r.Next(); ok; p, ok = r.Next() {
			sum += touch(p)
		}
		out = AppendDescription(AppendReceiverReport(out[:0], 1, nil), 1, "name")
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// touch touches all that a packet holds.
func touch(p Packet) (sum uint32) {
	switch p.Kind {
	case SenderReport:
		sum = p.Sender().RTPTime + p.Receptions().At(0).Delay
	case NACK:
		sum = uint32(p.NACKs().At(p.NACKs().Len() - 1).PacketID)
	case FullIntra:
		sum = p.FullIntras().At(0).SSRC
	}
	return sum
}

func FuzzReader(f *testing.F) {
	b := sample(f)
	f.Add(b)
	for len(b) > 0 {
		n := length(b)
		f.Add(b[:n])
		b = b[n:]
	}
	f.Add([]byte{0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0, 0, 4})
	f.Fuzz(likePion)
}

func BenchmarkReader(b *testing.B) {
	raw := sample(b)
	var sum uint32
	b.ReportAllocs()
	for b.Loop() {
		r, _ := Read(raw)
		for p, ok := r.Next(); ok; p, ok = r.Next() {
			sum += touch(p)
		}
	}
}
