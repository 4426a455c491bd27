package signal

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// maxJoinRequest is the longest join request in bytes, unpacked.
const maxJoinRequest = 1 << 20

// errJoinRequest: the join_request parameter can't be read.
var errJoinRequest = errors.New("join_request is malformed")

// decodeJoinRequest reads the join_request parameter: base64 in either alphabet,
// with or without padding, of a WrappedJoinRequest that may be compressed.
func decodeJoinRequest(text string) (*livekit.JoinRequest, error) {
	// A + that was not escaped arrives as a space.
	text = strings.NewReplacer("+", "-", "/", "_", " ", "-").Replace(strings.TrimRight(text, "="))
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64", errJoinRequest)
	}
	wrapped := &livekit.WrappedJoinRequest{}
	if err := proto.Unmarshal(raw, wrapped); err != nil {
		return nil, fmt.Errorf("%w: not a WrappedJoinRequest", errJoinRequest)
	}
	body := wrapped.GetJoinRequest()
	switch wrapped.GetCompression() {
	case livekit.WrappedJoinRequest_NONE:
	case livekit.WrappedJoinRequest_GZIP:
		if body, err = gunzip(body); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: unknown compression %d", errJoinRequest, wrapped.GetCompression())
	}
	if len(body) > maxJoinRequest {
		return nil, fmt.Errorf("%w: longer than %d bytes", errJoinRequest, maxJoinRequest)
	}
	request := &livekit.JoinRequest{}
	if err := proto.Unmarshal(body, request); err != nil {
		return nil, fmt.Errorf("%w: not a JoinRequest", errJoinRequest)
	}
	return request, nil
}

// gunzip unpacks at most maxJoinRequest bytes.
func gunzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: not gzip", errJoinRequest)
	}
	body, err := io.ReadAll(io.LimitReader(z, maxJoinRequest+1))
	if err != nil {
		return nil, fmt.Errorf("%w: broken gzip", errJoinRequest)
	}
	if len(body) > maxJoinRequest {
		return nil, fmt.Errorf("%w: longer than %d bytes when unpacked", errJoinRequest, maxJoinRequest)
	}
	return body, nil
}
