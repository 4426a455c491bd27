// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Leaf} from "../../src/types/Leaf.sol";

/// @notice The Merkle tree of spec/epoch.md P4: pairs from the left, an odd one goes up as it is.
library Tree {
    function root(Leaf[] memory leaves) internal pure returns (bytes32) {
        if (leaves.length == 0) return 0;
        bytes32[] memory row = hashes(leaves);
        while (row.length > 1) row = above(row);
        return row[0];
    }

    function proof(Leaf[] memory leaves, uint256 i) internal pure returns (bytes32[] memory list) {
        bytes32[] memory row = hashes(leaves);
        list = new bytes32[](32);
        uint256 n;
        while (row.length > 1) {
            uint256 sibling = i ^ 1;
            if (sibling < row.length) list[n++] = row[sibling];
            row = above(row);
            i /= 2;
        }
        assembly ("memory-safe") {
            mstore(list, n)
        }
    }

    function hashes(Leaf[] memory leaves) private pure returns (bytes32[] memory row) {
        row = new bytes32[](leaves.length);
        for (uint256 i = 0; i < leaves.length; i++) row[i] = leaves[i].hash();
    }

    function above(bytes32[] memory row) private pure returns (bytes32[] memory next) {
        next = new bytes32[]((row.length + 1) / 2);
        for (uint256 i = 0; i < next.length; i++) {
            next[i] = 2 * i + 1 < row.length ? pair(row[2 * i], row[2 * i + 1]) : row[2 * i];
        }
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}
