package medianode

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/medianode/control"
)

// NewOperator makes the operator of the node with that configuration, which runs.
// url is where its control service is; empty for what the configuration says, on
// this machine if it listens on every address. The error names the setting that
// is wrong.
func NewOperator(cfg Config, url string) (*control.Operator, error) {
	key, err := keyfile.Load(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("medianode: key_file: %w", err)
	}
	if url == "" {
		if url, err = cfg.controlURL(); err != nil {
			return nil, err
		}
	}
	return control.NewOperator(key, url), nil
}

// controlURL is where the control service of a node with this configuration is.
func (c Config) controlURL() (string, error) {
	if c.URL != "" {
		return c.URL, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" {
		return "", errors.New("medianode: listen: it does not tell the port of the control service: name its URL")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "https://" + net.JoinHostPort(host, port), nil
}
