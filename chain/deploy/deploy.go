package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/chain/client"
)

// Gas that a step may use where it is not estimated: the parts of what making a
// contract costs, and a call.
const (
	constructorGas = 1_500_000
	byteGas        = 260 // stored, sent and hashed
	callGas        = 600_000
	mostGas        = 1 << 24
)

// Config says where a deployment is recorded and how it is sent.
type Config struct {
	// Addresses is the file of the record, Journal that of the deployer's sender.
	Addresses, Journal string
	// Pipelined sends all steps without waiting for each other, with gas by rule of
	// thumb: for a chain whose price of gas does not matter.
	Pipelined bool
}

// ErrUsed says that the deployer's account has done something else before.
var ErrUsed = errors.New("deploy: the deployer's account was used for something else: take a fresh key")

// Run deploys what of g is not deployed yet, and returns where everything is.
func Run(ctx context.Context, c *client.Client, w *client.Wallet, g Genesis, config Config, log *slog.Logger) (Addresses, error) {
	if err := g.Validate(); err != nil {
		return Addresses{}, err
	}
	steps := Plan(g, c.ChainID().Uint64(), w.Address())
	a, err := execute(ctx, c, w, steps, g.reporterIDs(), config, log)
	if err != nil {
		return Addresses{}, err
	}
	return a, handedOver(ctx, c, a)
}

// execute does the steps and records them.
func execute(ctx context.Context, c *client.Client, w *client.Wallet, steps []Step, reporters []common.Address, config Config, log *slog.Logger) (_ Addresses, err error) {
	d := &deployment{client: c, wallet: w, steps: steps, reporters: reporters, config: config, log: log}
	if err := d.prepare(ctx); err != nil {
		return Addresses{}, err
	}
	sender, err := client.NewSender(c, w, config.Journal)
	if err != nil {
		return Addresses{}, err
	}
	defer func() { err = errors.Join(err, sender.Close()) }()
	if err := d.send(ctx, sender); err != nil {
		return Addresses{}, err
	}
	if err := d.verify(ctx); err != nil {
		return Addresses{}, err
	}
	return d.record, d.record.save(config.Addresses)
}

// deployment is one run.
type deployment struct {
	client *client.Client
	wallet *client.Wallet
	steps  []Step
	// reporters are those of the steps.
	reporters []common.Address
	config    Config
	log       *slog.Logger

	book    Book
	intents []client.Intent
	record  Addresses
	done    uint64 // steps that are in blocks
}

// prepare makes every transaction and compares with what was recorded.
func (d *deployment) prepare(ctx context.Context) (err error) {
	deployer := d.wallet.Address()
	if d.book, err = book(deployer, d.steps); err != nil {
		return err
	}
	first, err := d.client.BlockAt(ctx, 0)
	if err != nil {
		return err
	}
	d.record = Addresses{
		ChainID: d.client.ChainID().Uint64(), Genesis: first.Hash, Deployer: deployer,
		Reporters: d.reporters, Contracts: make(map[string]Contract),
	}
	for nonce, s := range d.steps {
		intent, err := d.intent(uint64(nonce), s)
		if err != nil {
			return err
		}
		if s.Artefact != "" {
			d.record.Contracts[s.Name] = Contract{Address: d.book[s.Name], InitHash: crypto.Keccak256Hash(intent.Data)}
		}
		d.intents = append(d.intents, intent)
	}
	if err := d.record.compare(d.config.Addresses); err != nil {
		return err
	}
	if d.done, err = d.client.Nonce(ctx, deployer); err != nil {
		return err
	}
	if d.done > 0 { // by this plan, or by something else
		code, err := d.client.Code(ctx, crypto.CreateAddress(deployer, 0))
		if err != nil {
			return err
		}
		if len(code) == 0 || d.done > uint64(len(d.steps)) {
			return fmt.Errorf("%w: %s has sent %d transactions", ErrUsed, deployer, d.done)
		}
	}
	return nil
}

// intent is the transaction of a step.
func (d *deployment) intent(nonce uint64, s Step) (client.Intent, error) {
	i := client.Intent{ID: fmt.Sprintf("deploy %03d: %s", nonce, s.Name), Data: s.Input(d.book), Value: s.Value, Nonce: &nonce}
	if s.Artefact == "" {
		target, ok := d.book[s.Target]
		if !ok {
			return i, fmt.Errorf("deploy: %s calls %s, which no step makes", s.Name, s.Target)
		}
		i.To = &target
	} else {
		a, err := LoadArtefact(s.Artefact)
		if err != nil {
			return i, err
		}
		i.Data = append(bytes.Clone(a.Bytecode), i.Data...)
	}
	if d.config.Pipelined {
		i.Gas = callGas
		if i.To == nil {
			i.Gas = min(mostGas, constructorGas+byteGas*uint64(len(i.Data)))
		}
	}
	return i, nil
}

// send does what is left.
func (d *deployment) send(ctx context.Context, sender *client.Sender) error {
	for nonce, i := range d.intents {
		if uint64(nonce) < d.done {
			continue
		}
		if err := sender.Submit(ctx, i); err != nil {
			return d.failed(nonce, err)
		}
		if !d.config.Pipelined {
			if err := d.await(ctx, sender, nonce); err != nil {
				return err
			}
		}
	}
	for nonce := range d.intents {
		// A step of which the journal knows nothing was done by an earlier run.
		if err := d.await(ctx, sender, nonce); err != nil && !errors.Is(err, client.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (d *deployment) await(ctx context.Context, sender *client.Sender, nonce int) error {
	receipt, err := sender.Wait(ctx, d.intents[nonce].ID)
	if err != nil {
		return d.failed(nonce, err)
	}
	if nonce == 0 {
		d.record.Block = receipt.BlockNumber.Uint64()
	}
	d.log.Debug("step is done", "step", d.steps[nonce].Name, "block", receipt.BlockNumber.Uint64(), "gas", receipt.GasUsed)
	return nil
}

func (d *deployment) failed(nonce int, err error) error {
	return fmt.Errorf("deploy: step %d of %d, %s: %w", nonce, len(d.steps), d.steps[nonce].Name, err)
}

// verify looks at the code of every contract and compares with what was recorded.
func (d *deployment) verify(ctx context.Context) error {
	for name, contract := range d.record.Contracts {
		code, err := d.client.Code(ctx, contract.Address)
		if err != nil {
			return err
		}
		if len(code) == 0 {
			return fmt.Errorf("deploy: there is no code at %s, where %s should be: making it failed; take a fresh key", contract.Address, name)
		}
		contract.CodeHash = crypto.Keccak256Hash(code)
		d.record.Contracts[name] = contract
	}
	if d.record.Block == 0 { // an earlier run did the first step
		if before, err := LoadAddresses(d.config.Addresses); err == nil {
			d.record.Block = before.Block
		}
	}
	return d.record.compare(d.config.Addresses)
}

// handedOver fails when the deployer still has rights, or the timelock none.
func handedOver(ctx context.Context, c *client.Client, a Addresses) error {
	access := bindings.NewAccessManager()
	for who, want := range map[common.Address]bool{a.Deployer: false, a.Of("TimelockController"): true} {
		has, err := client.Read(ctx, c, a.Of("AccessManager"), access.PackHasRole(administrator, who), client.Newest, access.UnpackHasRole)
		if err != nil {
			return err
		}
		if has.IsMember != want {
			return fmt.Errorf("deploy: %s administers the contracts: %t, want %t", who, has.IsMember, want)
		}
	}
	return nil
}
