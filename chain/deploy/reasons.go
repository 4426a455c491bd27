package deploy

import "github.com/drtc-network/drtc/chain/client"

// Reasons explains every refusal of the contracts.
func Reasons() (*client.Reasons, error) {
	abis, err := ABIs()
	if err != nil {
		return nil, err
	}
	return client.NewReasons(abis, client.Hints()), nil
}
