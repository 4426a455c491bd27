// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What one Media Node did in one epoch: a leaf of the epoch's Merkle tree (whitepaper 5.7).
/// @param version 1.
/// @param node Address of the Media Node.
/// @param epoch Epoch id.
/// @param previousEpoch Last epoch in which the node had a leaf; `NO_EPOCH` if there was none.
/// @param availability Score A, 1e18 is one.
/// @param history Score H with its floor applied, 1e18 is one.
/// @param location Score L, 1e18 is one.
/// @param coverage Score C, 1e18 is one.
/// @param quality Score V, 1e18 is one.
/// @param clientBytes Receipted bytes sent to clients.
/// @param relayBytes Receipted bytes sent to other nodes.
/// @param provenMbps Egress that tests have proven, Mbit/s; 0 is unknown.
struct Leaf {
    uint8 version;
    address node;
    uint64 epoch;
    uint64 previousEpoch;
    uint64 availability;
    uint64 history;
    uint64 location;
    uint64 coverage;
    uint64 quality;
    uint128 clientBytes;
    uint128 relayBytes;
    uint32 provenMbps;
}

/// @dev Stands for "no epoch" where an epoch id is expected.
uint64 constant NO_EPOCH = type(uint64).max;

using Leaves for Leaf global;

library Leaves {
    /// @dev Hashed twice, so that no inner node of the tree can pass for a leaf.
    function hash(Leaf memory leaf) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(leaf))));
    }
}
