// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IERC1155Errors, IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC1155Holder} from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";
import {Network} from "./base/Network.sol";
import {IMediaNodeKey} from "../src/interfaces/IMediaNodeKey.sol";
import {MediaNodeKey} from "../src/MediaNodeKey.sol";
import {Pool} from "../src/Pool.sol";
import {PoolManager} from "../src/PoolManager.sol";

/// @notice A buyer's contract that does something else the moment it is handed a key.
contract Hungry is ERC1155Holder {
    MediaNodeKey private immutable _keys;
    PoolManager private immutable _manager;
    address private _node;
    bool public done;

    constructor(MediaNodeKey keys, PoolManager manager, address node) {
        (_keys, _manager, _node) = (keys, manager, node);
    }

    function onERC1155Received(address, address from, uint256 id, uint256, bytes memory)
        public
        override
        returns (bytes4)
    {
        if (!done && from != address(0)) {
            done = true;
            uint256[] memory ids = new uint256[](1);
            ids[0] = id;
            // Delegate, send it back, and try to undelegate what is gone.
            _manager.delegate(_node, ids);
            _keys.safeTransferFrom(address(this), from, id, 1, "");
            try _manager.undelegate(_node, ids) {
                revert("undelegated a key that it sent away");
            } catch {}
        }
        return this.onERC1155Received.selector;
    }
}

contract MediaNodeKeyTest is Network {
    address private alice = makeAddress("alice");
    address private bob = makeAddress("bob");

    function setUp() public {
        deployNetwork();
        keys.setSale(EU, 5e18, 10);
        keys.setSale("NAM", 7e18, 2);
    }

    function pay(address buyer, uint256 amount) private {
        hudl.mint(buyer, amount);
        vm.prank(buyer);
        hudl.approve(address(keys), amount);
    }

    function test_buy_paysTheRegionsPriceToTheReserve() public {
        pay(alice, 100e18);
        vm.startPrank(alice);
        assertEq(keys.buy(EU, 3, 15e18, alice), 1, "first id");
        assertEq(keys.buy("NAM", 1, 7e18, bob), 4, "next id");
        vm.stopPrank();
        assertEq(hudl.balanceOf(alice), 78e18, "left");
        assertEq(hudl.balanceOf(address(this)), 22e18, "reserve");
        assertEq(keys.balanceOf(alice, 3), 1, "alice's last key");
        assertEq(keys.balanceOf(bob, 4), 1, "bob's key");
        assertEq(keys.balanceOf(bob, 3), 0, "not bob's");
        assertEq(keys.balanceOf(address(0), 5), 0, "nobody's");
        assertEq(bytes32(keys.keyOf(4).region), bytes32(bytes3("NAM")), "region");
        assertEq(keys.saleOf(EU).remaining, 7, "remaining");
        assertEq(keys.totalSupply(), 4, "supply");
        assertEq(keys.keysOf(alice, 1, 1000).length, 3, "listed");
        assertEq(keys.keysOf(alice, 3, 4)[0], 3, "listed from 3 on");
        assertEq(keys.keysOf(alice, 5, 9).length, 0, "past the end");
    }

    function test_buy_refuses() public {
        pay(alice, 100e18);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_SoldOut.selector, EU, 11, 10));
        keys.buy(EU, 11, type(uint256).max, alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_SoldOut.selector, bytes3("AFR"), 1, 0));
        keys.buy("AFR", 1, type(uint256).max, alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_TooDear.selector, 10e18, 10e18 - 1));
        keys.buy(EU, 2, 10e18 - 1, alice);
        vm.expectRevert(IMediaNodeKey.MediaNodeKey_BuysNothing.selector);
        keys.buy(EU, 0, 1, alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NoSuchKey.selector, 1));
        keys.keyOf(1);
        vm.expectRevert(abi.encodeWithSelector(IERC1155Errors.ERC1155InvalidReceiver.selector, address(0)));
        keys.buy(EU, 1, 5e18, address(0));
        vm.stopPrank();
        vm.prank(bob);
        vm.expectPartialRevert(IERC20Errors.ERC20InsufficientAllowance.selector);
        keys.buy(EU, 1, 5e18, bob);
    }

    function test_buy_priceThatOverflowsIsRefused() public {
        keys.setSale(EU, type(uint128).max, type(uint64).max);
        vm.expectRevert(
            abi.encodeWithSelector(
                IMediaNodeKey.MediaNodeKey_TooDear.selector, uint256(type(uint128).max) * type(uint64).max, 1
            )
        );
        keys.buy(EU, type(uint64).max, 1, alice);
    }

    function test_setSale_isForGovernance() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        keys.setSale(EU, 1, 1);
    }

    function test_transfer_ofWhatOneDoesNotHave() public {
        uint256 id = giveFree(alice);
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(IERC1155Errors.ERC1155MissingApprovalForAll.selector, bob, alice));
        keys.safeTransferFrom(alice, bob, id, 1, "");
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOwner.selector, id, bob, alice));
        keys.safeTransferFrom(bob, alice, id, 1, "");
        vm.stopPrank();
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOne.selector, id, 2));
        keys.safeTransferFrom(alice, bob, id, 2, "");
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOne.selector, id, 0));
        keys.safeTransferFrom(alice, bob, id, 0, "");
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOwner.selector, 99, alice, address(0)));
        keys.safeTransferFrom(alice, bob, 99, 1, "");
    }

    function test_transfer_ofOneIdTwiceInABatch() public {
        uint256[] memory twice = new uint256[](2);
        uint256[] memory ones = new uint256[](2);
        twice[0] = twice[1] = giveFree(alice);
        ones[0] = ones[1] = 1;
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotOwner.selector, twice[0], alice, bob));
        keys.safeBatchTransferFrom(alice, bob, twice, ones, "");
    }

    function test_transfer_byAnApprovedMarket() public {
        uint256 id = giveFree(alice);
        vm.prank(alice);
        keys.setApprovalForAll(bob, true);
        vm.prank(bob);
        keys.safeTransferFrom(alice, bob, id, 1, "");
        assertEq(keys.ownerOf(id), bob, "owner");
    }

    function test_marks_areForThePoolManager() public {
        uint256[] memory ids = one(giveFree(alice));
        vm.startPrank(alice);
        bytes memory refused = abi.encodeWithSelector(IMediaNodeKey.MediaNodeKey_NotPoolManager.selector, alice);
        vm.expectRevert(refused);
        keys.markDelegated(ids, alice, 1, 1);
        vm.expectRevert(refused);
        keys.markUndelegated(ids, alice, 0);
    }

    function test_reentrancy_aBuyerThatDelegatesAndReturnsAKeyWhileItArrives() public {
        (address node, Pool pool) = createPool("node", bob, 0);
        Hungry hungry = new Hungry(keys, manager, node);
        uint256[] memory ids = one(giveFree(alice));
        delegate(alice, node, ids);
        toEpoch(5); // what rested may be delegated again by then
        undelegate(alice, node, ids);
        toEpoch(9);
        vm.prank(alice);
        keys.safeTransferFrom(alice, address(hungry), ids[0], 1, "");
        assertTrue(hungry.done(), "the buyer did its thing");
        assertEq(keys.ownerOf(ids[0]), alice, "owner");
        assertEq(keys.keyOf(ids[0]).pool, 0, "delegation");
        assertEq(pool.keysOf(address(hungry)) + pool.keysAt(10), 0, "keys that count");
        assertEq(manager.activeNodes(), 0, "active nodes");
    }

    function giveFree(address account) private returns (uint256) {
        keys.setSale("FRE", 0, 1);
        return keys.buy("FRE", 1, 0, account);
    }

    function testFuzz_buy_costsPriceTimesCount(uint128 price, uint8 count) public {
        uint256 n = bound(count, 1, 20);
        keys.setSale(EU, price, 20);
        uint256 cost = uint256(price) * n;
        pay(alice, cost);
        vm.prank(alice);
        keys.buy(EU, n, cost, alice);
        assertEq(hudl.balanceOf(address(this)), cost, "cost");
        assertEq(keys.keysOf(alice, 1, n).length, n, "keys");
    }
}
