// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {LibSort} from "solady/utils/LibSort.sol";
import {SSTORE2} from "solady/utils/SSTORE2.sol";

import {IBonds} from "../interfaces/IBonds.sol";

/// @notice The reporters who sign an epoch, and how many of them must. Their sorted addresses are kept as the code of
/// an account: one read brings all of them, where asking Bonds costs a slot and a call for each signer.
library Committee {
    error Committee_SignersNotAscending(address previous, address signer);
    error Committee_NotReporter(address signer);
    error Committee_TooFewSignatures(uint256 got, uint256 want);

    /// @notice floor(2n/3) + 1 of n members.
    function quorum(uint256 n) internal pure returns (uint256) {
        return n * 2 / 3 + 1;
    }

    /// @notice The account that holds the reporters of now: `current` if they are the same.
    function copy(IBonds bonds, address current) internal returns (address) {
        address[] memory list = bonds.reporters();
        LibSort.sort(list);
        bytes memory packed = abi.encodePacked(list);
        if (current != address(0) && keccak256(SSTORE2.read(current)) == keccak256(packed)) return current;
        return SSTORE2.write(packed);
    }

    /// @notice The addresses that an account holds, ascending.
    function members(address committee) internal view returns (address[] memory list) {
        if (committee == address(0)) return list;
        bytes memory words = SSTORE2.read(committee);
        // `copy` wrote one word per address: the same memory is a list once its length counts words.
        assembly ("memory-safe") {
            mstore(words, shr(5, mload(words)))
            list := words
        }
    }

    /// @notice The signers of a digest: a quorum of the committee, each once, because addresses strictly ascend.
    /// @param signatures 65 bytes R, S, V each, S in the lower half.
    function check(address committee, bytes32 digest, bytes[] calldata signatures)
        internal
        view
        returns (address[] memory signers)
    {
        address[] memory list = members(committee);
        uint256 want = quorum(list.length);
        if (signatures.length < want) revert Committee_TooFewSignatures(signatures.length, want);
        signers = new address[](signatures.length);
        address last;
        uint256 at_;
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= last) revert Committee_SignersNotAscending(last, signer);
            // Both ascend, so one walk over the members finds every signer.
            while (at_ < list.length && list[at_] < signer) ++at_;
            if (at_ == list.length || list[at_] != signer) revert Committee_NotReporter(signer);
            signers[i] = last = signer;
        }
    }

    /// @notice Short hash of what was signed and by whom, which fits into an epoch's record.
    function evidence(bytes32 digest, address[] memory signers) internal pure returns (uint88) {
        return uint88(bytes11(keccak256(abi.encode(digest, signers))));
    }
}
