// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {IHUDLBuyer} from "../../src/interfaces/IHUDLBuyer.sol";
import {IMediaNodeKey} from "../../src/interfaces/IMediaNodeKey.sol";
import {IPriceOracle} from "../../src/interfaces/IPriceOracle.sol";
import {IProofOfResource} from "../../src/interfaces/IProofOfResource.sol";
import {IVeHUDL} from "../../src/interfaces/IVeHUDL.sol";
import {InventoryBuyer} from "../../src/InventoryBuyer.sol";
import {Pool} from "../../src/Pool.sol";
import {Charge} from "../../src/types/Charge.sol";
import {EpochCommit} from "../../src/types/EpochCommit.sol";
import {Leaf} from "../../src/types/Leaf.sol";
import {Stable} from "../mocks/Stable.sol";
import {EconomyActors} from "./EconomyActors.sol";

/// @notice Who else has a hand in the economy: feeders of the price, buyers with stablecoins, holders of keys and of
/// veHUDL, the guardian who pauses, and reporters who sign two commits of one epoch.
contract MoneyActors is EconomyActors {
    uint256 private constant FEEDERS = 3;
    uint256 private constant KEYS = 6;

    Stable private stable;
    InventoryBuyer private inventory;
    address[FEEDERS] private feeders;
    uint64[FEEDERS] private fed;
    address[2] public holders;

    /// @dev veHUDL that left each pool.
    uint256[NODES] public taken;
    uint256 public feeds;
    uint256 public stableBuys;
    uint256 public poolClaims;
    uint256 public equivocations;
    /// @dev veHUDL that its holders gave up, and HUDL that they got for it.
    uint256 public redeemed;
    uint256 public withdrawn;
    uint256 public pauses;

    constructor() {
        for (uint256 i = 0; i < FEEDERS; i++) {
            feeders[i] = makeAddress(string.concat("feeder", vm.toString(i)));
            oracle.addFeeder(feeders[i]);
            fed[i] = PRICE;
        }
        stable = new Stable();
        inventory = new InventoryBuyer(stable, 6, hudl, oracle, address(credits), address(access));
        credits.setBuyer(inventory);
        give(address(inventory), 1e6 * 1e18);
        holders = [makeAddress("holder0"), makeAddress("holder1")];
        keys.buy("EU", KEYS / 2, 0, holders[0]);
        keys.buy("EU", KEYS / 2, 0, holders[1]);
    }

    function stableHeld() external view returns (uint256 held, uint256 issued) {
        return (stable.balanceOf(address(inventory)), stable.totalSupply());
    }

    // Feeders.

    /// @dev Governance leaves the price to the feeders.
    function leaveToFeeders() external timed {
        if (oracle.fixedPrice() != 0) oracle.fixPrice(0);
        wakeFeeders();
    }

    /// @dev One moves its price, within the deviation that the oracle takes or beyond it.
    function feed(uint256 who, uint256 price8) external timed {
        if (oracle.fixedPrice() != 0) return;
        wakeFeeders();
        who %= FEEDERS;
        uint64 price = uint64(bound(price8, 1000, 1e10));
        if (price8 % 4 != 0) {
            uint256 spot8 = oracle.spot();
            price = uint64(bound(price8, spot8 - spot8 / 5, spot8 + spot8 / 5));
        }
        vm.prank(feeders[who]);
        try oracle.feed(price) {
            fed[who] = price;
            feeds++;
        } catch (bytes memory reason) {
            refused(reason, IPriceOracle.PriceOracle_Deviation.selector);
        }
        checkPrice();
    }

    /// @dev What everybody does before using a price: all feeders repeat theirs once it is too old.
    function wakeFeeders() internal override {
        if (oracle.fixedPrice() != 0) return;
        try oracle.spot() {}
        catch (bytes memory reason) {
            if (bytes4(reason) != IPriceOracle.PriceOracle_Stale.selector) refused(reason, 0);
            for (uint256 i = 0; i < FEEDERS; i++) {
                vm.prank(feeders[i]);
                // A price that the first two agree on may be too far from what the third one said last.
                try oracle.feed(fed[i]) {}
                catch (bytes memory why) {
                    refused(why, IPriceOracle.PriceOracle_Deviation.selector);
                }
            }
        }
        checkPrice();
    }

    /// @dev No single feeder moves the price beyond what another one says, and the range holds it.
    function checkPrice() private view {
        uint256 spot8 = oracle.spot();
        (uint64 least, uint64 most) = (fed[0], fed[0]);
        for (uint256 i = 1; i < FEEDERS; i++) {
            if (fed[i] < least) least = fed[i];
            if (fed[i] > most) most = fed[i];
        }
        assertGe(spot8, least, "spot against the lowest feed");
        assertLe(spot8, most, "spot against the highest feed");
        assertLe(oracle.low(), spot8, "low");
        assertGe(oracle.high(), spot8, "high");
    }

    // Buyers with stablecoins.

    function buyWithStable(uint256 who, uint256 amount) external timed {
        wakeFeeders();
        amount = bound(amount, 1e4, 1e10);
        stable.mint(address(this), amount);
        stable.approve(address(credits), amount);
        address application = applications[who % applications.length];
        uint256 before = credits.accountOf(application).dc;
        try credits.buyWithStable(application, amount, 1) returns (uint256 dc) {
            // A stablecoin of six decimals is 1e-6 USD, a credit 1e-5. HUDL is rounded up on the way.
            assertEq(dc, amount / 10, "credits for stablecoins");
            assertEq(credits.accountOf(application).dc - before, dc, "credited");
            bought += dc;
            stableBuys++;
        } catch (bytes memory reason) {
            stable.burnFrom(address(this), amount);
            refused(reason, IHUDLBuyer.HUDLBuyer_Inventory.selector);
        }
    }

    // Key holders.

    function delegateKey(uint256 key, uint256 node) external timed {
        (uint256[] memory id, IMediaNodeKey.Key memory k) = keyAt(key);
        if (k.pool != 0 || k.epoch > parameters.currentEpoch()) return;
        vm.prank(k.owner);
        manager.delegate(nodes[node % NODES], id);
    }

    function undelegateKey(uint256 key) external timed {
        (uint256[] memory id, IMediaNodeKey.Key memory k) = keyAt(key);
        if (k.pool == 0) return;
        vm.prank(k.owner);
        manager.undelegate(nodes[k.pool - 1], id);
    }

    function sellKey(uint256 key) external timed {
        (uint256[] memory id, IMediaNodeKey.Key memory k) = keyAt(key);
        vm.prank(k.owner);
        keys.safeTransferFrom(k.owner, k.owner == holders[0] ? holders[1] : holders[0], id[0], 1, "");
    }

    /// @dev A holder or the operator takes what a pool owes.
    function takeFromPool(uint256 who, uint256 node) external timed {
        node %= NODES;
        address account = who % 3 == 2 ? makeAddress("operator") : holders[who % 3];
        uint256 owed = Pool(pools[node]).owed(account);
        if (owed == 0) return;
        address[] memory list = new address[](1);
        list[0] = nodes[node];
        uint256 before = veHudl.balanceOf(account);
        uint256 amount = manager.claim(account, list);
        assertEq(amount, owed, "claimed of what was owed");
        assertEq(veHudl.balanceOf(account) - before, amount, "veHUDL");
        taken[node] += amount;
        poolClaims++;
    }

    // Redeemers.

    function redeem(uint256 who, uint256 amount) external timed {
        address account = holders[who % 2];
        uint256 balance = veHudl.balanceOf(account);
        if (balance == 0) return;
        amount = bound(amount, 1, balance);
        vm.prank(account);
        veHudl.requestRedeem(amount);
        redeemed += amount;
    }

    /// @dev Every request in its time, and not before.
    function withdraw(uint256 who, uint256 id) external timed {
        address account = holders[who % 2];
        uint256 count = veHudl.redemptionCount(account);
        if (count == 0) return;
        uint256 amount = veHudl.redemption(account, id % count).amount;
        bool ready = veHudl.redemption(account, id % count).readyAt <= block.timestamp;
        uint256 before = hudl.balanceOf(account);
        vm.prank(account);
        try veHudl.withdraw(id % count) {
            assertTrue(ready, "withdrawn before its time");
            assertEq(hudl.balanceOf(account) - before, amount, "withdrawn");
            withdrawn += amount;
        } catch (bytes memory reason) {
            refused(reason, amount == 0 ? IVeHUDL.VeHUDL_NoRedemption.selector : IVeHUDL.VeHUDL_StillLocked.selector);
        }
    }

    // The guardian.

    /// @dev While all is paused nothing is bought, committed, charged or claimed; only governance ends it.
    function pauseAndGoOn(uint256 who) external timed {
        vm.startPrank(guardian);
        proof.pause();
        credits.pause();
        rewards.pause();
        try proof.unpause() {
            revert Fails("the guardian ended a pause");
        } catch (bytes memory reason) {
            refused(reason, IAccessManaged.AccessManagedUnauthorized.selector);
        }
        vm.stopPrank();
        try credits.buy(applications[who % applications.length], 1e18, 1) {
            revert Fails("credits were bought in a pause");
        } catch (bytes memory reason) {
            refused(reason, PausableUpgradeable.EnforcedPause.selector);
        }
        try proof.continueCharges(0, new Charge[](0), 0) {
            revert Fails("an epoch was charged in a pause");
        } catch (bytes memory reason) {
            refused(reason, IProofOfResource.ProofOfResource_Paused.selector);
        }
        try rewards.claim(new Leaf[](0), new bytes32[][](0)) {
            revert Fails("a claim was taken in a pause");
        } catch (bytes memory reason) {
            refused(reason, PausableUpgradeable.EnforcedPause.selector);
        }
        proof.unpause();
        credits.unpause();
        rewards.unpause();
        pauses++;
    }

    function keyAt(uint256 key) private view returns (uint256[] memory id, IMediaNodeKey.Key memory) {
        id = new uint256[](1);
        id[0] = key % KEYS + 1;
        return (id, keys.keyOf(id[0]));
    }

    // Reporters who sign twice.

    /// @dev One of those who signed the last commit signed another one: anybody shows both, the bond is gone, the
    /// commit is void as no quorum remains, and the others replace it. Then another Registry takes the place.
    function equivocate(uint256 who, uint256 seed) external timed {
        if (!isOpenToChallenge()) return;
        EpochCommit memory c = lastCommit();
        address signer = lastSigners()[who % lastSigners().length];
        who = 0;
        while (vm.addr(reporterKeys[who]) != signer) who++;
        uint256 key = reporterKeys[who];
        IProofOfResource.Equivocation[] memory proofs = new IProofOfResource.Equivocation[](1);
        EpochCommit memory other = lastCommit();
        other.root = keccak256(abi.encode(seed));
        proofs[0] = IProofOfResource.Equivocation(
            signature(key, proof.digestOf(c)), other, signature(key, proof.digestOf(other))
        );
        try proof.voidEpoch(c, lastSigners(), new IProofOfResource.Equivocation[](0)) {
            revert Fails("an epoch was voided without a proof");
        } catch (bytes memory reason) {
            refused(reason, IProofOfResource.ProofOfResource_QuorumRemains.selector);
        }
        uint256 before = hudl.balanceOf(address(bonds));
        proof.voidEpoch(c, lastSigners(), proofs);
        assertEq(before - hudl.balanceOf(address(bonds)), 1e18, "the bond");
        assertFalse(bonds.isReporter(vm.addr(key)), "still a reporter");
        for (uint256 i = who; i + 1 < reporterKeys.length; i++) reporterKeys[i] = reporterKeys[i + 1];
        reporterKeys.pop();
        replaceLast(seed);
        // Who joins signs from the next epoch that is opened.
        admitReporter(uint256(keccak256(abi.encode("another reporter", equivocations++))));
    }
}
