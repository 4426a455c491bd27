package transport

import (
	"github.com/pion/srtp/v3"

	"github.com/drtc-network/drtc/medianode/engine"
)

// ProtectionOf is what a peer's core gets after a handshake that gave these keys.
func ProtectionOf(cfg srtp.Config) (engine.Protection, error) { return protectionFrom(cfg, maxStreams) }
