// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IDataCredits} from "../src/interfaces/IDataCredits.sol";
import {IProofOfResource} from "../src/interfaces/IProofOfResource.sol";
import {IReserve} from "../src/interfaces/IReserve.sol";
import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {Economy} from "./base/Economy.sol";

/// @notice Ways in which somebody took, or could have made others lose, what is theirs, each by several contracts
/// together. A stranger has the commit that a quorum signed: it is public as soon as somebody sends it.
contract AttackTest is Economy {
    address private payer;
    address private victim;
    address private orchestrator = makeAddress("orchestrator");
    address private stranger = makeAddress("stranger");
    address private node = makeAddress("node");

    function setUp() public {
        deployEconomy(7);
        proof.refreshCommittee();
        (payer, victim) = (makeAddress("payer"), makeAddress("victim"));
        if (payer > victim) (payer, victim) = (victim, payer);
        buyCredits(payer, 1e6 * 1e18);
        buyCredits(victim, 1e6 * 1e18);
        buyCredits(orchestrator, 1e6 * 1e18);
        authorise(payer, orchestrator, 1e12, 1000);
        authorise(victim, orchestrator, 1e12, 1000);
    }

    /// @dev Epoch 3, in which both applications consumed a TB.
    function twoPayers() private returns (EpochCommit memory c, Charge[] memory charges, bytes[] memory signatures) {
        charges = new Charge[](2);
        charges[0] = Charge(payer, orchestrator, 1e12);
        charges[1] = Charge(victim, orchestrator, 1e12);
        toEpoch(4);
        c = makeCommit(3, leavesOf(2e12), charges, 2000e18);
        signatures = quorumSignatures(proof.digestOf(c));
    }

    function leavesOf(uint128 bytes_) private view returns (Leaf[] memory list) {
        list = new Leaf[](1);
        list[0] = makeLeaf(node, 3, NO_EPOCH, bytes_);
    }

    function single(Charge memory charge) private pure returns (Charge[] memory list) {
        list = new Charge[](1);
        list[0] = charge;
    }

    function hashOf(Charge memory first) private pure returns (bytes32 hash) {
        (hash,) = chain(single(first));
    }

    function committed() private returns (EpochCommit memory c) {
        Charge[] memory charges;
        bytes[] memory signatures;
        (c, charges, signatures) = twoPayers();
        proof.commit(c, charges, signatures);
    }

    /// @dev A part of the charges could once be made up by whoever sent it: all that anybody had prepaid was consumed,
    /// and the epoch, whose hash could not come out any more, waited for governance.
    function test_charges_ofAPartCannotBeMadeUp() public {
        (EpochCommit memory c, Charge[] memory charges, bytes[] memory signatures) = twoPayers();
        Charge[] memory forged = single(Charge(orchestrator, orchestrator, 900e12));
        vm.prank(stranger);
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_ChargesHash.selector);
        proof.commit(c, forged, signatures);
        vm.startPrank(stranger);
        proof.commit(c, new Charge[](0), signatures);
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_ChargesHash.selector);
        proof.continueCharges(3, forged, 0);
        vm.stopPrank();
        assertEq(credits.accountOf(orchestrator).dc, 5e9, "credits of the Orchestrator");
        proof.continueCharges(3, charges, 0);
        assertEq(uint8(proof.epochs(3).status), uint8(IProofOfResource.Status.Committed), "status");
    }

    /// @dev An application could once begin the epoch without its charges and then replace the authorisation that
    /// they needed, as if they had been made: its Orchestrator paid.
    function test_authorisation_staysWhileItsEpochIsCharged() public {
        toEpoch(3);
        authorise(payer, orchestrator, 9e6, 1000);
        (EpochCommit memory c, Charge[] memory charges, bytes[] memory signatures) = twoPayers();
        vm.startPrank(payer);
        proof.commit(c, new Charge[](0), signatures);
        vm.expectRevert(
            abi.encodeWithSelector(IDataCredits.DataCredits_EarlierAuthorisationOpen.selector, 3, 3)
        );
        credits.authorise(orchestrator, 1, 1000);
        vm.stopPrank();
        proof.continueCharges(3, charges, 0);
        assertEq(credits.accountOf(orchestrator).dc, 5e9, "credits of the Orchestrator");
        assertEq(credits.accountOf(payer).dc, 5e9 - 5e6, "credits of the application");
        authorise(payer, orchestrator, 1, 1000);
    }

    /// @dev Whoever sent the commit of an abandoned epoch again could once charge its payers again.
    function test_abandonedEpoch_isNotChargedAgain() public {
        (EpochCommit memory c, Charge[] memory charges, bytes[] memory signatures) = twoPayers();
        proof.commit(c, new Charge[](0), signatures);
        proof.continueCharges(3, single(charges[1]), hashOf(charges[0]));
        proof.abandonCharges(3);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochOrder.selector, 3, 3));
        proof.commit(c, new Charge[](0), signatures);
    }

    /// @dev HUDL that an epoch brought in so far is partly to be burned: governance could once spend it, and the burn
    /// then took what nodes were owed.
    function test_kept_isNotSpentWhileAnEpochIsCharged() public {
        buyCredits(payer, 2e6 * 1e18);
        toEpoch(4);
        Charge[] memory charges = new Charge[](2);
        charges[0] = Charge(payer, orchestrator, 1000e12);
        charges[1] = Charge(victim, orchestrator, 1e12);
        EpochCommit memory c = makeCommit(3, leavesOf(1001e12), charges, 1_001_000e18);
        commit(c, new Charge[](0));
        proof.continueCharges(3, single(charges[1]), hashOf(charges[0]));
        uint256 kept = reserve.kept();
        assertEq(kept, 1000e18, "came in so far");
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_LastEpochOpen.selector, 3, IProofOfResource.Status.Charging
            )
        );
        reserve.spendKept(treasury, kept);
        proof.continueCharges(3, single(charges[0]), 0);
        assertGe(hudl.balanceOf(address(reserve)), reserve.owed(), "what nodes are owed");
        reserve.spendKept(treasury, reserve.kept());
    }

    /// @dev With a new reporter in the committee the signatures of an honest commit were once too few, and anybody
    /// voided it without a proof.
    function test_void_needsProofsAlthoughReportersJoin() public {
        EpochCommit memory c = committed();
        for (uint256 i = 0; i < 2; i++) admitReporter(uint256(keccak256(abi.encode("joins", i))));
        assertEq(bonds.reporterCount(), 9, "reporters");
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_WindowOpen.selector);
        proof.refreshCommittee();
        address[] memory signers = firstMembers(5);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_QuorumRemains.selector, 5, 5));
        proof.voidEpoch(c, signers, new IProofOfResource.Equivocation[](0));
        pastWindow();
        proof.refreshCommittee();
        assertEq(proof.committee().length, 9, "committee after the window");
    }

    /// @dev Nor while the epoch waits for charges, after which its window begins.
    function test_committee_staysWhileAnEpochIsCharged() public {
        (EpochCommit memory c, Charge[] memory charges,) = twoPayers();
        commit(c, new Charge[](0));
        for (uint256 i = 0; i < 2; i++) admitReporter(uint256(keccak256(abi.encode("joins", i))));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_LastEpochOpen.selector, 3, IProofOfResource.Status.Charging
            )
        );
        proof.refreshCommittee();
        proof.continueCharges(3, charges, 0);
        assertEq(proof.committee().length, 7, "committee");
    }

    function firstMembers(uint256 count) private view returns (address[] memory list) {
        address[] memory members = proof.committee();
        list = new address[](count);
        for (uint256 i = 0; i < count; i++) list[i] = members[i];
    }

    /// @dev Who contradicted himself could once have himself forfeited first: the smaller committee needed fewer
    /// signers, so that those who were left sufficed and the commit stood.
    function test_void_byProofsAlthoughReportersLeave() public {
        (EpochCommit memory c, Charge[] memory charges,) = twoPayers();
        proof.commit(c, charges, signaturesOf(proof.digestOf(c), 0, 6));
        address[] memory signers = signersOf(0, 6);
        EpochCommit memory other = abi.decode(abi.encode(c), (EpochCommit));
        other.root = keccak256("other");
        IProofOfResource.Equivocation[] memory proofs = new IProofOfResource.Equivocation[](2);
        for (uint256 i = 0; i < 2; i++) {
            proofs[i] = IProofOfResource.Equivocation(
                signature(reporterKeys[i], proof.digestOf(c)), other, signature(reporterKeys[i], proof.digestOf(other))
            );
            bonds.forfeitForCommits(c, proofs[i].firstSignature, other, proofs[i].secondSignature);
        }
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_WindowOpen.selector);
        proof.refreshCommittee();
        proof.voidEpoch(c, signers, proofs);
        assertEq(proof.committee().length, 5, "committee");
    }

    /// @dev An epoch keeps 88 bits of what was signed and by whom: a quorum can make two commits with the same, and
    /// void the one that it never sent. What it may then mint is still what the chain minted before.
    function test_replace_mintsNoMoreWhateverCommitWasVoided() public {
        EpochCommit memory c = committed();
        EpochCommit memory twin = abi.decode(abi.encode(c), (EpochCommit));
        twin.rewardTotal = twin.mintTotal = 1e30;
        address[] memory signers = signersOf(0, 5);
        setEvidence(3, proof.digestOf(twin), signers);
        vm.prank(guardian);
        proof.voidByGuardian(twin, signers);
        bytes[] memory signatures = quorumSignatures(proof.replacementDigestOf(twin));
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_ReplacementDiffers.selector, 3));
        proof.replace(twin, signatures);
    }

    /// @dev Zeros at the end of the input cost 4 gas a byte and were once paid back with 8.
    function test_reimbursement_paysNoMoreForInputThanItCosts() public {
        vm.deal(address(reserve), 1e18);
        reserve.setGasAllowance(IReserve.GasAllowance(1e18, 1e7, 1e9));
        vmGas.txGasPrice(1);
        (EpochCommit memory c, Charge[] memory charges, bytes[] memory signatures) = twoPayers();
        bytes memory call = abi.encodeCall(proof.commit, (c, charges, signatures));
        assertPaysNoMoreForZeros(address(proof), call);
        (node,) = createPool("node", makeAddress("operator"), 1000);
        pastWindow();
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leavesOf(2e12), 0);
        assertPaysNoMoreForZeros(address(rewards), abi.encodeCall(rewards.claim, (list, proofs)));
    }

    function assertPaysNoMoreForZeros(address target, bytes memory call) private {
        uint256 state = vm.snapshotState();
        uint256 plain = paidBack(target, call);
        assertGe(plain, 21_000, "paid back");
        vm.revertToState(state);
        uint256 filled = paidBack(target, bytes.concat(call, new bytes(10_000)));
        assertEq(filled - plain, 4 * 10_000, "paid back for zeros");
    }

    function paidBack(address target, bytes memory call) private returns (uint256) {
        uint256 before = stranger.balance;
        vm.prank(stranger);
        (bool ok,) = target.call(call);
        assertTrue(ok, "call");
        return stranger.balance - before;
    }

    /// @dev The third slot of the record of an epoch, whose lowest bits are those of rMax: evidence is the highest 88.
    function setEvidence(uint64 epoch, bytes32 digest, address[] memory signers) private {
        uint256 store = 0xf9f3c6182418e22ec05805f85ab2d2606ddba1b4c03b0fcf9dda51a95236b600;
        bytes32 record = recordSlot(store, epoch);
        uint256 word = uint256(vm.load(address(proof), record)) & type(uint168).max;
        uint256 evidence = uint88(bytes11(keccak256(abi.encode(digest, signers))));
        vm.store(address(proof), record, bytes32(evidence << 168 | word));
        assertEq(uint8(proof.epochs(epoch).status), uint8(IProofOfResource.Status.Committed), "slot of the record");
    }

    /// @dev Before the records come a slot of state, one of the committee, eight of progress and two of what is kept.
    function recordSlot(uint256 store, uint64 epoch) private pure returns (bytes32) {
        return bytes32(uint256(keccak256(abi.encode(epoch, store + 12))) + 2);
    }
}
