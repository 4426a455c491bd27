package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha256" // SHA-256 for crypto.Hash
	_ "crypto/sha512" // SHA-384 and SHA-512 for crypto.Hash
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Fingerprint is the hash of a certificate as SDP carries it (RFC 8122
// section 5). Values may be compared with ==; the zero value matches nothing.
type Fingerprint struct {
	hash crypto.Hash
	sum  string
}

// hashes are the functions that we take, by their SDP names. RFC 8122 wants
// SHA-256; weaker ones are refused.
func hashes() map[string]crypto.Hash {
	return map[string]crypto.Hash{"sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512}
}

// ParseFingerprint reads the value of an SDP fingerprint attribute, such as
// "sha-256 AB:CD:...", in any letter case.
func ParseFingerprint(text string) (Fingerprint, error) {
	name, digits, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		return Fingerprint{}, fmt.Errorf("transport: fingerprint: want a hash name, a space and hex digits")
	}
	hash, ok := hashes()[strings.ToLower(name)]
	if !ok {
		return Fingerprint{}, fmt.Errorf("transport: fingerprint: want sha-256, sha-384 or sha-512, got %.16q", name)
	}
	digits = strings.TrimSpace(digits)
	if len(digits) != 3*hash.Size()-1 {
		return Fingerprint{}, fmt.Errorf("transport: fingerprint: want %d bytes for %s", hash.Size(), name)
	}
	sum := make([]byte, 0, hash.Size())
	for pair := range strings.SplitSeq(digits, ":") {
		b, err := hex.DecodeString(pair)
		if err != nil || len(b) != 1 {
			return Fingerprint{}, fmt.Errorf("transport: fingerprint: want hex pairs with colons between")
		}
		sum = append(sum, b[0])
	}
	return Fingerprint{hash: hash, sum: string(sum)}, nil
}

// String returns the SDP form with a lower-case name and upper-case digits.
func (f Fingerprint) String() string {
	for name, hash := range hashes() {
		if hash == f.hash {
			return name + " " + strings.ReplaceAll(fmt.Sprintf("% X", f.sum), " ", ":")
		}
	}
	return ""
}

// matches reports whether certificate (DER) is the one that was promised.
func (f Fingerprint) matches(certificate []byte) bool {
	if f.hash == 0 {
		return false
	}
	h := f.hash.New()
	h.Write(certificate)
	return subtle.ConstantTimeCompare(h.Sum(nil), []byte(f.sum)) == 1
}

// fingerprintOf hashes certificate (DER) with SHA-256.
func fingerprintOf(certificate []byte) Fingerprint {
	h := crypto.SHA256.New()
	h.Write(certificate)
	return Fingerprint{hash: crypto.SHA256, sum: string(h.Sum(nil))}
}

// newCertificate makes a self-signed ECDSA P-256 certificate: its fingerprint
// is its identity, so names and dates mean nothing.
func newCertificate(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("transport: making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("transport: making a serial number: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "drtc"},
		NotBefore:    now.AddDate(0, 0, -1),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("transport: signing the certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
