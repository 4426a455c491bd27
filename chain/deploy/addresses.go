package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Addresses is the record of a deployment, as addresses.json holds it.
type Addresses struct {
	ChainID uint64 `json:"chain_id"`
	// Genesis is the hash of the chain's first block: ids are not unique.
	Genesis  common.Hash    `json:"genesis"`
	Deployer common.Address `json:"deployer"`
	// Block is the first with a contract: events begin there.
	Block uint64 `json:"block"`
	// Reporters are the Registries that reported from the beginning.
	Reporters []common.Address    `json:"reporters,omitempty"`
	Contracts map[string]Contract `json:"contracts"`
}

// Contract is one that was deployed.
type Contract struct {
	Address common.Address `json:"address"`
	// CodeHash is keccak256 of its code on the chain, InitHash of what made it.
	CodeHash common.Hash `json:"code_hash"`
	InitHash common.Hash `json:"init_hash"`
}

// Of is the address of a contract; the zero address when there is none.
func (a Addresses) Of(name string) common.Address { return a.Contracts[name].Address }

// LoadAddresses reads addresses.json. The error wraps fs.ErrNotExist when nothing
// was deployed.
func LoadAddresses(path string) (Addresses, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Addresses{}, fmt.Errorf("deploy: addresses: %w", err)
	}
	var a Addresses
	if err := json.Unmarshal(text, &a); err != nil {
		return Addresses{}, fmt.Errorf("deploy: %s is damaged: %w", path, err)
	}
	return a, nil
}

// save writes the file in one step.
func (a Addresses) save(path string) error {
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("deploy: addresses: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("deploy: addresses: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Chmod(0o644) // everybody may know
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("deploy: addresses: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// ErrChanged says that what was deployed is not what would be deployed now.
var ErrChanged = errors.New("deploy: the deployment is another one")

// compare fails when the record at path is of another chain, deployer or code.
func (a Addresses) compare(path string) error {
	before, err := LoadAddresses(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case before.ChainID != a.ChainID || before.Genesis != a.Genesis:
		return fmt.Errorf("%w: %s is of chain %d with genesis %s, this is chain %d with %s; move the file away", ErrChanged,
			path, before.ChainID, before.Genesis, a.ChainID, a.Genesis)
	case before.Deployer != a.Deployer:
		return fmt.Errorf("%w: %s is of deployer %s, this one is %s", ErrChanged, path, before.Deployer, a.Deployer)
	}
	if before.Reporters != nil && !slices.Equal(before.Reporters, a.Reporters) {
		return fmt.Errorf("%w: its reporters are %v, not %v; who reports is changed by a vote, not by deploying", ErrChanged, before.Reporters, a.Reporters)
	}
	for name, old := range before.Contracts {
		now, ok := a.Contracts[name]
		if !ok || now.Address != old.Address || now.InitHash != old.InitHash {
			return fmt.Errorf("%w: %s was made of other code or other values; what stands is changed by a vote, not by deploying", ErrChanged, name)
		}
		if now.CodeHash != (common.Hash{}) && now.CodeHash != old.CodeHash {
			return fmt.Errorf("%w: the code at %s, %s, has changed", ErrChanged, old.Address, name)
		}
	}
	return nil
}
