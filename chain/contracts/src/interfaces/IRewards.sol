// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Leaf} from "../types/Leaf.sol";

/// @notice Computes rewards from committed leaves and pays pools (whitepaper 5.8).
interface IRewards {
    /// @notice Claims epochs of one node, ascending.
    function claim(Leaf[] calldata leaves, bytes32[][] calldata proofs) external;

    /// @notice Last epoch paid to a node; `NO_EPOCH` if none was.
    function lastRewardedBatch(address node) external view returns (uint64);
}
