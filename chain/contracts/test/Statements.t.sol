// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Bonds} from "../src/Bonds.sol";
import {Domain} from "../src/libraries/Domain.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Receipt} from "../src/types/Receipt.sol";
import {Replacement} from "../src/types/Replacement.sol";
import {Vectors} from "./base/Vectors.sol";

/// @notice What Go's epoch signs besides commits (spec/vectors/statements.json): the contracts must find the same
/// hashes and the same signers.
contract StatementsTest is Vectors {
    string private json;

    function setUp() public {
        json = vm.readFile("../../spec/vectors/statements.json");
        vm.chainId(vm.parseJsonUint(json, ".chainId"));
    }

    function test_replacements_sameAsGo() public view {
        bytes32 name = keccak256("dRTC ProofOfResource");
        address proof = vm.parseJsonAddress(json, ".proofOfResource");
        uint256 n;
        for (;; n++) {
            string memory at = string.concat(".replacements[", vm.toString(n), "].");
            if (!vm.keyExistsJson(json, string.concat(at, "voided"))) break;
            bytes32 voided = readCommit(string.concat(at, "void.")).structHash();
            assertEq(voided, word(at, "voided"), "void commit");
            bytes32 hash = Replacement.structHash(voided, readCommit(string.concat(at, "commit.")));
            assertEq(hash, word(at, "structHash"), "struct hash");
            bytes32 digest = Domain.digest(name, proof, hash);
            assertEq(digest, word(at, "digest"), "digest");
            address signer = ECDSA.recover(digest, vm.parseJsonBytes(json, string.concat(at, "signature")));
            assertEq(signer, vm.parseJsonAddress(json, string.concat(at, "signer")), "signer");
        }
        assertEq(n, 4, "replacements read");
    }

    /// @dev Bonds takes Go's receipts and signatures as the proof that they are.
    function test_receipts_sameAsGo() public {
        address credits = vm.parseJsonAddress(json, ".dataCredits");
        Bonds bonds = new Bonds(IERC20(address(1)), address(2), address(3), credits);
        uint256 n;
        for (; vm.keyExistsJson(json, string.concat(place(n), "digest")); n += 2) {
            (Receipt memory a, Receipt memory b) = (checkedReceipt(place(n), credits), checkedReceipt(place(n + 1), credits));
            (bytes memory first, bytes memory second) = (signatureAt(place(n)), signatureAt(place(n + 1)));
            (address identity,) = bonds.forfeitForReceipts(a, first, b, second);
            assertEq(identity, a.orchestrator, "who contradicts itself");
        }
        assertEq(n, 8, "receipts read");
    }

    function place(uint256 i) private pure returns (string memory) {
        return string.concat(".receipts[", vm.toString(i), "].");
    }

    function checkedReceipt(string memory at, address credits) private view returns (Receipt memory r) {
        string memory key = string.concat(at, "receipt.");
        r = Receipt({
            application: vm.parseJsonAddress(json, string.concat(key, "application")),
            orchestrator: vm.parseJsonAddress(json, string.concat(key, "orchestrator")),
            node: vm.parseJsonAddress(json, string.concat(key, "node")),
            epoch: uint64(number(key, "epoch")),
            sequence: uint64(number(key, "sequence")),
            clientBytes: uint128(number(key, "clientBytes")),
            relayBytes: uint128(number(key, "relayBytes"))
        });
        assertEq(r.structHash(), word(at, "structHash"), "struct hash");
        assertEq(Domain.digest(keccak256("dRTC DataCredits"), credits, r.structHash()), word(at, "digest"), "digest");
    }

    function readCommit(string memory at) private view returns (EpochCommit memory c) {
        c.epoch = uint64(number(at, "epoch"));
        c.root = word(at, "root");
        c.leafCount = uint32(number(at, "leafCount"));
        c.totalBytes = number(at, "totalBytes");
        c.rewardTotal = number(at, "rewardTotal");
        c.mintTotal = number(at, "mintTotal");
        c.chargesHash = word(at, "chargesHash");
        c.chargeCount = uint32(number(at, "chargeCount"));
        c.dataHash = word(at, "dataHash");
        c.previousRoot = word(at, "previousRoot");
        c.parametersVersion = uint32(number(at, "parametersVersion"));
        c.rMax = number(at, "rMax");
    }

    function signatureAt(string memory at) private view returns (bytes memory) {
        return vm.parseJsonBytes(json, string.concat(at, "signature"));
    }

    function number(string memory at, string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, string.concat(at, key));
    }

    function word(string memory at, string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(at, key));
    }
}
