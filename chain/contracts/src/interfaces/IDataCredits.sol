// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Charge} from "../types/Charge.sol";

/// @notice Prepaid credits of applications, pegged to USD (whitepaper 3.3).
interface IDataCredits {
    /// @notice Charges an epoch's consumption and sends its escrow to the Reserve; for ProofOfResource alone.
    function charge(uint64 epoch, Charge[] calldata charges) external returns (uint256 consumedDC, uint256 escrowWei);
}
