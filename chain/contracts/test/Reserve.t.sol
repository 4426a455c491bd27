// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IReserve} from "../src/interfaces/IReserve.sol";
import {Economy} from "./base/Economy.sol";

contract ReserveTest is Economy {
    address private someone = makeAddress("someone");

    function setUp() public {
        deployEconomy(1);
    }

    function mint(uint256 mintWei, uint256 fillerWei, uint256 burnWei, uint256 keptWei) private {
        give(address(reserve), burnWei + keptWei);
        vm.prank(address(proof));
        reserve.mintForEpoch(0, mintWei, fillerWei, burnWei, keptWei);
    }

    function test_mintForEpoch_keepsThreePurses() public {
        mint(100, 20, 30, 7);
        assertEq(reserve.owed(), 100, "owed");
        assertEq(reserve.filler(), 20, "filler");
        assertEq(reserve.kept(), 7, "kept");
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + 90, "supply");
        give(address(reserve), 5);
        assertEq(reserve.kept(), 12, "what else is sent here is kept");
    }

    function test_payPool_onlyWhatIsOwed() public {
        mint(100, 20, 0, 7);
        vm.prank(address(rewards));
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_MoreThanOwed.selector, 101, 100));
        reserve.payPool(someone, 101);
        vm.prank(address(rewards));
        reserve.payPool(someone, 100);
        assertEq(hudl.balanceOf(someone), 100, "pool");
        assertEq(reserve.kept(), 7, "kept");
    }

    function test_wires_refuseStrangers() public {
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_NotProofOfResource.selector, address(this)));
        reserve.mintForEpoch(0, 1, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_NotProofOfResource.selector, address(this)));
        reserve.burnForReplacement(0, 1);
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_NotRewards.selector, address(this)));
        reserve.payPool(someone, 1);
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_NotReimburser.selector, address(this)));
        reserve.reimburse(someone, 1);
    }

    function test_spend_isForGovernanceAndNeverFromWhatIsOwed() public {
        mint(100, 20, 0, 7);
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_MoreThanKept.selector, 8, 7));
        reserve.spendKept(someone, 8);
        vm.expectRevert(abi.encodeWithSelector(IReserve.Reserve_MoreThanFiller.selector, 21, 20));
        reserve.spendFiller(someone, 21);
        bytes memory refusal = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian);
        vm.prank(guardian);
        vm.expectRevert(refusal);
        reserve.spendKept(guardian, 1);
        vm.prank(guardian);
        vm.expectRevert(refusal);
        reserve.spendFiller(guardian, 1);
        reserve.spendKept(someone, 7);
        reserve.spendFiller(someone, 20);
        assertEq(hudl.balanceOf(someone), 27, "spent");
        assertEq(hudl.balanceOf(address(reserve)), reserve.owed(), "what is left is owed");
    }

    function allow(uint128 weiPerEpoch) private {
        vm.deal(address(reserve), 10e18);
        vmGas.fee(100);
        vmGas.txGasPrice(150);
        reserve.setGasAllowance(IReserve.GasAllowance(weiPerEpoch, 1000, 10));
    }

    function reimburse(uint256 gasUsed) private returns (uint256) {
        uint256 before = someone.balance;
        vm.prank(address(rewards));
        reserve.reimburse(someone, gasUsed);
        return someone.balance - before;
    }

    /// @dev At most the allowed gas, at most a small tip above the base fee.
    function test_reimburse_withinItsLimits() public {
        allow(1e18);
        assertEq(reimburse(500), 500 * 110, "gas used at base fee and tip");
        assertEq(reimburse(5000), 1000 * 110, "most gas of a call");
        vmGas.txGasPrice(105);
        assertEq(reimburse(100), 100 * 105, "price really paid");
    }

    function test_reimburse_endsWithTheEpochsAllowance() public {
        allow(150_000);
        assertEq(reimburse(1000), 110_000, "first");
        assertEq(reimburse(1000), 40_000, "what is left");
        assertEq(reimburse(1000), 0, "nothing left");
        toEpoch(1);
        assertEq(reimburse(1000), 110_000, "next epoch");
    }

    function test_reimburse_neverRevertsForWantOfEther() public {
        allow(1e18);
        vm.deal(address(reserve), 7);
        assertEq(reimburse(1000), 7, "all there is");
        assertEq(reimburse(1000), 0, "nothing");
        vm.deal(address(reserve), 1e18);
        vm.prank(address(rewards));
        // A receiver that refuses ether stops nothing.
        reserve.reimburse(address(hudl), 1000);
        assertEq(address(hudl).balance, 0, "refused");
    }
}
