// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";

/// @notice The median of feeders, its average, and the prices of each epoch: see IPriceOracle.
contract PriceOracle is IPriceOracle, AccessManagedUpgradeable, UUPSUpgradeable {
    /// @dev Cells of the ring of observations. Two of them are at least twapWindow/32 apart, so that the ring
    /// reaches back over two windows.
    uint256 private constant _RING = 64;
    uint256 private constant _MOST_FEEDERS = 32;
    /// @dev 10 million USD per HUDL. Keeps price times seconds far below what an observation holds.
    uint256 private constant _MOST_PRICE = 1e15;

    /// @dev What a feeder said last.
    struct Feed {
        uint64 price8;
        uint64 time;
    }

    /// @dev Sum of price times seconds up to a moment.
    struct Observation {
        uint64 time;
        uint192 cumulative;
    }

    struct EpochPrices {
        uint64 low;
        uint64 high;
    }

    /// @custom:storage-location erc7201:drtc.storage.PriceOracle
    struct Store {
        uint64 spot8;
        uint64 updatedAt;
        uint64 fixed8;
        /// @dev Observations written; the newest lies at (observed - 1) % _RING.
        uint64 observed;
        /// @dev Sum up to `updatedAt`.
        Observation last;
        Bounds bounds;
        address[] feeders;
        mapping(address feeder => Feed) feeds;
        mapping(uint64 epoch => EpochPrices) epochs;
        Observation[_RING] ring;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.PriceOracle")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant _STORE = 0xd9c9e75a5c5e04dd3e8b3d7a81dc96323e8e42a9ef0f06b0f40748e9ee836400;

    IEpochClock private immutable _clock;

    constructor(IEpochClock clock) {
        _clock = clock;
        _disableInitializers();
    }

    /// @param fixedPrice8 A price fixed from the start; 0 leaves it to feeders.
    function initialize(address authority, Bounds calldata bounds_, address[] calldata feeders_, uint64 fixedPrice8)
        external
        initializer
    {
        __AccessManaged_init(authority);
        _setBounds(bounds_);
        for (uint256 i = 0; i < feeders_.length; i++) _addFeeder(feeders_[i]);
        if (fixedPrice8 != 0) _fix(fixedPrice8);
    }

    /// @inheritdoc IPriceOracle
    function spot() public view returns (uint256) {
        Store storage s = _store();
        if (s.fixed8 != 0) return s.fixed8;
        if (!_holds(s)) revert PriceOracle_Stale(s.updatedAt, s.bounds.maxAge);
        return s.spot8;
    }

    /// @inheritdoc IPriceOracle
    function twap() public view returns (uint256) {
        uint256 spot8 = spot();
        Store storage s = _store();
        if (s.fixed8 != 0) return spot8;
        return _average(s, spot8, block.timestamp);
    }

    /// @inheritdoc IPriceOracle
    function low() external view returns (uint256 price) {
        (price,) = _range();
    }

    /// @inheritdoc IPriceOracle
    function high() external view returns (uint256 price) {
        (, price) = _range();
    }

    /// @inheritdoc IPriceOracle
    function epochPrices(uint64 epoch) external view returns (uint256, uint256) {
        EpochPrices storage p = _store().epochs[epoch];
        (uint64 low_, uint64 high_) = (p.low, p.high);
        if (low_ == 0) revert PriceOracle_EpochNotRecorded(epoch);
        return (low_, high_);
    }

    /// @inheritdoc IPriceOracle
    function recordEpoch(uint64 epoch) external returns (uint256, uint256) {
        EpochPrices storage p = _store().epochs[epoch];
        (uint64 low_, uint64 high_) = (p.low, p.high);
        if (low_ != 0) return (low_, high_);
        uint64 current = _clock.currentEpoch();
        if (epoch >= current) revert PriceOracle_EpochNotOver(epoch, current);
        return _record(epoch);
    }

    /// @inheritdoc IPriceOracle
    function feed(uint64 price8) external {
        Store storage s = _store();
        if (s.fixed8 != 0) revert PriceOracle_Fixed(s.fixed8);
        Feed storage mine = s.feeds[msg.sender];
        if (mine.time == 0) revert PriceOracle_NotFeeder(msg.sender);
        _checkPrice(price8);
        bool held = _holds(s);
        if (held) {
            _checkDeviation(price8, s.spot8, s.bounds.maxDeviationBps);
            _recordEnded();
        }
        mine.price8 = price8;
        mine.time = uint64(block.timestamp);
        emit Fed(msg.sender, price8);
        (uint256 median, uint256 count) = _median(s);
        if (count >= s.bounds.minFeeds) {
            _move(s, uint64(median));
            if (!held) _recordEnded();
        }
    }

    /// @inheritdoc IPriceOracle
    function feeders() external view returns (address[] memory) {
        return _store().feeders;
    }

    /// @inheritdoc IPriceOracle
    function bounds() external view returns (Bounds memory) {
        return _store().bounds;
    }

    /// @inheritdoc IPriceOracle
    function fixedPrice() external view returns (uint256) {
        return _store().fixed8;
    }

    /// @inheritdoc IPriceOracle
    function addFeeder(address feeder) external restricted {
        _addFeeder(feeder);
    }

    /// @inheritdoc IPriceOracle
    function removeFeeder(address feeder) external restricted {
        Store storage s = _store();
        if (s.feeds[feeder].time == 0) revert PriceOracle_NotFeeder(feeder);
        delete s.feeds[feeder];
        uint256 n = s.feeders.length;
        for (uint256 i = 0; i < n; i++) {
            if (s.feeders[i] == feeder) s.feeders[i] = s.feeders[n - 1];
        }
        s.feeders.pop();
        emit FeederRemoved(feeder);
    }

    /// @inheritdoc IPriceOracle
    function setBounds(Bounds calldata bounds_) external restricted {
        _setBounds(bounds_);
    }

    /// @inheritdoc IPriceOracle
    function fixPrice(uint64 price8) external restricted {
        Store storage s = _store();
        if (s.fixed8 != 0 || _holds(s)) _recordEnded();
        if (price8 == 0) {
            // The average starts anew with the feeders: nothing was observed while the price was fixed.
            delete s.last;
            (s.spot8, s.updatedAt, s.fixed8, s.observed) = (0, 0, 0, 0);
            emit PriceFixed(0);
        } else {
            _fix(price8);
        }
    }

    function _fix(uint64 price8) private {
        _checkPrice(price8);
        _store().fixed8 = price8;
        emit PriceFixed(price8);
    }

    function _addFeeder(address feeder) private {
        Store storage s = _store();
        if (s.feeds[feeder].time != 0) revert PriceOracle_AlreadyFeeder(feeder);
        if (s.feeders.length == _MOST_FEEDERS) revert PriceOracle_TooManyFeeders(_MOST_FEEDERS);
        s.feeders.push(feeder);
        // Marks the feeder; a price of 0 counts in no median.
        s.feeds[feeder].time = 1;
        emit FeederAdded(feeder);
    }

    function _setBounds(Bounds calldata b) private {
        _checkBound("maxAge", b.maxAge, 1, 7 days);
        _checkBound("maxDeviationBps", b.maxDeviationBps, 1, 10_000);
        _checkBound("minFeeds", b.minFeeds, 1, _MOST_FEEDERS);
        _checkBound("twapWindow", b.twapWindow, 1, 90 days);
        _store().bounds = b;
        emit BoundsSet(b);
    }

    function _checkBound(bytes32 bound, uint256 got, uint256 least, uint256 most) private pure {
        if (got < least || got > most) revert PriceOracle_BoundOutOfRange(bound, got, least, most);
    }

    function _checkPrice(uint64 price8) private pure {
        if (price8 == 0 || price8 > _MOST_PRICE) revert PriceOracle_PriceOutOfRange(price8, 1, _MOST_PRICE);
    }

    function _checkDeviation(uint256 price8, uint256 spot8, uint256 maxBps) private pure {
        uint256 difference = price8 > spot8 ? price8 - spot8 : spot8 - price8;
        // A step of one is always allowed, or the smallest prices could never move.
        if (difference > 1 && difference * 10_000 > spot8 * maxBps) {
            revert PriceOracle_Deviation(price8, spot8, maxBps);
        }
    }

    /// @dev Writes the prices of the epoch that just ended, if it has none: the price of now still holds from then.
    function _recordEnded() private {
        uint64 current = _clock.currentEpoch();
        if (current > 0 && _store().epochs[current - 1].low == 0) _record(current - 1);
    }

    function _record(uint64 epoch) private returns (uint256 low_, uint256 high_) {
        (low_, high_) = _range();
        _store().epochs[epoch] = EpochPrices(uint64(low_), uint64(high_));
        emit EpochPricesRecorded(epoch, uint64(low_), uint64(high_));
    }

    function _range() private view returns (uint256, uint256) {
        (uint256 spot8, uint256 twap8) = (spot(), twap());
        return spot8 < twap8 ? (spot8, twap8) : (twap8, spot8);
    }

    function _holds(Store storage s) private view returns (bool) {
        return s.spot8 != 0 && block.timestamp - s.updatedAt <= s.bounds.maxAge;
    }

    /// @dev Median of the feeds that hold, the lower of the middle two rounded with the higher one down.
    function _median(Store storage s) private view returns (uint256 median, uint256 count) {
        uint256 n = s.feeders.length;
        uint256 maxAge = s.bounds.maxAge;
        uint256[] memory prices = new uint256[](n);
        for (uint256 i = 0; i < n; i++) {
            Feed storage f = s.feeds[s.feeders[i]];
            if (f.price8 == 0 || block.timestamp - f.time > maxAge) continue;
            uint256 j = count++;
            for (; j > 0 && prices[j - 1] > f.price8; j--) prices[j] = prices[j - 1];
            prices[j] = f.price8;
        }
        if (count != 0) median = (prices[(count - 1) / 2] + prices[count / 2]) / 2;
    }

    /// @dev Closes the time at the old price and starts one at the new.
    function _move(Store storage s, uint64 price8) private {
        uint64 now_ = uint64(block.timestamp);
        Observation memory last = s.last;
        if (s.spot8 != 0) last.cumulative += uint192(s.spot8) * (now_ - s.updatedAt);
        last.time = now_;
        s.last = last;
        uint64 observed = s.observed;
        if (
            observed == 0
                || now_ - s.ring[(observed - 1) % _RING].time >= (s.bounds.twapWindow + 31) / 32
        ) {
            s.ring[observed % _RING] = last;
            s.observed = observed + 1;
        }
        s.spot8 = price8;
        s.updatedAt = now_;
        emit SpotMoved(price8);
    }

    /// @dev Average from `window` before `until` on, the price between two observations taken as constant.
    function _average(Store storage s, uint256 spot8, uint256 until) private view returns (uint256) {
        uint256 from = until - s.bounds.twapWindow;
        uint256 newest = s.observed - 1;
        uint256 end = s.last.cumulative + spot8 * (until - s.last.time);
        uint256 oldest = newest + 1 > _RING ? newest + 1 - _RING : 0;
        Observation memory first = s.ring[oldest % _RING];
        if (first.time >= from) {
            return until == first.time ? spot8 : (end - first.cumulative) / (until - first.time);
        }
        // The newest observation at or before `from`.
        uint256 most = newest;
        while (oldest < most) {
            uint256 middle = (oldest + most + 1) / 2;
            if (s.ring[middle % _RING].time <= from) oldest = middle;
            else most = middle - 1;
        }
        Observation memory before = s.ring[oldest % _RING];
        Observation memory next = oldest == newest ? s.last : s.ring[(oldest + 1) % _RING];
        if (next.time <= from) return (end - next.cumulative - spot8 * (from - next.time)) / (until - from);
        uint256 step = (next.cumulative - before.cumulative) * (from - before.time) / (next.time - before.time);
        return (end - before.cumulative - step) / (until - from);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _store() private pure returns (Store storage s) {
        bytes32 slot = _STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
