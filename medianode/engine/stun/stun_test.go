package stun

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	pion "github.com/pion/stun/v3"
	"pgregory.net/rapid"
)

const password = "VOkJxbRl1RmTxUk/WvJxBt"

var id = [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

// The sample request and IPv4 and IPv6 responses of RFC 5769 sections 2.1 to
// 2.3: foreign bytes with SOFTWARE, padding of spaces and both integrity forms.
var (
	rfcRequest = []byte("\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff" +
		"\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\x00\x06\x00\x09evtj:h6vY\x20\x20\x20" +
		"\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2" +
		"\x80\x28\x00\x04\xe5\x7a\x3b\xcf")
	rfcResponse4 = []byte("\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43" +
		"\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7" +
		"\x80\x28\x00\x04\xc0\x7d\x4c\x96")
	rfcResponse6 = []byte("\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae" +
		"\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x14\x00\x02\xa1\x47" +
		"\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9" +
		"\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41" +
		"\x80\x28\x00\x04\xc8\xfb\x0b\x4c")
)

func TestParse_rfc5769(t *testing.T) {
	m, err := Parse(rfcRequest)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Username) != "evtj:h6vY" || m.Priority != 0x6e0001ff || !m.Controlled || m.TieBreaker != 0x932ff9b151263b36 {
		t.Errorf("request: %+v", m)
	}
	if !m.HasFingerprint || !m.CheckIntegrity(password) || m.CheckIntegrity(password+"x") || m.CheckIntegrity("") {
		t.Errorf("request: integrity or fingerprint: %+v", m)
	}
	for _, c := range []struct {
		raw  []byte
		want string
	}{{rfcResponse4, "192.0.2.1:32853"}, {rfcResponse6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}} {
		m, err := Parse(c.raw)
		if err != nil || m.Type != BindingSuccess || m.Mapped != netip.MustParseAddrPort(c.want) {
			t.Errorf("got %v %v, want %s", m.Mapped, err, c.want)
		}
		if !m.CheckIntegrity(password) {
			t.Errorf("%s: integrity", c.want)
		}
	}
}

// request is what pion, as the other side, sends.
func request(t testing.TB, more ...pion.Setter) []byte {
	t.Helper()
	set := append([]pion.Setter{pion.NewTransactionIDSetter(id), pion.BindingRequest, pion.NewUsername("abcd:efgh")}, more...)
	set = append(set, pion.NewShortTermIntegrity(password), pion.Fingerprint)
	m, err := pion.Build(set...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

type useCandidate struct{}

func (useCandidate) AddTo(m *pion.Message) error { m.Add(pion.AttrUseCandidate, nil); return nil }

func TestParse_pion(t *testing.T) {
	b := request(t, useCandidate{})
	m, err := Parse(b)
	if err != nil || m.TransactionID != id || string(m.Username) != "abcd:efgh" || !m.UseCandidate || !m.CheckIntegrity(password) {
		t.Fatalf("got %+v %v", m, err)
	}
}

func TestAppend_pionReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringN(1, 100, 200).Draw(t, "password")
		ip := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 4, 4), rapid.SliceOfN(rapid.Byte(), 16, 16)).Draw(t, "ip")
		addr, _ := netip.AddrFromSlice(ip)
		mapped := netip.AddrPortFrom(addr.Unmap(), rapid.Uint16().Draw(t, "port"))
		prefix := []byte("before")
		b := AppendBindingSuccess(prefix, id, mapped, password)[len(prefix):]

		m := pion.New()
		if err := pion.Decode(b, m); err != nil {
			t.Fatal(err)
		}
		if err := pion.NewShortTermIntegrity(password).Check(m); err != nil {
			t.Fatal(err)
		}
		if err := pion.Fingerprint.Check(m); err != nil {
			t.Fatal(err)
		}
		var x pion.XORMappedAddress
		if err := x.GetFrom(m); err != nil {
			t.Fatal(err)
		}
		got, _ := netip.AddrFromSlice(x.IP)
		if got.Unmap() != mapped.Addr() || x.Port != int(mapped.Port()) {
			t.Fatalf("got %v:%d, want %v", x.IP, x.Port, mapped)
		}
		own, err := Parse(b)
		if err != nil || own.Mapped != mapped || !own.CheckIntegrity(password) {
			t.Fatalf("own reading: %+v %v", own, err)
		}
	})
}

func TestAppendBindingRequest_pionReads(t *testing.T) {
	b := AppendBindingRequest(nil, id, "abcd:efgh", password, RequestOptions{Priority: 7, UseCandidate: true, Controlling: true, TieBreaker: 9})
	m := pion.New()
	if err := pion.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	if err := pion.NewShortTermIntegrity(password).Check(m); err != nil {
		t.Error(err)
	}
	var u pion.Username
	if err := u.GetFrom(m); err != nil || u.String() != "abcd:efgh" {
		t.Errorf("username %q %v", u, err)
	}
	if !m.Contains(pion.AttrUseCandidate) {
		t.Error("no USE-CANDIDATE")
	}
	own, err := Parse(b)
	if err != nil || own.Priority != 7 || !own.UseCandidate || !own.Controlling || own.TieBreaker != 9 {
		t.Errorf("own reading: %+v %v", own, err)
	}
}

func TestAppendBindingError_pionReads(t *testing.T) {
	b := AppendBindingError(nil, id, CodeUnknownAttribute, "Unknown Attribute", password, 0x7f01, 0x7f02, 0x7f03)
	m := pion.New()
	if err := pion.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	var code pion.ErrorCodeAttribute
	var unknown pion.UnknownAttributes
	if err := code.GetFrom(m); err != nil || code.Code != 420 || string(code.Reason) != "Unknown Attribute" {
		t.Errorf("code %v %v", code, err)
	}
	if err := unknown.GetFrom(m); err != nil || len(unknown) != 3 || unknown[2] != 0x7f03 {
		t.Errorf("unknown %v %v", unknown, err)
	}
	if own, err := Parse(b); err != nil || own.ErrorCode != 420 || !own.CheckIntegrity(password) {
		t.Errorf("own reading: %+v %v", own, err)
	}
	bare, err := Parse(AppendBindingError(nil, id, CodeUnauthenticated, "", ""))
	if err != nil || bare.ErrorCode != 401 || bare.HasIntegrity || !bare.HasFingerprint {
		t.Errorf("bare error: %+v %v", bare, err)
	}
}

func TestParse_unknownRequired(t *testing.T) {
	b := request(t, pion.RawAttribute{Type: 0x7f01, Value: []byte{1}}, pion.RawAttribute{Type: 0xff01, Value: []byte{1}})
	m, err := Parse(b)
	if !errors.Is(err, ErrUnknownAttribute) {
		t.Fatalf("got %v", err)
	}
	if u := m.UnknownAttributes(); len(u) != 1 || u[0] != 0x7f01 {
		t.Errorf("got %x", u)
	}
	if !m.CheckIntegrity(password) {
		t.Error("a 420 answer needs to know that the request was authentic")
	}
}

func TestParse_refuses(t *testing.T) {
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(rfcRequest)) }
	long := AppendBindingError(nil, id, 400, "", "", make([]uint16, 700)...)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":              {nil, ErrHeader},
		"short header":       {rfcRequest[:19], ErrHeader},
		"other protocol":     {edit(func(b []byte) []byte { b[0] = 0x80; return b }), ErrHeader},
		"cookie":             {edit(func(b []byte) []byte { b[4]++; return b }), ErrHeader},
		"length of 4n+2":     {edit(func(b []byte) []byte { b[3] += 2; return append(b, 0, 0) }), ErrLength},
		"cut":                {rfcRequest[:len(rfcRequest)-4], ErrLength},
		"bytes after it":     {append(bytes.Clone(rfcRequest), 0, 0, 0, 0), ErrLength},
		"too long":           {long, ErrLength},
		"attribute too long": {edit(func(b []byte) []byte { b[23] = 0xf0; return b }), ErrAttribute},
		"priority of 3":      {edit(func(b []byte) []byte { b[43] = 3; return b }), ErrAttribute},
		"fingerprint":        {edit(func(b []byte) []byte { b[len(b)-1]++; return b }), ErrFingerprint},
		"changed body":       {edit(func(b []byte) []byte { b[30]++; return b }), ErrFingerprint},
	} {
		if _, err := Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestCheckIntegrity_everyByteCounts(t *testing.T) {
	m, _ := Parse(rfcRequest)
	end := m.integrityAt + 4 + integritySize
	for i := range end {
		b := bytes.Clone(rfcRequest)
		b[i] ^= 1
		// Without its fingerprint: that would notice first.
		b = b[:len(b)-8]
		b[3] -= 8
		if m, err := Parse(b); err == nil && m.CheckIntegrity(password) {
			t.Errorf("byte %d changed and integrity is still right", i)
		}
	}
}

func TestParse_ignoresWhatFollowsIntegrity(t *testing.T) {
	b := AppendBindingRequest(nil, id, "a:b", password, RequestOptions{})
	b = b[:len(b)-8] // no fingerprint
	b = append(b, 0x00, 0x25, 0, 0)
	b[3] = byte(len(b) - headerSize)
	m, err := Parse(b)
	if err != nil || m.UseCandidate || !m.CheckIntegrity(password) {
		t.Errorf("an attribute that integrity does not cover was taken: %+v %v", m, err)
	}
}

func TestCheckIntegrity_longPassword(t *testing.T) {
	long := strings.Repeat("k", 65)
	b := AppendBindingRequest(nil, id, "a:b", long, RequestOptions{})
	m := pion.New()
	if err := pion.Decode(b, m); err != nil {
		t.Fatal(err)
	}
	if err := pion.NewShortTermIntegrity(long).Check(m); err != nil {
		t.Error(err)
	}
}

func TestAllocations(t *testing.T) {
	dst := make([]byte, 0, 256)
	from := netip.MustParseAddrPort("192.0.2.1:5000")
	if n := testing.AllocsPerRun(100, func() {
		m, err := Parse(rfcRequest)
		if err != nil || !m.CheckIntegrity(password) {
			t.Fatal("refused")
		}
		dst = AppendBindingSuccess(dst[:0], m.TransactionID, from, password)
		dst = AppendBindingError(dst[:0], m.TransactionID, 400, "Bad Request", "")
	}); n != 0 {
		t.Errorf("got %v allocations for a check, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{rfcRequest, rfcResponse4, rfcResponse6, request(f, useCandidate{}), {}, make([]byte, 20),
		AppendBindingError(nil, id, 420, "Unknown", password, 1, 2), rfcRequest[:40]} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil && !errors.Is(err, ErrUnknownAttribute) {
			return
		}
		ok := m.CheckIntegrity(password)
		p := pion.New()
		if err := pion.Decode(b, p); err != nil {
			t.Fatalf("accepted what pion refuses: %v", err)
		}
		if m.HasFingerprint && pion.Fingerprint.Check(p) != nil {
			t.Fatal("fingerprint differs from pion's")
		}
		if ok && pion.NewShortTermIntegrity(password).Check(p) != nil {
			t.Fatal("integrity differs from pion's")
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(rfcRequest)
		if err != nil || !m.CheckIntegrity(password) {
			b.Fatal("refused")
		}
	}
}
