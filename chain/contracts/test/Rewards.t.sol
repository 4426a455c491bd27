// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IProofOfResource} from "../src/interfaces/IProofOfResource.sol";
import {IReserve} from "../src/interfaces/IReserve.sol";
import {IRewards} from "../src/interfaces/IRewards.sol";
import {RewardMath} from "../src/libraries/RewardMath.sol";
import {Pool} from "../src/Pool.sol";
import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {ParameterSet} from "../src/types/ParameterSet.sol";
import {Economy} from "./base/Economy.sol";
import {Tree} from "./base/Tree.sol";

/// @dev Claims or commits, and comes back in while it is paid its gas. It then has the gas for a call that is refused
/// and to remember by what, but not for one that writes.
contract Reentering {
    address private immutable _target;
    bytes private _back;
    bytes4 private transient _refusal;

    constructor(address target, bytes memory back) {
        (_target, _back) = (target, back);
    }

    function go(bytes calldata call) external returns (bytes4) {
        (bool ok,) = _target.call(call);
        require(ok, "first call");
        return _refusal;
    }

    receive() external payable {
        (bool ok, bytes memory out) = _target.call(_back);
        _refusal = ok ? bytes4(0) : bytes4(out);
    }
}

contract RewardsTest is Economy {
    address private application = makeAddress("application");
    address private orchestrator = makeAddress("orchestrator");
    address private stranger = makeAddress("stranger");
    address private node;
    Pool private pool;

    function setUp() public {
        deployEconomy(4);
        proof.refreshCommittee();
        buyCredits(application, 1e6 * 1e18);
        authorise(application, orchestrator, 1e12, 1000);
        (node, pool) = createPool("node", makeAddress("operator"), 1000);
    }

    /// @dev Commits an epoch with these leaves, all of whose bytes the application pays.
    function commitLeaves(Leaf[] memory leaves) private returns (EpochCommit memory c) {
        uint64 epoch = leaves[0].epoch;
        uint256 bytes_;
        for (uint256 i = 0; i < leaves.length; i++) bytes_ += leaves[i].clientBytes + leaves[i].relayBytes;
        Charge[] memory charges = new Charge[](1);
        charges[0] = Charge(application, orchestrator, uint128(bytes_));
        toEpoch(epoch + 1);
        uint256 dc = (bytes_ * 5000 + 1e9 - 1) / 1e9;
        uint256 received = uint256(credits.accountOf(application).escrowWei) * dc / credits.accountOf(application).dc;
        c = makeCommit(epoch, leaves, charges, received);
        commit(c, charges);
        pastWindow();
    }

    function single(Leaf memory leaf) private pure returns (Leaf[] memory list) {
        list = new Leaf[](1);
        list[0] = leaf;
    }

    /// @dev Four nodes, of which `node` is one.
    function several(uint64 epoch, uint64 previous) private view returns (Leaf[] memory list) {
        list = new Leaf[](4);
        for (uint256 i = 0; i < 4; i++) {
            list[i] = makeLeaf(i == 2 ? node : address(uint160(i + 1)), epoch, previous, uint128((i + 1) * 1e12 + 7));
        }
        list[2].relayBytes = 5e11;
    }

    function test_claim_paysThePool() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        uint256 want = payoutBeforeCut(leaves[2], defaults().reward, 0.9e18);
        assertEq(rewards.payoutOf(leaves[2]), want, "payout foretold");
        vm.prank(stranger);
        claimOne(leaves, 2);
        assertEq(hudl.balanceOf(address(pool)), want, "pool");
        assertEq(rewards.lastRewardedBatch(node), 3, "last epoch paid");
        assertEq(proof.epochs(3).paid, want, "paid of M");
        assertEq(manager.provenMbps(node), 100, "proven Mbit/s");
        assertEq(hudl.balanceOf(stranger), 0, "stranger");
    }

    function test_claim_refusesAnEpochTwice() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        claimOne(leaves, 2);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_EpochPaid.selector, node, 3, 3));
        rewards.claim(list, proofs);
    }

    /// @dev A stranger who claims only the newest epoch would make the earlier ones be lost.
    function test_claim_refusesAStrangersClaimOfOnlyTheNewestEpoch() public {
        Leaf[] memory first = several(3, NO_EPOCH);
        commitLeaves(first);
        Leaf[] memory second = several(5, 3);
        commitLeaves(second);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(second, 2);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_EpochSkipped.selector, node, 3, NO_EPOCH));
        rewards.claim(list, proofs);
        claimOne(first, 2);
        vm.prank(stranger);
        rewards.claim(list, proofs);
        assertEq(rewards.lastRewardedBatch(node), 5, "last epoch paid");
    }

    function test_claim_severalEpochsAtOnce() public {
        uint64 previous = NO_EPOCH;
        Leaf[] memory list = new Leaf[](3);
        bytes32[][] memory proofs = new bytes32[][](3);
        uint256 want;
        for (uint64 i = 0; i < 3; i++) {
            Leaf[] memory leaves = several(3 + 2 * i, previous);
            commitLeaves(leaves);
            previous = 3 + 2 * i;
            (list[i], proofs[i]) = (leaves[2], Tree.proof(leaves, 2));
            want += rewards.payoutOf(leaves[2]);
        }
        (list[1], list[2]) = (list[2], list[1]);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_EpochSkipped.selector, node, 5, 3));
        rewards.claim(list, proofs);
        (list[1], list[2]) = (list[2], list[1]);
        rewards.claim(list, proofs);
        assertEq(hudl.balanceOf(address(pool)), want, "pool");
        assertEq(rewards.lastRewardedBatch(node), 7, "last epoch paid");
    }

    function test_claim_refusesAForgedLeaf() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        list[0].clientBytes += 1;
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_BadProof.selector, node, 3));
        rewards.claim(list, proofs);
        // Nor does an inner node pass for a leaf, nor a proof for another epoch's root.
        list[0] = leaves[2];
        proofs[0][0] = bytes32(0);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_BadProof.selector, node, 3));
        rewards.claim(list, proofs);
    }

    function test_claim_refusesBadInput() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        vm.expectRevert(IRewards.Rewards_NoLeaves.selector);
        rewards.claim(new Leaf[](0), new bytes32[][](0));
        (Leaf[] memory list,) = proven(leaves, 2);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_LengthsDiffer.selector, 1, 0));
        rewards.claim(list, new bytes32[][](0));
        list[0] = abi.decode(abi.encode(leaves[2]), (Leaf));
        list[0].version = 2;
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_LeafVersion.selector, 2, 1));
        rewards.claim(list, new bytes32[][](1));
        list = new Leaf[](2);
        bytes32[][] memory proofs = new bytes32[][](2);
        proofs[0] = Tree.proof(leaves, 2);
        (list[0], list[1]) = (leaves[2], leaves[1]);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_NodesDiffer.selector, node, leaves[1].node));
        rewards.claim(list, proofs);
    }

    function test_claim_waitsForTheWindow() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        commit(c, new Charge[](0));
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_WindowOpen.selector, 3, block.timestamp + 6 hours)
        );
        rewards.claim(list, proofs);
        pastWindow();
        rewards.claim(list, proofs);
    }

    function test_claim_waitsForAPool() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.Rewards_NoPool.selector, address(2)));
        rewards.claim(list, proofs);
    }

    function test_claim_belowTheLeastQualityPaysNothingAndGoesOn() public {
        Leaf memory leaf = makeLeaf(node, 3, NO_EPOCH, 1e12);
        leaf.quality = 0.2e18 - 1;
        commitLeaves(single(leaf));
        claimOne(single(leaf), 0);
        assertEq(hudl.balanceOf(address(pool)), 0, "pool");
        assertEq(rewards.lastRewardedBatch(node), 3, "last epoch paid");
        leaf = makeLeaf(node, 4, 3, 1e12);
        leaf.quality = 0.2e18;
        commitLeaves(single(leaf));
        claimOne(single(leaf), 0);
        assertGe(hudl.balanceOf(address(pool)), 1, "pool of the next");
    }

    /// @dev A corrupt quorum that signs leaves worth more than M loses nothing for others: claims stop at M.
    function test_claim_neverExceedsM() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        uint256 want = payoutBeforeCut(leaves[2], defaults().reward, 0.9e18);
        c.rewardTotal = c.mintTotal = want - 1;
        commit(c, new Charge[](0));
        pastWindow();
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_MoreThanMinted.selector, 3, want, want - 1)
        );
        rewards.claim(list, proofs);
    }

    /// @dev Rounding dust under a cut: M is the sum of payouts to the wei, so that the last claim empties it.
    function testFuzz_claim_sumOfClaimsIsM(uint96[4] memory bytes_) public {
        Leaf[] memory leaves = new Leaf[](4);
        for (uint256 i = 0; i < 4; i++) {
            (address n,) = createPool(string(abi.encode("n", i)), makeAddress("operator"), 0);
            leaves[i] = makeLeaf(n, 3, NO_EPOCH, bytes_[i] / 1e6);
        }
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        commit(c, new Charge[](0));
        pastWindow();
        for (uint256 i = 0; i < 4; i++) claimOne(leaves, i);
        assertEq(proof.epochs(3).paid, c.mintTotal, "sum of claims");
        assertEq(reserve.owed(), 0, "owed");
    }

    /// @dev Four nodes with pools that earned several times what may be minted.
    function farAboveTheCeiling() private returns (Leaf[] memory leaves) {
        leaves = new Leaf[](4);
        for (uint256 i = 0; i < 4; i++) {
            (address n,) = createPool(string(abi.encode("n", i)), makeAddress("operator"), 0);
            leaves[i] = makeLeaf(n, 3, NO_EPOCH, uint128(1e15 + i));
        }
    }

    /// @dev Under a cut M may be signed for a Q that has moved since by some wei: payouts then sum to a little more. Who
    /// claims last goes short of less than a wei per leaf, but neither this epoch nor a later one is lost to him.
    function test_claim_ofTheLastUnderACutPaysWhatIsLeft() public {
        Leaf[] memory leaves = farAboveTheCeiling();
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        uint256 cap = GENESIS_SUPPLY * 382_982_750_338_958 / 1e18;
        assertGe(c.mintTotal, cap - 2, "sum of payouts");
        c.mintTotal = cap - 3;
        commit(c, new Charge[](0));
        pastWindow();
        for (uint256 i = 0; i < 4; i++) claimOne(leaves, i);
        assertEq(proof.epochs(3).paid, c.mintTotal, "paid");
        assertEq(reserve.owed(), 0, "owed");
        address last = manager.poolOf(leaves[3].node);
        assertEq(Pool(last).owed(makeAddress("operator")), hudl.balanceOf(last), "balance of the last pool");
        assertEq(rewards.lastRewardedBatch(leaves[3].node), 3, "last epoch paid");
    }

    /// @dev Not so a leaf that is worth more than M by as much as somebody would notice.
    function test_claim_underACutNeverExceedsM() public {
        Leaf[] memory leaves = farAboveTheCeiling();
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        // As if there were two and a half leaves.
        c.rewardTotal = c.rewardTotal * 5 / 8;
        c.mintTotal = GENESIS_SUPPLY * 382_982_750_338_958 / 1e18;
        commit(c, new Charge[](0));
        pastWindow();
        claimOne(leaves, 0);
        claimOne(leaves, 1);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_MoreThanMinted.selector);
        rewards.claim(list, proofs);
    }

    /// @dev Overflow edge: counters of 2^96 and more are refused by name, one less is paid.
    function test_claim_overflowEdges() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        leaves[2].clientBytes = type(uint96).max;
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        leaves[2].clientBytes = uint128(type(uint96).max) + 1;
        c.root = Tree.root(leaves);
        commit(c, new Charge[](0));
        pastWindow();
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectRevert(
            abi.encodeWithSelector(RewardMath.RewardMath_BytesTooMany.selector, 1 << 96, type(uint96).max)
        );
        rewards.claim(list, proofs);
    }

    function test_claim_largestLeafIsPaid() public {
        Leaf memory leaf = makeLeaf(node, 3, NO_EPOCH, type(uint96).max);
        leaf.relayBytes = type(uint96).max;
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, single(leaf), new Charge[](0), 0);
        commit(c, new Charge[](0));
        pastWindow();
        claimOne(single(leaf), 0);
        assertEq(hudl.balanceOf(address(pool)), GENESIS_SUPPLY * 382_982_750_338_958 / 1e18, "the whole ceiling");
    }

    function payGas() private {
        vm.deal(address(reserve), 1e18);
        reserve.setGasAllowance(IReserve.GasAllowance(1e18, 1e6, 1e9));
        vmGas.txGasPrice(1e9);
    }

    /// @dev Reentrancy: the claimant's own code runs when its gas is paid back, after everything is settled. It can
    /// neither claim nor commit then.
    function test_claim_reentrancy() public {
        payGas();
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        uint256 want = rewards.payoutOf(leaves[2]);
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        Reentering claimant =
            new Reentering(address(rewards), abi.encodeCall(rewards.claim, (new Leaf[](0), new bytes32[][](0))));
        bytes4 refusal = claimant.go(abi.encodeCall(rewards.claim, (list, proofs)));
        assertEq(bytes32(refusal), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector), "refusal");
        assertGe(address(claimant).balance, 1, "gas paid back");
        assertEq(hudl.balanceOf(address(pool)), want, "paid once");
        assertEq(rewards.lastRewardedBatch(node), 3, "last epoch paid");
    }

    function test_commit_reentrancy() public {
        payGas();
        toEpoch(4);
        EpochCommit memory c = makeCommit(3, several(3, NO_EPOCH), new Charge[](0), 0);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        Reentering committer =
            new Reentering(address(proof), abi.encodeCall(proof.continueCharges, (3, new Charge[](0), 0)));
        bytes4 refusal = committer.go(abi.encodeCall(proof.commit, (c, new Charge[](0), signatures)));
        assertEq(bytes32(refusal), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector), "refusal");
        assertGe(address(committer).balance, 1, "gas paid back");
    }

    /// @dev Or whoever makes leaves of nothing would live on the gas allowance.
    function test_claim_ofNothingIsPaidNoGas() public {
        payGas();
        Leaf memory leaf = makeLeaf(node, 3, NO_EPOCH, 1e12);
        leaf.quality = 0;
        commitLeaves(single(leaf));
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(single(leaf), 0);
        vm.prank(stranger);
        rewards.claim(list, proofs);
        assertEq(stranger.balance, 0, "gas paid back");
    }

    /// @dev Each epoch of a batch is paid by the parameters and the price that it was committed with.
    function test_claim_ofEpochsWithDifferentParameters() public {
        Leaf[] memory first = single(makeLeaf(node, 3, NO_EPOCH, 1e12));
        commitLeaves(first);
        ParameterSet memory p = defaults();
        (p.reward.alphaBps, p.reward.k) = (5000, 20e18);
        parameters.set(p);
        Leaf[] memory second = single(makeLeaf(node, 6, 3, 1e12));
        EpochCommit memory c = commitLeaves(second);
        Leaf[] memory list = new Leaf[](2);
        (list[0], list[1]) = (first[0], second[0]);
        rewards.claim(list, new bytes32[][](2));
        uint256 want = payoutBeforeCut(first[0], defaults().reward, 0.9e18) + payoutBeforeCut(second[0], p.reward, c.rMax);
        assertEq(hudl.balanceOf(address(pool)), want, "pool");
    }

    function test_pause_stopsClaims() public {
        Leaf[] memory leaves = several(3, NO_EPOCH);
        commitLeaves(leaves);
        vm.prank(guardian);
        rewards.pause();
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, 2);
        vm.expectRevert(abi.encodeWithSignature("EnforcedPause()"));
        rewards.claim(list, proofs);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        rewards.unpause();
        rewards.unpause();
        rewards.claim(list, proofs);
    }
}
