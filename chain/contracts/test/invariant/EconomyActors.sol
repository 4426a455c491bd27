// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataCredits} from "../../src/interfaces/IDataCredits.sol";
import {IProofOfResource} from "../../src/interfaces/IProofOfResource.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {Credits} from "../../src/libraries/Credits.sol";
import {Charge} from "../../src/types/Charge.sol";
import {EpochCommit} from "../../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../../src/types/Leaf.sol";
import {ParameterSet, SupplyRules} from "../../src/types/ParameterSet.sol";
import {Economy} from "../base/Economy.sol";
import {Tree} from "../base/Tree.sol";

/// @notice Everybody who acts on the economy: applications, Orchestrators, reporters, claimants, strangers, the
/// guardian and governance. Every call does something valid, or expects the refusal by its name.
abstract contract EconomyActors is Economy {
    uint256 private constant APPLICATIONS = 3;
    uint256 internal constant NODES = 3;

    address[APPLICATIONS] public applications;
    address[2] public orchestrators;
    address[NODES] public nodes;
    address[NODES] public pools;

    uint256 public minted;
    uint256 public burned;
    uint256 public bought;
    uint256 public spent;
    uint256 public spentByGovernance;
    uint256 public commits;
    uint256 public claims;
    uint256 public refusals;
    uint64[] public committed;
    uint256[NODES] public claimedWei;
    uint256[NODES] public claimedLeaves;

    uint256 private _now;
    uint64 private _epoch = 1;
    uint64[NODES] private _lastLeaf;
    Leaf[][NODES] private _leaves;
    mapping(uint64 epoch => Leaf[]) private _trees;
    EpochCommit private _last;
    address[] private _lastSigners;

    constructor() {
        deployEconomy(4);
        proof.refreshCommittee();
        uint160 base = 0x1111;
        for (uint160 i = 0; i < APPLICATIONS; i++) applications[i] = address(base + i);
        (orchestrators[0], orchestrators[1]) = (address(0x2221), address(0x2222));
        string[NODES] memory names = ["a", "b", "c"];
        for (uint256 i = 0; i < NODES; i++) {
            (address node, ) = createPool(names[i], makeAddress("operator"), 500);
            (nodes[i], pools[i], _lastLeaf[i]) = (node, manager.poolOf(node), NO_EPOCH);
        }
        _now = block.timestamp;
    }

    /// @dev Time is this contract's own, whatever a run does with the block's.
    modifier timed() {
        vm.warp(_now);
        _;
        _now = block.timestamp;
    }

    function contracts()
        external
        view
        returns (address hudl_, address reserve_, address credits_, address proof_, address rewards_, address ve)
    {
        return (address(hudl), address(reserve), address(credits), address(proof), address(rewards), address(veHudl));
    }

    function committedCount() external view returns (uint256) {
        return committed.length;
    }

    function leafEpoch(uint256 node, uint256 i) external view returns (uint64) {
        return _leaves[node][i].epoch;
    }

    function buy(uint256 who, uint256 amount) external timed {
        wakeFeeders();
        bought += buyCredits(applications[who % APPLICATIONS], bound(amount, 1e18, 1e6 * 1e18));
    }

    function authorise(uint256 who, uint256 orchestrator, uint128 limit, uint64 epochs) external timed {
        address a = applications[who % APPLICATIONS];
        address o = orchestrators[orchestrator % 2];
        uint64 now_ = parameters.currentEpoch();
        vm.prank(a);
        try credits.authorise(o, limit, now_ + 1 + epochs % 50) {}
        catch (bytes memory reason) {
            refused(reason, IDataCredits.DataCredits_EarlierAuthorisationOpen.selector);
        }
    }

    function revoke(uint256 who, uint256 orchestrator) external timed {
        vm.prank(applications[who % APPLICATIONS]);
        try credits.revoke(orchestrators[orchestrator % 2]) {}
        catch (bytes memory reason) {
            refused(reason, IDataCredits.DataCredits_NotAuthorised.selector);
        }
    }

    function pass(uint256 seconds_) external timed {
        vm.warp(block.timestamp + bound(seconds_, 1, EPOCH));
    }

    function setPrice(uint64 price8) external timed {
        oracle.fixPrice(uint64(bound(price8, 1000, 1e10)));
    }

    function setParameters(uint16 alphaBps, uint16 betaBps, uint16 kappaBps, bool filler, uint64 k) external timed {
        ParameterSet memory p = defaults();
        p.reward.alphaBps = uint16(bound(alphaBps, 5000, 10_000));
        p.reward.k = uint72(bound(k, 5e18, 18e18));
        p.supply.betaBps = uint16(bound(betaBps, 0, 10_000));
        p.supply.kappaBps = uint16(bound(kappaBps, 1, 9000));
        p.supply.creditsCapBps = 10_000;
        p.supply.filler = filler;
        parameters.set(p);
    }

    function spendKept(uint256 amount) external timed {
        amount = bound(amount, 0, reserve.kept());
        reserve.spendKept(treasury, amount);
        spentByGovernance += amount;
    }

    /// @dev Reporters commit the next epoch: what applications can pay, spread over some nodes, and now and then
    /// traffic that nobody paid for, which the ceiling cuts.
    function commitEpoch(uint256 seed) external timed {
        uint64 now_ = parameters.currentEpoch();
        if (now_ <= _epoch) vm.warp(GENESIS + uint256(_epoch + 1) * EPOCH);
        if (block.timestamp < proof.standing().windowEnds) pastWindow();
        wakeFeeders();
        (Charge[] memory charges, uint256 received, uint256 dc, uint256 bytes_) = makeCharges(seed);
        Leaf[] memory leaves = makeLeaves(seed, seed % 5 == 0 ? bytes_ + 1e15 : bytes_);
        EpochCommit memory c = makeCommit(_epoch, leaves, charges, received);
        uint256 before = hudl.totalSupply();
        uint256 kept = reserve.kept();
        uint256 filler = reserve.filler();
        if (charges.length > 1 && seed % 3 == 0) commitInParts(c, charges);
        else commit(c, charges);

        uint256 burn = received - (reserve.kept() - kept);
        uint256 mint = hudl.totalSupply() + burn - before;
        assertEq(mint, c.mintTotal + reserve.filler() - filler, "minted in the epoch");
        assertLe(burn, c.mintTotal, "burn against mint");
        (, SupplyRules memory rules) = parameters.supplyRules(_epoch);
        assertLe(hudl.totalSupply(), before + before * rules.hi / 1e18, "net mint of the epoch");
        (minted, burned, spent) = (minted + mint, burned + burn, spent + dc);
        remember(c, leaves);
        commits++;
        _epoch += 1 + uint64(seed % 2);
    }

    function commitInParts(EpochCommit memory c, Charge[] memory charges) private {
        Charge[] memory first = new Charge[](1);
        Charge[] memory more = new Charge[](charges.length - 1);
        first[0] = charges[0];
        for (uint256 i = 0; i < more.length; i++) more[i] = charges[i + 1];
        commit(c, first);
        proof.continueCharges(c.epoch, more);
    }

    function remember(EpochCommit memory c, Leaf[] memory leaves) private {
        committed.push(c.epoch);
        _last = c;
        _lastSigners = signersOf(0, proof.quorum());
        delete _trees[c.epoch];
        for (uint256 i = 0; i < leaves.length; i++) {
            _trees[c.epoch].push(leaves[i]);
            uint256 n = indexOf(leaves[i].node);
            _leaves[n].push(leaves[i]);
            _lastLeaf[n] = c.epoch;
        }
    }

    function indexOf(address node) private view returns (uint256 i) {
        while (nodes[i] != node) i++;
    }

    /// @dev For each pair at most what its authority and the account allow; the HUDL that leaves escrow, to the wei.
    function makeCharges(uint256 seed)
        private
        returns (Charge[] memory charges, uint256 received, uint256 dc, uint256 bytes_)
    {
        charges = new Charge[](2 * APPLICATIONS);
        uint256 n;
        uint256 budget = creditsCap();
        for (uint256 i = 0; i < APPLICATIONS; i++) {
            IDataCredits.Account memory a = credits.accountOf(applications[i]);
            for (uint256 j = 0; j < 2; j++) {
                uint256 most = credits.authorisation(applications[i], orchestrators[j], _epoch).remainingDC;
                if (most > a.dc) most = a.dc;
                if (most > 1e9) most = 1e9;
                if (most > budget - dc) most = budget - dc;
                uint256 gb = most / 5000;
                if (gb != 0) gb = uint256(keccak256(abi.encode(seed, i, j))) % (gb + 1);
                if (gb == 0) continue;
                uint256 cost = gb * 5000;
                uint256 escrow = cost == a.dc ? a.escrowWei : uint256(a.escrowWei) * cost / a.dc;
                (a.dc, a.escrowWei) = (uint128(a.dc - cost), uint128(a.escrowWei - escrow));
                (received, dc, bytes_) = (received + escrow, dc + cost, bytes_ + gb * 1e9);
                charges[n++] = Charge(applications[i], orchestrators[j], uint128(gb * 1e9));
            }
        }
        assembly ("memory-safe") {
            mstore(charges, n)
        }
    }

    /// @dev Most credits that the epoch may consume: reporters leave out what goes beyond.
    function creditsCap() private returns (uint256) {
        proof.open(_epoch);
        (uint256 low,) = oracle.epochPrices(_epoch);
        (, SupplyRules memory rules) = parameters.supplyRules(_epoch);
        return Credits.bought(proof.standing().supply, low) * rules.creditsCapBps / 1e4;
    }

    function makeLeaves(uint256 seed, uint256 bytes_) private view returns (Leaf[] memory leaves) {
        leaves = new Leaf[](NODES);
        uint256 n;
        for (uint256 i = 0; i < NODES; i++) {
            uint256 r = uint256(keccak256(abi.encode(seed, "leaf", i)));
            if (r % 4 == 0) continue;
            leaves[n] = makeLeaf(nodes[i], _epoch, _lastLeaf[i], uint128(bytes_ / NODES));
            leaves[n].quality = uint64((r >> 8) % 1e18);
            leaves[n++].availability = uint64((r >> 80) % 1e18);
        }
        assembly ("memory-safe") {
            mstore(leaves, n)
        }
    }

    /// @dev The guardian voids the last commit within its window, and reporters replace it with worse scores.
    function voidAndReplace(uint256 seed) external timed {
        if (!isOpenToChallenge()) return;
        vm.prank(guardian);
        proof.voidByGuardian(_last, _lastSigners);
        replaceLast(seed);
    }

    function isOpenToChallenge() internal view returns (bool) {
        if (committed.length == 0 || block.timestamp >= proof.standing().windowEnds) return false;
        return !proof.epochs(_last.epoch).isCut;
    }

    function lastCommit() internal view returns (EpochCommit memory) {
        return _last;
    }

    function lastSigners() internal view returns (address[] memory) {
        return _lastSigners;
    }

    /// @dev The epoch's leaves again, with worse scores.
    function replaceLast(uint256 seed) internal {
        EpochCommit memory c = _last;
        Leaf[] memory leaves = _trees[c.epoch];
        c.rewardTotal = 0;
        ParameterSet memory p = parameters.parametersOf(c.parametersVersion);
        for (uint256 i = 0; i < leaves.length; i++) {
            leaves[i].quality = uint64(uint256(leaves[i].quality) * (seed % 101) / 100);
            c.rewardTotal += payoutBeforeCut(leaves[i], p.reward, c.rMax);
        }
        c.root = Tree.root(leaves);
        uint256 less = c.mintTotal - c.rewardTotal;
        c.mintTotal = c.rewardTotal;
        proof.replace(c, quorumSignatures(proof.replacementDigestOf(c)));
        minted -= less;
        _last = c;
        _lastSigners = signersOf(0, proof.quorum());
        for (uint256 i = 0; i < leaves.length; i++) {
            _trees[c.epoch][i] = leaves[i];
            uint256 n = indexOf(leaves[i].node);
            _leaves[n][_leaves[n].length - 1] = leaves[i];
        }
    }

    function isClaimable(uint64 epoch) private view returns (bool) {
        IProofOfResource.Standing memory s = proof.standing();
        return epoch != s.lastEpoch || block.timestamp >= s.windowEnds;
    }

    /// @dev Anyone claims a node's next epochs, one to three at once.
    function claim(uint256 node, uint256 count) external timed {
        node %= NODES;
        uint256 from = claimedLeaves[node];
        uint256 most = _leaves[node].length - from;
        if (most != 0 && !isClaimable(_leaves[node][from + most - 1].epoch)) most--;
        if (most == 0) return;
        count = bound(count, 1, most > 3 ? 3 : most);
        (Leaf[] memory list, bytes32[][] memory proofs) = take(node, from, count);
        uint256 before = hudl.balanceOf(pools[node]);
        uint256 want;
        for (uint256 i = 0; i < count; i++) want += rewards.payoutOf(list[i]);
        rewards.claim(list, proofs);
        assertEq(hudl.balanceOf(pools[node]) - before, want, "paid");
        claimedWei[node] += want;
        claimedLeaves[node] += count;
        claims += count;
    }

    /// @dev A stranger who claims only the newest of several epochs is refused.
    function claimOnlyTheNewest(uint256 node) external timed {
        node %= NODES;
        uint256 n = _leaves[node].length;
        if (n < claimedLeaves[node] + 2) return;
        (Leaf[] memory list, bytes32[][] memory proofs) = take(node, n - 1, 1);
        vm.prank(makeAddress("stranger"));
        try rewards.claim(list, proofs) {
            revert Fails("a stranger skipped an epoch");
        } catch (bytes memory reason) {
            refused(reason, IRewards.Rewards_EpochSkipped.selector);
        }
    }

    function claimTwice(uint256 node) external timed {
        node %= NODES;
        if (claimedLeaves[node] == 0) return;
        (Leaf[] memory list, bytes32[][] memory proofs) = take(node, claimedLeaves[node] - 1, 1);
        try rewards.claim(list, proofs) {
            revert Fails("an epoch was paid twice");
        } catch (bytes memory reason) {
            refused(reason, IRewards.Rewards_EpochPaid.selector);
        }
    }

    function take(uint256 node, uint256 from, uint256 count)
        private
        view
        returns (Leaf[] memory list, bytes32[][] memory proofs)
    {
        list = new Leaf[](count);
        proofs = new bytes32[][](count);
        for (uint256 i = 0; i < count; i++) {
            list[i] = _leaves[node][from + i];
            Leaf[] memory tree = _trees[list[i].epoch];
            uint256 place;
            while (tree[place].node != list[i].node) place++;
            proofs[i] = Tree.proof(tree, place);
        }
    }

    /// @dev Before a price is used; feeders, where there are any, see to it that it holds.
    function wakeFeeders() internal virtual;

    function refused(bytes memory reason, bytes4 want) internal {
        if (bytes4(reason) != want) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
        refusals++;
    }
}
