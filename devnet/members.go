package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity/keyfile"
)

// members is who takes part, known before anybody starts because devnet makes
// the keys.
type members struct {
	registries   []drtc.NodeID
	orchestrator drtc.NodeID
	file         string // of the list, for Registries
}

// bonding is the list as Registries read it.
type bonding struct {
	Serial        uint64        `json:"serial"`
	AnyNode       bool          `json:"any_node"`
	Registries    []drtc.NodeID `json:"registries"`
	Orchestrators []drtc.NodeID `json:"orchestrators"`
}

func registryName(i int) string { return fmt.Sprintf("registry-%d", i+1) }

func nodeName(i int) string { return fmt.Sprintf("medianode-%d", i+1) }

const orchestratorName = "orchestrator"

// members makes the keys of the Registries and the Orchestrator, and writes the
// list of both. Media Nodes may come and go.
func (l *layout) members(registries int) (members, error) {
	m := members{file: filepath.Join(l.dir, "bonding.json")}
	for i := range registries {
		id, err := l.identity(registryName(i))
		if err != nil {
			return members{}, err
		}
		m.registries = append(m.registries, id)
	}
	var err error
	if m.orchestrator, err = l.identity(orchestratorName); err != nil {
		return members{}, err
	}
	return m, m.write()
}

func (l *layout) identity(name string) (drtc.NodeID, error) {
	h, err := l.child(name)
	if err != nil {
		return drtc.NodeID{}, err
	}
	key, err := keyfile.LoadOrCreate(h.key())
	if err != nil {
		return drtc.NodeID{}, fmt.Errorf("devnet: key of %s: %w", name, err)
	}
	return key.ID(), nil
}

// write raises the serial when the list differs from that of the run before:
// nodes that remember it take no other one of the same serial.
func (m members) write() error {
	list := bonding{Serial: 1, AnyNode: true, Registries: m.registries, Orchestrators: []drtc.NodeID{m.orchestrator}}
	text, err := os.ReadFile(m.file)
	switch {
	case err == nil:
		var before bonding
		if err := json.Unmarshal(text, &before); err != nil {
			return fmt.Errorf("devnet: %s is not a list of members; remove it to get a new one", m.file)
		}
		list.Serial = before.Serial
		if !slices.Equal(before.Registries, list.Registries) || !slices.Equal(before.Orchestrators, list.Orchestrators) {
			list.Serial++
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("devnet: members: %w", err)
	}
	if text, err = json.MarshalIndent(list, "", "  "); err == nil {
		err = writeFile(m.file, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("devnet: members: %w", err)
	}
	return nil
}
