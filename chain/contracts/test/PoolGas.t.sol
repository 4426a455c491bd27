// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Network} from "./base/Network.sol";
import {Pool} from "../src/Pool.sol";

/// @notice Gas of whole transactions, recorded in snapshots/pools.json. With isolation every call is a transaction of
/// its own, so that storage is as cold as on a chain and the 21,000 of a transaction count.
contract PoolGasTest is Network {
    address private alice = makeAddress("alice");
    address private operator = makeAddress("operator");
    address private node;
    Pool private pool;

    function setUp() public {
        deployNetwork();
        (node, pool) = createPool("node", operator, 1000);
        toEpoch(10);
    }

    function record(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall("pools", name);
    }

    /// forge-config: default.isolate = true
    function test_gas_delegate() public {
        uint256[] memory ids = giveKeys(alice, 12);
        vm.prank(alice);
        manager.delegate(node, one(ids[0]));
        assertLe(record("delegate, first key of a node and of an owner"), 120_000, "gas");
        vm.prank(alice);
        manager.delegate(node, one(ids[1]));
        assertLe(record("delegate, same epoch"), 120_000, "gas");
        toEpoch(11);
        vm.prank(alice);
        manager.delegate(node, one(ids[2]));
        assertLe(record("delegate, epoch after"), 120_000, "gas");
        toEpoch(14);
        reward(node, 12, 1e18);
        uint256[] memory rest = new uint256[](9);
        for (uint256 i = 0; i < 9; ++i) rest[i] = ids[i + 3];
        vm.prank(alice);
        manager.delegate(node, rest);
        record("delegate, nine keys");
        toEpoch(16);
        vm.prank(alice);
        manager.undelegate(node, one(ids[0]));
        assertLe(record("undelegate"), 140_000, "gas");
        vm.prank(alice);
        keys.safeTransferFrom(alice, operator, ids[1], 1, "");
        record("transfer of a delegated key");
        vm.prank(alice);
        manager.claim(alice, one(node));
        record("claim, first");
        reward(node, 13, 1e18);
        vm.prank(alice);
        manager.claim(alice, one(node));
        record("claim, again");
    }

    /// forge-config: default.isolate = true
    function test_gas_distribute() public {
        delegate(alice, node, giveKeys(alice, 5));
        toEpoch(100);
        reward(node, 11, 1e18 + 1);
        uint256 first = distributeFrom(12, 1, "distribute, one epoch");
        uint256 eleven = distributeFrom(13, 11, "distribute, eleven epochs");
        uint256 each = (eleven - first) / 10;
        vm.snapshotValue("pools", "distribute, each further epoch", each);
        assertLe(each, 8_000, "gas of a further epoch");
    }

    function distributeFrom(uint64 from, uint256 count, string memory name) private returns (uint256) {
        uint64[] memory epochs = new uint64[](count);
        uint256[] memory amounts = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) (epochs[i], amounts[i]) = (from + uint64(i), 1e18 + i);
        hudl.mint(address(pool), count * 2e18);
        manager.distribute(node, epochs, amounts, 0);
        return record(name);
    }
}
