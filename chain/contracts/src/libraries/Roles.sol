// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Roles of the access manager. Functions without one are for its administrator, the timelock.
library Roles {
    /// @dev May pause, and nothing else.
    uint64 internal constant GUARDIAN = 1;
    /// @dev The Rewards contract: PoolManager.distribute, Reserve.payPool.
    uint64 internal constant REWARDS = 2;
}
