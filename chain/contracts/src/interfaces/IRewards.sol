// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Leaf} from "../types/Leaf.sol";

/// @notice Computes rewards on chain from committed leaves and pays pools (whitepaper 5.8). Anyone may claim for
/// any node; a node's epochs are paid strictly in the order in which it had leaves, each once, so that a stranger's
/// claim can skip nothing.
interface IRewards {
    /// @notice Epochs were paid to a node's pool, each its amount.
    event Rewarded(address indexed node, address indexed pool, uint64[] epochs, uint256[] amounts);

    error Rewards_NoLeaves();
    error Rewards_LengthsDiffer(uint256 leaves, uint256 proofs);
    error Rewards_LeafVersion(uint8 got, uint8 want);
    error Rewards_NodesDiffer(address first, address other);
    /// @notice The leaf does not follow the last epoch paid: epochs between would be lost.
    error Rewards_EpochSkipped(address node, uint64 previousEpoch, uint64 lastRewardedBatch);
    error Rewards_EpochPaid(address node, uint64 epoch, uint64 lastRewardedBatch);
    error Rewards_BadProof(address node, uint64 epoch);
    /// @notice The node's rewards wait until it has a pool.
    error Rewards_NoPool(address node);

    /// @notice Claims epochs of one node, ascending, from the one after the last paid on.
    /// @param proofs Of each leaf: siblings from the leaf to the root.
    function claim(Leaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice Last epoch paid to a node; `NO_EPOCH` if none was.
    function lastRewardedBatch(address node) external view returns (uint64);

    /// @notice What a leaf of a claimable epoch pays in wei, whether or not it is in the tree.
    function payoutOf(Leaf calldata leaf) external view returns (uint256);

    /// @notice Stops claims; for the guardian.
    function pause() external;

    /// @notice For governance.
    function unpause() external;
}
