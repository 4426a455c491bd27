// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {Network} from "./base/Network.sol";
import {IMediaNodeKey} from "../src/interfaces/IMediaNodeKey.sol";
import {IPool} from "../src/interfaces/IPool.sol";
import {IPoolManager} from "../src/interfaces/IPoolManager.sol";
import {Pool} from "../src/Pool.sol";
import {PoolManager} from "../src/PoolManager.sol";

contract PoolManagerTest is Network {
    address internal alice = makeAddress("alice");
    address internal bob = makeAddress("bob");
    address internal operator = makeAddress("operator");
    address internal node;
    Pool internal pool;

    function setUp() public {
        deployNetwork();
        (node, pool) = createPool("node", operator, 1000);
        toEpoch(10);
    }

    function consent(string memory name, address operator_, uint16 bps, uint256 deadline) private view returns (bytes memory) {
        return signature(makeKey(name), manager.consentDigest(makeAddress(name), operator_, bps, deadline));
    }

    // Making pools.

    function test_createPool_isFoundByNodeNumberAndAddress() public view {
        assertEq(manager.poolOf(node), address(pool), "pool");
        assertEq(manager.nodeOf(1), node, "node");
        assertEq(manager.poolCount(), 1, "pools");
        assertTrue(manager.isPool(address(pool)), "is a pool");
        assertFalse(manager.isPool(node), "a node is not");
        assertEq(pool.operator(), operator, "operator");
        assertEq(pool.commissionAt(0), 1000, "commission");
    }

    function test_createPool_nobodySquatsAForeignNode() public {
        bytes memory consents = signature(makeKey("mallory"), manager.consentDigest(makeAddress("n2"), alice, 0, block.timestamp));
        vm.prank(alice);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotNodesConsent.selector);
        manager.createPool(makeAddress("n2"), 0, block.timestamp, consents);
    }

    function test_createPool_consentNamesTheOperator() public {
        bytes memory forOperator = consent("n2", operator, 0, block.timestamp);
        vm.prank(bob);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotNodesConsent.selector);
        manager.createPool(makeAddress("n2"), 0, block.timestamp, forOperator);
    }

    function test_createPool_consentNamesTheCommission() public {
        bytes memory forTen = consent("n2", operator, 1000, block.timestamp);
        vm.prank(operator);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotNodesConsent.selector);
        manager.createPool(makeAddress("n2"), 1001, block.timestamp, forTen);
    }

    function test_createPool_consentEnds() public {
        bytes memory old = consent("n2", operator, 0, block.timestamp - 1);
        vm.prank(operator);
        vm.expectRevert(
            abi.encodeWithSelector(IPoolManager.PoolManager_ConsentExpired.selector, block.timestamp - 1, block.timestamp)
        );
        manager.createPool(makeAddress("n2"), 0, block.timestamp - 1, old);
    }

    function test_createPool_onceForEver() public {
        bytes memory again = consent("node", operator, 1000, block.timestamp);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_PoolExists.selector, node, address(pool)));
        manager.createPool(node, 1000, block.timestamp, again);
    }

    function test_createPool_consentOfAnotherChainIsRefused() public {
        bytes memory here = consent("n2", operator, 0, block.timestamp);
        vm.chainId(4242);
        vm.prank(operator);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotNodesConsent.selector);
        manager.createPool(makeAddress("n2"), 0, block.timestamp, here);
    }

    function test_createPool_consentForAnotherContractIsRefused() public {
        PoolManager logic = new PoolManager(keys, poolLogic, clock);
        bytes memory init = abi.encodeCall(PoolManager.initialize, (address(access), manager.bounds()));
        PoolManager other = PoolManager(address(new ERC1967Proxy(address(logic), init)));
        bytes memory here = consent("n2", operator, 0, block.timestamp);
        vm.prank(operator);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotNodesConsent.selector);
        other.createPool(makeAddress("n2"), 0, block.timestamp, here);
    }

    function test_createPool_refusesACommissionAboveTheBound() public {
        bytes memory greedy = consent("n2", operator, 3001, block.timestamp);
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_CommissionTooHigh.selector, 3001, 3000));
        manager.createPool(makeAddress("n2"), 3001, block.timestamp, greedy);
    }

    // Delegating.

    function test_delegate_selfAndThirdParty_theKeyStaysWithItsOwner() public {
        uint256[] memory own = giveKeys(operator, 2);
        uint256[] memory others = giveKeys(alice, 3);
        delegate(operator, node, own);
        delegate(alice, node, others);
        assertEq(keys.ownerOf(own[0]), operator, "owner of a self-delegated key");
        assertEq(keys.ownerOf(others[2]), alice, "owner of a delegated key");
        assertEq(pool.keysAt(10), 0, "this epoch");
        assertEq(pool.keysAt(11), 5, "next epoch");
        assertEq(manager.activeNodes(), 1, "active nodes");
    }

    function test_delegate_onlyOnesOwnKeys() public {
        uint256[] memory ids = giveKeys(alice, 1);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOwner.selector, ids[0], bob, alice));
        manager.delegate(node, ids);
    }

    function test_delegate_aKeyTwiceIsRefused() public {
        uint256[] memory twice = new uint256[](2);
        twice[0] = twice[1] = giveKeys(alice, 1)[0];
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_Delegated.selector, twice[0], 1));
        manager.delegate(node, twice);
    }

    function test_delegate_toANodeWithoutPoolIsRefused() public {
        uint256[] memory ids = giveKeys(alice, 1);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NoPool.selector, bob));
        manager.delegate(bob, ids);
    }

    function test_delegate_nothingIsRefused() public {
        vm.prank(alice);
        vm.expectRevert(IPoolManager.PoolManager_NoKeys.selector);
        manager.delegate(node, new uint256[](0));
    }

    function test_cap_globalWhileNothingIsProven() public {
        uint256[] memory ids = giveKeys(alice, 101);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_TooManyKeys.selector, node, 101, 100));
        manager.delegate(node, ids);
    }

    function test_cap_followsProvenMbps() public {
        manager.distribute(node, one64(9), one(uint256(0)), 35);
        (, uint256 most) = manager.keysOf(node);
        assertEq(most, 3, "35 Mbit/s at 10 a key");
        uint256[] memory ids = giveKeys(alice, 4);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_TooManyKeys.selector, node, 4, 3));
        manager.delegate(node, ids);
        manager.distribute(node, new uint64[](0), new uint256[](0), type(uint32).max);
        (, most) = manager.keysOf(node);
        assertEq(most, 100, "never above the global cap");
    }

    function test_cap_whatIsThereStaysWhenTheCapFalls() public {
        uint256[] memory ids = giveKeys(alice, 4);
        delegate(alice, node, ids);
        toEpoch(12);
        manager.distribute(node, one64(10), one(uint256(0)), 10);
        (uint256 held, uint256 most) = manager.keysOf(node);
        assertEq(held, 4, "keys");
        assertEq(most, 1, "cap");
        reward(node, 11, 1000);
        assertEq(pool.owed(alice), 900, "all four earn");
    }

    function test_cap_onActiveNodes() public {
        manager.setBounds(IPoolManager.Bounds(100, 10, 1, 3000, 7, 2));
        (address second,) = createPool("n2", operator, 0);
        uint256[] memory ids = giveKeys(alice, 2);
        delegate(alice, node, one(ids[0]));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_TooManyNodes.selector, 2, 1));
        manager.delegate(second, one(ids[1]));
        undelegate(alice, node, one(ids[0]));
        assertEq(manager.activeNodes(), 0, "no node has keys");
        delegate(alice, second, one(ids[1]));
    }

    function test_undelegate_rests() public {
        uint256[] memory ids = giveKeys(alice, 1);
        delegate(alice, node, ids);
        toEpoch(12);
        undelegate(alice, node, ids);
        toEpoch(13);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_Unbonding.selector, ids[0], 13, 14));
        manager.delegate(node, ids);
        toEpoch(14);
        delegate(alice, node, ids);
    }

    function test_undelegate_onlyFromWhereItIs() public {
        (address second,) = createPool("n2", operator, 0);
        uint256[] memory ids = giveKeys(alice, 1);
        delegate(alice, node, ids);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NotDelegatedHere.selector, ids[0], 1, 2));
        manager.undelegate(second, ids);
        manager.undelegate(node, ids);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NotDelegatedHere.selector, ids[0], 0, 1));
        manager.undelegate(node, ids);
    }

    function test_undelegate_aForeignKeyIsRefused() public {
        uint256[] memory ids = giveKeys(alice, 1);
        delegate(alice, node, ids);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOwner.selector, ids[0], bob, alice));
        manager.undelegate(node, ids);
    }

    // Selling.

    function test_aSoldKey_earnsNothingForItsSeller() public {
        uint256[] memory ids = giveKeys(alice, 2);
        delegate(alice, node, ids);
        toEpoch(13);
        vm.prank(alice);
        keys.safeTransferFrom(alice, bob, ids[0], 1, "");
        toEpoch(16);
        for (uint64 e = 11; e < 16; ++e) reward(node, e, 1000);
        // 11 and 12 with both keys, then with the one that is left.
        assertEq(pool.owed(alice), 5 * 900, "seller, through the key that was kept");
        assertEq(pool.keysAt(13), 1, "keys in the epoch of the sale");
        assertEq(pool.owed(bob), 0, "buyer, who did not delegate");
    }

    function test_aSoldKey_paysTheSellerForEpochsBefore() public {
        uint256[] memory ids = giveKeys(alice, 1);
        uint256[] memory other = giveKeys(bob, 1);
        delegate(alice, node, ids);
        delegate(bob, node, other);
        toEpoch(13);
        vm.prank(alice);
        keys.safeTransferFrom(alice, bob, ids[0], 1, "");
        toEpoch(15);
        vm.prank(bob);
        manager.delegate(node, ids); // counts from 16 on
        toEpoch(18);
        for (uint64 e = 11; e < 18; ++e) reward(node, e, 1000);
        assertEq(pool.owed(alice), 2 * 450, "seller: 11 and 12");
        assertEq(pool.owed(bob), 2 * 450 + 5 * 900, "buyer");
    }

    function test_transfer_endsDelegationsToSeveralPoolsInOneBatch() public {
        (address second, Pool secondPool) = createPool("n2", operator, 0);
        uint256[] memory ids = giveKeys(alice, 4);
        delegate(alice, node, one(ids[0]));
        delegate(alice, second, one(ids[1]));
        delegate(alice, node, one(ids[3]));
        toEpoch(12);
        uint256[] memory ones = new uint256[](4);
        for (uint256 i = 0; i < 4; ++i) ones[i] = 1;
        vm.prank(alice);
        keys.safeBatchTransferFrom(alice, bob, ids, ones, "");
        assertEq(pool.keysAt(11) + secondPool.keysAt(11), 3, "before");
        assertEq(pool.keysAt(12) + secondPool.keysAt(12), 0, "from then on");
        assertEq(manager.activeNodes(), 0, "active nodes");
        assertEq(pool.keysOf(alice) + secondPool.keysOf(alice), 0, "alice's keys");
    }

    function test_onKeyTransfer_isForTheKeyContract() public {
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NotKeyContract.selector, address(this)));
        manager.onKeyTransfer(alice, bob, one(uint256(1)));
    }

    // Earning.

    function test_claim_paysVeHUDLBackedByHUDL() public {
        delegate(alice, node, giveKeys(alice, 1));
        toEpoch(12);
        reward(node, 11, 1000);
        assertEq(claim(alice, node), 900, "alice");
        assertEq(claim(operator, node), 100, "operator");
        assertEq(veHudl.balanceOf(alice), 900, "veHUDL");
        assertEq(veHudl.getVotes(alice), 900, "votes, without asking for them");
        assertEq(hudl.balanceOf(address(veHudl)), 1000, "HUDL behind it");
        assertEq(hudl.balanceOf(address(pool)), 0, "pool");
    }

    function test_claim_twicePaysOnce() public {
        delegate(alice, node, giveKeys(alice, 1));
        toEpoch(12);
        reward(node, 11, 1000);
        claim(alice, node);
        vm.expectRevert(abi.encodeWithSelector(IPool.Pool_NothingOwed.selector, alice));
        manager.claim(alice, one(node));
    }

    function test_claim_byAStrangerPaysTheOwner() public {
        delegate(alice, node, giveKeys(alice, 1));
        toEpoch(12);
        reward(node, 11, 1000);
        vm.prank(bob);
        manager.claim(alice, one(node));
        assertEq(veHudl.balanceOf(alice), 900, "alice");
        assertEq(veHudl.balanceOf(bob), 0, "the stranger");
    }

    // An owner who changes in each of many epochs without a reward is paid in several claims.
    function test_claim_ofALongQueueGoesOnInTheNextClaim() public {
        manager.setBounds(IPoolManager.Bounds(1000, 0, 50, 3000, 7, 0));
        uint256[] memory ids = giveKeys(alice, 150);
        for (uint256 i = 0; i < 150; ++i) {
            toEpoch(uint64(10 + i));
            delegate(alice, node, one(ids[i]));
        }
        toEpoch(200);
        for (uint64 e = 11; e < 200; ++e) reward(node, e, 15000);
        uint256 owed = pool.owed(alice);
        uint256 first = claim(alice, node);
        assertGe(owed - 1, first, "the first claim does not pay all");
        assertEq(first + claim(alice, node), owed, "both");
    }

    function test_distribute_onlyByRewards() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        manager.distribute(node, one64(9), one(uint256(1)), 0);
    }

    function test_distribute_refusesAnEpochThatIsNotOver() public {
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_EpochNotOver.selector, 10, 10));
        manager.distribute(node, one64(10), one(uint256(1)), 0);
    }

    function test_distribute_refusesListsThatDoNotMatch() public {
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_LengthsDiffer.selector, 1, 0));
        manager.distribute(node, one64(9), new uint256[](0), 0);
    }

    function test_distribute_refusesANodeWithoutPool() public {
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NoPool.selector, alice));
        manager.distribute(alice, one64(9), one(uint256(1)), 0);
    }

    // Commission and operator.

    function test_commission_anIncreaseWaitsADecreaseDoesNot() public {
        vm.startPrank(operator);
        manager.setCommission(node, 2000);
        assertEq(pool.commissionAt(16), 1000, "within the notice");
        assertEq(pool.commissionAt(17), 2000, "after it");
        manager.setCommission(node, 500);
        assertEq(pool.commissionAt(10), 500, "at once");
        assertEq(pool.commissionAt(17), 500, "the increase is withdrawn");
        assertEq(pool.commissionAt(9), 1000, "the past stays");
    }

    /// @dev A smaller increase in place of one that waits begins its own notice; the first does not come any more.
    function test_commission_anIncreaseReplacesOneThatWaits() public {
        vm.prank(operator);
        manager.setCommission(node, 3000);
        toEpoch(12);
        vm.prank(operator);
        manager.setCommission(node, 1500);
        assertEq(pool.commissionAt(18), 1000, "when the first would have come");
        assertEq(pool.commissionAt(19), 1500, "after the notice of the second");
    }

    function test_commission_isBounded() public {
        vm.prank(operator);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_CommissionTooHigh.selector, 3001, 3000));
        manager.setCommission(node, 3001);
    }

    function test_commission_onlyByTheOperator() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NotOperator.selector, node, alice, operator));
        manager.setCommission(node, 1);
    }

    function test_operator_handsOverInTwoSteps() public {
        toEpoch(12);
        reward(node, 10, 70);
        vm.prank(operator);
        manager.proposeOperator(node, bob);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IPoolManager.PoolManager_NotProposed.selector, node, alice, bob));
        manager.acceptOperator(node);
        vm.prank(bob);
        manager.acceptOperator(node);
        reward(node, 11, 30);
        assertEq(pool.owed(operator), 70, "what came in before");
        assertEq(pool.owed(bob), 30, "what comes in now");
        vm.prank(operator);
        vm.expectPartialRevert(IPoolManager.PoolManager_NotOperator.selector);
        manager.proposeOperator(node, operator);
    }

    function test_operator_nobodyTakesOverWhatWasNotOffered() public {
        vm.prank(address(0));
        vm.expectRevert();
        manager.acceptOperator(alice);
    }

    // Pausing and governing.

    function test_guardian_mayPauseAndNothingElse() public {
        vm.startPrank(guardian);
        manager.pause();
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian);
        vm.expectRevert(refused);
        manager.unpause();
        vm.expectRevert(refused);
        manager.setBounds(IPoolManager.Bounds(1, 1, 1, 1, 1, 1));
        vm.expectRevert(refused);
        manager.distribute(node, one64(9), one(uint256(0)), 0);
        vm.expectRevert(refused);
        manager.upgradeToAndCall(address(1), "");
        vm.expectRevert(refused);
        keys.setSale(EU, 1, 1);
        vm.expectRevert(refused);
        veHudl.setRedeemLock(1);
    }

    function test_paused_nobodyIsLockedIn() public {
        uint256[] memory ids = giveKeys(alice, 2);
        delegate(alice, node, ids);
        toEpoch(12);
        reward(node, 11, 100);
        vm.prank(guardian);
        manager.pause();
        bytes memory paused = abi.encodeWithSelector(PausableUpgradeable.EnforcedPause.selector);
        vm.startPrank(alice);
        vm.expectRevert(paused);
        manager.claim(alice, one(node));
        manager.undelegate(node, one(ids[0]));
        keys.safeTransferFrom(alice, bob, ids[1], 1, "");
        vm.stopPrank();
        vm.expectRevert(paused);
        manager.distribute(node, one64(11), one(uint256(1)), 0);
        manager.unpause();
        assertEq(claim(alice, node), 90, "what was owed is still owed");
    }

    function test_bounds_areChecked() public {
        vm.expectRevert(IPoolManager.PoolManager_BadBounds.selector);
        manager.setBounds(IPoolManager.Bounds(1, 1, 1, 10_001, 1, 1));
        vm.expectRevert(IPoolManager.PoolManager_BadBounds.selector);
        manager.setBounds(IPoolManager.Bounds(0, 1, 1, 1, 1, 1));
    }

    function test_upgrade_keepsStateAndIsForGovernance() public {
        delegate(alice, node, giveKeys(alice, 1));
        address logic = address(new PoolManager(keys, poolLogic, clock));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        manager.upgradeToAndCall(logic, "");
        manager.upgradeToAndCall(logic, "");
        assertEq(manager.poolOf(node), address(pool), "pool");
        IPoolManager.Bounds memory b = manager.bounds();
        vm.expectRevert();
        manager.initialize(alice, b);
    }

    // Any list of keys, in any order over two pools, comes out as it went in.
    function testFuzz_delegateAndUndelegate_countsComeBackToZero(uint256 seed, uint8 count) public {
        (address second, Pool secondPool) = createPool("n2", operator, 0);
        uint256 n = bound(count, 1, 20);
        uint256[] memory ids = giveKeys(alice, n);
        for (uint256 i = 0; i < n; ++i) {
            delegate(alice, seed >> i & 1 == 0 ? node : second, one(ids[i]));
            if (seed >> (i + 100) & 1 == 0) toEpoch(clock.currentEpoch() + 1);
        }
        assertEq(pool.keysOf(alice) + secondPool.keysOf(alice), n, "delegated");
        for (uint256 i = 0; i < n; ++i) {
            if (seed >> (i + 50) & 1 == 0) undelegate(alice, seed >> i & 1 == 0 ? node : second, one(ids[i]));
            else {
                vm.prank(alice);
                keys.safeTransferFrom(alice, bob, ids[i], 1, "");
            }
        }
        uint64 later = clock.currentEpoch() + 1;
        assertEq(pool.keysAt(later) + secondPool.keysAt(later), 0, "keys that count");
        assertEq(pool.keysOf(alice) + secondPool.keysOf(alice), 0, "alice's keys");
        assertEq(manager.activeNodes(), 0, "active nodes");
    }
}
