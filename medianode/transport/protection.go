package transport

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	// rtpWindow is the replay window, packets. Wide enough for reordering and
	// for a retransmission on the same SSRC at 3 Mbit/s and 3 s.
	rtpWindow = 1024
	// rtcpWindow is the same for SRTCP.
	rtcpWindow = 128
	// maxStreams bounds the SSRCs that a peer may use in one direction: each
	// has a replay window.
	maxStreams = 2048
	// maxRelayStreams is the same for a relay peer. The engine uses no more.
	maxRelayStreams = 1 << 16
)

// errStreams is returned for a new SSRC past the most that a peer may use.
var errStreams = errors.New("transport: too many ssrcs")

// protection is the engine.Protection of a DTLS-SRTP peer (RFC 5764).
type protection struct {
	gcm          gcmSealer // seals media where the profile is GCM
	seal, open   *srtp.Context
	indexFromEnd int // where the SRTCP index begins
	streams      int // that it may use in one direction
	rtpStreams   int
	rtcpStreams  int
	header       rtp.Header  // scratch
	rtcpHeader   rtcp.Header // scratch
}

// newProtection derives the keys of a finished handshake.
func newProtection(profile dtls.SRTPProtectionProfile, exporter srtp.KeyingMaterialExporter, active bool, streams int) (*protection, error) {
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(exporter, active); err != nil {
		return nil, fmt.Errorf("transport: exporting the srtp keys: %w", err)
	}
	return protectionFrom(cfg, streams)
}

// protectionFrom makes one that opens so many SSRCs at most.
func protectionFrom(cfg srtp.Config, streams int) (*protection, error) {
	p := &protection{streams: streams}
	switch cfg.Profile {
	case srtp.ProtectionProfileAeadAes128Gcm:
		p.indexFromEnd = 4
	case srtp.ProtectionProfileAes128CmHmacSha1_80:
		p.indexFromEnd = 4 + 10
	default:
		return nil, fmt.Errorf("transport: srtp profile %v: want AEAD_AES_128_GCM or AES128_CM_HMAC_SHA1_80", cfg.Profile)
	}
	var err error
	if p.seal, err = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile); err != nil {
		return nil, fmt.Errorf("transport: making the srtp sender: %w", err)
	}
	if cfg.Profile == srtp.ProtectionProfileAeadAes128Gcm {
		if err = p.gcm.init(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt); err != nil {
			return nil, err
		}
	}
	if p.open, err = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile,
		srtp.SRTPReplayProtection(rtpWindow), srtp.SRTCPReplayProtection(rtcpWindow)); err != nil {
		return nil, fmt.Errorf("transport: making the srtp receiver: %w", err)
	}
	return p, nil
}

// OpenRTP implements engine.Protection.
func (p *protection) OpenRTP(dst, b []byte) ([]byte, error) {
	if len(b) < 12 {
		return nil, errShort
	}
	_, known := p.open.ROC(binary.BigEndian.Uint32(b[8:]))
	if !known && p.rtpStreams >= p.streams {
		return nil, errStreams
	}
	plain, err := p.open.DecryptRTP(dst, b, &p.header)
	if err == nil && !known {
		p.rtpStreams++
	}
	return plain, err
}

// OpenRTCP implements engine.Protection.
func (p *protection) OpenRTCP(dst, b []byte) ([]byte, uint32, error) {
	if len(b) < 8+p.indexFromEnd {
		return nil, 0, errShort
	}
	_, known := p.open.Index(binary.BigEndian.Uint32(b[4:]))
	if !known && p.rtcpStreams >= p.streams {
		return nil, 0, errStreams
	}
	plain, err := p.open.DecryptRTCP(dst, b, &p.rtcpHeader)
	if err != nil {
		return nil, 0, err
	}
	if !known {
		p.rtcpStreams++
	}
	return plain, binary.BigEndian.Uint32(b[len(b)-p.indexFromEnd:]) &^ (1 << 31), nil
}

// SealRTP implements engine.Protection.
func (p *protection) SealRTP(packet []byte, header int, index uint64) ([]byte, error) {
	if header < 12 || len(packet) < header || index >= 1<<48 {
		return nil, errShort
	}
	if p.gcm.cipher != nil {
		return p.gcm.seal(packet, header, index), nil
	}
	return p.seal.EncryptRTP(packet[:0], packet, &p.header)
}

// Warm implements engine.Protection.
func (p *protection) Warm() uint64 { return uint64(p.gcm.salt[0]) }

// SealRTCP implements engine.Protection.
func (p *protection) SealRTCP(dst, plain []byte) ([]byte, error) {
	return p.seal.EncryptRTCP(dst, plain, &p.rtcpHeader)
}

// errShort is returned for a packet that can't hold its own header and tag.
var errShort = errors.New("transport: packet too short")
