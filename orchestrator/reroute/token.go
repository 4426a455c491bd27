package reroute

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	header = "X-Drtc-Reroute"
	// lifetime is how far the clocks of two members may be apart.
	lifetime = 30 * time.Second
	maxToken = 512 // bytes
)

// Why a header is refused.
var (
	errForm    = errors.New("reroute: malformed header")
	errMAC     = errors.New("reroute: the header's code is wrong")
	errExpired = errors.New("reroute: the header is too old, or a clock is wrong")
	errSelf    = errors.New("reroute: the header is for another member")
)

// sign makes the header of a request to a member:
//
//	to;time in ms;client address or -;MAC
func (h *Handler) sign(to string, client netip.Addr, method string, u *url.URL) string {
	address := "-"
	if client.IsValid() {
		address = client.String()
	}
	text := to + ";" + strconv.FormatInt(h.config.Now().UnixMilli(), 10) + ";" + address
	return text + ";" + base64.RawURLEncoding.EncodeToString(h.mac(text, method, u))
}

// mac covers what the header says and what the request asks for.
func (h *Handler) mac(text, method string, u *url.URL) []byte {
	m := hmac.New(sha256.New, h.config.Secret)
	fmt.Fprintf(m, "drtc reroute 1\n%s\n%s\n%s", text, method, u.RequestURI())
	return m.Sum(nil)
}

// verify returns the client's address as another member saw it; the zero address
// if that one did not know.
func (h *Handler) verify(r *http.Request, values []string) (netip.Addr, error) {
	if len(values) != 1 || len(values[0]) > maxToken {
		return netip.Addr{}, errForm
	}
	text, code, ok := cutLast(values[0])
	fields := strings.Split(text, ";")
	if !ok || len(fields) != 3 {
		return netip.Addr{}, errForm
	}
	got, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil {
		return netip.Addr{}, errForm
	}
	if !hmac.Equal(got, h.mac(text, r.Method, r.URL)) {
		return netip.Addr{}, errMAC
	}
	at, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return netip.Addr{}, errForm
	}
	if fields[0] != h.config.Self {
		return netip.Addr{}, errSelf
	}
	if age := h.config.Now().Sub(time.UnixMilli(at)); age > lifetime || age < -lifetime {
		return netip.Addr{}, errExpired
	}
	if fields[2] == "-" {
		return netip.Addr{}, nil
	}
	client, err := netip.ParseAddr(fields[2])
	if err != nil {
		return netip.Addr{}, errForm
	}
	return client, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ';')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
