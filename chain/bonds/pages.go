package bonds

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc/chain/client"
)

// pageSize is how many identities are asked for at once.
const pageSize = 500

// compare reads the contract's pages at the fold's block and fails with
// ErrDisagree where they say something else.
func (r *Reader) compare(ctx context.Context) error {
	reporters, err := asked(ctx, r, [][]byte{r.bonds.PackReporters()}, r.bonds.UnpackReporters)
	if err != nil {
		return err
	}
	if err := r.same("reporter", r.fold.reporters, reporters[0]); err != nil {
		return err
	}
	for k, active := range r.fold.active {
		var pages [][]byte
		// One more than there should be, which is then empty.
		for start := 0; start <= len(active); start += pageSize {
			pages = append(pages, r.bonds.PackActive(uint8(k), big.NewInt(int64(start)), big.NewInt(pageSize)))
		}
		got, err := asked(ctx, r, pages, r.bonds.UnpackActive)
		if err != nil {
			return err
		}
		if err := r.same(Kind(k).String(), active, slices.Concat(got...)); err != nil {
			return err
		}
	}
	if err := r.compareGenerations(ctx); err != nil {
		return err
	}
	return r.unmoved(ctx)
}

// compareGenerations asks about everybody who is bonded or was revoked before.
func (r *Reader) compareGenerations(ctx context.Context) error {
	of := map[generationKey]struct{}{}
	for k, active := range r.fold.active {
		for id := range active {
			of[generationKey{Kind(k), id}] = struct{}{}
		}
	}
	for key := range r.fold.generations {
		of[key] = struct{}{}
	}
	keys := make([]generationKey, 0, len(of))
	inputs := make([][]byte, 0, len(of))
	for key := range of {
		keys = append(keys, key)
		inputs = append(inputs, r.bonds.PackMinGeneration(uint8(key.kind), key.identity))
	}
	got, err := asked(ctx, r, inputs, r.bonds.UnpackMinGeneration)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if want := r.fold.generations[key]; got[i] != want {
			return fmt.Errorf("%w: in block %d %s %s has generation %d by its events and %d by the contract", ErrDisagree,
				r.fold.at.Block, key.kind, key.identity, want, got[i])
		}
	}
	return nil
}

// same compares the events' identities with the contract's.
func (r *Reader) same(what string, events set, contract []common.Address) error {
	seen := make(set, len(contract))
	for _, id := range contract {
		if _, ok := events[id]; !ok {
			return fmt.Errorf("%w: in block %d %s %s is in the contract and in no event: the endpoint leaves events out, give another rpc",
				ErrDisagree, r.fold.at.Block, what, id)
		}
		seen.put(id, true)
	}
	if len(seen) != len(contract) || len(seen) != len(events) {
		return fmt.Errorf("%w: in block %d there are %d of kind %s by events and %d in the contract: the endpoint contradicts itself, give another rpc",
			ErrDisagree, r.fold.at.Block, len(events), what, len(contract))
	}
	return nil
}

// unmoved fails when the block that was asked about is another one by now.
func (r *Reader) unmoved(ctx context.Context) error {
	block, err := r.client.BlockAt(ctx, r.fold.at.Block)
	if err == nil && block.Hash != r.fold.at.Hash {
		err = fmt.Errorf("%w: block %d changed meanwhile", client.ErrReorg, block.Number)
	}
	return err
}

// asked asks the contract at the fold's block, in batches.
func asked[T any](ctx context.Context, r *Reader, inputs [][]byte, unpack func([]byte) (T, error)) ([]T, error) {
	out := make([]T, 0, len(inputs))
	for batch := range slices.Chunk(inputs, client.MaxQuestions) {
		questions := make([]client.Question, len(batch))
		for i, input := range batch {
			questions[i] = client.Question{Contract: r.contract, Input: input}
		}
		answers, err := r.client.CallsAt(ctx, r.fold.at.Block, questions)
		if err != nil {
			return nil, fmt.Errorf("bonds: pages of block %d (an endpoint without states that old needs finality = \"safe\"): %w", r.fold.at.Block, err)
		}
		for _, answer := range answers {
			value, err := unpack(bytes.Clone(answer))
			if err != nil {
				return nil, fmt.Errorf("%w: what the contract returned cannot be read: %w", client.ErrUnavailable, err)
			}
			out = append(out, value)
		}
	}
	return out, nil
}
