// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Price of HUDL in USD times 1e8: the median of registered feeders, its time-weighted average, and both
/// as they were when each epoch ended. Buyers of credits pay at `low`, rewards are capped at `high`
/// (spec/economics.md E16, E17), so that whoever bends one of the two gains nothing from it.
interface IPriceOracle {
    /// @notice Bounds on feeds.
    /// @param maxAge Seconds for which a feed counts and a spot price holds.
    /// @param maxDeviationBps Most by which one feed may differ from a spot price that holds. A true jump passes in
    /// several rounds of feeds, slow enough for a guardian to see.
    /// @param minFeeds Feeds that a spot price needs.
    /// @param twapWindow Seconds that the average looks back.
    struct Bounds {
        uint32 maxAge;
        uint16 maxDeviationBps;
        uint8 minFeeds;
        uint32 twapWindow;
    }

    event FeederAdded(address indexed feeder);
    event FeederRemoved(address indexed feeder);
    event BoundsSet(Bounds bounds);
    event Fed(address indexed feeder, uint64 price8);
    event SpotMoved(uint64 price8);
    event PriceFixed(uint64 price8);
    event EpochPricesRecorded(uint64 indexed epoch, uint64 low, uint64 high);

    error PriceOracle_NotFeeder(address caller);
    error PriceOracle_AlreadyFeeder(address feeder);
    error PriceOracle_TooManyFeeders(uint256 most);
    /// @notice No price holds: too few feeders have spoken lately.
    error PriceOracle_Stale(uint256 updatedAt, uint256 maxAge);
    error PriceOracle_Deviation(uint256 price8, uint256 spot8, uint256 maxBps);
    error PriceOracle_PriceOutOfRange(uint256 price8, uint256 least, uint256 most);
    error PriceOracle_BoundOutOfRange(bytes32 bound, uint256 got, uint256 least, uint256 most);
    error PriceOracle_EpochNotOver(uint64 epoch, uint64 currentEpoch);
    error PriceOracle_EpochNotRecorded(uint64 epoch);
    /// @notice Feeds are not taken while governance has fixed the price.
    error PriceOracle_Fixed(uint256 price8);

    /// @notice Median of the feeds that hold.
    function spot() external view returns (uint256);

    /// @notice Average over `twapWindow`, or over the oracle's whole life if that is shorter.
    function twap() external view returns (uint256);

    /// @notice min(spot, twap), what credits are sold at.
    function low() external view returns (uint256);

    /// @notice max(spot, twap), what rewards are computed at.
    function high() external view returns (uint256);

    /// @notice Both as recorded for an epoch that is over.
    function epochPrices(uint64 epoch) external view returns (uint256 low, uint256 high);

    /// @notice Records the prices of an epoch that is over, if nobody has yet, and returns them. The first feed
    /// after an epoch's end records it by itself, with the prices that held when it ended.
    function recordEpoch(uint64 epoch) external returns (uint256 low, uint256 high);

    /// @notice Takes a price; for feeders alone.
    function feed(uint64 price8) external;

    function feeders() external view returns (address[] memory);
    function bounds() external view returns (Bounds memory);

    /// @notice The price that governance has fixed; 0 if the feeders' holds.
    function fixedPrice() external view returns (uint256);

    /// @notice For governance.
    function addFeeder(address feeder) external;

    /// @notice For governance.
    function removeFeeder(address feeder) external;

    /// @notice For governance.
    function setBounds(Bounds calldata bounds_) external;

    /// @notice Fixes the price, or with 0 gives it back to the feeders; for governance. A development network has
    /// a fixed price and no feeders.
    function fixPrice(uint64 price8) external;
}
