// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice Digests of EIP-712 for a contract that need not be the one that asks. Version is "1" everywhere.
library Domain {
    bytes32 private constant TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// @dev Digest of a struct under a domain of this chain. `nameHash` is the keccak256 of the domain's name.
    function digest(bytes32 nameHash, address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = keccak256(abi.encode(TYPEHASH, nameHash, keccak256("1"), block.chainid, verifyingContract));
        return MessageHashUtils.toTypedDataHash(separator, structHash);
    }
}
