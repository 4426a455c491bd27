package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/examples/economy/ledger"
	"github.com/drtc-network/drtc/identity"
)

// season is what an epoch is like.
type season struct {
	least, most uint64   // GB that a node serves an application
	quality     econ.Wad // of every node at least
	away        string   // a node that did nothing
	poor        string   // a node whose quality is below what is paid for
}

// finished is an epoch as the reporters see it.
type finished struct {
	*epoch.Closed
	open    epoch.Open
	charges []ledger.Charge
	names   map[drtc.NodeID]string // of nodes
}

// leaf of a node, and its place; -1 if it has none.
func (f finished) leaf(node string) (epoch.Leaf, int) {
	i := slices.IndexFunc(f.open.Leaves, func(l epoch.Leaf) bool { return f.names[l.Node] == node })
	if i < 0 {
		return epoch.Leaf{}, i
	}
	return f.open.Leaves[i], i
}

// between is a random number of both or one between.
func (s *story) between(least, most uint64) uint64 { return least + s.random.Uint64N(most-least+1) }

// work makes up what nodes did in an epoch: how good they were, and what they
// served each application, which receipts would prove.
func (s *story) work(number uint64, like season) (leaves []epoch.Leaf, usage []epoch.Usage) {
	for _, name := range nodeNames() {
		if name == like.away {
			continue
		}
		node := s.net.parties[name].key.ID()
		l := epoch.Leaf{Node: node, Epoch: number, Previous: s.last(name), ProvenMbps: uint32(s.between(100, 1000)), Scores: s.scores(like, name)}
		for i := 1; i <= 2; i++ {
			u := epoch.Usage{
				Application:  s.net.parties[fmt.Sprintf("application %d", i)].key.ID(),
				Orchestrator: s.net.parties[fmt.Sprintf("orchestrator %d", i)].key.ID(), Node: node,
				ClientBytes: econ.NewWei(s.between(like.least*econ.GB, like.most*econ.GB)),
				RelayBytes:  econ.NewWei(s.between(0, like.least*econ.GB/4)),
			}
			l.ClientBytes, l.RelayBytes = l.ClientBytes.Add(u.ClientBytes), l.RelayBytes.Add(u.RelayBytes)
			usage = append(usage, u)
		}
		leaves = append(leaves, l)
	}
	slices.SortFunc(leaves, func(a, b epoch.Leaf) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	return leaves, usage
}

func (s *story) scores(like season, node string) econ.Scores {
	score := func(least, most econ.Wad) econ.Wad { return econ.Wad(s.between(uint64(least), uint64(most))) }
	scores := econ.Scores{
		Availability: score(econ.One/10*9, econ.One), History: score(econ.One/2, econ.One),
		Location: score(econ.One/2, econ.One), Coverage: score(econ.One/2, econ.One), Quality: score(like.quality, econ.One),
	}
	if node == like.poor {
		scores.Quality = score(0, econ.One/5-1)
	}
	return scores
}

// last is the newest finished epoch in which a node has a leaf.
func (s *story) last(node string) uint64 {
	for _, f := range slices.Backward(s.epochs) {
		if l, i := f.leaf(node); i >= 0 {
			return l.Epoch
		}
	}
	return epoch.None
}

// finish ends an epoch: time passes, anybody has its prices recorded, and the
// reporters work out what they will sign.
func (s *story) finish(number uint64, like season) finished {
	s.until(s.begin(number + 1))
	proof, oracle := bindings.NewProofOfResource(), bindings.NewPriceOracle()
	s.do("stranger", fmt.Sprintf("has the prices of epoch %d recorded", number), "ProofOfResource", proof.PackOpen(number))
	prices := see(s, "PriceOracle", oracle.PackEpochPrices(number), oracle.UnpackEpochPrices)
	low, high := econ.Price(prices.Arg0.Uint64()), econ.Price(prices.Arg1.Uint64())
	if low > high || low < s.lowest || high > s.highest {
		s.fail(fmt.Errorf("economy: prices of epoch %d are %d and %d, feeders told %d to %d", number, low, high, s.lowest, s.highest))
	}

	leaves, usage := s.work(number, like)
	signed, err := epoch.ChargesOf(usage, s.model.Parameters(number).RelayWeight)
	s.fail(err)
	f := finished{names: make(map[drtc.NodeID]string)}
	for _, name := range nodeNames() {
		f.names[s.net.parties[name].key.ID()] = name
	}
	for _, c := range signed {
		f.charges = append(f.charges, ledger.Charge{
			Application:  s.net.named(c.Application),
			Orchestrator: s.net.named(common.Address(c.Orchestrator)), Bytes: c.Bytes,
		})
	}
	f.open = s.model.Open(number, high, leaves, signed, f.charges)
	f.Closed, err = epoch.Close(f.open)
	s.fail(err)
	return f
}

// domain is that of the reporters' signatures.
func (s *story) domain() identity.Domain {
	return epoch.Domain(s.net.chain.ChainID(), s.net.at.Of("ProofOfResource"))
}

// sign has some of the reporters sign, in the order that the contract wants.
func sign(c epoch.Commit, domain identity.Domain, reporters []*identity.Key) [][]byte {
	ordered := slices.SortedFunc(slices.Values(reporters), func(a, b *identity.Key) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	var signatures [][]byte
	for _, key := range ordered {
		signature := key.SignTyped(c.Typed(domain))
		signatures = append(signatures, signature[:])
	}
	return signatures
}

// quorum are three of the four reporters, others in each epoch.
func (s *story) quorum() []*identity.Key {
	out := s.random.IntN(len(s.net.reporters))
	return slices.Delete(slices.Clone(s.net.reporters), out, out+1)
}

// commitData is the transaction that commits an epoch.
func (f finished) commitData(c epoch.Commit, signatures [][]byte) []byte {
	charges := make([]bindings.Charge, len(f.open.Charges))
	for i, charge := range f.open.Charges {
		charges[i] = bindings.Charge{Application: charge.Application, Orchestrator: common.Address(charge.Orchestrator), Bytes: charge.Bytes.Big()}
	}
	return bindings.NewProofOfResource().PackCommit(bindings.EpochCommit{
		Epoch: c.Epoch, Root: c.Root, LeafCount: c.LeafCount, TotalBytes: c.TotalBytes.Big(),
		RewardTotal: c.RewardTotal.Big(), MintTotal: c.MintTotal.Big(), ChargesHash: c.ChargesHash, ChargeCount: c.ChargeCount,
		DataHash: c.DataHash, PreviousRoot: c.PreviousRoot, ParametersVersion: c.ParametersVersion, RMax: c.Scale.Big(),
	}, charges, signatures)
}

// commit puts an epoch on the chain that a quorum has signed.
func (s *story) commit(f finished) {
	number := f.Commit.Epoch
	unpaid := s.model.Unpaid(number, f.charges)
	s.do("stranger", fmt.Sprintf("commits epoch %d, signed by 3 of 4 reporters", number), "ProofOfResource",
		f.commitData(f.Commit, sign(f.Commit, s.domain(), s.quorum())))
	s.model.Commit(f.Closed, f.charges)
	s.epochs = append(s.epochs, f)
	s.show.epoch(f, unpaid)
	s.result.Epochs = append(s.result.Epochs, Epoch{
		Number: number, Bytes: f.Commit.TotalBytes, Price: f.open.High, Reward: f.Commit.RewardTotal, Mint: f.Totals.Mint,
		Burn: f.Totals.Burn, Kept: f.Totals.Kept, Cut: f.Cut, UnpaidByApplications: unpaid,
	})
}

// afterWindow waits until the newest epoch can be claimed.
func (s *story) afterWindow() { s.until(s.now() + windowSeconds) }

// claimData is the transaction that claims a node's leaves of epochs.
func (s *story) claimData(node string, epochs ...uint64) []byte {
	var leaves []bindings.Leaf
	var proofs [][][32]byte
	for _, number := range epochs {
		f := s.epochs[number]
		l, i := f.leaf(node)
		leaves = append(leaves, bindings.Leaf{
			Version: epoch.LeafVersion, Node: common.Address(l.Node), Epoch: l.Epoch, PreviousEpoch: l.Previous,
			Availability: uint64(l.Scores.Availability), History: uint64(l.Scores.History), Location: uint64(l.Scores.Location),
			Coverage: uint64(l.Scores.Coverage), Quality: uint64(l.Scores.Quality),
			ClientBytes: l.ClientBytes.Big(), RelayBytes: l.RelayBytes.Big(), ProvenMbps: l.ProvenMbps,
		})
		proofs = append(proofs, f.Tree.Proof(i))
	}
	return bindings.NewRewards().PackClaim(leaves, proofs)
}

// claim pays a node's rewards of epochs into its pool.
func (s *story) claim(who, node string, epochs ...uint64) {
	s.do(who, fmt.Sprintf("claims epochs %v of %s", epochs, node), "Rewards", s.claimData(node, epochs...))
	for _, number := range epochs {
		f := s.epochs[number]
		_, i := f.leaf(node)
		s.fail(s.model.Claim(node, number, f.Payouts[i]))
	}
}

// collect has pools pay what they owe to somebody, as veHUDL.
func (s *story) collect(who string) {
	var addresses []common.Address
	var nodes []string
	before := s.model.Votes(who)
	for _, node := range nodeNames() {
		if !s.model.Owed(who, node).IsZero() {
			nodes = append(nodes, node)
			addresses = append(addresses, s.net.parties[node].address())
		}
	}
	s.model.Collect(who, nodes...)
	what := fmt.Sprintf("collects %s veHUDL from pools", short(s.model.Votes(who).Sub(before)))
	s.do(who, what, "PoolManager", bindings.NewPoolManager().PackClaim(s.net.parties[who].address(), addresses))
}
