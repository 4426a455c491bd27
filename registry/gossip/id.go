package gossip

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	cryptopb "github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// IDOf is the EVM address of the key that is in a peer id. Peer ids of other
// kinds of key have none.
func IDOf(p peer.ID) (drtc.NodeID, bool) {
	pub, err := p.ExtractPublicKey()
	if err != nil || pub.Type() != cryptopb.KeyType_Secp256k1 {
		return drtc.NodeID{}, false
	}
	raw, err := pub.Raw()
	if err != nil {
		return drtc.NodeID{}, false
	}
	key, err := identity.PublicKeyFromBytes(raw)
	if err != nil {
		return drtc.NodeID{}, false
	}
	return key.ID(), true
}

// PeerID is the peer id of whoever holds the private half of k.
func PeerID(k identity.PublicKey) (peer.ID, error) {
	pub, err := crypto.UnmarshalSecp256k1PublicKey(k.Bytes())
	if err != nil {
		return "", fmt.Errorf("gossip: public key: %w", err)
	}
	p, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("gossip: public key: %w", err)
	}
	return p, nil
}

// secretKey is the key as libp2p wants it. No error repeats any part of it.
func secretKey(k *identity.Key) (crypto.PrivKey, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(k.Hex(), "0x"))
	if err != nil {
		return nil, fmt.Errorf("gossip: the key of %s cannot be used", k.ID())
	}
	secret, err := crypto.UnmarshalSecp256k1PrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("gossip: the key of %s cannot be used", k.ID())
	}
	return secret, nil
}
