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
    uint256 public batches;
    uint256 public forgeries;
    uint256 public abandoned;
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
    // An epoch that waits for charges: what was signed, its leaves, and how many of its charges are left.
    EpochCommit private _signed;
    Leaf[] private _signedLeaves;
    Charge[] private _charges;
    uint256 public left;

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

    /// @dev While an epoch waits for charges governance cannot spend what came in of it.
    function spendKept(uint256 amount) external timed {
        amount = bound(amount, 0, reserve.kept());
        try reserve.spendKept(treasury, amount) {
            assertEq(left, 0, "charges that are left when governance spends");
            spentByGovernance += amount;
        } catch (bytes memory reason) {
            assertGe(left, 1, "charges that are left when governance is refused");
            refused(reason, IProofOfResource.ProofOfResource_LastEpochOpen.selector);
        }
    }

    /// @dev Reporters commit the next epoch: what applications can pay, spread over some nodes, and now and then
    /// traffic that nobody paid for, which the ceiling cuts. Now and then the charges come later, in batches.
    function commitEpoch(uint256 seed) external timed {
        if (left != 0) return;
        uint64 now_ = parameters.currentEpoch();
        if (now_ <= _epoch) vm.warp(GENESIS + uint256(_epoch + 1) * EPOCH);
        if (block.timestamp < proof.standing().windowEnds) pastWindow();
        wakeFeeders();
        (Charge[] memory charges, uint256 received, uint256 dc, uint256 bytes_) = makeCharges(seed);
        Leaf[] memory leaves = makeLeaves(seed, seed % 5 == 0 ? bytes_ + 1e15 : bytes_);
        EpochCommit memory c = makeCommit(_epoch, leaves, charges, received);
        begin(c, leaves, charges);
        if (charges.length != 0 && seed % 3 == 0) {
            commit(c, new Charge[](0));
            left = charges.length;
            return;
        }
        Before memory before = look();
        commit(c, charges);
        settled(before, received);
        assertEq(proof.epochs(c.epoch).mintTotal, c.mintTotal, "M as signed");
        spent += dc;
    }

    /// @dev Anyone brings in charges that are left, from the last one on.
    function chargeMore(uint256 count) external timed {
        if (left == 0) return;
        count = bound(count, 1, left);
        (Charge[] memory more, bytes32 rest) = lastCharges(count);
        Before memory before = look();
        uint256 escrow = hudl.balanceOf(address(credits));
        proof.continueCharges(_signed.epoch, more, rest);
        left -= count;
        for (uint256 i = 0; i < count; i++) spent += more[i].bytes_ / 1e9 * 5000;
        batches++;
        if (left == 0) settled(before, escrow - hudl.balanceOf(address(credits)));
        else assertEq(hudl.totalSupply(), before.supply, "supply while charges are left");
    }

    /// @dev A stranger sends charges that nobody signed, or not in their turn.
    function forgeCharges(uint256 who, uint256 what) external timed {
        if (left == 0) return;
        (Charge[] memory more, bytes32 rest) = lastCharges(1);
        if (what % 3 == 0) more[0].bytes_ += 1e9;
        else if (what % 3 == 1) more[0].application = more[0].orchestrator = orchestrators[who % 2];
        else rest = bytes32(what);
        vm.prank(makeAddress("stranger"));
        try proof.continueCharges(_signed.epoch, more, rest) {
            revert Fails("charges that nobody signed were taken");
        } catch (bytes memory reason) {
            bool unsorted = bytes4(reason) == IProofOfResource.ProofOfResource_ChargesNotAscending.selector;
            refused(
                reason,
                unsorted
                    ? IProofOfResource.ProofOfResource_ChargesNotAscending.selector
                    : IProofOfResource.ProofOfResource_ChargesHash.selector
            );
            forgeries++;
        }
    }

    /// @dev Governance gives an epoch up: nothing is minted, what was charged stays charged, and whoever sends its
    /// commit again is refused.
    function abandon(uint256 random) external timed {
        if (left == 0 || random % 4 != 0) return;
        proof.abandonCharges(_signed.epoch);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(_signed));
        try proof.commit(_signed, new Charge[](0), signatures) {
            revert Fails("an epoch that was given up was committed");
        } catch (bytes memory reason) {
            refused(reason, IProofOfResource.ProofOfResource_EpochOrder.selector);
        }
        left = 0;
        _epoch++;
        abandoned++;
    }

    function begin(EpochCommit memory c, Leaf[] memory leaves, Charge[] memory charges) private {
        _signed = c;
        delete _signedLeaves;
        delete _charges;
        for (uint256 i = 0; i < leaves.length; i++) _signedLeaves.push(leaves[i]);
        for (uint256 i = 0; i < charges.length; i++) _charges.push(charges[i]);
    }

    /// @dev The last of the charges that are left, and the hash of those before them.
    function lastCharges(uint256 count) private view returns (Charge[] memory more, bytes32 rest) {
        Charge[] memory others = new Charge[](left - count);
        more = new Charge[](count);
        for (uint256 i = 0; i < others.length; i++) others[i] = _charges[i];
        for (uint256 i = 0; i < count; i++) more[i] = _charges[others.length + i];
        (rest,) = chain(others);
    }

    struct Before {
        uint256 supply;
        uint256 kept;
        uint256 filler;
    }

    function look() private view returns (Before memory) {
        return Before(hudl.totalSupply(), reserve.kept(), reserve.filler());
    }

    /// @dev The epoch's last charges have just come. `received` is the HUDL that they brought; what others brought
    /// before them is kept so far.
    function settled(Before memory before, uint256 received) private {
        IProofOfResource.EpochRecord memory r = proof.epochs(_signed.epoch);
        uint256 burn = before.kept + received - reserve.kept();
        uint256 mint = hudl.totalSupply() + burn - before.supply;
        assertEq(mint, r.mintTotal + reserve.filler() - before.filler, "minted in the epoch");
        assertLe(burn, r.mintTotal, "burn against mint");
        assertLe(r.mintTotal, _signed.rewardTotal, "M against M0");
        (, SupplyRules memory rules) = parameters.supplyRules(_signed.epoch);
        assertLe(hudl.totalSupply(), before.supply + before.supply * rules.hi / 1e18, "net mint of the epoch");
        (minted, burned) = (minted + mint, burned + burn);
        remember(_signed, _signedLeaves);
        commits++;
        _epoch += 1 + uint64(uint256(_signed.root) % 2);
    }

    function remember(EpochCommit memory c, Leaf[] memory leaves) private {
        committed.push(c.epoch);
        _last = c;
        _lastSigners = quorumSigners();
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
        return committed.length != 0 && block.timestamp < proof.standing().windowEnds;
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
        for (uint256 i = 0; i < leaves.length; i++) {
            leaves[i].quality = uint64(uint256(leaves[i].quality) * (seed % 101) / 100);
        }
        c.root = Tree.root(leaves);
        IProofOfResource.EpochRecord memory r = proof.epochs(c.epoch);
        setReplaced(c, leaves, r);
        proof.replace(c, quorumSignatures(proof.replacementDigestOf(c)));
        assertLe(c.mintTotal, r.isCut ? r.cap : r.mintTotal, "M of a replacement");
        minted = minted + c.mintTotal - r.mintTotal;
        _last = c;
        _lastSigners = quorumSigners();
        for (uint256 i = 0; i < leaves.length; i++) {
            _trees[c.epoch][i] = leaves[i];
            uint256 n = indexOf(leaves[i].node);
            _leaves[n][_leaves[n].length - 1] = leaves[i];
        }
    }

    function setReplaced(EpochCommit memory c, Leaf[] memory leaves, IProofOfResource.EpochRecord memory r)
        private
        view
    {
        ParameterSet memory p = parameters.parametersOf(c.parametersVersion);
        uint256[] memory payouts = new uint256[](leaves.length);
        c.rewardTotal = 0;
        for (uint256 i = 0; i < leaves.length; i++) {
            payouts[i] = payoutBeforeCut(leaves[i], p.reward, c.rMax);
            c.rewardTotal += payouts[i];
        }
        c.mintTotal = c.rewardTotal;
        if (!r.isCut || c.rewardTotal <= r.cap) return;
        c.mintTotal = 0;
        for (uint256 i = 0; i < leaves.length; i++) c.mintTotal += payouts[i] * r.cap / c.rewardTotal;
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
        uint256 got = hudl.balanceOf(pools[node]) - before;
        // Where Q has moved since a cut was signed the last claim of the epoch finds less, by less than a wei per leaf.
        assertLe(got, want, "paid");
        assertGe(got + count * (NODES - 1), want, "paid of what was earned");
        claimedWei[node] += got;
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
