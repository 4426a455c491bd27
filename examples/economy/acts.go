package main

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/chain/bindings"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/examples/economy/ledger"
	"github.com/drtc-network/drtc/identity"
)

const (
	keyPrice = 100 // HUDL, at genesis in every region
	soldKey  = 3
	soldFor  = 150 // HUDL
	// lastAuthorised is the last epoch of all authorisations.
	lastAuthorised = 100
	// deployTime is more than the contracts take, in seconds of the chain. The story
	// begins then, so that one seed gives one story, to the second and the wei.
	deployTime = 600
)

// beginning: HUDL is given out, keys are bought and delegated, credits are bought
// and authorised. It is epoch 0, in which no key counts yet.
func (s *story) beginning() {
	parameters, beta, err := rulesOf(s.net.genesis.Parameters)
	s.fail(err)
	s.model = ledger.New(parameters, beta)
	bonded := hudl(1000 * reporterCount)
	s.model.Genesis("treasury", hudl(genesisSupply-vested).Sub(bonded))
	s.model.Genesis(ledger.Bonds, bonded) // by the deployer, for the reporters
	s.model.Genesis(vestingWallet(), hudl(vested))
	s.model.FundGas(hudl(gasFund))
	s.show.line("the contracts are deployed; four Registries are bonded and report; the founder's HUDL vests")

	s.until(s.begin(0) + deployTime)
	for _, who := range []string{"owner 1", "owner 2", "owner 3"} {
		s.give("treasury", who, hudl(2000))
	}
	s.give("treasury", "application 1", hudl(10_000))
	s.give("treasury", "orchestrator 2", hudl(6000))
	s.buyKeys("owner 1", 5)
	s.buyKeys("owner 2", 3)
	s.buyKeys("owner 3", 2)

	s.createPool("owner 1", "node 1", 1000)
	s.createPool("owner 2", "node 2", 500)
	s.createPool("operator 3", "node 3", 1500)
	s.delegate(0, "owner 1", "node 1", 1, 2, 3)
	s.delegate(0, "owner 1", "node 2", 4, 5) // to a node of somebody else
	s.delegate(0, "owner 2", "node 2", 6, 7, 8)
	s.delegate(0, "owner 3", "node 1", 9)
	s.refuse("owner 2", "delegates a key of owner 1", "PoolManager",
		bindings.NewPoolManager().PackDelegate(s.address("node 2"), ids(1)), "MediaNodeKey_NotOwner")

	s.feed(10_000_000)
	s.buyCredits("application 1", "application 1", hudl(8000))
	s.buyCredits("treasury", "application 2", hudl(8000)) // a gift: who pays need not own them
	s.buyCredits("orchestrator 2", "orchestrator 2", hudl(5000))
	s.authorise()
}

// give sends HUDL.
func (s *story) give(from, to string, amount econ.Wei) {
	s.do(from, fmt.Sprintf("gives %s HUDL to %s", short(amount), to), "HUDL",
		bindings.NewHUDL().PackTransfer(s.address(to), amount.Big()))
	s.model.Pay(from, to, amount)
}

// approve lets a contract take HUDL.
func (s *story) approve(who, contract string, amount econ.Wei) {
	s.do(who, fmt.Sprintf("lets %s take %s HUDL", contract, short(amount)), "HUDL",
		bindings.NewHUDL().PackApprove(s.net.at.Of(contract), amount.Big()))
}

func (s *story) buyKeys(owner string, count uint64) {
	cost := hudl(keyPrice * count)
	s.approve(owner, "MediaNodeKey", cost)
	s.do(owner, fmt.Sprintf("buys %d keys", count), "MediaNodeKey", bindings.NewMediaNodeKey().PackBuy(
		[3]byte{'E', 'U'}, new(big.Int).SetUint64(count), cost.Big(), s.address(owner)))
	s.model.BuyKeys(owner, int(count), hudl(keyPrice))
}

// createPool makes a node's pool. The node has agreed, by its own key, to this
// operator and this commission.
func (s *story) createPool(operator, node string, bps econ.Bps) {
	deadline := s.begin(1)
	consent := func(by string) []byte {
		return s.signed(by, "dRTC PoolManager", "PoolManager", identity.Type{Name: "CreatePool", Fields: []identity.Field{
			{Name: "node", Type: "address"}, {Name: "operator", Type: "address"},
			{Name: "commissionBps", Type: "uint16"}, {Name: "deadline", Type: "uint256"},
		}}, [20]byte(s.address(node)), [20]byte(s.address(operator)), uint64(bps), deadline)
	}
	create := func(consent []byte) []byte {
		return bindings.NewPoolManager().PackCreatePool(s.address(node), uint16(bps), new(big.Int).SetUint64(deadline), consent)
	}
	if operator == "owner 1" {
		s.refuse("owner 1", "makes a pool of node 1 with the consent of node 2", "PoolManager", create(consent("node 2")), "PoolManager_NotNodesConsent")
	}
	s.do(operator, fmt.Sprintf("makes the pool of %s for %d bps, as the node has signed", node, bps), "PoolManager", create(consent(node)))
	s.model.CreatePool(node, operator, bps)
}

// signed is a signature by EIP-712 for a contract.
func (s *story) signed(by, name, contract string, what identity.Type, values ...any) []byte {
	hash, err := what.HashStruct(values...)
	s.fail(err)
	domain := identity.Domain{Name: name, Version: "1", ChainID: s.net.chain.ChainID(), VerifyingContract: s.net.at.Of(contract)}
	signature := s.net.parties[by].key.SignTyped(identity.TypedHash{Separator: domain.Separator(), Struct: hash})
	return signature[:]
}

func ids(keys ...int) []*big.Int {
	var list []*big.Int
	for _, id := range keys {
		list = append(list, big.NewInt(int64(id)))
	}
	return list
}

func (s *story) delegate(epoch uint64, owner, node string, keys ...int) {
	s.do(owner, fmt.Sprintf("delegates keys %v to %s", keys, node), "PoolManager",
		bindings.NewPoolManager().PackDelegate(s.address(node), ids(keys...)))
	s.model.Delegate(epoch, node, keys...)
}

// feed has the three feeders tell a price, each a bit another one.
func (s *story) feed(around econ.Price) {
	for i := 1; i <= 3; i++ {
		price := econ.Price(s.between(uint64(around)*99/100, uint64(around)*101/100))
		if s.lowest == 0 || price < s.lowest {
			s.lowest = price
		}
		s.highest = max(s.highest, price)
		s.do(fmt.Sprintf("feeder %d", i), fmt.Sprintf("tells a price of %.5f USD", price.Float()), "PriceOracle",
			bindings.NewPriceOracle().PackFeed(uint64(price)))
	}
}

// buyCredits turns HUDL into credits at the oracle's price of that moment.
func (s *story) buyCredits(payer, application string, amount econ.Wei) {
	s.approve(payer, "DataCredits", amount)
	credits := bindings.NewDataCredits()
	receipt := s.do(payer, fmt.Sprintf("buys credits for %s HUDL for %s", short(amount), application), "DataCredits",
		credits.PackBuy(s.address(application), amount.Big(), big.NewInt(1)))
	for _, log := range receipt.Logs {
		bought, err := credits.UnpackBoughtEvent(log)
		if err != nil {
			continue // of another kind
		}
		price := econ.Price(bought.Price8.Uint64())
		if price < s.lowest || price > s.highest {
			s.fail(fmt.Errorf("economy: credits were sold at %d, feeders told %d to %d", price, s.lowest, s.highest))
		}
		s.show.line("    %s credits at %.5f USD", s.model.Buy(payer, application, amount, price), price.Float())
		return
	}
	s.fail(fmt.Errorf("economy: %s bought credits and no event tells of it", payer))
}

// authorise: one application in person, the other by a signature that somebody
// else brings, and that holds once.
func (s *story) authorise() {
	credits := bindings.NewDataCredits()
	limit := econ.NewWei(80_000_000)
	s.do("application 1", "authorises orchestrator 1 to charge 80,000,000 credits", "DataCredits",
		credits.PackAuthorise(s.address("orchestrator 1"), limit.Big(), lastAuthorised))
	s.model.Authorise("application 1", "orchestrator 1", limit, 0, lastAuthorised)

	limit = econ.NewWei(20_000_000)
	deadline := s.begin(1)
	signature := s.signed("application 2", "dRTC DataCredits", "DataCredits", identity.Type{Name: "Authorisation", Fields: []identity.Field{
		{Name: "application", Type: "address"}, {Name: "orchestrator", Type: "address"}, {Name: "limitDC", Type: "uint128"},
		{Name: "endEpoch", Type: "uint64"}, {Name: "nonce", Type: "uint256"}, {Name: "deadline", Type: "uint256"},
	}}, [20]byte(s.address("application 2")), [20]byte(s.address("orchestrator 2")), limit.Big(), uint64(lastAuthorised), uint64(0), deadline)
	input := credits.PackAuthoriseBySignature(s.address("application 2"), s.address("orchestrator 2"), limit.Big(), lastAuthorised,
		new(big.Int).SetUint64(deadline), signature)
	s.do("stranger", "brings the signature by which application 2 authorises orchestrator 2 for 20,000,000", "DataCredits", input)
	s.model.Authorise("application 2", "orchestrator 2", limit, 0, lastAuthorised)
	s.refuse("orchestrator 2", "brings the same signature again", "DataCredits", input, "DataCredits_NotApplicationsSignature")
}

// quiet is an ordinary epoch.
var quiet = season{least: 100, most: 250, quality: econ.One / 2}

// firstCommit: what reporters sign is what can be committed, and nothing else.
func (s *story) firstCommit() {
	f := s.finish(0, quiet)
	forged := slices.Clone(f.open.Leaves)
	forged[0].ClientBytes = forged[0].ClientBytes.Add(econ.NewWei(econ.GB))
	hashes := make([][32]byte, len(forged))
	for i, l := range forged {
		hashes[i] = l.Hash()
	}
	other := f.Commit
	other.Root = epoch.NewTree(hashes).Root()
	signatures := sign(f.Commit, s.domain(), s.quorum())
	s.refuse("stranger", "commits a forged root with the signatures of the true one", "ProofOfResource", f.commitData(other, signatures), "Committee_NotReporter")
	s.refuse("stranger", "commits with 2 of 4 signatures", "ProofOfResource", f.commitData(f.Commit, signatures[:2]), "Committee_TooFewSignatures")
	twice := [][]byte{signatures[0], signatures[1], signatures[1]}
	s.refuse("stranger", "commits with a signature that is there twice", "ProofOfResource", f.commitData(f.Commit, twice), "Committee_SignersNotAscending")
	s.commit(f)
	s.refuse("owner 1", "claims while the commit can still be challenged", "Rewards", s.claimData("node 1", 0), "ProofOfResource_WindowOpen")
	s.afterWindow()
	s.claim("owner 1", "node 1", 0)
	s.show.line("    no key counted yet: all of it is the operator's")

	const raised, notice = 2000, 2
	s.do("owner 1", "raises the commission of node 1 from 1000 to 2000 bps, from epoch 3 on", "PoolManager",
		bindings.NewPoolManager().PackSetCommission(s.address("node 1"), raised))
	s.model.SetCommission(1, "node 1", raised, 1+notice)
	s.feed(8_000_000)
}

// claimsAndVote: anybody claims for anybody, and what was earned votes.
func (s *story) claimsAndVote() {
	f := s.finish(1, season{least: 100, most: 250, quality: econ.One / 2, poor: "node 3"})
	before := s.epochs[0]
	s.refuse("stranger", "commits epoch 1 with the signatures of epoch 0", "ProofOfResource",
		f.commitData(f.Commit, sign(before.Commit, s.domain(), s.net.reporters)), "Committee_NotReporter")
	elsewhere := epoch.Domain(s.net.chain.ChainID()+1, s.net.at.Of("ProofOfResource"))
	s.refuse("stranger", "commits epoch 1 with signatures for another chain", "ProofOfResource",
		f.commitData(f.Commit, sign(f.Commit, elsewhere, s.net.reporters)), "Committee_NotReporter")
	s.refuse("stranger", "commits epoch 0 a second time", "ProofOfResource",
		before.commitData(before.Commit, sign(before.Commit, s.domain(), s.net.reporters)), "ProofOfResource_EpochOrder")
	s.commit(f)
	s.afterWindow()
	s.refuse("stranger", "claims the newest epoch of node 2 alone", "Rewards", s.claimData("node 2", 1), "Rewards_EpochSkipped")
	s.refuse("stranger", "claims the leaf of node 1 with more bytes in it", "Rewards", s.swollenClaim("node 1", 1), "Rewards_BadProof")
	s.claim("stranger", "node 2", 0, 1)
	s.claim("owner 1", "node 1", 1)
	for _, owner := range []string{"owner 1", "owner 2", "owner 3"} {
		s.collect(owner)
	}
	s.refuse("owner 1", "sends veHUDL to owner 2", "VeHUDL",
		bindings.NewVeHUDL().PackTransfer(s.address("owner 2"), big.NewInt(1)), "VeHUDL_NotTransferable")

	s.do("owner 2", "undelegates key 8", "PoolManager", bindings.NewPoolManager().PackUndelegate(s.address("node 2"), ids(8)))
	s.model.Undelegate(2, 8)
	s.refuse("owner 2", "delegates key 8 to node 3 at once", "PoolManager",
		bindings.NewPoolManager().PackDelegate(s.address("node 3"), ids(8)), "MediaNodeKey_Unbonding")
	s.vote()
	s.feed(6_250_000)
}

// swollenClaim is a claim of a leaf that is not in the tree.
func (s *story) swollenClaim(node string, number uint64) []byte {
	f := s.epochs[number]
	leaves := slices.Clone(f.open.Leaves)
	_, i := f.leaf(node)
	leaves[i].ClientBytes = leaves[i].ClientBytes.Add(econ.NewWei(1))
	f.open.Leaves = leaves
	kept := s.epochs[number]
	defer func() { s.epochs[number] = kept }()
	s.epochs[number] = f
	return s.claimData(node, number)
}

// vote changes parameters: reputation counts otherwise, relayed bytes count half,
// and the share that is burned starts anew.
func (s *story) vote() {
	next := s.net.genesis.Parameters
	next.Reward.WeightAvailability, next.Reward.WeightCoverage = 3000, 3500
	next.Reward.WRelayBps = big.NewInt(5000)
	next.Supply.BetaBps = 5000
	set := bindings.NewParameters().PackSet(next)
	s.refuse("owner 1", "sets parameters without a vote", "Parameters", set, "AccessManagedUnauthorized")

	governance := bindings.NewGovernance()
	const description = "Count coverage more and relayed bytes half; burn half of what credits cost"
	targets, values, calls := []common.Address{s.net.at.Of("Parameters")}, []*big.Int{new(big.Int)}, [][]byte{set}
	hash := crypto.Keccak256Hash([]byte(description))
	s.refuse("stranger", "proposes other parameters", "Governance", governance.PackPropose(targets, values, calls, description), "GovernorInsufficientProposerVotes")
	s.do("owner 1", "proposes other parameters", "Governance", governance.PackPropose(targets, values, calls, description))
	id := see(s, "Governance", governance.PackHashProposal(targets, values, calls, hash), governance.UnpackHashProposal)
	s.until(s.now() + s.net.genesis.Governance.VotingDelay.Uint64() + 1)
	const yes = 1
	for _, owner := range []string{"owner 1", "owner 2"} {
		s.do(owner, fmt.Sprintf("votes yes with %s veHUDL", short(s.model.Votes(owner))), "Governance", governance.PackCastVote(id, yes))
	}
	s.until(s.now() + uint64(s.net.genesis.Governance.VotingPeriod))
	s.do("stranger", "has the timelock begin", "Governance", governance.PackQueue(targets, values, calls, hash))
	execute := governance.PackExecute(targets, values, calls, hash)
	s.refuse("stranger", "executes the proposal before the timelock ends", "Governance", execute, "TimelockUnexpectedOperationState")
	s.until(s.now() + timelockDelay)
	s.do("stranger", "executes the proposal: version 2 of the parameters holds from epoch 3 on", "Governance", execute)
	parameters, beta, err := rulesOf(next)
	s.fail(err)
	s.model.SetParameters(2, parameters, beta)
}

// sale: a key goes to another owner in the middle of an epoch. What it earned in
// epochs before, though nobody has claimed that yet, is the seller's.
func (s *story) sale() {
	s.commit(s.finish(2, season{least: 100, most: 250, quality: econ.One / 2, away: "node 3"}))
	s.feed(5_000_000)

	s.give("owner 3", "owner 1", hudl(soldFor))
	s.do("owner 1", fmt.Sprintf("hands key %d, which is delegated to node 1, to owner 3", soldKey), "MediaNodeKey", bindings.NewMediaNodeKey().PackSafeTransferFrom(
		s.address("owner 1"), s.address("owner 3"), big.NewInt(soldKey), big.NewInt(1), nil))
	s.model.Sell(3, soldKey, "owner 3")
	s.refuse("owner 1", "delegates the key that it has sold", "PoolManager",
		bindings.NewPoolManager().PackDelegate(s.address("node 1"), ids(soldKey)), "MediaNodeKey_NotOwner")
	s.refuse("owner 3", "delegates the key that it has bought at once", "PoolManager",
		bindings.NewPoolManager().PackDelegate(s.address("node 3"), ids(soldKey)), "MediaNodeKey_Unbonding")
	s.delegate(3, "owner 3", "node 3", 10)
}

// overCap: credits were bought when HUDL was dear, and are consumed when it is
// cheap. Paid in full, nodes would get more new HUDL than the cap allows.
func (s *story) overCap() {
	f := s.finish(3, season{least: 1500, most: 2500, quality: econ.One / 100 * 85})
	if !f.Cut {
		s.fail(fmt.Errorf("economy: nothing of epoch 3 is cut; seed %d", s.result.Seed))
	}
	everybody := s.net.reporters
	over := f.Commit
	over.MintTotal = over.RewardTotal
	s.refuse("stranger", "commits epoch 3 without the cut, signed by all reporters", "ProofOfResource",
		f.commitData(over, sign(over, s.domain(), everybody)), "ProofOfResource_MintTotal")
	dear := f.Commit
	dear.Scale = dear.Scale.Add(econ.NewWei(1))
	s.refuse("stranger", "commits epoch 3 for a wei more per GB than the price allows, signed by all reporters", "ProofOfResource",
		f.commitData(dear, sign(dear, s.domain(), everybody)), "ProofOfResource_RMaxTooHigh")
	s.commit(f)
	s.delegate(4, "owner 2", "node 3", 8) // undelegated in epoch 2, and free again
}

// settling: everything is claimed, mostly by strangers; veHUDL becomes HUDL; the
// founder's allocation has vested in part.
func (s *story) settling() {
	s.commit(s.finish(4, quiet))
	s.afterWindow()
	s.result.SoldKey.ID = soldKey
	unclaimed := s.model.Earned(soldKey, "owner 1")
	s.claim("owner 1", "node 1", 2)
	s.result.SoldKey.BeforeSale = s.model.Earned(soldKey, "owner 1")
	s.result.SoldKey.ClaimedLate = s.result.SoldKey.BeforeSale != unclaimed
	s.claim("stranger", "node 1", 3, 4)
	s.result.SoldKey.SinceSale = s.model.Earned(soldKey, "owner 1").Sub(s.result.SoldKey.BeforeSale)
	s.claim("stranger", "node 2", 2, 3, 4)
	s.claim("stranger", "node 3", 0, 1, 3, 4) // it did nothing in epoch 2
	s.refuse("owner 1", "claims epoch 4 of node 1 again", "Rewards", s.claimData("node 1", 4), "Rewards_EpochPaid")
	s.show.line("key %d earned %s HUDL for its seller, %s of it since it was sold", soldKey,
		short(s.model.Earned(soldKey, "owner 1")), short(s.result.SoldKey.SinceSale))
	for _, who := range []string{"owner 1", "owner 2", "operator 3"} {
		s.collect(who)
	}
	s.redeem("owner 2")
	s.release()
}

// redeem turns half of somebody's veHUDL into HUDL.
func (s *story) redeem(who string) {
	ve := bindings.NewVeHUDL()
	half := s.model.Votes(who).MulDiv(econ.NewWei(1), econ.NewWei(2))
	s.do(who, fmt.Sprintf("redeems %s veHUDL", short(half)), "VeHUDL", ve.PackRequestRedeem(half.Big()))
	s.model.Redeem(who, half)
	s.refuse(who, "withdraws before the lock ends", "VeHUDL", ve.PackWithdraw(new(big.Int)), "VeHUDL_StillLocked")
	s.until(s.now() + redeemLock)
	s.do(who, "withdraws as much HUDL", "VeHUDL", ve.PackWithdraw(new(big.Int)))
	s.model.Withdraw(who)
	quarter := half.MulDiv(econ.NewWei(1), econ.NewWei(2))
	s.do(who, fmt.Sprintf("redeems %s veHUDL more, and waits", short(quarter)), "VeHUDL", ve.PackRequestRedeem(quarter.Big()))
	s.model.Redeem(who, quarter)
}

// release gives the founder what has vested.
func (s *story) release() {
	receipt := s.do("stranger", "has what vested of the founder's HUDL released", vestingWallet(),
		bindings.NewVesting().PackRelease(s.net.at.Of("HUDL")))
	block, err := s.net.client.BlockAt(s.ctx, receipt.BlockNumber.Uint64())
	s.fail(err)
	v := s.net.genesis.Allocations[foundersAllocation].Vesting
	passed := uint64(block.Time.Unix()) - v.Start
	s.model.Pay(vestingWallet(), "founder", hudl(vested).MulDiv(econ.NewWei(passed), econ.NewWei(v.Duration)))
}
