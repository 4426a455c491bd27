package deploy

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

//go:embed artefacts/*.json
var artefacts embed.FS

// Artefact is a compiled contract.
type Artefact struct {
	ABI abi.ABI
	// Bytecode makes the contract; arguments of its constructor follow it.
	Bytecode []byte
}

// LoadArtefact reads the compiled contract of that name.
func LoadArtefact(name string) (Artefact, error) {
	text, err := artefacts.ReadFile("artefacts/" + name + ".json")
	if err != nil {
		return Artefact{}, fmt.Errorf("deploy: there is no contract %q: %w", name, err)
	}
	return parseArtefact(name, text)
}

func parseArtefact(name string, text []byte) (Artefact, error) {
	var file struct {
		ABI      abi.ABI       `json:"abi"`
		Bytecode hexutil.Bytes `json:"bytecode"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return Artefact{}, fmt.Errorf("deploy: artefact of %s: %w", name, err)
	}
	if len(file.Bytecode) == 0 {
		return Artefact{}, fmt.Errorf("deploy: artefact of %s has no bytecode", name)
	}
	return Artefact{file.ABI, file.Bytecode}, nil
}

// ABIs are those of all contracts: whose errors and events there may be.
func ABIs() ([]abi.ABI, error) {
	entries, err := artefacts.ReadDir("artefacts")
	if err != nil {
		return nil, fmt.Errorf("deploy: %w", err)
	}
	var all []abi.ABI
	for _, e := range entries {
		a, err := LoadArtefact(strings.TrimSuffix(e.Name(), ".json"))
		if err != nil {
			return nil, err
		}
		all = append(all, a.ABI)
	}
	return all, nil
}
