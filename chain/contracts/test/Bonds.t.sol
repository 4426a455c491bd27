// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Network} from "./base/Network.sol";
import {Bonds} from "../src/Bonds.sol";
import {IBonds, Kind} from "../src/interfaces/IBonds.sol";
import {Roles} from "../src/libraries/Roles.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Receipt} from "../src/types/Receipt.sol";

contract BondsTest is Network {
    address private constant PROOF = address(0x9001);
    address private constant CREDITS = address(0x9002);

    address private alice = makeAddress("alice");
    address private registry = makeAddress("registry");
    address private orchestrator = makeAddress("orchestrator");
    Bonds private bonds;

    function setUp() public {
        deployNetwork();
        bonds = deployBonds();
        hudl.mint(alice, 1e24);
        vm.prank(alice);
        hudl.approve(address(bonds), type(uint256).max);
    }

    function deployBonds() private returns (Bonds b) {
        Bonds.Terms[3] memory terms = [Bonds.Terms(100, 10 days), Bonds.Terms(50, 5 days), Bonds.Terms(10, 1 days)];
        address logic = address(new Bonds(hudl, address(this), PROOF, CREDITS));
        b = Bonds(address(new ERC1967Proxy(logic, abi.encodeCall(Bonds.initialize, (address(access), terms)))));
        access.setTargetFunctionRole(address(b), one(IBonds.pause.selector), Roles.GUARDIAN);
    }

    function place(Kind kind, string memory name, uint96 amount) private {
        bytes32 digest = bonds.consentDigest(kind, makeAddress(name), alice, block.timestamp);
        bytes memory consent = signature(makeKey(name), digest);
        vm.prank(alice);
        bonds.bond(kind, makeAddress(name), amount, block.timestamp, consent);
    }

    // The digest as a registry makes it, spelled out apart from the contracts.
    function digest(string memory name, address verifying, bytes32 structHash) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifying
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    function signed(string memory name, EpochCommit memory c) private view returns (bytes memory) {
        return signature(makeKey(name), digest("dRTC ProofOfResource", PROOF, c.structHash()));
    }

    function signed(string memory name, Receipt memory r) private view returns (bytes memory) {
        return signature(makeKey(name), digest("dRTC DataCredits", CREDITS, r.structHash()));
    }

    function commitOf(uint64 epoch, bytes32 root) private pure returns (EpochCommit memory c) {
        c.epoch = epoch;
        c.root = root;
    }

    function receiptOf(uint64 sequence, uint128 bytes_) private view returns (Receipt memory) {
        return Receipt(alice, orchestrator, makeAddress("node"), 7, sequence, bytes_, 0);
    }

    function test_bond_isActiveAndListed() public {
        place(Kind.Registry, "registry", 100);
        place(Kind.Orchestrator, "orchestrator", 60);
        place(Kind.NodeOperator, "registry", 10);
        assertTrue(bonds.isActive(Kind.Registry, registry), "registry");
        assertFalse(bonds.isActive(Kind.Orchestrator, registry), "kinds are apart");
        assertEq(bonds.active(Kind.Orchestrator, 0, 10)[0], orchestrator, "list");
        assertEq(bonds.active(Kind.Orchestrator, 1, 10).length, 0, "list past the end");
        assertEq(bonds.active(Kind.Orchestrator, 5, type(uint256).max).length, 0, "list far past the end");
        assertEq(bonds.activeCount(Kind.NodeOperator), 1, "count");
        assertEq(hudl.balanceOf(address(bonds)), 170, "held");
        assertEq(bonds.bondOf(Kind.Registry, registry).owner, alice, "owner");
    }

    function test_bond_needsTheIdentitysConsent() public {
        bytes memory foreign =
            signature(makeKey("alice"), bonds.consentDigest(Kind.Registry, registry, alice, block.timestamp));
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotIdentitysConsent.selector, registry, alice));
        bonds.bond(Kind.Registry, registry, 100, block.timestamp, foreign);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.Bonds_ConsentExpired.selector, block.timestamp - 1, block.timestamp)
        );
        bonds.bond(Kind.Registry, registry, 100, block.timestamp - 1, foreign);
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureLength.selector, 0));
        bonds.bond(Kind.Registry, registry, 100, block.timestamp, "");
    }

    function test_bond_consentOfAnotherKindOwnerChainOrContractIsRefused() public {
        bytes memory consent =
            signature(makeKey("registry"), bonds.consentDigest(Kind.Registry, registry, alice, block.timestamp));
        Bonds other = deployBonds();
        vm.startPrank(alice);
        vm.expectPartialRevert(IBonds.Bonds_NotIdentitysConsent.selector);
        bonds.bond(Kind.Orchestrator, registry, 100, block.timestamp, consent);
        vm.expectPartialRevert(IBonds.Bonds_NotIdentitysConsent.selector);
        other.bond(Kind.Registry, registry, 100, block.timestamp, consent);
        vm.stopPrank();
        vm.prank(registry);
        vm.expectPartialRevert(IBonds.Bonds_NotIdentitysConsent.selector);
        bonds.bond(Kind.Registry, registry, 100, block.timestamp, consent);
        vm.chainId(7);
        vm.prank(alice);
        vm.expectPartialRevert(IBonds.Bonds_NotIdentitysConsent.selector);
        bonds.bond(Kind.Registry, registry, 100, block.timestamp, consent);
    }

    function test_bond_hasALeastAmountAndCanGrow() public {
        bytes memory consent =
            signature(makeKey("registry"), bonds.consentDigest(Kind.Registry, registry, alice, block.timestamp));
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_TooSmall.selector, Kind.Registry, 99, 100));
        bonds.bond(Kind.Registry, registry, 99, block.timestamp, consent);
        bonds.bond(Kind.Registry, registry, 100, block.timestamp, consent);
        bonds.bond(Kind.Registry, registry, 1, 0, "");
        assertEq(bonds.bondOf(Kind.Registry, registry).amount, 101, "amount");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_TooSmall.selector, Kind.Registry, 101, 100));
        bonds.bond(Kind.Registry, registry, 0, 0, "");
        vm.stopPrank();
        vm.prank(registry);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotOwner.selector, Kind.Registry, registry, registry, alice));
        bonds.bond(Kind.Registry, registry, 1, 0, "");
    }

    function test_terms_areForGovernanceAndLeaveOldBondsAlone() public {
        place(Kind.Registry, "registry", 100);
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        bonds.setTerms(Kind.Registry, 1, 1);
        bonds.setTerms(Kind.Registry, 1000, 1);
        assertTrue(bonds.isActive(Kind.Registry, registry), "still active");
    }

    function test_unbonding_takesItsTime() public {
        place(Kind.Registry, "registry", 100);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotUnbonding.selector, Kind.Registry, registry));
        bonds.withdraw(Kind.Registry, registry);
        bonds.startUnbonding(Kind.Registry, registry);
        uint64 readyAt = uint64(block.timestamp + 10 days);
        assertFalse(bonds.isActive(Kind.Registry, registry), "active");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_Unbonding.selector, Kind.Registry, registry, readyAt));
        bonds.startUnbonding(Kind.Registry, registry);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_Unbonding.selector, Kind.Registry, registry, readyAt));
        bonds.bond(Kind.Registry, registry, 1, 0, "");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_StillLocked.selector, block.timestamp, readyAt));
        bonds.withdraw(Kind.Registry, registry);
        vm.warp(readyAt);
        uint256 before = hudl.balanceOf(alice);
        bonds.withdraw(Kind.Registry, registry);
        assertEq(hudl.balanceOf(alice) - before, 100, "back");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotBonded.selector, Kind.Registry, registry));
        bonds.withdraw(Kind.Registry, registry);
    }

    /// @dev A bond is moved by its owner alone, by the identity that it stands for neither.
    function test_owner_aloneMovesABond() public {
        place(Kind.Registry, "registry", 100);
        address[2] memory others = [registry, makeAddress("mallory")];
        for (uint256 i = 0; i < 2; i++) {
            bytes memory refusal =
                abi.encodeWithSelector(IBonds.Bonds_NotOwner.selector, Kind.Registry, registry, others[i], alice);
            vm.startPrank(others[i]);
            vm.expectRevert(refusal);
            bonds.startUnbonding(Kind.Registry, registry);
            vm.expectRevert(refusal);
            bonds.raiseGeneration(Kind.Registry, registry, 9);
            vm.expectRevert(refusal);
            bonds.bond(Kind.Registry, registry, 1, block.timestamp, "");
            vm.stopPrank();
        }
        vm.prank(alice);
        bonds.startUnbonding(Kind.Registry, registry);
        vm.warp(block.timestamp + 10 days);
        vm.prank(others[1]);
        vm.expectPartialRevert(IBonds.Bonds_NotOwner.selector);
        bonds.withdraw(Kind.Registry, registry);
    }

    function test_generation_onlyRisesAndOutlivesTheBond() public {
        place(Kind.Registry, "registry", 100);
        vm.startPrank(alice);
        bonds.raiseGeneration(Kind.Registry, registry, 3);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_GenerationNotHigher.selector, 3, 3));
        bonds.raiseGeneration(Kind.Registry, registry, 3);
        bonds.startUnbonding(Kind.Registry, registry);
        vm.warp(block.timestamp + 10 days);
        bonds.withdraw(Kind.Registry, registry);
        assertEq(bonds.minGeneration(Kind.Registry, registry), 3, "generation");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotBonded.selector, Kind.Registry, registry));
        bonds.raiseGeneration(Kind.Registry, registry, 4);
    }

    function test_reporters_areBondedAndAdmitted() public {
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotBonded.selector, Kind.Registry, registry));
        bonds.admitReporter(registry);
        place(Kind.Registry, "registry", 100);
        assertFalse(bonds.isReporter(registry), "a bond alone");
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, alice));
        bonds.admitReporter(registry);
        bonds.admitReporter(registry);
        assertTrue(bonds.isReporter(registry), "reporter");
        assertEq(bonds.reporterCount(), 1, "count");
        assertEq(bonds.reporters()[0], registry, "list");
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_AlreadyReporter.selector, registry));
        bonds.admitReporter(registry);
        bonds.removeReporter(registry);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotReporter.selector, registry));
        bonds.removeReporter(registry);
        bonds.admitReporter(registry);
        vm.prank(alice);
        bonds.startUnbonding(Kind.Registry, registry);
        assertEq(bonds.reporterCount(), 0, "who unbonds does not report");
    }

    function test_reporters_areBounded() public {
        for (uint256 i = 0; i < 65; ++i) {
            string memory name = string.concat("r", vm.toString(i));
            place(Kind.Registry, name, 100);
            if (i == 64) vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_TooManyReporters.selector, 64));
            bonds.admitReporter(makeAddress(name));
        }
    }

    function test_forfeit_twoCommitsOfOneEpoch() public {
        place(Kind.Registry, "registry", 100);
        bonds.admitReporter(registry);
        EpochCommit memory a = commitOf(5, "a");
        EpochCommit memory b = commitOf(5, "b");
        (address who, uint256 amount) =
            bonds.forfeitForCommits(a, signed("registry", a), b, signed("registry", b));
        assertEq(who, registry, "identity");
        assertEq(amount, 100, "amount");
        assertEq(hudl.balanceOf(address(this)), 100, "goes to the reserve");
        assertFalse(bonds.isActive(Kind.Registry, registry) || bonds.isReporter(registry), "active");
        (, amount) = bonds.forfeitForCommits(a, signed("registry", a), b, signed("registry", b));
        assertEq(amount, 0, "once");
    }

    function test_forfeit_reachesABondThatIsOnItsWayOut() public {
        place(Kind.Registry, "registry", 100);
        vm.prank(alice);
        bonds.startUnbonding(Kind.Registry, registry);
        vm.warp(block.timestamp + 10 days);
        (EpochCommit memory a, EpochCommit memory b) = (commitOf(5, "a"), commitOf(5, "b"));
        (, uint256 amount) = bonds.forfeitForCommits(a, signed("registry", a), b, signed("registry", b));
        assertEq(amount, 100, "amount");
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSelector(IBonds.Bonds_NotBonded.selector, Kind.Registry, registry));
        bonds.withdraw(Kind.Registry, registry);
    }

    function test_forfeit_isNotForWhatCanBothBeTrue() public {
        place(Kind.Registry, "registry", 100);
        EpochCommit memory a = commitOf(5, "a");
        EpochCommit memory later = commitOf(6, "a");
        bytes memory signatureA = signed("registry", a);
        bytes memory signatureLater = signed("registry", later);
        vm.expectPartialRevert(IBonds.Bonds_NoContradiction.selector);
        bonds.forfeitForCommits(a, signatureA, later, signatureLater);
        vm.expectPartialRevert(IBonds.Bonds_NoContradiction.selector);
        bonds.forfeitForCommits(a, signatureA, a, signatureA);
    }

    function test_forfeit_needsOneKey() public {
        place(Kind.Registry, "registry", 100);
        (EpochCommit memory a, EpochCommit memory b) = (commitOf(5, "a"), commitOf(5, "b"));
        bytes memory first = signed("registry", a);
        bytes memory second = signed("mallory", b);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.Bonds_SignersDiffer.selector, registry, makeAddress("mallory"))
        );
        bonds.forfeitForCommits(a, first, b, second);
    }

    // What a key signed for another chain or another contract contradicts nothing here.
    function test_forfeit_statementsOfAnotherChainOrContractDoNotCount() public {
        place(Kind.Registry, "registry", 100);
        (EpochCommit memory a, EpochCommit memory b) = (commitOf(5, "a"), commitOf(5, "b"));
        bytes memory here = signed("registry", a);
        bytes memory foreign =
            signature(makeKey("registry"), digest("dRTC ProofOfResource", address(0xbad), b.structHash()));
        vm.expectPartialRevert(IBonds.Bonds_SignersDiffer.selector);
        bonds.forfeitForCommits(a, here, b, foreign);
        vm.chainId(5);
        bytes memory elsewhere = signed("registry", b);
        vm.chainId(31337);
        vm.expectPartialRevert(IBonds.Bonds_SignersDiffer.selector);
        bonds.forfeitForCommits(a, here, b, elsewhere);
    }

    function test_forfeit_twoReceiptsOfOneSequence() public {
        place(Kind.Orchestrator, "orchestrator", 50);
        (Receipt memory a, Receipt memory b) = (receiptOf(3, 100), receiptOf(3, 99));
        (address who, uint256 amount) =
            bonds.forfeitForReceipts(a, signed("orchestrator", a), b, signed("orchestrator", b));
        assertEq(who, orchestrator, "identity");
        assertEq(amount, 50, "amount");
    }

    function test_forfeit_growingReceiptsAreFine() public {
        place(Kind.Orchestrator, "orchestrator", 50);
        (Receipt memory a, Receipt memory b) = (receiptOf(3, 100), receiptOf(4, 120));
        bytes memory signatureA = signed("orchestrator", a);
        bytes memory signatureB = signed("orchestrator", b);
        vm.expectPartialRevert(IBonds.Bonds_NoContradiction.selector);
        bonds.forfeitForReceipts(a, signatureA, b, signatureB);
    }

    /// @dev Receipts of another application, node, epoch or sequence say something else and contradict nothing.
    function test_forfeit_receiptsOfDifferentThingsAreFine() public {
        place(Kind.Orchestrator, "orchestrator", 50);
        Receipt memory a = receiptOf(3, 100);
        for (uint256 field = 0; field < 4; field++) {
            Receipt memory b = receiptOf(3, 99);
            if (field == 0) b.application = makeAddress("another");
            if (field == 1) b.node = makeAddress("another");
            if (field == 2) b.epoch = 8;
            if (field == 3) b.sequence = 4;
            bytes memory signatureA = signed("orchestrator", a);
            bytes memory signatureB = signed("orchestrator", b);
            vm.expectPartialRevert(IBonds.Bonds_NoContradiction.selector);
            bonds.forfeitForReceipts(a, signatureA, b, signatureB);
        }
    }

    // Somebody else's signature under an Orchestrator's name costs nobody anything.
    function test_forfeit_receiptsMustBeSignedByTheirOrchestrator() public {
        place(Kind.Orchestrator, "mallory", 50);
        (Receipt memory a, Receipt memory b) = (receiptOf(3, 100), receiptOf(3, 99));
        bytes memory signatureA = signed("mallory", a);
        bytes memory signatureB = signed("mallory", b);
        vm.expectRevert(
            abi.encodeWithSelector(IBonds.Bonds_SignersDiffer.selector, makeAddress("mallory"), orchestrator)
        );
        bonds.forfeitForReceipts(a, signatureA, b, signatureB);
    }

    function test_pause_stopsNewBondsOnly() public {
        place(Kind.Registry, "registry", 100);
        bytes memory consent =
            signature(makeKey("orchestrator"), bonds.consentDigest(Kind.Orchestrator, orchestrator, alice, block.timestamp));
        vm.startPrank(guardian);
        bonds.pause();
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian);
        vm.expectRevert(refused);
        bonds.unpause();
        vm.expectRevert(refused);
        bonds.removeReporter(registry);
        vm.expectRevert(refused);
        bonds.upgradeToAndCall(address(1), "");
        vm.stopPrank();
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(PausableUpgradeable.EnforcedPause.selector));
        bonds.bond(Kind.Orchestrator, orchestrator, 100, block.timestamp, consent);
        bonds.startUnbonding(Kind.Registry, registry);
        vm.warp(block.timestamp + 10 days);
        bonds.withdraw(Kind.Registry, registry);
        vm.stopPrank();
        bonds.unpause();
    }

    // One byte of difference anywhere is a contradiction, an equal statement never is.
    function testFuzz_forfeit_anyDifferenceOfOneEpoch(EpochCommit memory a, EpochCommit memory b) public {
        place(Kind.Registry, "registry", 100);
        b.epoch = a.epoch;
        bytes memory first = signed("registry", a);
        bytes memory second = signed("registry", b);
        if (a.structHash() == b.structHash()) vm.expectPartialRevert(IBonds.Bonds_NoContradiction.selector);
        bonds.forfeitForCommits(a, first, b, second);
    }
}
