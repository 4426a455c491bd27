package bonding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/registry/record"
)

// ErrList is wrapped by errors about the text of a list; they name the field.
var ErrList = errors.New("bonding: list")

// List is one state of who takes part. It is not changed once made.
type List struct {
	Serial uint64
	// AnyNode and AnyOrchestrator admit everybody in that role; the list of the
	// role is then empty.
	AnyNode, AnyOrchestrator bool
	// AnyRegistry is only ever true of AllowAll.
	AnyRegistry bool
	// Nodes, Registries and Orchestrators are ascending, each id once.
	Nodes, Registries, Orchestrators []drtc.NodeID
	// Signers are the Registries whose quorum Media Nodes are to believe, ascending;
	// nil are all.
	Signers []drtc.NodeID
	// MinGeneration has the issuers of which lower generations are revoked.
	MinGeneration map[drtc.NodeID]uint64
}

// document is a List as it is written.
type document struct {
	Serial          uint64            `json:"serial"`
	AnyNode         bool              `json:"any_node"`
	Nodes           []string          `json:"nodes"`
	Registries      []string          `json:"registries"`
	AnyOrchestrator bool              `json:"any_orchestrator"`
	Orchestrators   []string          `json:"orchestrators"`
	MinGeneration   map[string]uint64 `json:"min_generation"`
}

// Parse reads a list. The error wraps ErrList and names the field.
func Parse(text []byte) (*List, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var doc document
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrList, err) // names the field by itself
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the closing brace; write one list", ErrList)
	}
	if doc.Serial == 0 {
		return nil, fmt.Errorf("%w: serial: is missing; start at 1 and raise it with every change", ErrList)
	}
	l := &List{
		Serial: doc.Serial, AnyNode: doc.AnyNode, AnyOrchestrator: doc.AnyOrchestrator,
		MinGeneration: make(map[drtc.NodeID]uint64, len(doc.MinGeneration)),
	}
	var errNodes, errRegistries, errOrchestrators error
	l.Nodes, errNodes = ids("nodes", doc.Nodes, doc.AnyNode)
	l.Registries, errRegistries = ids("registries", doc.Registries, false)
	l.Orchestrators, errOrchestrators = ids("orchestrators", doc.Orchestrators, doc.AnyOrchestrator)
	if err := errors.Join(errNodes, errRegistries, errOrchestrators); err != nil {
		return nil, err
	}
	for text, generation := range doc.MinGeneration {
		id, err := parseID(fmt.Sprintf("min_generation[%q]", text), text)
		if err != nil {
			return nil, err
		}
		l.MinGeneration[id] = max(generation, l.MinGeneration[id])
	}
	return l, nil
}

// ids reads one role's list, of which nothing may be written when any is set.
func ids(field string, texts []string, anybody bool) ([]drtc.NodeID, error) {
	if anybody && len(texts) > 0 {
		return nil, fmt.Errorf("%w: %s: must be empty when everybody in that role is admitted; drop one of the two", ErrList, field)
	}
	all := make([]drtc.NodeID, 0, len(texts))
	for i, text := range texts {
		id, err := parseID(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	slices.SortFunc(all, compareIDs)
	return slices.Compact(all), nil
}

func parseID(field, text string) (drtc.NodeID, error) {
	id, err := drtc.ParseNodeID(text)
	if err != nil {
		return id, fmt.Errorf("%w: %s: %w", ErrList, field, err)
	}
	if id.IsZero() {
		return id, fmt.Errorf("%w: %s: the zero address names nobody", ErrList, field)
	}
	return id, nil
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

func (l *List) bonded(role record.Role, id drtc.NodeID) bool {
	var among []drtc.NodeID
	switch role {
	case record.RoleNode:
		if l.AnyNode {
			return true
		}
		among = l.Nodes
	case record.RoleRegistry:
		if l.AnyRegistry {
			return true
		}
		among = l.Registries
	case record.RoleOrchestrator:
		if l.AnyOrchestrator {
			return true
		}
		among = l.Orchestrators
	}
	_, found := slices.BinarySearchFunc(among, id, compareIDs)
	return found
}

func (l *List) equal(o *List) bool {
	return l.Serial == o.Serial && l.AnyNode == o.AnyNode && l.AnyOrchestrator == o.AnyOrchestrator &&
		slices.Equal(l.Nodes, o.Nodes) && slices.Equal(l.Registries, o.Registries) &&
		slices.Equal(l.Orchestrators, o.Orchestrators) && slices.Equal(l.Signers, o.Signers) && maps.Equal(l.MinGeneration, o.MinGeneration)
}
