// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice An Orchestrator's cumulative receipt for what a node served an application in an epoch.
/// @param application Who pays.
/// @param orchestrator Who signs.
/// @param node Who served.
/// @param epoch Epoch id.
/// @param sequence Grows with every receipt of these four; two receipts of one sequence must be equal.
/// @param clientBytes Bytes to clients since the epoch began.
/// @param relayBytes Bytes to other nodes since the epoch began.
struct Receipt {
    address application;
    address orchestrator;
    address node;
    uint64 epoch;
    uint64 sequence;
    uint128 clientBytes;
    uint128 relayBytes;
}

bytes32 constant RECEIPT_TYPEHASH = keccak256(
    "Receipt(address application,address orchestrator,address node,uint64 epoch,uint64 sequence,uint128 clientBytes,uint128 relayBytes)"
);

using Receipts for Receipt global;

library Receipts {
    /// @dev hashStruct of EIP-712.
    function structHash(Receipt memory receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
    }
}
