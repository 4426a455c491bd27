package discovery

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

// Node is a Media Node as it describes itself. The comments of NodeBody in
// proto/drtc/registry/v1 are the reference. Its lists are shared and read only.
type Node struct {
	ID        drtc.NodeID
	PublicKey identity.PublicKey
	// URL is the base of the control service; its certificate has the SHA-256
	// TLSFingerprint, which is zero for http.
	URL            string
	TLSFingerprint [sha256.Size]byte
	DiscoveryURL   string
	MetricsURL     string
	IP             string
	MediaAddresses []string // UDP, "ip:port"

	Region    drtc.Region
	Place     *drtc.Place // nil: not declared
	PlaceName string

	Version      string
	CapacityMbps uint32
	LoadMbps     uint32
	Cores        uint32
	MaxSessions  uint32
	Sessions     uint32
	Features     []string
	Owner        drtc.NodeID // zero: not declared
	Draining     bool

	Record              envelope.Version
	IssuedAt, ExpiresAt time.Time
	// VouchedBy are the Registries that list the node, in the order of
	// Config.Registries, then learned ones.
	VouchedBy []string

	hash [32]byte // of the record
}

// errBody is wrapped by the errors of parseNode.
var errBody = errors.New("discovery: body")

// parseNode reads the body of a record that was verified.
func parseNode(e *envelope.Envelope) (Node, error) {
	var b registryv1.NodeBody
	if err := proto.Unmarshal(e.Body, &b); err != nil {
		return Node{}, fmt.Errorf("%w: not a NodeBody: %w", errBody, err)
	}
	n := Node{
		ID: e.Issuer, URL: b.GetUrl(), DiscoveryURL: b.GetDiscoveryUrl(), MetricsURL: b.GetMetricsUrl(),
		IP: b.GetIp(), MediaAddresses: b.GetMediaAddresses(), PlaceName: b.GetPlaceName(),
		Version: b.GetVersion(), CapacityMbps: b.GetCapacityMbps(), LoadMbps: b.GetLoadMbps(),
		Cores: b.GetCores(), MaxSessions: b.GetMaxSessions(), Sessions: b.GetSessions(),
		Features: b.GetFeatures(), Draining: b.GetDraining(),
		Record: e.Version(), IssuedAt: e.IssuedAt, ExpiresAt: e.ExpiresAt(),
	}
	if id, err := drtc.ParseNodeID(b.GetNodeId()); err != nil || id != e.Issuer {
		return Node{}, fmt.Errorf("%w: node_id: want the issuer %s, got %.50q", errBody, e.Issuer, b.GetNodeId())
	}
	var err error
	if n.PublicKey, err = identity.ParsePublicKey(b.GetPubKey()); err != nil || n.PublicKey.ID() != e.Issuer {
		return Node{}, fmt.Errorf("%w: pub_key: is not the issuer's", errBody)
	}
	u, err := url.Parse(n.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Node{}, fmt.Errorf("%w: url: want http or https and a host, got %.60q", errBody, n.URL)
	}
	if copy(n.TLSFingerprint[:], b.GetTlsFingerprint()) != sha256.Size && u.Scheme == "https" || len(b.GetTlsFingerprint()) > sha256.Size {
		return Node{}, fmt.Errorf("%w: tls_fingerprint: want %d bytes, got %d", errBody, sha256.Size, len(b.GetTlsFingerprint()))
	}
	for field, text := range map[string]string{"place_name": n.PlaceName, "version": n.Version} {
		if strings.ContainsFunc(text, unicode.IsControl) { // they end up in logs and on pages
			return Node{}, fmt.Errorf("%w: %s: has control characters", errBody, field)
		}
	}
	if b.GetGeolocation() != "" {
		place, err := drtc.ParsePlace(b.GetGeolocation())
		if err != nil {
			return Node{}, fmt.Errorf("%w: geolocation: %w", errBody, err)
		}
		n.Place = &place
	}
	if b.GetRegion() != "" {
		if n.Region, err = drtc.ParseRegion(b.GetRegion()); err != nil {
			return Node{}, fmt.Errorf("%w: region: %w", errBody, err)
		}
	}
	if b.GetOwner() != "" {
		if n.Owner, err = drtc.ParseNodeID(b.GetOwner()); err != nil {
			return Node{}, fmt.Errorf("%w: owner: %w", errBody, err)
		}
	}
	return n, nil
}
