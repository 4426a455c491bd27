// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "../base/Test.sol";
import {HUDL} from "../../src/HUDL.sol";
import {MediaNodeKey} from "../../src/MediaNodeKey.sol";
import {Pool} from "../../src/Pool.sol";
import {PoolManager} from "../../src/PoolManager.sol";
import {VeHUDL} from "../../src/VeHUDL.sol";
import {Actors} from "./Actors.sol";

contract PoolsInvariantTest is Test {
    Actors private actors;
    HUDL private hudl;
    VeHUDL private veHudl;
    MediaNodeKey private keys;
    PoolManager private manager;

    function setUp() public {
        actors = new Actors();
        (address h, address v, address k, address m) = actors.contracts();
        (hudl, veHudl, keys, manager) = (HUDL(h), VeHUDL(v), MediaNodeKey(k), PoolManager(m));
        bytes4[] memory list = new bytes4[](14);
        (list[0], list[1], list[2]) = (Actors.buy.selector, Actors.delegateKey.selector, Actors.undelegateKey.selector);
        (list[3], list[4], list[5]) = (Actors.sell.selector, Actors.redeem.selector, Actors.withdraw.selector);
        (list[6], list[7], list[8]) = (Actors.burn.selector, Actors.changeCommission.selector, Actors.handOver.selector);
        (list[9], list[10], list[11]) = (Actors.nextEpochs.selector, Actors.pay.selector, Actors.claimFor.selector);
        (list[12], list[13]) = (Actors.gift.selector, Actors.pauseOrGoOn.selector);
        targetContract(address(actors));
        targetSelector(address(actors), list);
    }

    // One campaign for all of them. What is wrong stays wrong, so that looking after every eighth call and at the end
    // of each run finds it at a fraction of the cost.
    function invariant_moneyAndKeysOfPools() public view {
        if (actors.calls() % 8 == 0) afterInvariant();
    }

    function afterInvariant() public view {
        supplyIsMintedMinusBurned();
        debtsOfAPoolAreItsBalance();
        everybodyEarnsWhatTheTableSays();
        veHudlIsBackedOneToOne();
        veHudlMovesOnlyByClaimAndRedemption();
        keysAgreeWithPools();
        dustIsBelowAWeiPerKey();
    }

    function supplyIsMintedMinusBurned() private view {
        assertEq(hudl.totalSupply(), actors.minted() - actors.burned(), "supply");
    }

    // Every wei of a pool is owed to somebody, is dust, or was given away by a stranger.
    function debtsOfAPoolAreItsBalance() private view {
        for (uint256 n = 0; n < actors.NODES(); ++n) {
            Pool pool = actors.poolAt(n);
            (, uint256 dust) = pool.index();
            uint256 debts = dust + actors.gifts(n);
            for (uint256 h = 0; h < actors.HOLDERS(); ++h) debts += pool.owed(actors.holders(h));
            assertEq(hudl.balanceOf(address(pool)), debts, "balance of a pool");
        }
    }

    // The table says what whole epochs, sales and late claims pay; so a sold key earned its seller nothing.
    function everybodyEarnsWhatTheTableSays() private view {
        for (uint256 n = 0; n < actors.NODES(); ++n) {
            for (uint256 h = 0; h < actors.HOLDERS(); ++h) {
                uint256 got = actors.poolAt(n).owed(actors.holders(h)) + actors.claimed(n, h);
                assertEq(got, actors.earned(n, h), "earned");
            }
        }
    }

    function veHudlIsBackedOneToOne() private view {
        uint256 want = veHudl.totalSupply() + veHudl.pendingRedemptions() + actors.giftsToVeHudl();
        assertEq(hudl.balanceOf(address(veHudl)), want, "HUDL behind veHUDL");
    }

    function veHudlMovesOnlyByClaimAndRedemption() private view {
        for (uint256 h = 0; h < actors.HOLDERS(); ++h) {
            uint256 claimed;
            for (uint256 n = 0; n < actors.NODES(); ++n) claimed += actors.claimed(n, h);
            address account = actors.holders(h);
            assertEq(veHudl.balanceOf(account), claimed - actors.redeemed(h), "veHUDL");
            assertEq(veHudl.getVotes(account), claimed - actors.redeemed(h), "votes");
            assertEq(hudl.balanceOf(account), actors.withdrawn(h), "HUDL");
        }
    }

    // A key is in one pool at most, and pools, nodes and keys agree on which.
    function keysAgreeWithPools() private view {
        uint256[] memory inPool = new uint256[](actors.NODES());
        for (uint256 id = 1; id <= keys.totalSupply(); ++id) {
            uint256 number = keys.keyOf(id).pool;
            if (number != 0) ++inPool[number - 1];
        }
        uint256 active;
        for (uint256 n = 0; n < actors.NODES(); ++n) {
            Pool pool = actors.poolAt(n);
            (uint256 count,) = manager.keysOf(actors.nodes(n));
            assertEq(count, inPool[n], "keys of a node");
            assertEq(pool.keysAt(actors.epoch() + 1), count, "keys that count from the next epoch on");
            assertLe(count, manager.bounds().maxKeys, "cap");
            uint256 sum;
            for (uint256 h = 0; h < actors.HOLDERS(); ++h) sum += pool.keysOf(actors.holders(h));
            assertEq(sum, count, "keys of the owners");
            if (count > 0) ++active;
        }
        assertEq(manager.activeNodes(), active, "active nodes");
    }

    function dustIsBelowAWeiPerKey() private view {
        for (uint256 n = 0; n < actors.NODES(); ++n) {
            (, uint256 dust) = actors.poolAt(n).index();
            assertEq(dust, actors.dustOf(n), "dust");
            assertLe(dust, keys.totalSupply(), "dust");
        }
    }
}
