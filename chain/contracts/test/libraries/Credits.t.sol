// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Credits} from "../../src/libraries/Credits.sol";
import {Vectors} from "../base/Vectors.sol";

contract CreditsTest is Vectors {
    function test_credits_referenceVectors() public view {
        string memory json = vm.readFile(string.concat(REFERENCE, "data_credits.json"));
        uint256 n;
        for (; vm.keyExistsJson(json, field(n, "dc_out")); n++) {
            uint256 price = vm.parseJsonUint(json, field(n, "price_usd_1e8"));
            assertEq(Credits.bought(number(json, n, "hudl_wei_in"), price), number(json, n, "dc_out"), "dc_out");
            assertEq(
                Credits.cost(number(json, n, "dc_wanted"), price), number(json, n, "hudl_wei_cost"), "hudl_wei_cost"
            );
            assertEq(
                Credits.charge(
                    uint128(number(json, n, "bytes")), uint32(vm.parseJsonUint(json, field(n, "dc_per_gb")))
                ),
                number(json, n, "dc_charge"),
                "dc_charge"
            );
        }
        assertEq(n, 40, "cases read");
    }

    function number(string memory json, uint256 i, string memory key) private pure returns (uint256) {
        return vm.parseUint(vm.parseJsonString(json, field(i, key)));
    }

    /// @dev Whoever buys what d credits cost gets at least d; what q wei buy costs at most q.
    function testFuzz_credits_noFreeCredit(uint256 dc, uint256 weiIn, uint256 price) public pure {
        dc = bound(dc, 0, type(uint128).max);
        weiIn = bound(weiIn, 0, type(uint128).max);
        price = bound(price, 1, 1e15);
        assertGe(Credits.bought(Credits.cost(dc, price), price), dc, "dc(cost(d))");
        assertLe(Credits.cost(Credits.bought(weiIn, price), price), weiIn, "cost(dc(q))");
    }
}
