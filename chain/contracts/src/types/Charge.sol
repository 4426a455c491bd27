// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What an application consumed through one Orchestrator in an epoch.
/// @param application Owner of the data credits.
/// @param orchestrator Who signed the receipts.
/// @param bytes_ Bytes to clients plus weighted relay bytes, weighted per node before they are summed.
struct Charge {
    address application;
    address orchestrator;
    uint128 bytes_;
}

using Charges for Charge global;

library Charges {
    /// @dev The hash of a list of charges grows by one charge: h' = keccak256(h, application, orchestrator, bytes).
    function chain(Charge memory charge, bytes32 previous) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, charge.application, charge.orchestrator, charge.bytes_));
    }
}
