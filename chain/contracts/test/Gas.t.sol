// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {Economy} from "./base/Economy.sol";
import {Tree} from "./base/Tree.sol";

/// @notice Gas of what happens every epoch, against its bars and within 15 % of what gas.json records. It is the
/// execution of the call, proxies included, with every account and slot cold; a transaction costs 21,000 and its
/// input besides.
contract GasTest is Economy {
    uint256 private constant BAR_COMMIT = 130_000 + 30_000;
    uint256 private constant BAR_PAYER = 12_000;
    uint256 private constant BAR_FURTHER_EPOCH = 25_000;
    uint64 private constant FIRST = 10;
    uint256 private constant MANY = 72;
    address private constant ORCHESTRATOR = address(0xE);

    address private node;
    string private recorded;
    uint64 private last = NO_EPOCH;

    /// @dev Not setUp: vm.cool forgets accounts of an earlier transaction altogether.
    function start() private {
        recorded = vm.readFile("test/gas.json");
        deployEconomy(9);
        assertEq(proof.quorum(), 1, "quorum before the committee is copied");
        proof.refreshCommittee();
        assertEq(proof.quorum(), 7, "signers");
        (node,) = createPool("node", makeAddress("operator"), 500);
        uint256[] memory ids = new uint256[](1);
        address owner = makeAddress("owner");
        ids[0] = keys.buy("EU", 1, 0, owner);
        vm.prank(owner);
        manager.delegate(node, ids);
        // What every later epoch finds there: balances of the Reserve, an account of each payer.
        commitAt(FIRST, MANY, 1);
    }

    function test_commit_staysBelowItsBar() public {
        start();
        uint64 epoch = FIRST;
        for (uint256 payers = 1; payers <= 8; payers *= 2) {
            uint256 spent = commitAt(++epoch, payers, 1);
            check(string.concat("commit_7_signers_payers_", vm.toString(payers)), spent);
            assertLe(spent, BAR_COMMIT + payers * BAR_PAYER, "commit");
        }
        check("commit_7_signers_payers_0", commitAt(++epoch, 0, 1));
        // The bar holds for any number of payers only if each further one stays below its part.
        uint256 many = (commitAt(++epoch, MANY, 1) - commitAt(++epoch, 8, 1)) / (MANY - 8);
        check("commit_each_further_payer", many);
        assertLe(many, BAR_PAYER, "each further payer");
    }

    function test_open_isRecorded() public {
        start();
        toEpoch(FIRST + 2);
        coolAll();
        check("open", measure(address(proof), abi.encodeCall(proof.open, (FIRST + 1))));
    }

    function test_claim_ofDepth14() public {
        start();
        uint64 n = 5;
        (Leaf[] memory leaves, bytes32[][] memory proofs) = commitDeep(FIRST + 1, n);
        claimGas("first_claim_depth_14", leaves, proofs, 0, 1);
        uint256 one = claimGas("claim_depth_14", leaves, proofs, 1, 1);
        uint256 three = claimGas("claim_depth_14_3_epochs", leaves, proofs, 2, 3);
        assertLe((three - one) / 2, BAR_FURTHER_EPOCH, "each further epoch");
        check("claim_each_further_epoch", (three - one) / 2);
    }

    function claimGas(string memory name, Leaf[] memory leaves, bytes32[][] memory proofs, uint256 from, uint256 count)
        private
        returns (uint256 spent)
    {
        Leaf[] memory l = new Leaf[](count);
        bytes32[][] memory p = new bytes32[][](count);
        for (uint256 i = 0; i < count; i++) (l[i], p[i]) = (leaves[from + i], proofs[from + i]);
        coolAll();
        spent = measure(address(rewards), abi.encodeCall(rewards.claim, (l, p)));
        check(name, spent);
    }

    /// @dev Commits epochs whose trees have 2^14 places, and returns one node's leaves with their proofs.
    function commitDeep(uint64 from, uint64 n) private returns (Leaf[] memory leaves, bytes32[][] memory proofs) {
        leaves = new Leaf[](n);
        proofs = new bytes32[][](n);
        uint64 previous = NO_EPOCH;
        for (uint64 i = 0; i < n; i++) {
            leaves[i] = makeLeaf(node, from + i, previous, 1e12);
            previous = from + i;
            proofs[i] = new bytes32[](14);
            bytes32 root = leaves[i].hash();
            for (uint256 d = 0; d < 14; d++) {
                proofs[i][d] = keccak256(abi.encode(i, d));
                root = Tree.pair(root, proofs[i][d]);
            }
            (Charge[] memory charges, uint256 received) = pay(from + i, 1);
            Leaf[] memory list = new Leaf[](1);
            list[0] = leaves[i];
            toEpoch(from + i + 1);
            EpochCommit memory c = makeCommit(from + i, list, charges, received);
            c.root = root;
            commit(c, charges);
        }
        pastWindow();
    }

    function commitAt(uint64 epoch, uint256 payers, uint256 nodes) private returns (uint256) {
        (Charge[] memory charges, uint256 received) = pay(epoch, payers);
        Leaf[] memory leaves = new Leaf[](nodes);
        for (uint256 i = 0; i < nodes; i++) leaves[i] = makeLeaf(node, epoch, last, uint128(payers * 1e12));
        toEpoch(epoch + 1);
        EpochCommit memory c = makeCommit(epoch, leaves, charges, received);
        bytes memory data = abi.encodeCall(proof.commit, (c, charges, quorumSignatures(proof.digestOf(c))));
        coolAll();
        return measure(address(proof), data);
    }

    /// @dev Charges of a TB each; every payer has credits and authority left afterwards.
    function pay(uint64 epoch, uint256 payers) private returns (Charge[] memory charges, uint256 received) {
        charges = new Charge[](payers);
        for (uint256 i = 0; i < payers; i++) {
            charges[i] = Charge(address(uint160(0x1000 + i)), ORCHESTRATOR, 1e12);
            buyCredits(charges[i].application, 2000e18);
            authorise(charges[i].application, ORCHESTRATOR, 1e9, epoch);
            received += 1000e18;
        }
    }

    function measure(address target, bytes memory data) private returns (uint256 spent) {
        uint256 before = gasleft();
        (bool ok, bytes memory out) = target.call(data);
        spent = before - gasleft();
        if (!ok) {
            assembly {
                revert(add(out, 32), mload(out))
            }
        }
    }

    /// @dev Within 15 % of the record.
    function check(string memory name, uint256 spent) private {
        emit log_named_uint(name, spent);
        uint256 want = vm.parseJsonUint(recorded, string.concat(".", name));
        assertLe(spent, want * 115 / 100, name);
        assertGe(spent, want * 85 / 100, name);
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
        vm.cool(address(access));
        vm.cool(manager.poolOf(node));
    }
}
