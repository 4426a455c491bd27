// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "../../src/interfaces/IEpochClock.sol";

/// @notice A clock with the genesis time and length that a test gives it.
contract FixedClock is IEpochClock {
    uint64 public immutable override genesisTime;
    uint32 public immutable override epochLength;

    constructor(uint64 genesisTime_, uint32 epochLength_) {
        genesisTime = genesisTime_;
        epochLength = epochLength_;
    }

    function epochOf(uint64 timestamp) public view override returns (uint64) {
        return (timestamp - genesisTime) / epochLength;
    }

    function currentEpoch() external view override returns (uint64) {
        return epochOf(uint64(block.timestamp));
    }
}
