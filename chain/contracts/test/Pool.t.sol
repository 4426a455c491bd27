// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Network} from "./base/Network.sol";
import {HUDL} from "../src/HUDL.sol";
import {IPool} from "../src/interfaces/IPool.sol";
import {NO_EPOCH} from "../src/types/Leaf.sol";
import {Pool} from "../src/Pool.sol";
import {BeaconProxy} from "@openzeppelin/contracts/proxy/beacon/BeaconProxy.sol";
import {UpgradeableBeacon} from "@openzeppelin/contracts/proxy/beacon/UpgradeableBeacon.sol";

contract PoolTest is Network {
    address private alice = makeAddress("alice");
    address private bob = makeAddress("bob");
    address private operator = makeAddress("operator");
    Pool private pool;

    /// @dev A pool whose manager is the test, so that keys are numbers here.
    function setUp() public {
        deployNetwork();
        pool = fresh(1000);
    }

    function fresh(uint16 bps) private returns (Pool) {
        address logic = address(new Pool(address(this), hudl, veHudl));
        UpgradeableBeacon b = new UpgradeableBeacon(logic, address(this));
        return Pool(address(new BeaconProxy(address(b), abi.encodeCall(Pool.initialize, (address(1), operator, bps)))));
    }

    function pay(Pool p, uint64 epoch, uint256 amount) private {
        p.distribute(one64(epoch), one(amount));
    }

    function test_vectors_delegation() public {
        string memory json = vm.readFile("../../spec/vectors/reference/delegation.json");
        uint256 cases;
        while (vm.keyExistsJson(json, at(cases, ""))) {
            runVector(json, cases++);
        }
        assertGe(cases, 30, "cases");
    }

    function runVector(string memory json, uint256 i) private {
        uint256 count = vm.parseJsonUint(json, at(i, ".keys"));
        Pool p = fresh(uint16(vm.parseJsonUint(json, at(i, ".commission_bps"))));
        p.addKeys(alice, uint32(count), 0);
        uint256 j;
        for (; vm.keyExistsJson(json, step(i, j, "")); ++j) {
            (uint256 before,) = p.index();
            uint256 operatorBefore = p.owed(operator);
            pay(p, uint64(j + 1), vm.parseJsonUint(json, step(i, j, ".R")));
            (uint256 perKey, uint256 dust) = p.index();
            assertEq(perKey - before, vm.parseJsonUint(json, step(i, j, ".per_key")), "per key");
            assertEq(p.owed(operator) - operatorBefore, vm.parseJsonUint(json, step(i, j, ".commission")), "commission");
            assertEq(dust, vm.parseJsonUint(json, step(i, j, ".dust_after")), "dust");
        }
        assertGe(j, 1, "distributions");
        assertEq(p.owed(operator) + p.owed(alice), vm.parseJsonUint(json, at(i, ".total_paid")), "total paid");
    }

    function at(uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(i), "]", field);
    }

    function step(uint256 i, uint256 j, string memory field) private pure returns (string memory) {
        return at(i, string.concat(".distributions[", vm.toString(j), "]", field));
    }

    function test_wholeEpochs_aKeyCountsFromTheNextEpochOn() public {
        pool.addKeys(alice, 1, 5);
        pay(pool, 5, 100);
        assertEq(pool.owed(alice), 0, "epoch of the delegation");
        assertEq(pool.owed(operator), 100, "no key counted: all to the operator");
        pay(pool, 6, 100);
        assertEq(pool.owed(alice), 90, "the epoch after");
    }

    function test_wholeEpochs_theEpochOfUndelegationIsLost() public {
        pool.addKeys(alice, 1, 5);
        pool.addKeys(bob, 1, 5);
        pool.removeKeys(alice, 1, 0, 8);
        pay(pool, 6, 100);
        pay(pool, 7, 100);
        pay(pool, 8, 100);
        assertEq(pool.owed(alice), 90, "epochs 6 and 7, half of each");
        assertEq(pool.owed(bob), 180, "and all of epoch 8");
    }

    function test_wholeEpochs_delegatedAndUndelegatedInOneEpochEarnsNothing() public {
        pool.addKeys(bob, 1, 4);
        pool.addKeys(alice, 2, 5);
        pool.removeKeys(alice, 0, 2, 5);
        for (uint64 e = 5; e < 9; ++e) pay(pool, e, 100);
        assertEq(pool.owed(alice), 0, "alice");
        assertEq(pool.owed(bob), 360, "bob");
    }

    // Leaves of the epochs before come in long after the keys have moved.
    function test_lateClaims_payWhatCountedThen() public {
        pool.addKeys(alice, 1, 1);
        pool.addKeys(bob, 1, 3);
        pool.removeKeys(alice, 1, 0, 6);
        pool.addKeys(alice, 3, 6);
        pool.removeKeys(bob, 1, 0, 8);
        pool.removeKeys(alice, 1, 0, 8);
        uint64[] memory epochs = new uint64[](8);
        uint256[] memory amounts = new uint256[](8);
        for (uint256 i = 0; i < 8; ++i) (epochs[i], amounts[i]) = (uint64(i + 2), 1000);
        pool.distribute(epochs, amounts);
        // alice: 2,3 alone; 4,5 half; 6 none; 7 three of four; 8,9 alone.
        assertEq(pool.owed(alice), 900 * 2 + 450 * 2 + 675 + 900 * 2, "alice");
        assertEq(pool.owed(bob), 450 * 2 + 900 + 225, "bob");
    }

    function test_zeroKeyPool_parksForTheOperatorAndNeverDivides() public {
        pay(pool, 1, 12345);
        assertEq(pool.owed(operator), 12345, "operator");
        (uint256 perKey, uint256 dust) = pool.index();
        assertEq(perKey + dust, 0, "index and dust");
    }

    function test_zeroKeyPool_keepsDustForTheNextKeys() public {
        pool.addKeys(alice, 3, 0);
        pay(pool, 1, 11); // commission 1, 10 among 3
        pool.removeKeys(alice, 3, 0, 2);
        pay(pool, 2, 7);
        (, uint256 dust) = pool.index();
        assertEq(dust, 1, "dust waits");
        assertEq(pool.owed(operator), 8, "operator");
        pool.addKeys(bob, 1, 2);
        pay(pool, 3, 10);
        assertEq(pool.owed(bob), 10, "9 and the dust");
    }

    // Who comes first with one key after rewards were parked gets none of them.
    function test_firstDepositor_gainsNothingFromTheParkedPast() public {
        pay(pool, 1, 1e24);
        hudl.mint(address(pool), 5e18); // a gift does not move the index
        pool.addKeys(alice, 1, 2);
        pay(pool, 2, 1e24);
        assertEq(pool.owed(alice), 0, "before the first whole epoch");
        pay(pool, 3, 1e18);
        pool.addKeys(bob, 99, 3);
        pay(pool, 4, 1e18);
        assertEq(pool.owed(alice), 0.9e18 + 0.009e18, "alice");
        assertEq(pool.owed(bob), 99 * 0.009e18, "bob");
    }

    function test_distribute_refusesAnEpochTwiceOrEarlier() public {
        pay(pool, 3, 1);
        vm.expectRevert(abi.encodeWithSelector(IPool.Pool_EpochNotAscending.selector, 3, 3));
        pool.distribute(one64(3), one(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(IPool.Pool_EpochNotAscending.selector, 2, 3));
        pool.distribute(one64(2), one(uint256(1)));
        assertEq(pool.lastEpoch(), 3, "last epoch");
    }

    function test_lastEpoch_isNoneAtFirst() public {
        assertEq(pool.lastEpoch(), NO_EPOCH, "last epoch");
        pay(pool, 0, 1);
        assertEq(pool.lastEpoch(), 0, "last epoch");
    }

    function test_commission_ofAnEpochIsTheOneThatHeldThen() public {
        pool.addKeys(alice, 1, 0);
        pool.setCommission(2000, 3, 10); // announced in 3
        pool.setCommission(500, 12, 12); // a decrease in 12
        assertEq(pool.commissionAt(9), 1000, "before");
        assertEq(pool.commissionAt(11), 2000, "after the notice");
        uint64[] memory epochs = new uint64[](3);
        uint256[] memory amounts = new uint256[](3);
        (epochs[0], epochs[1], epochs[2]) = (9, 11, 12);
        (amounts[0], amounts[1], amounts[2]) = (100, 100, 100);
        pool.distribute(epochs, amounts);
        assertEq(pool.owed(operator), 10 + 20 + 5, "operator");
    }

    function test_commission_aChangeReplacesOneThatWaits() public {
        pool.setCommission(2000, 3, 10);
        pool.setCommission(900, 4, 4);
        assertEq(pool.commissionAt(20), 900, "later");
        assertEq(pool.commissionAt(3), 1000, "before");
    }

    function test_overflow_rewardsUpToTheLimitOfTheIndex() public {
        pool.addKeys(alice, 1, 0);
        pay(pool, 1, type(uint128).max / 2);
        assertEq(pool.owed(alice), type(uint128).max / 2 - type(uint128).max / 2 / 10, "alice");
        vm.expectRevert();
        pool.distribute(one64(2), one(uint256(type(uint128).max) + 1));
        pay(pool, 2, 10);
        assertEq(pool.lastEpoch(), 2, "goes on");
    }

    function test_overflow_noMoreKeysThanFit() public {
        pool.addKeys(alice, type(uint32).max, 0);
        vm.expectRevert();
        pool.addKeys(alice, 1, 0);
        vm.expectRevert();
        pool.addKeys(bob, 1, type(uint32).max);
    }

    function test_onlyTheManagerCallsIt() public {
        bytes memory want = abi.encodeWithSelector(IPool.Pool_NotManager.selector, alice);
        vm.startPrank(alice);
        vm.expectRevert(want);
        pool.addKeys(alice, 1, 1);
        vm.expectRevert(want);
        pool.removeKeys(alice, 1, 0, 1);
        vm.expectRevert(want);
        pool.distribute(one64(1), one(uint256(1)));
        vm.expectRevert(want);
        pool.claim(alice);
        vm.expectRevert(want);
        pool.setCommission(1, 1, 1);
        vm.expectRevert(want);
        pool.setOperator(alice);
        vm.expectRevert();
        pool.initialize(alice, alice, 0);
    }

    // The pool against a table that knows who has how many keys in each epoch.
    struct Model {
        uint256[20][3] keys; // per account and epoch
        uint256[3] owed;
        uint256 operatorOwed;
        uint256 dust;
        uint64 paidUntil;
    }

    Model private model;

    function testFuzz_anyOrderOfChangesAndRewards_equalsTheTable(uint256 seed) public {
        Pool p = pool;
        uint64 paid = 0; // next epoch to pay
        for (uint64 epoch = 1; epoch < 18; ++epoch) {
            for (uint256 k = 0; k < 4; ++k) {
                seed = uint256(keccak256(abi.encode(seed)));
                changeKeys(p, epoch, seed % 3, seed >> 8);
            }
            seed = uint256(keccak256(abi.encode(seed)));
            if (seed % 3 == 0) paid = payModel(p, paid, epoch, seed >> 8);
        }
        payModel(p, paid, 18, seed);
        for (uint256 a = 0; a < 3; ++a) assertEq(p.owed(owner(a)), model.owed[a], "owed");
        assertEq(p.owed(operator), model.operatorOwed, "operator");
        (, uint256 dust) = p.index();
        assertEq(dust, model.dust, "dust");
        for (uint64 e = 0; e < 19; ++e) assertEq(p.keysAt(e), total(e), "keys in an epoch");
    }

    function owner(uint256 a) private pure returns (address) {
        return address(uint160(100 + a));
    }

    function total(uint256 epoch) private view returns (uint256) {
        return model.keys[0][epoch] + model.keys[1][epoch] + model.keys[2][epoch];
    }

    function changeKeys(Pool p, uint64 epoch, uint256 a, uint256 random) private {
        uint256 n = (random >> 8) % 3 + 1;
        uint256 now_ = model.keys[a][epoch];
        uint256 next = model.keys[a][epoch + 1];
        uint256 pending = next - now_;
        if (random % 2 == 0) {
            for (uint256 e = epoch + 1; e < 20; ++e) model.keys[a][e] += n;
            p.addKeys(owner(a), uint32(n), epoch);
        } else if (next > 0) {
            uint256 fromPending = (random >> 16) % (pending + 1);
            uint256 fromCounted = (random >> 24) % (now_ + 1);
            for (uint256 e = epoch; e < 20; ++e) {
                model.keys[a][e] -= fromCounted + (e == epoch ? 0 : fromPending);
            }
            p.removeKeys(owner(a), uint32(fromCounted), uint32(fromPending), epoch);
        }
    }

    /// @dev Pays some of the epochs that are over, in one batch; some have no leaf.
    function payModel(Pool p, uint64 from, uint64 current, uint256 random) private returns (uint64) {
        uint64[] memory epochs = new uint64[](current - from);
        uint256[] memory amounts = new uint256[](current - from);
        uint256 n;
        for (uint64 e = from; e < current; ++e) {
            random = uint256(keccak256(abi.encode(random)));
            if (random % 4 == 0) continue;
            (epochs[n], amounts[n]) = (e, (random >> 8) % 1e6);
            shareModel(e, amounts[n++]);
        }
        assembly ("memory-safe") {
            mstore(epochs, n)
            mstore(amounts, n)
        }
        p.distribute(epochs, amounts);
        return current;
    }

    function shareModel(uint64 e, uint256 amount) private {
        uint256 keys_ = total(e);
        if (keys_ == 0) {
            model.operatorOwed += amount;
            return;
        }
        uint256 commission = amount / 10;
        uint256 rest = amount - commission + model.dust;
        model.operatorOwed += commission;
        model.dust = rest % keys_;
        for (uint256 a = 0; a < 3; ++a) model.owed[a] += rest / keys_ * model.keys[a][e];
    }
}
