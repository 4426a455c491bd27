// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IBonds, Kind} from "../src/interfaces/IBonds.sol";
import {IDataCredits} from "../src/interfaces/IDataCredits.sol";
import {IProofOfResource} from "../src/interfaces/IProofOfResource.sol";
import {Committee} from "../src/libraries/Committee.sol";
import {Charge} from "../src/types/Charge.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../src/types/Leaf.sol";
import {ParameterSet} from "../src/types/ParameterSet.sol";
import {Economy} from "./base/Economy.sol";
import {Tree} from "./base/Tree.sol";

contract ProofOfResourceTest is Economy {
    address private application = makeAddress("application");
    address private orchestrator = makeAddress("orchestrator");
    address private node = makeAddress("node");

    function setUp() public {
        deployEconomy(7);
        proof.refreshCommittee();
        buyCredits(application, 1e6 * 1e18);
        authorise(application, orchestrator, 1e12, 1000);
    }

    function three() private pure returns (uint64[] memory list) {
        list = new uint64[](1);
        list[0] = 3;
    }

    function oneCharge(uint128 bytes_) private view returns (Charge[] memory list) {
        list = new Charge[](1);
        list[0] = Charge(application, orchestrator, bytes_);
    }

    function oneLeaf(uint64 epoch, uint128 bytes_) private view returns (Leaf[] memory list) {
        list = new Leaf[](1);
        list[0] = makeLeaf(node, epoch, NO_EPOCH, bytes_);
    }

    /// @dev The commit of an epoch in which one node served `tb` TB, at 1,000 HUDL each. Time is after the epoch.
    function prepare(uint64 epoch, uint128 tb) private returns (EpochCommit memory c, Charge[] memory charges) {
        toEpoch(epoch + 1);
        charges = oneCharge(tb * 1e12);
        c = makeCommit(epoch, oneLeaf(epoch, tb * 1e12), charges, uint256(tb) * 1000e18);
    }

    function commitEpoch(uint64 epoch, uint128 tb) private returns (EpochCommit memory c) {
        Charge[] memory charges;
        (c, charges) = prepare(epoch, tb);
        commit(c, charges);
    }

    function expectRefusal(EpochCommit memory c, Charge[] memory charges, bytes memory reason) private {
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        vm.expectRevert(reason);
        proof.commit(c, charges, signatures);
    }

    function test_commit_settlesTheEpoch() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 10);
        commit(c, charges);
        IProofOfResource.EpochRecord memory r = proof.epochs(3);
        assertEq(r.root, c.root, "root");
        assertEq(r.mintTotal, c.mintTotal, "M");
        assertEq(r.paid, 0, "paid");
        assertEq(r.rMax, c.rMax, "rMax");
        assertEq(r.parametersVersion, 1, "version");
        assertEq(uint8(r.status), uint8(IProofOfResource.Status.Committed), "status");
        // 10 TB at 5000 DC per GB, bought at 0.05 USD: 10,000 HUDL received, 0.69 of it earned, nothing burned because
        // the band's ceiling of 382,982 HUDL a day is far away and its floor of 54,255 farther than M.
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + c.mintTotal, "supply");
        assertEq(reserve.owed(), c.mintTotal, "owed");
        assertEq(reserve.kept(), 10_000e18, "kept");
        IProofOfResource.Standing memory s = proof.standing();
        assertEq(s.supply, GENESIS_SUPPLY + c.mintTotal, "S_C");
        assertEq(s.lastEpoch, 3, "last epoch");
        assertEq(s.betaBps, 5800, "beta falls by a step");
        assertEq(s.windowEnds, block.timestamp + 6 hours, "window");
    }

    function feedAll(address[2] memory feeders, uint64 price8) private {
        for (uint256 i = 0; i < 2; i++) {
            vm.prank(feeders[i]);
            oracle.feed(price8);
        }
    }

    /// @dev Rewards per GB are those of the higher of spot and average, the cap of credits that of the lower.
    function test_open_takesThePriceThatPaysLess() public {
        address[2] memory feeders = [makeAddress("feeder0"), makeAddress("feeder1")];
        for (uint256 i = 0; i < 2; i++) oracle.addFeeder(feeders[i]);
        oracle.fixPrice(0);
        for (uint256 hour = 70; hour < 96; hour += 2) {
            vm.warp(GENESIS + hour * 1 hours);
            feedAll(feeders, hour < 90 ? PRICE : PRICE * 4 / 5);
        }
        toEpoch(4);
        proof.open(3);
        (uint256 low, uint256 high) = oracle.epochPrices(3);
        assertEq(low, PRICE * 4 / 5, "spot, the lower");
        assertGe(high, low + 1, "average, the higher");
        assertEq(proof.epochs(3).rMax, 9000 * 5000 * 1e17 / high, "highest reward per GB");
    }

    /// @dev Above the floor of the band the projection burns what beta says.
    function test_commit_burnsAboveTheFloor() public {
        buyCredits(application, 1e6 * 1e18);
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 400);
        uint256 least = GENESIS_SUPPLY * 54_255_245_176_771 / 1e18;
        commit(c, charges);
        uint256 burned = c.mintTotal - least;
        assertLe(burned, 400_000e18 * 60 / 100, "burned against beta Q");
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + c.mintTotal - burned, "supply");
        assertEq(reserve.kept(), 400_000e18 - burned, "kept");
        assertEq(reserve.owed(), c.mintTotal, "owed");
    }

    /// @dev Unpaid traffic far above the ceiling: payouts are cut so that the net mint is hiS, to the wei.
    function test_commit_cutsPayoutsAtTheCeiling() public {
        toEpoch(4);
        Leaf[] memory leaves = oneLeaf(3, 1e15);
        EpochCommit memory c = makeCommit(3, leaves, new Charge[](0), 0);
        uint256 hiS = GENESIS_SUPPLY * 382_982_750_338_958 / 1e18;
        assertGe(c.rewardTotal, hiS + 1, "M0");
        EpochCommit memory over = abi.decode(abi.encode(c), (EpochCommit));
        over.mintTotal = hiS + 1;
        expectRefusal(
            over,
            new Charge[](0),
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_MintTotal.selector, hiS + 1, hiS, hiS)
        );
        commit(c, new Charge[](0));
        assertEq(c.mintTotal, hiS, "M of one leaf under a cut");
        assertTrue(proof.epochs(3).isCut, "cut");
        assertEq(proof.epochs(3).cap, hiS, "cap");
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + hiS, "supply");
    }

    function test_commit_refusesWhatIsNotTheEpochs() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        EpochCommit memory bad = abi.decode(abi.encode(c), (EpochCommit));
        bad.epoch = 4;
        expectRefusal(
            bad, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochNotOver.selector, 4, 4)
        );
        bad = abi.decode(abi.encode(c), (EpochCommit));
        bad.previousRoot = bytes32(uint256(1));
        expectRefusal(
            bad,
            charges,
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_PreviousRoot.selector, bytes32(uint256(1)), bytes32(0)
            )
        );
        bad = abi.decode(abi.encode(c), (EpochCommit));
        bad.parametersVersion = 2;
        expectRefusal(
            bad, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_ParametersVersion.selector, 2, 1)
        );
        bad = abi.decode(abi.encode(c), (EpochCommit));
        bad.rMax = c.rMax + 1;
        expectRefusal(
            bad,
            charges,
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_RMaxTooHigh.selector, c.rMax + 1, 0.9e18)
        );
        bad = abi.decode(abi.encode(c), (EpochCommit));
        bad.mintTotal = c.mintTotal - 1;
        expectRefusal(
            bad,
            charges,
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_MintTotal.selector, c.mintTotal - 1, c.rewardTotal, c.rewardTotal
            )
        );
    }

    /// @dev Overflow edges of the packed record.
    function test_commit_refusesTotalsThatDoNotFit() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        c.rewardTotal = 1 << 128;
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_TotalTooHigh.selector, 1 << 128, type(uint128).max
            )
        );
        c.rewardTotal = type(uint128).max;
        c.mintTotal = type(uint256).max;
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_MintTotal.selector, type(uint256).max, 0, type(uint128).max
            )
        );
    }

    function test_commit_refusesAnEpochTwice() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        proof.commit(c, charges, signatures);
        pastWindow();
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochOrder.selector, 3, 3));
        proof.commit(c, charges, signatures);
    }

    function test_commit_waitsForTheWindowOfTheLast() public {
        commitEpoch(3, 1);
        EpochCommit memory c;
        c.epoch = 2;
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochOrder.selector, 2, 3));
        proof.open(2);
        toEpoch(5);
        commitEpoch(4, 1);
        toEpoch(5);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochNotOver.selector, 5, 5));
        proof.open(5);
        toEpoch(8);
        commitAt8();
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_WindowOpen.selector, 5, proof.standing().windowEnds
            )
        );
        proof.open(6);
        vm.warp(proof.standing().windowEnds - 1);
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_WindowOpen.selector);
        proof.open(6);
        pastWindow();
        proof.open(6);
    }

    /// @dev Epoch 5, so late that the next two are over too.
    function commitAt8() private {
        EpochCommit memory c = makeCommit(5, oneLeaf(5, 1e12), oneCharge(1e12), 1000e18);
        commit(c, oneCharge(1e12));
    }

    /// @dev An epoch opened before another one was committed is opened again, with the new previous root.
    function test_commit_reopensAStaleEpoch() public {
        toEpoch(6);
        proof.open(5);
        commitEpoch(3, 1);
        toEpoch(6);
        pastWindowIfOpen();
        Charge[] memory charges = oneCharge(1e12);
        EpochCommit memory c = makeCommit(5, oneLeaf(5, 1e12), charges, 1000e18);
        commit(c, charges);
        assertEq(c.previousRoot, proof.epochs(3).root, "previous root");
        assertEq(proof.lastEpoch(), 5, "last epoch");
    }

    function pastWindowIfOpen() private {
        if (block.timestamp < proof.standing().windowEnds) pastWindow();
    }

    function test_commit_refusesTooFewSignatures() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = signaturesOf(proof.digestOf(c), 0, 4);
        vm.expectRevert(abi.encodeWithSelector(Committee.Committee_TooFewSignatures.selector, 4, 5));
        proof.commit(c, charges, signatures);
    }

    function test_commit_refusesADuplicateSigner() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        signatures[4] = signatures[3];
        address twice = vm.addr(reporterKeys[3]);
        vm.expectRevert(abi.encodeWithSelector(Committee.Committee_SignersNotAscending.selector, twice, twice));
        proof.commit(c, charges, signatures);
    }

    function test_commit_refusesUnsortedSigners() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        (signatures[1], signatures[2]) = (signatures[2], signatures[1]);
        vm.expectRevert(
            abi.encodeWithSelector(
                Committee.Committee_SignersNotAscending.selector,
                vm.addr(reporterKeys[2]),
                vm.addr(reporterKeys[1])
            )
        );
        proof.commit(c, charges, signatures);
    }

    function test_commit_refusesAStrangersSignature() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes32 digest = proof.digestOf(c);
        bytes[] memory signatures = new bytes[](5);
        uint256 key = 1;
        while (vm.addr(key) > vm.addr(reporterKeys[0])) key++;
        signatures[0] = signature(key, digest);
        for (uint256 i = 1; i < 5; i++) signatures[i] = signature(reporterKeys[i], digest);
        vm.expectRevert(abi.encodeWithSelector(Committee.Committee_NotReporter.selector, vm.addr(key)));
        proof.commit(c, charges, signatures);
    }

    function test_commit_refusesSignaturesOfAnotherChain() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        vm.chainId(block.chainid + 1);
        vm.expectPartialRevert(Committee.Committee_NotReporter.selector);
        proof.commit(c, charges, signatures);
    }

    function test_commit_refusesSignaturesForAnotherContract() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        IProofOfResource other = IProofOfResource(proxy(newProofOfResource(address(rewards)), initializeProof()));
        vm.expectPartialRevert(Committee.Committee_NotReporter.selector);
        other.commit(c, charges, signatures);
    }

    function test_commit_refusesAHighS() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        bytes[] memory signatures = quorumSignatures(proof.digestOf(c));
        (bytes32 r, bytes32 s, uint8 v) = split(signatures[0]);
        s = bytes32(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - uint256(s));
        signatures[0] = abi.encodePacked(r, s, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSignature("ECDSAInvalidSignatureS(bytes32)", s));
        proof.commit(c, charges, signatures);
    }

    function split(bytes memory sig) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly ("memory-safe") {
            r := mload(add(sig, 32))
            s := mload(add(sig, 64))
            v := byte(0, mload(add(sig, 96)))
        }
    }

    function test_commit_refusesChargesThatWereNotSigned() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 2);
        charges[0].bytes_ = 1e12;
        (bytes32 hash,) = chain(charges);
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargesHash.selector, hash, c.chargesHash)
        );
        c.chargesHash = hash;
        expectRefusal(
            c, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargedBytes.selector, 1e12, 2e12)
        );
        c.chargeCount = 0;
        expectRefusal(c, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_TooManyCharges.selector, 1, 0));
    }

    function test_commit_refusesAPayerTwice() public {
        toEpoch(4);
        Charge[] memory charges = new Charge[](2);
        charges[0] = Charge(application, orchestrator, 1e12);
        charges[1] = Charge(application, orchestrator, 1e12);
        EpochCommit memory c = makeCommit(3, oneLeaf(3, 2e12), charges, 2000e18);
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_ChargesNotAscending.selector, application, orchestrator
            )
        );
    }

    function test_commit_refusesAShortfall() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1001);
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(IDataCredits.DataCredits_Shortfall.selector, application, orchestrator, 5e6)
        );
        assertEq(credits.accountOf(application).dc, 5e9, "credits after the refusal");
    }

    /// @dev An epoch may consume at most a share of market cap: 5 % of 1e9 HUDL at 0.05 USD is 2.5 million USD.
    function test_commit_refusesAboveTheCreditsCap() public {
        buyCredits(application, 50e6 * 1e18);
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 50_001);
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_CreditsCap.selector, 250_005e6, 250_000e6)
        );
    }

    function test_commit_inBatchesOfCharges() public {
        uint64[] memory list = three();
        address b = address(uint160(application) + 1);
        buyCredits(b, 1e6 * 1e18);
        authorise(b, orchestrator, 1e12, 1000);
        toEpoch(4);
        Charge[] memory all = new Charge[](2);
        all[0] = Charge(application, orchestrator, 1e12);
        all[1] = Charge(b, orchestrator, 2e12);
        EpochCommit memory c = makeCommit(3, oneLeaf(3, 3e12), all, 3000e18);
        Charge[] memory part = new Charge[](1);
        part[0] = all[0];
        // A commit takes all or none; those that it does not take come from the last to the first.
        (bytes32 before,) = chain(part);
        expectRefusal(
            c,
            part,
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargesHash.selector, before, c.chargesHash)
        );
        commit(c, new Charge[](0));
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY, "supply before the last charge");
        IProofOfResource.Status charging = IProofOfResource.Status.Charging;
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotClaimable.selector, 3, charging));
        proof.claimTerms(list);
        toEpoch(5);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_LastEpochOpen.selector, 3, charging));
        proof.open(4);
        vm.expectRevert(IProofOfResource.ProofOfResource_NoCharges.selector);
        proof.continueCharges(3, new Charge[](0), 0);
        part[0] = all[1];
        proof.continueCharges(3, part, before);
        assertEq(reserve.kept(), 2000e18, "came in so far");
        vm.expectPartialRevert(IProofOfResource.ProofOfResource_ChargesNotAscending.selector);
        proof.continueCharges(3, part, before);
        part[0] = all[0];
        proof.continueCharges(3, part, 0);
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + c.mintTotal, "supply");
        assertEq(reserve.kept(), 3000e18, "kept");
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotCharging.selector, 3));
        proof.continueCharges(3, part, 0);
        pastWindow();
        assertEq(proof.claimTerms(three())[0].root, c.root, "root to claim from");
    }

    /// @dev A count that is not that of the hash: neither can be completed, so neither begins to charge.
    function test_commit_refusesACountThatTheHashDoesNotHave() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        c.chargeCount = 2;
        expectRefusal(c, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargesHash.selector, 0, 0));
        c.chargeCount = 0;
        expectRefusal(
            c,
            new Charge[](0),
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargesHash.selector, 0, c.chargesHash)
        );
        (c.chargeCount, c.chargesHash) = (1, 0);
        expectRefusal(
            c, new Charge[](0), abi.encodeWithSelector(IProofOfResource.ProofOfResource_ChargesHash.selector, 0, 0)
        );
    }

    /// @dev Under a cut M depends on Q, and Q moves when anybody buys credits for a payer at another price after
    /// reporters signed. In one transaction the commit is refused; in two it settles at the cap.
    function test_commit_settlesUnderACutAlthoughQMoved() public {
        toEpoch(4);
        Charge[] memory charges = oneCharge(1e12);
        Leaf[] memory leaves = new Leaf[](3);
        for (uint160 i = 0; i < 3; i++) leaves[i] = makeLeaf(address(i + 1), 3, NO_EPOCH, 1e15);
        EpochCommit memory c = makeCommit(3, leaves, charges, 1000e18);
        oracle.fixPrice(PRICE / 2);
        buyCredits(application, 1e18);
        uint256 cap = GENESIS_SUPPLY * 382_982_750_338_958 / 1e18 + received(5e6);
        assertTrue(c.mintTotal != cap, "Q has not moved");
        expectRefusal(
            c,
            charges,
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_MintTotal.selector, c.mintTotal, cap - 2, cap)
        );
        commit(c, new Charge[](0));
        proof.continueCharges(3, charges, 0);
        assertEq(proof.epochs(3).mintTotal, cap, "M");
        assertEq(proof.epochs(3).cap, cap, "cap");
        assertEq(reserve.owed(), cap, "owed");
    }

    /// @dev HUDL that leaves the application's escrow with so many credits.
    function received(uint256 dc) private view returns (uint256) {
        IDataCredits.Account memory a = credits.accountOf(application);
        return a.escrowWei * dc / a.dc;
    }

    function test_abandonCharges_givesTheEpochUp() public {
        EpochCommit memory first = commitEpoch(3, 1);
        toEpoch(6);
        Charge[] memory all = oneCharge(1e12);
        EpochCommit memory c = makeCommit(4, oneLeaf(4, 1e12), all, 1000e18);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotCharging.selector, 3));
        proof.abandonCharges(3);
        commit(c, new Charge[](0));
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotCharging.selector, 3));
        proof.abandonCharges(3);
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        proof.abandonCharges(4);
        proof.abandonCharges(4);
        assertEq(proof.lastEpoch(), 4, "last epoch");
        assertEq(proof.standing().supply, GENESIS_SUPPLY + first.mintTotal, "S_C");
        expectRefusal(c, all, abi.encodeWithSelector(IProofOfResource.ProofOfResource_EpochOrder.selector, 4, 4));
        uint64[] memory list = three();
        list[0] = 4;
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_NotClaimable.selector, 4, IProofOfResource.Status.None
            )
        );
        proof.claimTerms(list);
        commit(c = makeCommit(5, oneLeaf(5, 1e12), all, 1000e18), all);
        assertEq(c.previousRoot, first.root, "previous root");
        assertEq(proof.lastEpoch(), 5, "last epoch again");
    }

    function equivocation(EpochCommit memory c, EpochCommit memory other, uint256 key)
        private
        view
        returns (IProofOfResource.Equivocation memory)
    {
        return IProofOfResource.Equivocation(
            signature(key, proof.digestOf(c)), other, signature(key, proof.digestOf(other))
        );
    }

    function test_voidEpoch_byEquivocation() public {
        uint64[] memory list = three();
        EpochCommit memory c = commitEpoch(3, 10);
        EpochCommit memory other = abi.decode(abi.encode(c), (EpochCommit));
        other.root = keccak256("other");
        address[] memory signers = signersOf(0, 5);
        IProofOfResource.Equivocation[] memory proofs = new IProofOfResource.Equivocation[](1);
        // The seventh reporter did not sign the commit that stands.
        proofs[0] = equivocation(c, other, reporterKeys[6]);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotSigner.selector, vm.addr(reporterKeys[6]))
        );
        proof.voidEpoch(c, signers, proofs);
        proofs[0] = equivocation(c, other, reporterKeys[2]);
        address[] memory fewer = signersOf(0, 4);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotTheCommit.selector, 3));
        proof.voidEpoch(c, fewer, proofs);
        proof.voidEpoch(c, signers, proofs);

        assertFalse(bonds.isReporter(vm.addr(reporterKeys[2])), "still a reporter");
        assertEq(proof.committee().length, 6, "committee");
        assertEq(uint8(proof.epochs(3).status), uint8(IProofOfResource.Status.Void), "status");
        pastWindow();
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_NotClaimable.selector, 3, IProofOfResource.Status.Void
            )
        );
        proof.claimTerms(list);
        removeKey(2);
        replaceWithLess(c);
    }

    function removeKey(uint256 i) private {
        for (; i + 1 < reporterKeys.length; i++) reporterKeys[i] = reporterKeys[i + 1];
        reporterKeys.pop();
    }

    function replaceWithLess(EpochCommit memory c) private {
        uint64[] memory list = three();
        uint256 supply = hudl.totalSupply();
        uint256 kept = reserve.kept();
        Leaf[] memory leaves = oneLeaf(3, 8e12);
        EpochCommit memory r = abi.decode(abi.encode(c), (EpochCommit));
        r.root = Tree.root(leaves);
        r.rewardTotal = r.mintTotal = payoutBeforeCut(leaves[0], defaults().reward, c.rMax);
        // A replacement is signed as such: signatures over a plain commit do not count.
        bytes[] memory plain = quorumSignatures(proof.digestOf(r));
        vm.expectPartialRevert(Committee.Committee_NotReporter.selector);
        proof.replace(r, plain);
        bytes[] memory signatures = quorumSignatures(proof.replacementDigestOf(r));
        EpochCommit memory bad = abi.decode(abi.encode(r), (EpochCommit));
        bad.rMax--;
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_ReplacementDiffers.selector, 3));
        proof.replace(bad, signatures);
        bad = abi.decode(abi.encode(r), (EpochCommit));
        bad.rewardTotal = c.rewardTotal + 1;
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_ReplacementDiffers.selector, 3));
        proof.replace(bad, signatures);

        proof.replace(r, signatures);
        uint256 less = c.mintTotal - r.mintTotal;
        assertEq(hudl.totalSupply(), supply - less, "supply");
        assertEq(proof.standing().supply, supply - less, "S_C");
        assertEq(reserve.owed(), r.mintTotal, "owed");
        assertEq(reserve.kept(), kept, "kept");
        assertEq(proof.epochs(3).root, r.root, "root");
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_WindowOpen.selector, 3, block.timestamp + 6 hours
            )
        );
        proof.claimTerms(list);
        pastWindow();
        assertEq(proof.claimTerms(three())[0].root, r.root, "root to claim from");
    }

    /// @dev Reporters who sign the replacement of a commit that they signed before have not contradicted themselves.
    function test_replace_isNoEquivocation() public {
        EpochCommit memory c = commitEpoch(3, 10);
        vm.prank(guardian);
        proof.voidByGuardian(c, signersOf(0, 5));
        EpochCommit memory r = abi.decode(abi.encode(c), (EpochCommit));
        r.root = keccak256("corrected");
        bytes memory first = signature(reporterKeys[0], proof.digestOf(c));
        bytes memory second = signature(reporterKeys[0], proof.replacementDigestOf(r));
        vm.expectPartialRevert(IBonds.Bonds_SignersDiffer.selector);
        bonds.forfeitForCommits(c, first, r, second);
        bytes[] memory signatures = quorumSignatures(proof.replacementDigestOf(r));
        vm.prank(guardian);
        proof.pause();
        vm.expectRevert(IProofOfResource.ProofOfResource_Paused.selector);
        proof.replace(r, signatures);
        proof.unpause();
        proof.replace(r, signatures);
        assertEq(proof.epochs(3).root, r.root, "root");
    }

    /// @dev Six of seven signed; one of them equivocated; five, still a quorum, did not.
    function test_voidEpoch_refusedWhileAQuorumRemains() public {
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 10);
        proof.commit(c, charges, signaturesOf(proof.digestOf(c), 0, 6));
        EpochCommit memory other = abi.decode(abi.encode(c), (EpochCommit));
        other.root = keccak256("other");
        IProofOfResource.Equivocation[] memory proofs = new IProofOfResource.Equivocation[](1);
        proofs[0] = equivocation(c, other, reporterKeys[0]);
        address[] memory signers = signersOf(0, 6);
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_QuorumRemains.selector, 5, 5));
        proof.voidEpoch(c, signers, proofs);
        // Shown twice it is still one.
        proofs = new IProofOfResource.Equivocation[](2);
        proofs[0] = proofs[1] = equivocation(c, other, reporterKeys[0]);
        address twice = vm.addr(reporterKeys[0]);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_ProofsNotAscending.selector, twice, twice)
        );
        proof.voidEpoch(c, signers, proofs);
        proofs = new IProofOfResource.Equivocation[](2);
        proofs[0] = equivocation(c, other, reporterKeys[4]);
        proofs[1] = equivocation(c, other, reporterKeys[3]);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofOfResource.ProofOfResource_ProofsNotAscending.selector,
                vm.addr(reporterKeys[4]),
                vm.addr(reporterKeys[3])
            )
        );
        proof.voidEpoch(c, signers, proofs);
        (proofs[0], proofs[1]) = (proofs[1], proofs[0]);
        proof.voidEpoch(c, signers, proofs);
        assertEq(proof.committee().length, 5, "committee");
    }

    function test_void_notAfterTheWindow() public {
        EpochCommit memory c = commitEpoch(3, 10);
        pastWindow();
        address[] memory signers = signersOf(0, 5);
        vm.prank(guardian);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_WindowOver.selector, 3, block.timestamp)
        );
        proof.voidByGuardian(c, signers);
    }

    function test_replace_onlyWhatIsVoid() public {
        EpochCommit memory c = commitEpoch(3, 10);
        bytes[] memory signatures = quorumSignatures(proof.replacementDigestOf(c));
        vm.expectRevert(abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotVoid.selector, 3));
        proof.replace(c, signatures);
    }

    function test_guardian_onlyPausesAndVoids() public {
        vm.prank(guardian);
        proof.pause();
        (EpochCommit memory c, Charge[] memory charges) = prepare(3, 1);
        expectRefusal(c, charges, abi.encodeWithSelector(IProofOfResource.ProofOfResource_Paused.selector));
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        proof.unpause();
        proof.unpause();
        commit(c, charges);
    }

    function test_committee_followsBonds() public {
        bonds.removeReporter(vm.addr(reporterKeys[0]));
        assertEq(proof.committee().length, 7, "members before the refresh");
        proof.refreshCommittee();
        assertEq(proof.committee().length, 6, "members");
        assertEq(proof.quorum(), 5, "quorum of 6");
        address[] memory members = proof.committee();
        for (uint256 i = 0; i < members.length; i++) assertEq(members[i], vm.addr(reporterKeys[i + 1]), "member");
    }

    /// @dev A new beta of governance replaces the one that drifted; else it drifts on.
    function test_beta_startsAnewWhenGovernanceSetsIt() public {
        commitEpoch(3, 10);
        assertEq(proof.standing().betaBps, 5800, "after one epoch");
        toEpoch(5);
        commitEpoch(4, 10);
        assertEq(proof.standing().betaBps, 5600, "after two");
        ParameterSet memory p = defaults();
        p.supply.betaBps = 9000;
        parameters.set(p);
        commitEpoch(6, 10);
        assertEq(proof.standing().betaBps, 8800, "after governance set 9000");
    }

    /// @dev With the filler on the net mint reaches the floor of the band, and the filler is a purse of its own.
    function test_commit_fillsTheFloorIfGovernanceWants() public {
        ParameterSet memory p = defaults();
        p.supply.filler = true;
        parameters.set(p);
        EpochCommit memory c = commitEpoch(3, 10);
        uint256 least = GENESIS_SUPPLY * 54_255_245_176_771 / 1e18;
        assertEq(hudl.totalSupply(), GENESIS_SUPPLY + least, "supply");
        assertEq(reserve.filler(), least - c.mintTotal, "filler");
        assertEq(reserve.kept(), 10_000e18, "kept");
    }

    function test_upgrade_isForGovernance() public {
        address next = newProofOfResource(address(rewards));
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        UUPSUpgradeable(address(proof)).upgradeToAndCall(next, "");
        commitEpoch(3, 1);
        UUPSUpgradeable(address(proof)).upgradeToAndCall(next, "");
        assertEq(proof.lastEpoch(), 3, "last epoch after the upgrade");
    }

    function test_wires_refuseStrangers() public {
        uint64[] memory epochs = new uint64[](1);
        uint256[] memory amounts = new uint256[](1);
        vm.expectRevert(
            abi.encodeWithSelector(IProofOfResource.ProofOfResource_NotRewards.selector, address(this))
        );
        proof.takeRewards(epochs, amounts);
        vm.expectRevert(
            abi.encodeWithSelector(IDataCredits.DataCredits_NotProofOfResource.selector, address(this))
        );
        credits.charge(1, 5000, new Charge[](0));
    }
}
