// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochCommit} from "./EpochCommit.sol";

/// @dev EIP-712 type of what reporters sign to replace a void commit. It is another type than EpochCommit's, so
/// that reporters who sign a replacement do not contradict the commit that they signed before.
bytes32 constant REPLACEMENT_TYPEHASH = keccak256(
    "Replacement(bytes32 voided,EpochCommit commit)EpochCommit(uint64 epoch,bytes32 root,uint32 leafCount,uint256 totalBytes,uint256 rewardTotal,uint256 mintTotal,bytes32 chargesHash,uint32 chargeCount,bytes32 dataHash,bytes32 previousRoot,uint32 parametersVersion,uint256 rMax)"
);

library Replacement {
    /// @dev hashStruct of EIP-712.
    /// @param voided Struct hash of the void commit.
    function structHash(bytes32 voided, EpochCommit memory commit) internal pure returns (bytes32) {
        return keccak256(abi.encode(REPLACEMENT_TYPEHASH, voided, commit.structHash()));
    }
}
