package wire

import (
	"fmt"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// maxPacket is the longest data packet that nodes deliver, in bytes.
const maxPacket = 64 << 10

// UserPacket makes the data packet that a server asks to send. It names no sender.
func UserPacket(q *livekit.SendDataRequest) ([]byte, error) {
	packet, err := proto.Marshal(&livekit.DataPacket{
		Kind:                  q.GetKind(), //nolint:staticcheck // older clients
		DestinationIdentities: q.GetDestinationIdentities(),
		Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			Payload: q.GetData(), Topic: q.Topic, Nonce: q.GetNonce(), //nolint:protogetter // nil is not empty
			DestinationSids:       q.GetDestinationSids(),       //nolint:staticcheck // older clients
			DestinationIdentities: q.GetDestinationIdentities(), //nolint:staticcheck // older clients
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("wire: writing a data packet: %w", err)
	}
	if len(packet) > maxPacket {
		return nil, fmt.Errorf("want a packet of at most %d bytes with its destinations, got %d", maxPacket, len(packet))
	}
	return packet, nil
}
