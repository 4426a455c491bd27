// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {IPriceOracle} from "../src/interfaces/IPriceOracle.sol";
import {PriceOracle} from "../src/PriceOracle.sol";
import {FixedClock} from "./base/FixedClock.sol";
import {Test} from "./base/Test.sol";

contract PriceOracleTest is Test {
    uint64 private constant GENESIS = 1_700_000_000;
    uint32 private constant DAY = 1 days;
    PriceOracle private oracle;
    AccessManager private access;
    address[] private feeders;

    function setUp() public {
        vm.warp(GENESIS);
        access = new AccessManager(address(this));
        for (uint160 i = 1; i <= 3; i++) feeders.push(address(i));
        oracle = deploy(0);
    }

    function bounds() private pure returns (IPriceOracle.Bounds memory) {
        return IPriceOracle.Bounds({maxAge: 1 hours, maxDeviationBps: 1000, minFeeds: 2, twapWindow: 6 hours});
    }

    function deploy(uint64 fixed8) private returns (PriceOracle) {
        bytes memory call =
            abi.encodeCall(PriceOracle.initialize, (address(access), bounds(), feeders, fixed8));
        return PriceOracle(address(new ERC1967Proxy(address(new PriceOracle(new FixedClock(GENESIS, DAY))), call)));
    }

    function feed(uint256 i, uint64 price8) private {
        vm.prank(feeders[i]);
        oracle.feed(price8);
    }

    function feedAll(uint64 price8) private {
        for (uint256 i = 0; i < 3; i++) feed(i, price8);
    }

    function test_spot_isTheMedianOfFeeds() public {
        feed(0, 100);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Stale.selector, 0, 1 hours));
        oracle.spot();
        feed(1, 110);
        assertEq(oracle.spot(), 105, "median of two");
        feed(2, 114);
        assertEq(oracle.spot(), 110, "median of three");
        assertEq(oracle.twap(), 110, "average of an oracle without a past");
    }

    function test_feed_isForFeeders() public {
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_NotFeeder.selector, address(this)));
        oracle.feed(100);
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_PriceOutOfRange.selector, 0, 1, 1e15));
        oracle.feed(0);
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_PriceOutOfRange.selector, 1e15 + 1, 1, 1e15));
        oracle.feed(1e15 + 1);
        feed(0, 1e15);
    }

    function test_feed_boundsDeviation() public {
        feedAll(1000);
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Deviation.selector, 1101, 1000, 1000));
        oracle.feed(1101);
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Deviation.selector, 899, 1000, 1000));
        oracle.feed(899);
        feed(0, 1100);
        feed(1, 1100);
        assertEq(oracle.spot(), 1100, "after a round");
        // Once the old price does not hold any more, any new one is taken.
        vm.warp(block.timestamp + 1 hours + 1);
        feedAll(10);
        assertEq(oracle.spot(), 10, "after silence");
    }

    function test_spot_goesStale() public {
        feedAll(1000);
        vm.warp(GENESIS + 1 hours);
        assertEq(oracle.spot(), 1000, "at its age");
        vm.warp(GENESIS + 1 hours + 1);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Stale.selector, GENESIS, 1 hours));
        oracle.spot();
        // One voice alone does not bring it back.
        feed(0, 1000);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Stale.selector, GENESIS, 1 hours));
        oracle.spot();
    }

    function test_twap_followsSlowly() public {
        for (uint256 t = 0; t <= 12; t++) {
            vm.warp(GENESIS + t * 30 minutes);
            feedAll(1000);
        }
        for (uint256 t = 13; t <= 18; t++) {
            vm.warp(GENESIS + t * 30 minutes);
            feedAll(1100);
        }
        // 6 hours of 1000, then 2.5 hours of 1100, of which the last 6 hours count.
        assertEq(oracle.spot(), 1100, "spot");
        assertEq(oracle.twap(), (1000 * 35 + 1100 * 25) * uint256(1) / 60, "average");
        assertEq(oracle.low(), oracle.twap(), "low");
        assertEq(oracle.high(), 1100, "high");
    }

    /// @dev The ring of observations against the plain average over the window.
    function testFuzz_twap_isTheAverageOverTheWindow(uint16[40] memory gaps, uint64 seed) public {
        uint256[41] memory times;
        uint256[41] memory prices;
        uint256 now_ = GENESIS;
        uint256 price = 1e6;
        for (uint256 i = 0; i < 40; i++) {
            (times[i], prices[i]) = (now_, price);
            vm.warp(now_);
            feedAll(uint64(price));
            now_ += uint256(gaps[i]) % 3600;
            price = price * (95 + uint256(keccak256(abi.encode(seed, i))) % 11) / 100;
        }
        vm.warp(now_);
        uint256 from = now_ - 6 hours;
        if (from < GENESIS) from = GENESIS;
        uint256 area;
        for (uint256 i = 0; i < 40; i++) {
            uint256 start = times[i] < from ? from : times[i];
            uint256 end = i == 39 ? now_ : times[i + 1];
            if (end > start) area += (end - start) * prices[i];
        }
        uint256 want = now_ == from ? prices[39] : area / (now_ - from);
        uint256 got = oracle.twap();
        // Between two observations, at most a step of the ring apart plus a feed's age, the price is taken as constant.
        uint256 tolerance = want / 50 + 1;
        assertLe(got, want + tolerance, "average");
        assertGe(got + tolerance, want, "average");
    }

    function test_epochPrices_areThoseOfTheEpochsEnd() public {
        vm.warp(GENESIS + DAY - 600);
        feedAll(1000);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_EpochNotOver.selector, 0, 0));
        oracle.recordEpoch(0);
        vm.warp(GENESIS + DAY + 60);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_EpochNotRecorded.selector, 0));
        oracle.epochPrices(0);
        // The first feed of the new epoch records the old one, before it moves the price.
        feedAll(1100);
        (uint256 low, uint256 high) = oracle.epochPrices(0);
        assertEq(low, 1000, "low");
        assertEq(high, 1000, "high");
        oracle.recordEpoch(0);
        (low, high) = oracle.epochPrices(0);
        assertEq(high, 1000, "recorded once");
    }

    function test_recordEpoch_byAnyone() public {
        vm.warp(GENESIS + DAY - 600);
        feedAll(1000);
        vm.warp(GENESIS + DAY);
        vm.prank(address(0xABC));
        (uint256 low, uint256 high) = oracle.recordEpoch(0);
        assertEq(low, 1000, "low");
        assertEq(high, 1000, "high");
    }

    function test_recordEpoch_waitsForAPrice() public {
        vm.warp(GENESIS + 2 * DAY);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Stale.selector, 0, 1 hours));
        oracle.recordEpoch(0);
        feedAll(1000);
        (uint256 low,) = oracle.epochPrices(1);
        assertEq(low, 1000, "recorded with the first price that holds");
    }

    function test_fixedPrice_needsNoFeeders() public {
        oracle = deploy(5_000_000);
        vm.warp(GENESIS + 100 * uint256(DAY));
        assertEq(oracle.spot(), 5_000_000, "spot");
        assertEq(oracle.twap(), 5_000_000, "average");
        oracle.recordEpoch(3);
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_Fixed.selector, 5_000_000));
        oracle.feed(1);
        vm.prank(feeders[0]);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, feeders[0])
        );
        oracle.fixPrice(1);
        oracle.fixPrice(0);
        assertEq(oracle.fixedPrice(), 0, "given back");
        feedAll(777);
        assertEq(oracle.low(), 777, "feeders' price");
        // What was recorded stays.
        (uint256 low,) = oracle.epochPrices(3);
        assertEq(low, 5_000_000, "recorded");
    }

    function test_feeders_comeAndGo() public {
        oracle.addFeeder(address(9));
        assertEq(oracle.feeders().length, 4, "feeders");
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_AlreadyFeeder.selector, address(9)));
        oracle.addFeeder(address(9));
        oracle.removeFeeder(feeders[0]);
        assertEq(oracle.feeders().length, 3, "feeders");
        vm.prank(feeders[0]);
        vm.expectRevert(abi.encodeWithSelector(IPriceOracle.PriceOracle_NotFeeder.selector, feeders[0]));
        oracle.feed(1);
        vm.prank(address(9));
        oracle.feed(100);
        feed(1, 100);
        assertEq(oracle.spot(), 100, "spot");
    }

    function test_bounds_areBounded() public {
        IPriceOracle.Bounds memory b = bounds();
        b.maxAge = 0;
        vm.expectRevert(
            abi.encodeWithSelector(
                IPriceOracle.PriceOracle_BoundOutOfRange.selector, bytes32("maxAge"), 0, 1, 7 days
            )
        );
        oracle.setBounds(b);
        b = bounds();
        b.minFeeds = 33;
        vm.expectRevert(
            abi.encodeWithSelector(
                IPriceOracle.PriceOracle_BoundOutOfRange.selector, bytes32("minFeeds"), 33, 1, 32
            )
        );
        oracle.setBounds(b);
    }
}
