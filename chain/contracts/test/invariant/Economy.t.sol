// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataCredits} from "../../src/DataCredits.sol";
import {HUDL} from "../../src/HUDL.sol";
import {IProofOfResource} from "../../src/interfaces/IProofOfResource.sol";
import {NO_EPOCH} from "../../src/types/Leaf.sol";
import {Reserve} from "../../src/Reserve.sol";
import {Rewards} from "../../src/Rewards.sol";
import {VeHUDL} from "../../src/VeHUDL.sol";
import {Test} from "../base/Test.sol";
import {MoneyActors} from "./MoneyActors.sol";

/// @notice What holds whatever anybody does. That burn <= mint and that the net mint stays below the cap is asserted
/// by the handler at every commit.
contract EconomyInvariants is Test {
    uint256 private constant GENESIS_SUPPLY = 1e9 * 1e18;

    MoneyActors private handler;
    HUDL private hudl;
    Reserve private reserve;
    DataCredits private credits;
    IProofOfResource private proof;
    Rewards private rewards;
    VeHUDL private veHudl;

    function setUp() public {
        handler = new MoneyActors();
        (address h, address r, address c, address p, address w, address v) = handler.contracts();
        (hudl, reserve, credits, proof, rewards, veHudl) =
            (HUDL(h), Reserve(payable(r)), DataCredits(c), IProofOfResource(p), Rewards(w), VeHUDL(v));
        bytes4[] memory selectors = new bytes4[](29);
        selectors[0] = handler.buy.selector;
        selectors[1] = handler.authorise.selector;
        selectors[2] = handler.revoke.selector;
        selectors[3] = handler.pass.selector;
        selectors[4] = handler.setPrice.selector;
        selectors[5] = handler.setParameters.selector;
        selectors[6] = handler.spendKept.selector;
        selectors[7] = handler.commitEpoch.selector;
        selectors[8] = handler.commitEpoch.selector;
        selectors[9] = handler.chargeMore.selector;
        selectors[10] = handler.chargeMore.selector;
        selectors[11] = handler.forgeCharges.selector;
        selectors[12] = handler.abandon.selector;
        selectors[13] = handler.voidAndReplace.selector;
        selectors[14] = handler.claim.selector;
        selectors[15] = handler.claim.selector;
        selectors[16] = handler.claimOnlyTheNewest.selector;
        selectors[17] = handler.claimTwice.selector;
        selectors[18] = handler.leaveToFeeders.selector;
        selectors[19] = handler.feed.selector;
        selectors[20] = handler.buyWithStable.selector;
        selectors[21] = handler.delegateKey.selector;
        selectors[22] = handler.undelegateKey.selector;
        selectors[23] = handler.sellKey.selector;
        selectors[24] = handler.takeFromPool.selector;
        selectors[25] = handler.redeem.selector;
        selectors[26] = handler.withdraw.selector;
        selectors[27] = handler.pauseAndGoOn.selector;
        selectors[28] = handler.equivocate.selector;
        targetContract(address(handler));
        targetSelector(address(handler), selectors);
    }

    /// @dev One run looks at all of them: four would make every call four times.
    function invariant_economy() public view {
        supply();
        creditsAndEscrow();
        claims();
        leaves();
        stablecoins();
    }

    /// @dev The rarer actors do what they are there for; invariants say nothing of calls that return at once.
    function test_everyActorActs() public {
        handler.delegateKey(0, 0);
        handler.delegateKey(1, 1);
        handler.delegateKey(2, 2);
        handler.pass(1 days);
        handler.leaveToFeeders();
        handler.feed(0, 5_100_001);
        handler.feed(1, 5_000_001);
        handler.buyWithStable(0, 1e9);
        for (uint256 i = 0; i < 3; i++) {
            handler.authorise(i, 1, type(uint128).max, 40);
            handler.buy(i, 1e24);
        }
        for (uint256 i = 0; i < 3; i++) {
            handler.authorise(0, 0, type(uint128).max, 40);
            handler.buy(0, 1e24);
            handler.pass(1 days);
            handler.commitEpoch(7 + i);
            if (i == 1) handler.equivocate(1, 50);
            invariant_economy();
        }
        handler.pass(1 days);
        for (uint256 i = 0; i < 3; i++) {
            handler.claim(i, 3);
            handler.takeFromPool(0, i);
            handler.takeFromPool(2, i);
            handler.sellKey(i);
        }
        handler.undelegateKey(1);
        handler.commitEpoch(9);
        assertGe(handler.left(), 3, "charges that are left");
        handler.forgeCharges(1, 1);
        handler.chargeMore(1);
        handler.spendKept(1);
        handler.forgeCharges(1, 0);
        while (handler.left() != 0) handler.chargeMore(1);
        handler.commitEpoch(12);
        assertGe(handler.left(), 2, "charges that are left of the next");
        handler.chargeMore(1);
        handler.abandon(0);
        handler.redeem(0, 5);
        handler.withdraw(0, 0);
        for (uint256 i = 0; i < 30; i++) handler.pass(1 days);
        handler.withdraw(0, 0);
        handler.pauseAndGoOn(0);
        invariant_economy();
        assertGe(handler.feeds(), 2, "feeds");
        assertEq(handler.stableBuys(), 1, "purchases with stablecoins");
        assertEq(handler.equivocations(), 1, "equivocations");
        assertGe(handler.poolClaims(), 2, "claims from pools");
        assertGe(handler.claims(), 2, "claims");
        assertGe(handler.batches(), 4, "batches of charges");
        assertEq(handler.forgeries(), 2, "charges that nobody signed");
        assertEq(handler.abandoned(), 1, "epochs that were given up");
        assertEq(handler.withdrawn(), 5, "withdrawn");
        assertEq(handler.pauses(), 1, "pauses");
    }

    /// @dev Supply = initial + minted - burned, and S_C is the same.
    function supply() private view {
        uint256 want = GENESIS_SUPPLY + handler.minted() - handler.burned();
        assertEq(hudl.totalSupply(), want, "total supply");
        assertEq(proof.standing().supply, want, "S_C");
    }

    /// @dev Credits spent <= bought, to the credit; every credit has its HUDL in escrow.
    function creditsAndEscrow() private view {
        uint256 dc;
        uint256 escrow;
        for (uint256 i = 0; i < 3; i++) {
            dc += credits.accountOf(handler.applications(i)).dc;
            escrow += credits.accountOf(handler.applications(i)).escrowWei;
        }
        assertEq(dc + handler.spent(), handler.bought(), "credits");
        assertEq(hudl.balanceOf(address(credits)), escrow, "escrow");
    }

    /// @dev Claims of each epoch sum to at most its M, and what is left is what the Reserve owes.
    function claims() private view {
        uint256 left;
        for (uint256 i = 0; i < handler.committedCount(); i++) {
            IProofOfResource.EpochRecord memory r = proof.epochs(handler.committed(i));
            assertLe(r.paid, r.mintTotal, "paid of M");
            left += r.mintTotal - r.paid;
        }
        assertEq(reserve.owed(), left, "owed");
        assertGe(hudl.balanceOf(address(reserve)), reserve.owed() + reserve.filler(), "balance of the Reserve");
    }

    /// @dev No leaf is paid twice, none is skipped: a node's pool holds the payouts of its first leaves, up to the
    /// one that Rewards names.
    function leaves() private view {
        uint256 taken;
        for (uint256 i = 0; i < 3; i++) {
            taken += handler.taken(i);
            assertEq(hudl.balanceOf(handler.pools(i)) + handler.taken(i), handler.claimedWei(i), "pool");
            uint256 n = handler.claimedLeaves(i);
            uint64 want = n == 0 ? NO_EPOCH : handler.leafEpoch(i, n - 1);
            assertEq(rewards.lastRewardedBatch(handler.nodes(i)), want, "last epoch paid");
        }
        assertEq(veHudl.totalSupply(), taken - handler.redeemed(), "veHUDL");
        assertEq(hudl.balanceOf(address(veHudl)), taken - handler.withdrawn(), "HUDL behind veHUDL");
    }

    /// @dev No stablecoin is anywhere but with the buyer.
    function stablecoins() private view {
        (uint256 held, uint256 issued) = handler.stableHeld();
        assertEq(held, issued, "stablecoins");
    }
}
