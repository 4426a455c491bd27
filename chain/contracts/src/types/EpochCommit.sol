// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What a quorum of reporters signs of an epoch (whitepaper 5.7).
/// @param epoch Epoch id.
/// @param root Merkle root of the leaves.
/// @param leafCount Number of leaves.
/// @param totalBytes Weighted bytes, the sum of the charges' bytes.
/// @param rewardTotal M0 in wei: sum of floor(alpha * R) before a cut.
/// @param mintTotal M in wei: sum of the payouts after the cut.
/// @param chargesHash Hash chain of the charges.
/// @param chargeCount Number of charges.
/// @param dataHash Hash of the published leaf set.
/// @param previousRoot Root of the epoch committed before.
/// @param parametersVersion Version of the parameters that the rewards use.
/// @param rMax Highest reward in wei per GB.
struct EpochCommit {
    uint64 epoch;
    bytes32 root;
    uint32 leafCount;
    uint256 totalBytes;
    uint256 rewardTotal;
    uint256 mintTotal;
    bytes32 chargesHash;
    uint32 chargeCount;
    bytes32 dataHash;
    bytes32 previousRoot;
    uint32 parametersVersion;
    uint256 rMax;
}

bytes32 constant EPOCH_COMMIT_TYPEHASH = keccak256(
    "EpochCommit(uint64 epoch,bytes32 root,uint32 leafCount,uint256 totalBytes,uint256 rewardTotal,uint256 mintTotal,bytes32 chargesHash,uint32 chargeCount,bytes32 dataHash,bytes32 previousRoot,uint32 parametersVersion,uint256 rMax)"
);

using EpochCommits for EpochCommit global;

library EpochCommits {
    /// @dev hashStruct of EIP-712. Every field is one word, so the struct encodes as its fields do.
    function structHash(EpochCommit memory commit) internal pure returns (bytes32) {
        return keccak256(abi.encode(EPOCH_COMMIT_TYPEHASH, commit));
    }
}
