package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
)

// Bounds of what a Registry may answer.
const (
	pageLimit = 500     // nodes asked for at once
	maxIDs    = 100     // records asked for at once
	maxAnswer = 4 << 20 // bytes of one page
)

// errAnswer is wrapped by errors about what a Registry said.
var errAnswer = errors.New("discovery: answer")

// client asks one Registry. It belongs to one goroutine.
type client struct {
	http   *http.Client
	base   string
	label  string // in metrics
	stream registryv1connect.RegistryServiceClient
	pages  map[string]page // by URL, to be had again by ETag
}

type page struct {
	etag  string
	nodes []listed
	next  string // cursor
}

type rawRecord struct {
	NodeID drtc.NodeID `json:"nodeId"`
	Record []byte      `json:"record"`
}

func newClient(h *http.Client, base string) *client {
	return &client{http: h, base: base, label: base, pages: map[string]page{}}
}

// list gets all pages of /listMediaNodes.
func (c *client) list(ctx context.Context, limit int) ([]listed, error) {
	var all []listed
	pages := map[string]page{}
	for cursor := ""; ; {
		at := fmt.Sprintf("%s/listMediaNodes?limit=%d&cursor=%s", c.base, pageLimit, url.QueryEscape(cursor))
		if _, seen := pages[at]; seen {
			return nil, fmt.Errorf("%w: pages go in a circle", errAnswer)
		}
		p, err := c.page(ctx, at)
		if err != nil {
			return nil, err
		}
		pages[at] = p
		all = append(all, p.nodes...)
		if p.next == "" {
			c.pages = pages
			return all, nil
		}
		if len(p.nodes) == 0 || len(all) > limit {
			return nil, fmt.Errorf("%w: more than %d nodes, or pages without any", errAnswer, limit)
		}
		cursor = p.next
	}
}

func (c *client) page(ctx context.Context, at string) (page, error) {
	var body struct {
		Nodes []struct {
			NodeID     drtc.NodeID `json:"nodeId"`
			Generation uint64      `json:"generation,string"`
			Seq        uint64      `json:"seq,string"`
		} `json:"nodes"`
		Cursor string `json:"cursor"`
	}
	before := c.pages[at]
	etag, err := c.get(ctx, at, before.etag, &body)
	if errors.Is(err, errUnchanged) {
		return before, nil
	}
	if err != nil {
		return page{}, err
	}
	p := page{etag: etag, next: body.Cursor, nodes: make([]listed, len(body.Nodes))}
	for i, n := range body.Nodes {
		p.nodes[i] = listed{n.NodeID, envelope.Version{Generation: n.Generation, Seq: n.Seq}}
	}
	return p, nil
}

// records gets up to maxIDs records of a kind; empty is that of nodes.
func (c *client) records(ctx context.Context, kind string, ids []drtc.NodeID) ([]rawRecord, error) {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = id.String()
	}
	at := c.base + "/records?ids=" + strings.Join(text, ",")
	if kind != "" {
		at += "&kind=" + kind
	}
	var body struct {
		Records []rawRecord `json:"records"`
	}
	if _, err := c.get(ctx, at, "", &body); err != nil {
		return nil, err
	}
	if len(body.Records) > len(ids) {
		return nil, fmt.Errorf("%w: %d records for %d ids", errAnswer, len(body.Records), len(ids))
	}
	return body.Records, nil
}

// errUnchanged: the page with the given ETag is still good.
var errUnchanged = errors.New("discovery: unchanged")

func (c *client) get(ctx context.Context, at, etag string, into any) (newTag string, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	if etag != "" {
		q.Header.Set("If-None-Match", etag)
	}
	a, err := c.http.Do(q)
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	defer a.Body.Close()
	if a.StatusCode == http.StatusNotModified && etag != "" {
		return etag, errUnchanged
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("discovery: reading: %w", err)
	case a.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%w: status %d: %s", errAnswer, a.StatusCode, complaint(b))
	case len(b) > maxAnswer:
		return "", fmt.Errorf("%w: more than %d bytes", errAnswer, maxAnswer)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return "", fmt.Errorf("%w: %w", errAnswer, err)
	}
	return a.Header.Get("ETag"), nil
}

// complaint is what a Registry says is wrong with a question.
func complaint(body []byte) string {
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &said) == nil && said.Error.Message != "" {
		return fmt.Sprintf("%.200q", said.Error.Message)
	}
	return fmt.Sprintf("%.200q", body)
}
