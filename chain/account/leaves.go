package account

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/epoch"
)

// ErrAllPaid says that published epochs have nothing more to pay to a node.
var ErrAllPaid = errors.New("account: leaves: there is none that is not paid yet")

// claimable makes of published epochs what Rewards wants for a node: leaves in
// order from the first that is not paid, each with its proof.
func (a *Account) claimable(ctx context.Context, node drtc.NodeID, epochs []EpochData) ([]bindings.Leaf, [][][32]byte, error) {
	rewards, resource := bindings.NewRewards(), bindings.NewProofOfResource()
	paid, err := read(ctx, a.Ledger, "Rewards", rewards.PackLastRewardedBatch(common.Address(node)), rewards.UnpackLastRewardedBatch)
	if err != nil {
		return nil, nil, err
	}
	type proven struct {
		leaf  epoch.Leaf
		proof [][32]byte
	}
	var own []proven
	for _, e := range epochs {
		at := slices.IndexFunc(e.Leaves, func(leaf epoch.Leaf) bool { return leaf.Node == node })
		if at < 0 || paid != epoch.None && e.Leaves[at].Epoch <= paid {
			continue
		}
		tree := epoch.NewTree(hashesOf(e.Leaves))
		n := e.Leaves[at].Epoch
		record, err := read(ctx, a.Ledger, "ProofOfResource", resource.PackEpochs(n), resource.UnpackEpochs)
		if err != nil {
			return nil, nil, err
		}
		if record.Root != tree.Root() {
			return nil, nil, fmt.Errorf("account: leaves of epoch %d: their root is 0x%x, the chain has 0x%x: take the published set of that epoch", n, tree.Root(), record.Root)
		}
		own = append(own, proven{e.Leaves[at], tree.Proof(at)})
	}
	if len(own) == 0 {
		return nil, nil, fmt.Errorf("%w: of node %s", ErrAllPaid, node)
	}
	slices.SortFunc(own, func(x, y proven) int {
		if x.leaf.Epoch < y.leaf.Epoch {
			return -1
		}
		return 1
	})
	if own[0].leaf.Previous != paid {
		return nil, nil, fmt.Errorf("account: leaves: the last epoch paid to node %s is %s, so the next is that whose leaf says so; the first here, of epoch %d, follows on %s: give those between too",
			node, epochText(paid), own[0].leaf.Epoch, epochText(own[0].leaf.Previous))
	}
	var leaves []bindings.Leaf
	var proofs [][][32]byte
	for _, o := range own {
		leaves, proofs = append(leaves, leafOf(o.leaf)), append(proofs, o.proof)
	}
	return leaves, proofs, nil
}

func hashesOf(leaves []epoch.Leaf) [][32]byte {
	hashes := make([][32]byte, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = leaf.Hash()
	}
	return hashes
}

func epochText(n uint64) string {
	if n == epoch.None {
		return "none"
	}
	return fmt.Sprint(n)
}

// leafOf is a leaf as the contracts take it.
func leafOf(l epoch.Leaf) bindings.Leaf {
	return bindings.Leaf{
		Version: epoch.LeafVersion, Node: common.Address(l.Node), Epoch: l.Epoch, PreviousEpoch: l.Previous,
		Availability: uint64(l.Scores.Availability), History: uint64(l.Scores.History), Location: uint64(l.Scores.Location),
		Coverage: uint64(l.Scores.Coverage), Quality: uint64(l.Scores.Quality),
		ClientBytes: l.ClientBytes.Big(), RelayBytes: l.RelayBytes.Big(), ProvenMbps: l.ProvenMbps,
	}
}
