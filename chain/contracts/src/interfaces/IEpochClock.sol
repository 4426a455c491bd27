// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Tells the epoch, the only economic step of time. Genesis time and length never change.
interface IEpochClock {
    /// @notice floor((timestamp - genesisTime) / epochLength).
    /// @param timestamp Seconds since 1970, not before genesisTime.
    function epochOf(uint64 timestamp) external view returns (uint64);

    /// @notice Epoch of the block's timestamp.
    function currentEpoch() external view returns (uint64);

    /// @notice Length of an epoch in seconds.
    function epochLength() external view returns (uint32);

    /// @notice When epoch 0 began, seconds since 1970.
    function genesisTime() external view returns (uint64);
}
