// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./base/Test.sol";
import {Charge} from "../src/types/Charge.sol";
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

    function test_noEpoch_isTheHighestNumber() public pure {
        assertEq(NO_EPOCH, 18446744073709551615, "no epoch");
    }
}
