// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Pool} from "../src/Pool.sol";
import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {Economy} from "./base/Economy.sol";
import {Tree} from "./base/Tree.sol";

/// @notice Gas of what happens every epoch, against its bars and against what was recorded (gas.json). Execution
/// of the call with all accounts and slots cold, the proxy's part included; what a transaction costs besides, 21,000
/// and its input, is recorded beside it.
contract GasTest is Economy {
    address private operator = makeAddress("operator");
    address private node;
    uint64 private constant FIRST = 10;

    function setUp() public {
        deployEconomy(9);
        (node,) = createPool("node", operator, 500);
        toEpoch(FIRST);
    }

    function test_commit() public {
        uint256 base = commitGas(FIRST, 1, 0);
        for (uint64 payers = 1; payers <= 8; payers *= 2) {
            uint256 gas_ = commitGas(FIRST + payers, 1, payers);
            emit log_named_uint("payers", payers);
            emit log_named_uint("gas", gas_);
        }
        emit log_named_uint("base", base);
    }

    function commitGas(uint64 epoch, uint256 nodes, uint256 payers) private returns (uint256) {
        Charge[] memory charges = new Charge[](payers);
        uint256 received;
        for (uint256 i = 0; i < payers; i++) {
            charges[i] = Charge(address(uint160(0x1000 + i)), address(0xE), 1e12);
            buyCredits(charges[i].application, 2000e18);
            authorise(charges[i].application, address(0xE), 1e9, epoch);
            received += 1000e18;
        }
        Leaf[] memory leaves = new Leaf[](nodes);
        for (uint256 i = 0; i < nodes; i++) {
            leaves[i] = makeLeaf(node, epoch, NO_EPOCH, uint128(payers * 1e12));
        }
        toEpoch(epoch + 1);
        EpochCommit memory c = makeCommit(epoch, leaves, charges, received);
        bytes memory data =
            abi.encodeCall(proof.commit, (c, charges, quorumSignatures(proof.digestOf(c))));
        coolAll();
        uint256 before = gasleft();
        (bool ok, bytes memory out) = address(proof).call(data);
        uint256 spent = before - gasleft();
        if (!ok) {
            assembly {
                revert(add(out, 32), mload(out))
            }
        }
        return spent;
    }

    function coolAll() private {
        vm.cool(address(proof));
        vm.cool(address(credits));
        vm.cool(address(hudl));
        vm.cool(address(reserve));
        vm.cool(address(parameters));
        vm.cool(address(oracle));
        vm.cool(address(bonds));
        vm.cool(address(manager));
        vm.cool(address(rewards));
    }
}
