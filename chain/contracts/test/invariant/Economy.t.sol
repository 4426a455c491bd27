// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {DataCredits} from "../../src/DataCredits.sol";
import {HUDL} from "../../src/HUDL.sol";
import {IProofOfResource} from "../../src/interfaces/IProofOfResource.sol";
import {NO_EPOCH} from "../../src/types/Leaf.sol";
import {ProofOfResource} from "../../src/ProofOfResource.sol";
import {Reserve} from "../../src/Reserve.sol";
import {Rewards} from "../../src/Rewards.sol";
import {Test} from "../base/Test.sol";
import {EconomyActors} from "./EconomyActors.sol";

/// @notice What holds whatever anybody does. That burn <= mint and that the net mint stays below the cap is asserted
/// by the handler at every commit.
contract EconomyInvariants is Test {
    uint256 private constant GENESIS_SUPPLY = 1e9 * 1e18;

    EconomyActors private handler;
    HUDL private hudl;
    Reserve private reserve;
    DataCredits private credits;
    ProofOfResource private proof;
    Rewards private rewards;

    function setUp() public {
        handler = new EconomyActors();
        (address h, address r, address c, address p, address w) = handler.contracts();
        (hudl, reserve, credits, proof, rewards) =
            (HUDL(h), Reserve(payable(r)), DataCredits(c), ProofOfResource(p), Rewards(w));
        bytes4[] memory selectors = new bytes4[](14);
        selectors[0] = handler.buy.selector;
        selectors[1] = handler.authorise.selector;
        selectors[2] = handler.revoke.selector;
        selectors[3] = handler.pass.selector;
        selectors[4] = handler.setPrice.selector;
        selectors[5] = handler.setParameters.selector;
        selectors[6] = handler.spendKept.selector;
        selectors[7] = handler.commitEpoch.selector;
        selectors[8] = handler.commitEpoch.selector;
        selectors[9] = handler.voidAndReplace.selector;
        selectors[10] = handler.claim.selector;
        selectors[11] = handler.claim.selector;
        selectors[12] = handler.claimOnlyTheNewest.selector;
        selectors[13] = handler.claimTwice.selector;
        targetContract(address(handler));
        targetSelector(address(handler), selectors);
    }

    /// @dev One run looks at all of them: four would make every call four times.
    function invariant_economy() public view {
        supply();
        creditsAndEscrow();
        claims();
        leaves();
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
        for (uint256 i = 0; i < 3; i++) {
            assertEq(hudl.balanceOf(handler.pools(i)), handler.claimedWei(i), "pool");
            uint256 n = handler.claimedLeaves(i);
            uint64 want = n == 0 ? NO_EPOCH : handler.leafEpoch(i, n - 1);
            assertEq(rewards.lastRewardedBatch(handler.nodes(i)), want, "last epoch paid");
        }
    }
}
