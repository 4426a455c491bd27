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
    /// @notice A field has more bits than its type.
    error Charges_OutOfRange(uint256 i);

    /// @dev The hash of a list of charges grows by one charge: h' = keccak256(h, application, orchestrator, bytes).
    function chain(Charge memory charge, bytes32 previous) internal pure returns (bytes32) {
        return keccak256(abi.encode(previous, charge.application, charge.orchestrator, charge.bytes_));
    }

    /// @dev Charge `i` of the input, which the caller knows to be below its length. Commits read many charges: this
    /// looks at each word once.
    function read(Charge[] calldata list, uint256 i)
        internal
        pure
        returns (address application, address orchestrator, uint128 bytes_)
    {
        uint256 excess;
        assembly ("memory-safe") {
            let words := add(list.offset, mul(i, 0x60))
            application := calldataload(words)
            orchestrator := calldataload(add(words, 0x20))
            bytes_ := calldataload(add(words, 0x40))
            excess := or(shr(160, or(application, orchestrator)), shr(128, bytes_))
        }
        if (excess != 0) revert Charges_OutOfRange(i);
    }

    /// @dev `chain` of charge `i` of the input, which `read` has seen: its words are those that abi.encode writes.
    function chainAt(Charge[] calldata list, uint256 i, bytes32 previous) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, previous)
            calldatacopy(add(words, 0x20), add(list.offset, mul(i, 0x60)), 0x60)
            hash := keccak256(words, 0x80)
        }
    }

    /// @dev The words of a list in the input, as abi.encode writes them after its length.
    function encoded(Charge[] calldata list) internal pure returns (bytes calldata all) {
        assembly ("memory-safe") {
            all.offset := list.offset
            all.length := mul(list.length, 0x60)
        }
    }
}
