// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RewardMath} from "../../src/libraries/RewardMath.sol";
import {Vectors} from "../base/Vectors.sol";

/// @dev The library's functions as calls, so that a revert can be expected.
contract RewardMathCalls {
    function unitReward(uint256 rMax, uint256 k, int256 midpoint, uint256 s, uint256 v)
        external
        pure
        returns (uint256)
    {
        return RewardMath.unitReward(rMax, k, midpoint, s, v);
    }

    function weigh(uint256[4] memory w, uint256 a, uint256 h, uint256 l, uint256 c) external pure returns (uint256) {
        return RewardMath.weigh(w, a, h, l, c);
    }

    function rewardableBytes(uint256 client, uint256 relay, uint256 weight) external pure returns (uint256) {
        return RewardMath.rewardableBytes(client, relay, weight);
    }

    function scale(uint256 kappaBps, uint256 dcPerGB, uint256 price8) external pure returns (uint256) {
        return RewardMath.scale(kappaBps, dcPerGB, price8);
    }
}

contract RewardMathTest is Vectors {
    uint256 private constant WAD = 1e18;
    RewardMathCalls private math = new RewardMathCalls();

    struct Case {
        string note;
        uint256 rMax;
        uint256 k;
        int256 midpoint;
        uint256 reputation;
        uint256 quality;
        uint256 want;
    }

    /// @dev Every case of the reference file lies within its stated tolerance; the one whose midpoint is above 1
    /// is outside the domain and is refused by name.
    function test_unitReward_referenceVectors() public {
        string memory json = vm.readFile(string.concat(REFERENCE, "unit_reward.json"));
        uint256 n;
        uint256 outside;
        for (; vm.keyExistsJson(json, field(n, "note")); n++) {
            Case memory c = read(json, n);
            if (c.midpoint > int256(WAD)) {
                outside++;
                vm.expectRevert(
                    abi.encodeWithSelector(
                        RewardMath.RewardMath_MidpointOutOfRange.selector, c.midpoint, int256(0), int256(WAD)
                    )
                );
                math.unitReward(c.rMax, c.k, c.midpoint, c.reputation, c.quality);
                continue;
            }
            uint256 got = math.unitReward(c.rMax, c.k, c.midpoint, c.reputation, c.quality);
            uint256 k = c.k > WAD ? c.k : WAD;
            uint256 tolerance = c.rMax * 4 * k / 1e36 + 1;
            assertLe(got, c.want + 1, string.concat("overshoot of ", c.note));
            assertGe(got + tolerance, c.want, string.concat("shortfall of ", c.note));
        }
        assertEq(n, 92, "cases read");
        assertEq(outside, 1, "cases outside the domain");
    }

    function read(string memory json, uint256 i) private pure returns (Case memory c) {
        c.note = vm.parseJsonString(json, field(i, "note"));
        c.rMax = uwadAt(json, field(i, "r_max"));
        c.k = uwadAt(json, field(i, "k"));
        c.midpoint = wadAt(json, field(i, "v_mid")) + wadAt(json, field(i, "v_tau"));
        c.quality = uwadAt(json, field(i, "V"));
        c.want = uwadAt(json, field(i, "r"));
        uint256 a = uwadAt(json, field(i, "A"));
        uint256 h = uwadAt(json, field(i, "H"));
        uint256[4] memory w;
        w[0] = uwadAt(json, field(i, "w.A")) / 1e14;
        w[1] = uwadAt(json, field(i, "w.H")) / 1e14;
        if (keccak256(bytes(vm.parseJsonString(json, field(i, "profile")))) == keccak256("3.2")) {
            w[2] = uwadAt(json, field(i, "w.V")) / 1e14;
            c.reputation = RewardMath.weigh(w, a, h, c.quality, 0);
            return c;
        }
        w[2] = uwadAt(json, field(i, "w.L")) / 1e14;
        w[3] = uwadAt(json, field(i, "w.C")) / 1e14;
        c.reputation =
            RewardMath.weigh(w, a, h, uwadAt(json, field(i, "L")), uwadAt(json, field(i, "C")));
    }

    function test_unitReward_refusesOutsideTheDomain() public {
        uint256 most = 1 << 128;
        math.unitReward(most, 100e18, 1e18, WAD, WAD);
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_RMaxTooHigh.selector, most + 1, most));
        math.unitReward(most + 1, 10e18, 0.5e18, WAD, WAD);
        vm.expectRevert(
            abi.encodeWithSelector(RewardMath.RewardMath_SteepnessTooHigh.selector, 100e18 + 1, 100e18)
        );
        math.unitReward(1, 100e18 + 1, 0.5e18, WAD, WAD);
        vm.expectRevert(
            abi.encodeWithSelector(RewardMath.RewardMath_MidpointOutOfRange.selector, int256(-1), int256(0), WAD)
        );
        math.unitReward(1, 10e18, -1, WAD, WAD);
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_ReputationTooHigh.selector, WAD + 1, WAD));
        math.unitReward(1, 10e18, 0, WAD + 1, WAD);
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_QualityTooHigh.selector, WAD + 1, WAD));
        math.unitReward(1, 10e18, 0, WAD, WAD + 1);
    }

    function test_weigh_refusesAScoreAboveOne() public {
        uint256[4] memory w = [uint256(4000), 1500, 2000, 2500];
        bytes4 e = RewardMath.RewardMath_ScoreTooHigh.selector;
        vm.expectRevert(abi.encodeWithSelector(e, bytes32("availability"), WAD + 1, WAD));
        math.weigh(w, WAD + 1, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(e, bytes32("history"), WAD + 1, WAD));
        math.weigh(w, 0, WAD + 1, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(e, bytes32("location"), WAD + 1, WAD));
        math.weigh(w, 0, 0, WAD + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(e, bytes32("coverage"), WAD + 1, WAD));
        math.weigh(w, 0, 0, 0, WAD + 1);
        assertEq(math.weigh(w, WAD, WAD, WAD, WAD), WAD, "all ones");
    }

    function test_unitReward_extremes() public view {
        assertEq(math.unitReward(1e18, 10e18, 0.5e18, 0, WAD), 0, "no reputation");
        assertEq(math.unitReward(0, 10e18, 0.5e18, WAD, WAD), 0, "rMax 0");
        // y = 41.000000000000000001 is beyond, 41 is not.
        assertEq(math.unitReward(1 << 128, 100e18, 0.410000000000000001e18, WAD, 0), 0, "beyond e^41");
        assertGe(math.unitReward(1 << 128, 100e18, 0.41e18, WAD, 0), 1, "at e^41");
        // At e^-50 only the rounding of E is left below rMax.
        uint256 r = math.unitReward(1e18, 100e18, 0.5e18, WAD, WAD);
        assertEq(r, 1e18 - 1, "rounded below the true value");
    }

    /// @dev Overflow edges: the largest leaf at the largest rate stays below 2^256 at every step.
    function test_payout_overflowEdge() public view {
        uint256 bytes_ = math.rewardableBytes(type(uint96).max, type(uint96).max, 1e5);
        assertEq(bytes_, 11 * uint256(type(uint96).max), "bytes at the edge");
        uint256 r = math.unitReward(1 << 128, 100e18, 0, WAD, WAD);
        assertEq(RewardMath.payout(r, bytes_, 1e4), r * bytes_ / 1e9, "payout at the edge");
    }

    function test_rewardableBytes_refusesAboveTheEdge() public {
        uint256 most = type(uint96).max;
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_BytesTooMany.selector, most + 1, most));
        math.rewardableBytes(most + 1, 0, 1e4);
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_BytesTooMany.selector, most + 1, most));
        math.rewardableBytes(0, most + 1, 1e4);
        vm.expectRevert(abi.encodeWithSelector(RewardMath.RewardMath_WeightTooHigh.selector, 1e5 + 1, 1e5));
        math.rewardableBytes(0, 0, 1e5 + 1);
    }

    function test_scale_example() public {
        // 0.9 of 0.05 USD at 0.05 USD per HUDL: 0.9 HUDL per GB.
        assertEq(math.scale(9000, 5000, 5_000_000), 0.9e18, "rMax");
        vm.expectRevert(RewardMath.RewardMath_PriceIsZero.selector);
        math.scale(9000, 5000, 0);
    }

    /// @dev 0 <= r <= floor(rMax S) and r never falls when S, V or rMax rises, nor when the midpoint falls (E12).
    function testFuzz_unitReward_boundedAndMonotone(
        uint256 rMax,
        uint256 k,
        uint256 midpoint,
        uint256 s,
        uint256 v,
        uint256 more
    ) public view {
        rMax = bound(rMax, 0, (1 << 128) - 1);
        k = bound(k, 0, 100e18);
        midpoint = bound(midpoint, 0, WAD);
        s = bound(s, 0, WAD);
        v = bound(v, 0, WAD);
        uint256 r = math.unitReward(rMax, k, int256(midpoint), s, v);
        assertLe(r, rMax * s / WAD, "r against rMax S");
        assertGe(math.unitReward(rMax, k, int256(midpoint), bound(more, s, WAD), v), r, "r as S rises");
        assertGe(math.unitReward(rMax, k, int256(midpoint), s, bound(more, v, WAD)), r, "r as V rises");
        assertGe(math.unitReward(bound(more, rMax, 1 << 128), k, int256(midpoint), s, v), r, "r as rMax rises");
        assertGe(math.unitReward(rMax, k, int256(bound(more, 0, midpoint)), s, v), r, "r as the midpoint falls");
    }

    /// @dev The same with neighbours, where a rounding would show.
    function testFuzz_unitReward_monotoneByOne(uint256 rMax, uint256 k, uint256 midpoint, uint256 s, uint256 v)
        public
        view
    {
        rMax = bound(rMax, 0, 1 << 128);
        k = bound(k, 0, 100e18);
        midpoint = bound(midpoint, 0, WAD);
        s = bound(s, 0, WAD - 1);
        v = bound(v, 0, WAD - 1);
        uint256 r = math.unitReward(rMax, k, int256(midpoint), s, v);
        assertGe(math.unitReward(rMax, k, int256(midpoint), s + 1, v), r, "r at S + 1");
        assertGe(math.unitReward(rMax, k, int256(midpoint), s, v + 1), r, "r at V + 1");
    }

    /// @dev S never falls when a score rises, and never passes 1.
    function testFuzz_weigh_monotone(uint256 a, uint256 h, uint256 l, uint256 c, uint256 which, uint256 more)
        public
        view
    {
        uint256[4] memory w = [uint256(4000), 1500, 2000, 2500];
        uint256[4] memory x = [bound(a, 0, WAD), bound(h, 0, WAD), bound(l, 0, WAD), bound(c, 0, WAD)];
        uint256 s = math.weigh(w, x[0], x[1], x[2], x[3]);
        assertLe(s, WAD, "S");
        which = bound(which, 0, 3);
        x[which] = bound(more, x[which], WAD);
        assertGe(math.weigh(w, x[0], x[1], x[2], x[3]), s, "S as a score rises");
    }
}
