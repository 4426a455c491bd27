// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEpochClock} from "./IEpochClock.sol";
import {ParameterSet, RewardRules, SupplyRules} from "../types/ParameterSet.sol";

/// @notice The epoch clock and every parameter of the economy, each set under a version and an epoch from which
/// it holds. What an epoch was begun under, it is paid under: a new set holds from the next epoch on.
interface IParameters is IEpochClock {
    /// @notice A set holds from `fromEpoch` on.
    event ParametersSet(uint32 indexed version, uint64 indexed fromEpoch, ParameterSet parameters);

    /// @notice A parameter lies outside its bounds; `parameter` is its name.
    error Parameters_OutOfBounds(bytes32 parameter, int256 got, int256 least, int256 most);
    /// @notice The four weights do not sum to 10,000 bps.
    error Parameters_WeightsSum(uint256 got, uint256 want);
    error Parameters_NoSuchVersion(uint32 version, uint32 newest);
    error Parameters_EpochLengthIsZero();
    error Parameters_BeforeGenesis(uint64 timestamp, uint64 genesis);
    /// @notice An upgrade may not move the clock.
    error Parameters_ClockDiffers(uint64 genesisTime, uint32 epochLength);

    /// @notice Makes a new version that holds from the next epoch. Governance only.
    function set(ParameterSet calldata next) external returns (uint32 version);

    /// @notice The newest version.
    function newestVersion() external view returns (uint32);

    /// @notice The version that holds in an epoch.
    function versionOf(uint64 epoch) external view returns (uint32);

    /// @notice First epoch for which a version was set. A later version of the same epoch replaces it.
    function fromEpoch(uint32 version) external view returns (uint64);

    /// @notice All parameters of a version.
    function parametersOf(uint32 version) external view returns (ParameterSet memory);

    /// @notice The part that a claim needs.
    function rewardRules(uint32 version) external view returns (RewardRules memory);

    /// @notice The part that the commit of an epoch needs, with its version.
    function supplyRules(uint64 epoch) external view returns (uint32 version, SupplyRules memory);
}
