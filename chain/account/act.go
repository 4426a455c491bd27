package account

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/identity"
)

// Done is a transaction that had effect.
type Done struct {
	Transaction common.Hash `json:"transaction"`
	Block       uint64      `json:"block"`
	GasUsed     uint64      `json:"gas_used"`
	// Resumed says that an earlier process had sent it, was stopped, and asked for
	// the same: nothing was sent now.
	Resumed bool `json:"resumed,omitempty"`
}

func doneBy(r *types.Receipt) Done {
	return Done{Transaction: r.TxHash, Block: r.BlockNumber.Uint64(), GasUsed: r.GasUsed}
}

// Spending is what an act is about to spend.
type Spending struct {
	// What is done, and what it takes from the account: "buy 2 keys of EU" and "200 HUDL".
	What, Pays string
	// Gas is the most that the transaction may use, GasWei what that costs at most of
	// the chain's own coin.
	Gas    uint64
	GasWei Amount
}

// Finished is something that an earlier process began and this one saw settled.
type Finished struct {
	// What names the kind of act: "buy-keys".
	What string `json:"what"`
	Done
}

// Finished is what Unlock found under way, in the order of its blocks.
func (a *Account) Finished() []Finished { return a.finished }

// act is something to be done once.
type act struct {
	// verb is its kind, and with what somebody asked for in particular. Prices and
	// times of the moment are no part of it: the same wish a minute later has the
	// same name.
	verb string
	with []any
	// ready makes the transaction, after what has to be true or done before it. It
	// is not called when the act was done by an earlier process.
	ready func() (call, error)
}

// call is an act's transaction.
type call struct {
	contract string
	input    []byte
	// what and pays are those of Spending; without pays nobody is told.
	what, pays string
	// to gets value of the chain's own coin, without a contract.
	to    *common.Address
	value *big.Int
}

// name of an act, to be followed by a space and what makes the intent's id unique.
func (act act) name() string {
	hash := identity.Keccak256([]byte(fmt.Sprint(act.with)))
	return fmt.Sprintf("%s %x", act.verb, hash[:8])
}

// fresh is an id that no other intent of the journal has.
func (a *Account) fresh(name string) string {
	return name + " " + strconv.FormatInt(a.now().UnixNano(), 36)
}

// resume waits for what an earlier process left under way, and remembers what came
// of it: whoever asks for the same again meant that.
func (a *Account) resume(ctx context.Context) error {
	var all error
	for _, id := range a.sender.Pending() {
		receipt, err := a.sender.Wait(ctx, id)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: %w", id, err))
			continue
		}
		name, _, _ := cutLast(id, " ")
		a.resumed[name] = receipt
		verb, _, _ := strings.Cut(name, " ")
		a.finished = append(a.finished, Finished{verb, doneBy(receipt)})
	}
	slices.SortFunc(a.finished, func(x, y Finished) int { return int(x.Block) - int(y.Block) })
	return all
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// do does an act and waits until its transaction is settled.
func (a *Account) do(ctx context.Context, act act) (Done, *types.Receipt, error) {
	if receipt, ok := a.resumed[act.name()]; ok {
		delete(a.resumed, act.name())
		done := doneBy(receipt)
		done.Resumed = true
		return done, receipt, nil
	}
	c, err := act.ready()
	if err != nil {
		return Done{}, nil, err
	}
	if c.to == nil {
		contract := a.addresses.Of(c.contract)
		c.to = &contract
	}
	receipt, err := a.send(ctx, client.Intent{ID: a.fresh(act.name()), To: c.to, Data: c.input, Value: c.value}, c)
	if err != nil {
		return Done{}, receipt, err
	}
	return doneBy(receipt), receipt, nil
}

// send sends an intent that the account can pay the gas of: another would lie in the
// journal, in the way of all that come after.
func (a *Account) send(ctx context.Context, i client.Intent, c call) (*types.Receipt, error) {
	gas, most, err := a.sender.Cost(ctx, i)
	if err != nil {
		return nil, err
	}
	i.Gas = gas
	has, err := a.client.Balance(ctx, common.Address(a.id))
	if err != nil {
		return nil, err
	}
	needs := new(big.Int).Set(most)
	if i.Value != nil {
		needs.Add(needs, i.Value)
	}
	if has.Cmp(needs) < 0 {
		return nil, fmt.Errorf("%w: it needs up to %s of the chain's coin, %s has %s: give it some", ErrTooLittle, HUDL(needs), a.id, HUDL(has))
	}
	if c.pays != "" && a.tell != nil {
		a.tell(Spending{c.what, c.pays, gas, Amount{most}})
	}
	return a.sender.Send(ctx, i)
}

// simply is an act whose transaction needs nothing before it.
func simply(verb, contract string, input []byte, with ...any) act {
	return act{verb, with, func() (call, error) { return call{contract: contract, input: input}, nil }}
}
