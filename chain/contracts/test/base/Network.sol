// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {HUDL} from "../../src/HUDL.sol";
import {IHUDL} from "../../src/interfaces/IHUDL.sol";
import {IPool} from "../../src/interfaces/IPool.sol";
import {IPoolManager} from "../../src/interfaces/IPoolManager.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {MediaNodeKey} from "../../src/MediaNodeKey.sol";
import {Pool} from "../../src/Pool.sol";
import {PoolManager} from "../../src/PoolManager.sol";
import {VeHUDL} from "../../src/VeHUDL.sol";
import {FixedClock} from "./FixedClock.sol";
import {Test} from "./Test.sol";

/// @notice Pools and all that they stand on, deployed as on a chain: addresses are known before the contracts are.
/// The test stands in for the Reserve, for Rewards and for governance.
abstract contract Network is Test {
    uint32 internal constant EPOCH = 1 days;
    uint64 internal constant GENESIS = 1_700_000_000;
    bytes3 internal constant EU = "EU";

    address internal guardian = makeAddress("guardian");
    AccessManager internal access;
    FixedClock internal clock;
    HUDL internal hudl;
    VeHUDL internal veHudl;
    MediaNodeKey internal keys;
    address internal poolLogic;
    PoolManager internal manager;

    function makeAddress(string memory name) internal pure returns (address) {
        return vm.addr(uint256(keccak256(bytes(name))));
    }

    function makeKey(string memory name) internal pure returns (uint256) {
        return uint256(keccak256(bytes(name)));
    }

    function deployNetwork() internal {
        vm.warp(GENESIS);
        access = new AccessManager(address(this));
        clock = new FixedClock(GENESIS, EPOCH);
        address proxy = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 5);
        hudl = new HUDL(address(this), new IHUDL.Allocation[](0));
        veHudl = new VeHUDL(hudl, IPoolManager(proxy), address(access), 30 days);
        keys = new MediaNodeKey(hudl, address(this), IPoolManager(proxy), address(access), "");
        poolLogic = address(new Pool(proxy, hudl, veHudl));
        PoolManager logic = new PoolManager(keys, poolLogic, clock);
        IPoolManager.Bounds memory b = IPoolManager.Bounds(100, 10, 50, 3000, 7, 2);
        manager = PoolManager(
            address(new ERC1967Proxy(address(logic), abi.encodeCall(PoolManager.initialize, (address(access), b))))
        );
        assertEq(address(manager), proxy, "address of the manager, as computed");

        access.grantRole(Roles.REWARDS, address(this), 0);
        access.grantRole(Roles.GUARDIAN, guardian, 0);
        access.setTargetFunctionRole(address(manager), one(IPoolManager.distribute.selector), Roles.REWARDS);
        access.setTargetFunctionRole(address(manager), one(IPoolManager.pause.selector), Roles.GUARDIAN);
        keys.setSale(EU, 0, type(uint64).max);
    }

    function one(bytes4 selector) internal pure returns (bytes4[] memory list) {
        list = new bytes4[](1);
        list[0] = selector;
    }

    function one(uint256 x) internal pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = x;
    }

    function one(address x) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = x;
    }

    function one64(uint64 x) internal pure returns (uint64[] memory list) {
        list = new uint64[](1);
        list[0] = x;
    }

    function toEpoch(uint64 epoch) internal {
        vm.warp(GENESIS + uint256(epoch) * EPOCH);
    }

    /// @dev The pool of the node with this name, run by an operator.
    function createPool(string memory nodeName, address operator, uint16 bps) internal returns (address node, Pool pool) {
        node = makeAddress(nodeName);
        bytes32 digest = manager.consentDigest(node, operator, bps, block.timestamp);
        bytes memory consent = signature(makeKey(nodeName), digest);
        vm.prank(operator);
        pool = Pool(manager.createPool(node, bps, block.timestamp, consent));
    }

    /// @dev Fresh keys of an owner; ids follow each other.
    function giveKeys(address owner, uint256 count) internal returns (uint256[] memory ids) {
        uint256 first = keys.buy(EU, count, 0, owner);
        ids = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = first + i;
        }
    }

    function delegate(address owner, address node, uint256[] memory ids) internal {
        vm.prank(owner);
        manager.delegate(node, ids);
    }

    function undelegate(address owner, address node, uint256[] memory ids) internal {
        vm.prank(owner);
        manager.undelegate(node, ids);
    }

    /// @dev Pays one epoch's reward into a node's pool, as Rewards does.
    function reward(address node, uint64 epoch, uint256 amount) internal {
        hudl.mint(manager.poolOf(node), amount);
        manager.distribute(node, one64(epoch), one(amount), manager.provenMbps(node));
    }

    function claim(address account, address node) internal returns (uint256) {
        return manager.claim(account, one(node));
    }
}
