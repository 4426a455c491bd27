// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Price of HUDL in USD x 1e8.
interface IPriceOracle {
    /// @notice min(spot, TWAP) and max(spot, TWAP) as recorded for an epoch.
    function epochPrices(uint64 epoch) external view returns (uint256 low, uint256 high);
}
