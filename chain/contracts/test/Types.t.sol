// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./base/Test.sol";
import {Charge, Charges} from "../src/types/Charge.sol";
import {EpochCommit, EPOCH_COMMIT_TYPEHASH} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {Receipt, RECEIPT_TYPEHASH} from "../src/types/Receipt.sol";

contract TypesTest is Test {
    // Written out field by field, as another language has to.
    function testFuzz_leafHash_isOfItsFieldsInOrder(Leaf memory l) public pure {
        bytes memory scores = abi.encode(l.availability, l.history, l.location, l.coverage, l.quality);
        bytes memory fields = bytes.concat(
            abi.encode(l.version, l.node, l.epoch, l.previousEpoch),
            scores,
            abi.encode(l.clientBytes, l.relayBytes, l.provenMbps)
        );
        assertEq(l.hash(), keccak256(bytes.concat(keccak256(fields))), "leaf hash");
    }

    function testFuzz_commitStructHash_isOfItsFieldsInOrder(EpochCommit memory c) public pure {
        bytes memory fields = bytes.concat(
            abi.encode(EPOCH_COMMIT_TYPEHASH, c.epoch, c.root, c.leafCount, c.totalBytes, c.rewardTotal, c.mintTotal),
            abi.encode(c.chargesHash, c.chargeCount, c.dataHash, c.previousRoot, c.parametersVersion, c.rMax)
        );
        assertEq(c.structHash(), keccak256(fields), "struct hash");
    }

    function testFuzz_receiptStructHash_isOfItsFieldsInOrder(Receipt memory r) public pure {
        bytes memory fields = abi.encode(
            RECEIPT_TYPEHASH, r.application, r.orchestrator, r.node, r.epoch, r.sequence, r.clientBytes, r.relayBytes
        );
        assertEq(r.structHash(), keccak256(fields), "struct hash");
    }

    function test_charge_chains() public pure {
        Charge memory c = Charge(address(1), address(2), 3);
        assertEq(c.chain(bytes32(0)), keccak256(abi.encode(bytes32(0), address(1), address(2), uint256(3))), "chain");
    }

    function read(Charge[] calldata list, uint256 i) external pure returns (address, address, uint128) {
        return Charges.read(list, i);
    }

    function chainOf(Charge[] calldata list) external pure returns (bytes32 hash, bytes calldata words) {
        for (uint256 i = 0; i < list.length; i++) hash = Charges.chainAt(list, i, hash);
        return (hash, Charges.encoded(list));
    }

    /// @dev What reads charges where they lie finds what decoding them would.
    function testFuzz_charges_readInPlace(Charge[] memory list) public view {
        bytes32 want;
        bytes memory wantWords;
        for (uint256 i = 0; i < list.length; i++) {
            (address application, address orchestrator, uint128 bytes_) = this.read(list, i);
            assertEq(application, list[i].application, "application");
            assertEq(orchestrator, list[i].orchestrator, "orchestrator");
            assertEq(bytes_, list[i].bytes_, "bytes");
            want = list[i].chain(want);
            wantWords = bytes.concat(wantWords, abi.encode(list[i]));
        }
        (bytes32 hash, bytes memory words) = this.chainOf(list);
        assertEq(hash, want, "chain");
        assertEq(keccak256(words), keccak256(wantWords), "words");
    }

    /// @dev A word with a bit above its type would be charged as one number and hashed as another.
    function testFuzz_charges_refuseBitsAboveTheirType(uint256 bit, uint256 field) public {
        field = bound(field, 0, 2);
        uint256[3] memory words = [uint256(1), 2, 3];
        words[field] |= 1 << bound(bit, field == 2 ? 128 : 160, 255);
        bytes memory list = abi.encode(uint256(0x40), uint256(0), uint256(1), words);
        (bool ok, bytes memory out) = address(this).call(bytes.concat(this.read.selector, list));
        assertTrue(!ok && bytes4(out) == Charges.Charges_OutOfRange.selector, "refused by name");
    }

    function test_noEpoch_isTheHighestNumber() public pure {
        assertEq(NO_EPOCH, 18446744073709551615, "no epoch");
    }
}
