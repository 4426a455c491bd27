// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Network} from "./base/Network.sol";
import {HUDL} from "../src/HUDL.sol";
import {IHUDL} from "../src/interfaces/IHUDL.sol";
import {IVeHUDL} from "../src/interfaces/IVeHUDL.sol";
import {Pool} from "../src/Pool.sol";
import {Vesting} from "../src/Vesting.sol";

contract TokensTest is Network {
    address private alice = makeAddress("alice");
    address private bob = makeAddress("bob");

    function setUp() public {
        deployNetwork();
    }

    /// @dev veHUDL can only be earned: through a pool without keys, whose operator gets all.
    function earn(address account, uint256 amount) private {
        address node = vm.addr(uint256(keccak256(abi.encode("earn", account, clock.currentEpoch()))));
        bytes32 digest = manager.consentDigest(node, account, 0, block.timestamp);
        bytes memory consent = signature(uint256(keccak256(abi.encode("earn", account, clock.currentEpoch()))), digest);
        vm.prank(account);
        manager.createPool(node, 0, block.timestamp, consent);
        toEpoch(clock.currentEpoch() + 1);
        reward(node, clock.currentEpoch() - 1, amount);
        claim(account, node);
    }

    function test_hudl_onlyTheReserveMints() public {
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IHUDL.HUDL_NotReserve.selector, alice));
        hudl.mint(alice, 1);
        hudl.mint(alice, 1);
        assertEq(hudl.totalSupply(), 1, "supply");
    }

    function test_hudl_burnsWhatTheCallerHolds() public {
        hudl.mint(alice, 10);
        vm.prank(alice);
        hudl.burn(4);
        assertEq(hudl.totalSupply(), 6, "supply");
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, bob, 0, 1));
        hudl.burn(1);
    }

    function test_hudl_permitOfAnotherChainIsRefused() public {
        bytes32 typehash = keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typehash, alice, bob, 5, 0, block.timestamp));
        bytes32 digest = keccak256(abi.encodePacked("\x19\x01", hudl.DOMAIN_SEPARATOR(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(makeKey("alice"), digest);
        vm.chainId(99);
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        hudl.permit(alice, bob, 5, block.timestamp, v, r, s);
        vm.chainId(31337);
        hudl.permit(alice, bob, 5, block.timestamp, v, r, s);
        assertEq(hudl.allowance(alice, bob), 5, "allowance");
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        hudl.permit(alice, bob, 5, block.timestamp, v, r, s);
    }

    function test_genesis_vestsInALineAfterTheCliff() public {
        Vesting vesting = new Vesting(alice, GENESIS, 1000 days, 100 days);
        IHUDL.Allocation[] memory genesis = new IHUDL.Allocation[](2);
        genesis[0] = IHUDL.Allocation(address(vesting), 1000e18);
        genesis[1] = IHUDL.Allocation(bob, 1);
        HUDL token = new HUDL(address(this), genesis);
        assertEq(token.totalSupply(), 1000e18 + 1, "supply");
        vm.warp(GENESIS + 99 days);
        vesting.release(address(token));
        assertEq(token.balanceOf(alice), 0, "before the cliff");
        vm.warp(GENESIS + 500 days);
        vesting.release(address(token));
        assertEq(token.balanceOf(alice), 500e18, "half of the way");
        vm.warp(GENESIS + 2000 days);
        vesting.release(address(token));
        assertEq(token.balanceOf(alice), 1000e18, "all of it");
    }

    function test_veHudl_cannotBeTransferredOrApproved() public {
        earn(alice, 100);
        vm.startPrank(alice);
        vm.expectRevert(IVeHUDL.VeHUDL_NotTransferable.selector);
        veHudl.transfer(bob, 1);
        vm.expectRevert(IVeHUDL.VeHUDL_NotTransferable.selector);
        veHudl.approve(bob, 1);
        vm.stopPrank();
        vm.prank(bob);
        vm.expectRevert();
        veHudl.transferFrom(alice, bob, 1);
    }

    function test_veHudl_isOnlyEarned() public {
        hudl.mint(alice, 100);
        vm.startPrank(alice);
        hudl.approve(address(veHudl), 100);
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_NotPool.selector, alice));
        veHudl.deposit(alice, 100);
    }

    function test_veHudl_votesForItsHolderUnlessDelegated() public {
        earn(alice, 100);
        assertEq(veHudl.getVotes(alice), 100, "own votes");
        vm.prank(alice);
        veHudl.delegate(bob);
        earn(alice, 50);
        assertEq(veHudl.getVotes(alice), 0, "after delegating them");
        assertEq(veHudl.getVotes(bob), 150, "the delegate keeps them");
    }

    function test_redeem_waitsForTheLock() public {
        earn(alice, 100);
        vm.startPrank(alice);
        uint256 id = veHudl.requestRedeem(60);
        uint64 readyAt = uint64(block.timestamp + 30 days);
        assertEq(veHudl.balanceOf(alice), 40, "veHUDL is burned at once");
        assertEq(veHudl.getVotes(alice), 40, "and so are its votes");
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_StillLocked.selector, readyAt - 1, readyAt));
        veHudl.withdraw(id);
        vm.warp(readyAt);
        veHudl.withdraw(id);
        assertEq(hudl.balanceOf(alice), 60, "HUDL");
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_NoRedemption.selector, alice, id));
        veHudl.withdraw(id);
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_NoRedemption.selector, alice, 1));
        veHudl.withdraw(1);
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_NothingToRedeem.selector, alice));
        veHudl.requestRedeem(0);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, alice, 40, 41));
        veHudl.requestRedeem(41);
    }

    function test_redeem_aNewLockDoesNotMoveOldRequests() public {
        earn(alice, 100);
        vm.prank(alice);
        uint256 id = veHudl.requestRedeem(60);
        uint64 before = veHudl.redemption(alice, id).readyAt;
        veHudl.setRedeemLock(365 days);
        assertEq(veHudl.redemption(alice, id).readyAt, before, "ready at");
        vm.expectRevert(abi.encodeWithSelector(IVeHUDL.VeHUDL_LockTooLong.selector, 365 days + 1, 365 days));
        veHudl.setRedeemLock(365 days + 1);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        veHudl.setRedeemLock(0);
    }

    function testFuzz_redeem_isBackedOneToOne(uint96 earned, uint96[4] calldata asks) public {
        earn(alice, uint256(earned) + 1);
        uint256 left = uint256(earned) + 1;
        for (uint256 i = 0; i < 4; ++i) {
            if (left == 0) break;
            uint256 ask = bound(asks[i], 1, left);
            vm.prank(alice);
            veHudl.requestRedeem(ask);
            left -= ask;
            assertEq(hudl.balanceOf(address(veHudl)), veHudl.totalSupply() + veHudl.pendingRedemptions(), "backing");
        }
        vm.warp(block.timestamp + 30 days);
        uint256 count = veHudl.redemptionCount(alice);
        for (uint256 i = 0; i < count; ++i) {
            vm.prank(alice);
            veHudl.withdraw(i);
        }
        assertEq(hudl.balanceOf(alice) + veHudl.balanceOf(alice), uint256(earned) + 1, "all of it");
        assertEq(veHudl.pendingRedemptions(), 0, "pending");
    }
}
