// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Charge} from "../types/Charge.sol";
import {EpochCommit} from "../types/EpochCommit.sol";

/// @notice The record of what nodes did, epoch by epoch (whitepaper 5.7).
interface IProofOfResource {
    /// @notice Commits an epoch that a quorum of reporters signed.
    function commit(EpochCommit calldata c, Charge[] calldata first, bytes[] calldata signatures) external;

    /// @notice Charges that did not fit into the commit's transaction.
    function continueCharges(uint64 epoch, Charge[] calldata more) external;
}
