// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SupplyBand} from "../../src/libraries/SupplyBand.sol";
import {Vectors} from "../base/Vectors.sol";

contract SupplyBandTest is Vectors {
    using SupplyBand for SupplyBand.Projection;

    struct Rules {
        uint256 alpha;
        bool floor;
        uint256 lo;
        uint256 hi;
    }

    /// @dev Every epoch of every case, exact: mint, burn, cut, filler, what the Reserve keeps, supply.
    function test_project_referenceVectors() public view {
        string memory json = vm.readFile(string.concat(REFERENCE, "supply_band.json"));
        Rules memory rules;
        rules.lo = number(json, ".lo_wad");
        rules.hi = number(json, ".hi_wad");
        uint256 cases;
        uint256 epochs;
        for (; vm.keyExistsJson(json, field(cases, "S0")); cases++) {
            uint256 supply = number(json, field(cases, "S0"));
            rules.alpha = vm.parseJsonUint(json, field(cases, "alpha_bps"));
            rules.floor = vm.parseJsonBool(json, field(cases, "floor"));
            for (uint256 e = 0;; e++) {
                string memory at = string.concat(field(cases, "epochs["), vm.toString(e), "].");
                if (!vm.keyExistsJson(json, string.concat(at, "M"))) break;
                supply = check(json, at, supply, rules);
                epochs++;
            }
        }
        assertEq(cases, 25, "cases read");
        assertEq(epochs, 90, "epochs read");
    }

    function check(
        string memory json,
        string memory at,
        uint256 supply,
        Rules memory rules
    ) private pure returns (uint256) {
        uint256[] memory payouts = vm.parseJsonUintArray(json, string.concat(at, "rewards"));
        uint256 received = number(json, string.concat(at, "escrow_Q"));
        uint256 beta = vm.parseJsonUint(json, string.concat(at, "beta_bps"));
        uint256 total;
        for (uint256 i = 0; i < payouts.length; i++) total += payouts[i] = payouts[i] * rules.alpha / 1e4;
        SupplyBand.Projection memory p = SupplyBand.project(total, received, supply, beta, rules.lo, rules.hi);
        uint256 minted;
        {
            (bool isCut, uint256 cap) = p.cut(total);
            assertTrue(isCut == vm.parseJsonBool(json, string.concat(at, "alpha_cut")), "cut");
            minted = pay(json, at, payouts, total, isCut ? cap : total);
        }
        uint256 filled = rules.floor ? p.filler(minted) : 0;
        supply = supply + minted + filled - p.burnWei;
        same(json, at, "M", minted);
        same(json, at, "B", p.burnWei);
        same(json, at, "Y", filled);
        same(json, at, "to_reserve", received - p.burnWei);
        same(json, at, "S_C", supply);
        return supply;
    }

    function same(string memory json, string memory at, string memory key, uint256 got) private pure {
        assertEq(got, number(json, string.concat(at, key)), key);
    }

    /// @dev The payouts after the cut are those of the file; their sum.
    function pay(string memory json, string memory at, uint256[] memory payouts, uint256 total, uint256 cap)
        private
        pure
        returns (uint256 minted)
    {
        uint256[] memory want = vm.parseJsonUintArray(json, string.concat(at, "payouts"));
        for (uint256 i = 0; i < payouts.length; i++) {
            uint256 payout = total == 0 ? 0 : payouts[i] * cap / total;
            assertEq(payout, want[i], "payout");
            minted += payout;
        }
    }

    function number(string memory json, string memory key) private pure returns (uint256) {
        return vm.parseUint(vm.parseJsonString(json, key));
    }

    /// @dev B <= M0, B <= Q, net mint after a cut <= hiS, beta within 0..10,000 and one step.
    function testFuzz_project_bounds(
        uint256 total,
        uint256 received,
        uint256 supply,
        uint256 beta,
        uint256 lo,
        uint256 hi,
        uint256 slew
    ) public pure {
        total = bound(total, 0, type(uint128).max);
        received = bound(received, 0, type(uint128).max);
        supply = bound(supply, 0, type(uint128).max);
        beta = bound(beta, 0, 1e4);
        hi = bound(hi, 1, 0.05e18);
        lo = bound(lo, 0, hi);
        slew = bound(slew, 0, 1e4);
        SupplyBand.Projection memory p = SupplyBand.project(total, received, supply, beta, lo, hi);
        assertLe(p.burnWei, total, "B against M0");
        assertLe(p.burnWei, received, "B against Q");
        (bool isCut, uint256 cap) = p.cut(total);
        uint256 minted = isCut ? cap : total;
        assertLe(minted, total, "M against M0");
        assertLe(minted - p.burnWei, p.most, "net mint");
        uint256 next = p.nextBeta(received, beta, slew);
        assertLe(next, 1e4, "beta");
        assertLe(next > beta ? next - beta : beta - next, slew, "step of beta");
        assertLe(p.least, minted + p.filler(minted) - p.burnWei, "floor with filler");
    }

    function test_nextBeta_movesTowardWhatWouldHaveBurnedB() public pure {
        SupplyBand.Projection memory p = SupplyBand.Projection(70, 60, 0, 0);
        assertEq(p.nextBeta(100, 6000, 200), 6200, "one step up");
        assertEq(p.nextBeta(100, 6950, 200), 7000, "up to the target");
        p = SupplyBand.Projection(50, 60, 0, 0);
        assertEq(p.nextBeta(100, 6000, 200), 5800, "one step down");
        assertEq(p.nextBeta(100, 5100, 200), 5000, "down to the target");
        assertEq(p.nextBeta(0, 6000, 200), 6000, "nothing received");
        p = SupplyBand.Projection(60, 60, 0, 0);
        assertEq(p.nextBeta(100, 6000, 200), 6000, "unclamped");
        p = SupplyBand.Projection(1, 2, 0, 0);
        assertEq(p.nextBeta(3, 6667, 1e4), 3334, "a target below is rounded up");
    }
}
