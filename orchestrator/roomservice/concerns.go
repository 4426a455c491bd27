package roomservice

import (
	"mime"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// concerns returns the name of the room that a request is about: what its field
// room holds, or name when a room is made. It is empty for a request about no
// single room, and for one that can't be read, which its method will refuse.
func concerns(method, contentType string, body []byte) string {
	service := livekit.File_livekit_room_proto.Services().ByName("RoomService")
	m := service.Methods().ByName(protoreflect.Name(method))
	if m == nil {
		return ""
	}
	field := m.Input().Fields().ByName("room")
	if field == nil {
		field = m.Input().Fields().ByName("name")
	}
	if field == nil || field.Kind() != protoreflect.StringKind {
		return ""
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	request := dynamicpb.NewMessage(m.Input())
	switch kind {
	case "application/json":
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, request)
	case "application/protobuf":
		err = proto.Unmarshal(body, request)
	default:
		return ""
	}
	if err != nil {
		return ""
	}
	return request.Get(field).String()
}
