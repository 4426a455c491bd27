// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Bonds} from "../../src/Bonds.sol";
import {DataCredits} from "../../src/DataCredits.sol";
import {HUDL} from "../../src/HUDL.sol";
import {Kind} from "../../src/interfaces/IBonds.sol";
import {IHUDL} from "../../src/interfaces/IHUDL.sol";
import {IPool} from "../../src/interfaces/IPool.sol";
import {IPoolManager} from "../../src/interfaces/IPoolManager.sol";
import {IPriceOracle} from "../../src/interfaces/IPriceOracle.sol";
import {IProofOfResource} from "../../src/interfaces/IProofOfResource.sol";
import {RewardMath} from "../../src/libraries/RewardMath.sol";
import {Roles} from "../../src/libraries/Roles.sol";
import {SupplyBand} from "../../src/libraries/SupplyBand.sol";
import {MediaNodeKey} from "../../src/MediaNodeKey.sol";
import {Parameters} from "../../src/Parameters.sol";
import {Pool} from "../../src/Pool.sol";
import {PoolManager} from "../../src/PoolManager.sol";
import {PriceOracle} from "../../src/PriceOracle.sol";
import {Reserve} from "../../src/Reserve.sol";
import {Rewards} from "../../src/Rewards.sol";
import {Charge} from "../../src/types/Charge.sol";
import {EpochCommit} from "../../src/types/EpochCommit.sol";
import {Leaf, NO_EPOCH} from "../../src/types/Leaf.sol";
import {ParameterSet, RewardRules, SupplyRules} from "../../src/types/ParameterSet.sol";
import {VeHUDL} from "../../src/VeHUDL.sol";
import {Test} from "./Test.sol";
import {Tree} from "./Tree.sol";
import {defaultParameters} from "./Set.sol";

/// @notice Cheat codes of a transaction's price.
interface VmGas {
    function txGasPrice(uint256 price) external;
    function fee(uint256 basefee) external;
}

/// @notice The whole economy, deployed as on a chain: every contract is given the addresses of the others when it is
/// made, because they can be computed. The test is the administrator, in the timelock's place.
abstract contract Economy is Test {
    using SupplyBand for SupplyBand.Projection;

    VmGas internal constant vmGas = VmGas(address(vm));
    uint32 internal constant EPOCH = 1 days;
    uint64 internal constant GENESIS = 1_700_000_000;
    uint256 internal constant GENESIS_SUPPLY = 1e9 * 1e18;
    uint64 internal constant PRICE = 5_000_000; // 0.05 USD

    address internal guardian = makeAddress("guardian");
    address internal treasury = makeAddress("treasury");
    AccessManager internal access;
    Parameters internal parameters;
    PriceOracle internal oracle;
    HUDL internal hudl;
    Reserve internal reserve;
    DataCredits internal credits;
    Bonds internal bonds;
    IProofOfResource internal proof;
    VeHUDL internal veHudl;
    MediaNodeKey internal keys;
    PoolManager internal manager;
    Rewards internal rewards;

    /// @dev Private keys of the reporters, by their addresses ascending.
    uint256[] internal reporterKeys;

    function makeAddress(string memory name) internal pure returns (address) {
        return vm.addr(uint256(keccak256(bytes(name))));
    }

    function makeKey(string memory name) internal pure returns (uint256) {
        return uint256(keccak256(bytes(name)));
    }

    function deployEconomy(uint256 reporters) internal {
        vm.warp(GENESIS);
        access = new AccessManager(address(this));
        parameters = Parameters(
            proxy(
                address(new Parameters(GENESIS, EPOCH)),
                abi.encodeCall(Parameters.initialize, (address(access), defaultParameters()))
            )
        );
        IPriceOracle.Bounds memory b =
            IPriceOracle.Bounds({maxAge: 1 days, maxDeviationBps: 2500, minFeeds: 2, twapWindow: 1 days});
        oracle = PriceOracle(
            proxy(
                address(new PriceOracle(parameters)),
                abi.encodeCall(PriceOracle.initialize, (address(access), b, new address[](0), PRICE))
            )
        );
        deployTokens();
        deployRest();
        grantRoles();
        for (uint256 i = 0; i < reporters; i++) admitReporter(uint256(keccak256(abi.encode("reporter", i))));
    }

    /// @dev The addresses of all that follows are known from the deployer's nonce.
    function predicted(uint256 later) private view returns (address) {
        return vm.computeCreateAddress(address(this), _base + later);
    }

    uint256 private _base;

    function deployTokens() private {
        _base = vm.getNonce(address(this));
        IHUDL.Allocation[] memory genesis = new IHUDL.Allocation[](1);
        genesis[0] = IHUDL.Allocation(treasury, GENESIS_SUPPLY);
        hudl = new HUDL(predicted(1), genesis);
        reserve = new Reserve(hudl, predicted(7), predicted(14), parameters, address(access));
        credits = DataCredits(
            proxy(
                address(new DataCredits(hudl, oracle, parameters, IProofOfResource(predicted(7)), address(reserve))),
                abi.encodeCall(DataCredits.initialize, (address(access)))
            )
        );
    }

    function deployRest() private {
        Bonds.Terms[3] memory terms = [Bonds.Terms(1e18, 1 days), Bonds.Terms(1e18, 1 days), Bonds.Terms(1e18, 1 days)];
        bonds = Bonds(
            proxy(
                address(new Bonds(hudl, address(reserve), predicted(7), address(credits))),
                abi.encodeCall(Bonds.initialize, (address(access), terms))
            )
        );
        proof = IProofOfResource(proxy(newProofOfResource(predicted(14)), initializeProof()));
        veHudl = new VeHUDL(hudl, IPoolManager(predicted(12)), address(access), 30 days);
        keys = new MediaNodeKey(hudl, address(reserve), IPoolManager(predicted(12)), address(access), "");
        address pool = address(new Pool(predicted(12), hudl, veHudl));
        IPoolManager.Bounds memory b = IPoolManager.Bounds(100, 10, 50, 3000, 7, 2);
        manager = PoolManager(
            proxy(
                address(new PoolManager(keys, pool, parameters)),
                abi.encodeCall(PoolManager.initialize, (address(access), b))
            )
        );
        rewards = Rewards(
            proxy(
                address(new Rewards(proof, parameters, manager, reserve)),
                abi.encodeCall(Rewards.initialize, (address(access)))
            )
        );
        assertEq(address(rewards), predicted(14), "address of Rewards, as computed");
    }

    function grantRoles() private {
        access.grantRole(Roles.REWARDS, address(rewards), 0);
        access.grantRole(Roles.GUARDIAN, guardian, 0);
        access.setTargetFunctionRole(address(manager), one(IPoolManager.distribute.selector), Roles.REWARDS);
        access.setTargetFunctionRole(address(proof), one(IProofOfResource.pause.selector), Roles.GUARDIAN);
        access.setTargetFunctionRole(address(proof), one(IProofOfResource.voidByGuardian.selector), Roles.GUARDIAN);
        access.setTargetFunctionRole(address(rewards), one(Rewards.pause.selector), Roles.GUARDIAN);
        access.setTargetFunctionRole(address(credits), one(DataCredits.pause.selector), Roles.GUARDIAN);
        access.setTargetFunctionRole(address(bonds), one(Bonds.pause.selector), Roles.GUARDIAN);
        access.setTargetFunctionRole(address(manager), one(IPoolManager.pause.selector), Roles.GUARDIAN);
        keys.setSale("EU", 0, type(uint64).max);
    }

    /// @dev Made from its artefact, as it is compiled in another way than the tests (foundry.toml).
    function newProofOfResource(address rewards_) internal returns (address made) {
        bytes memory code = bytes.concat(
            vm.getCode("ProofOfResource.sol:ProofOfResource"),
            abi.encode(bonds, parameters, oracle, credits, reserve, rewards_)
        );
        assembly ("memory-safe") {
            made := create(0, add(code, 32), mload(code))
        }
        assertTrue(made != address(0), "ProofOfResource is not made");
    }

    function initializeProof() internal view returns (bytes memory) {
        return abi.encodeWithSignature("initialize(address,uint128)", address(access), uint128(GENESIS_SUPPLY));
    }

    function proxy(address logic, bytes memory call) internal returns (address) {
        return address(new ERC1967Proxy(logic, call));
    }

    function one(bytes4 selector) internal pure returns (bytes4[] memory list) {
        list = new bytes4[](1);
        list[0] = selector;
    }

    function toEpoch(uint64 epoch) internal {
        vm.warp(GENESIS + uint256(epoch) * EPOCH);
    }

    function give(address to, uint256 amount) internal {
        vm.prank(treasury);
        hudl.transfer(to, amount);
    }

    /// @dev Bonds a Registry and admits it; keeps the keys sorted by address.
    function admitReporter(uint256 key) internal {
        address identity = vm.addr(key);
        give(address(this), 1e18);
        hudl.approve(address(bonds), 1e18);
        bytes32 digest = bonds.consentDigest(Kind.Registry, identity, address(this), block.timestamp);
        bonds.bond(Kind.Registry, identity, 1e18, block.timestamp, signature(key, digest));
        bonds.admitReporter(identity);
        uint256 i = reporterKeys.length;
        reporterKeys.push(key);
        for (; i > 0 && vm.addr(reporterKeys[i - 1]) > identity; i--) reporterKeys[i] = reporterKeys[i - 1];
        reporterKeys[i] = key;
    }

    function createPool(string memory name, address operator, uint16 bps) internal returns (address node, Pool pool) {
        node = makeAddress(name);
        bytes memory consent =
            signature(makeKey(name), manager.consentDigest(node, operator, bps, block.timestamp));
        vm.prank(operator);
        pool = Pool(manager.createPool(node, bps, block.timestamp, consent));
    }

    function buyCredits(address application, uint256 hudlWei) internal returns (uint256) {
        give(address(this), hudlWei);
        hudl.approve(address(credits), hudlWei);
        return credits.buy(application, hudlWei, 1);
    }

    function authorise(address application, address orchestrator, uint128 limitDC, uint64 endEpoch) internal {
        vm.prank(application);
        credits.authorise(orchestrator, limitDC, endEpoch);
    }

    /// @dev A leaf with good scores.
    function makeLeaf(address node, uint64 epoch, uint64 previous, uint128 bytes_) internal pure returns (Leaf memory) {
        return Leaf(1, node, epoch, previous, 0.99e18, 0.8e18, 0.7e18, 0.5e18, 0.95e18, bytes_, 0, 100);
    }

    function chain(Charge[] memory charges) internal pure returns (bytes32 hash, uint256 bytes_) {
        for (uint256 i = 0; i < charges.length; i++) {
            hash = keccak256(abi.encode(hash, charges[i].application, charges[i].orchestrator, charges[i].bytes_));
            bytes_ += charges[i].bytes_;
        }
    }

    /// @dev The commit of an epoch as reporters make it. `received` is Q, which they know from the accounts.
    function makeCommit(uint64 epoch, Leaf[] memory leaves, Charge[] memory charges, uint256 received)
        internal
        returns (EpochCommit memory c)
    {
        proof.open(epoch);
        (uint32 version, SupplyRules memory supply) = parameters.supplyRules(epoch);
        c.epoch = epoch;
        c.root = Tree.root(leaves);
        c.leafCount = uint32(leaves.length);
        (c.chargesHash, c.totalBytes) = chain(charges);
        c.chargeCount = uint32(charges.length);
        c.dataHash = keccak256(abi.encode(leaves));
        uint64 last = proof.lastEpoch();
        if (last != NO_EPOCH) c.previousRoot = proof.epochs(last).root;
        c.parametersVersion = version;
        c.rMax = proof.epochs(epoch).rMax;
        setTotals(c, leaves, received, parameters.rewardRules(version), supply);
    }

    function setTotals(
        EpochCommit memory c,
        Leaf[] memory leaves,
        uint256 received,
        RewardRules memory rules,
        SupplyRules memory supply
    ) private view {
        uint256[] memory payouts = new uint256[](leaves.length);
        c.rewardTotal = 0;
        for (uint256 i = 0; i < leaves.length; i++) {
            payouts[i] = payoutBeforeCut(leaves[i], rules, c.rMax);
            c.rewardTotal += payouts[i];
        }
        IProofOfResource.Standing memory now_ = proof.standing();
        SupplyBand.Projection memory b = SupplyBand.project(
            c.rewardTotal,
            received,
            now_.supply,
            now_.betaBps == 0 ? supply.betaBps : now_.betaBps,
            supply.lo,
            supply.hi
        );
        (bool isCut, uint256 cap) = b.cut(c.rewardTotal);
        c.mintTotal = 0;
        for (uint256 i = 0; i < leaves.length; i++) {
            c.mintTotal += isCut ? payouts[i] * cap / c.rewardTotal : payouts[i];
        }
    }

    function payoutBeforeCut(Leaf memory l, RewardRules memory r, uint256 rMax) internal pure returns (uint256) {
        if (l.quality < r.vMin) return 0;
        uint256[4] memory w =
            [uint256(r.weightAvailability), r.weightHistory, r.weightLocation, r.weightCoverage];
        uint256 s = RewardMath.weigh(w, l.availability, l.history, l.location, l.coverage);
        uint256 unit = RewardMath.unitReward(rMax, r.k, int256(r.vMid) + r.vTau, s, l.quality);
        return RewardMath.payout(unit, RewardMath.rewardableBytes(l.clientBytes, l.relayBytes, r.wRelayBps), r.alphaBps);
    }

    /// @dev Of the first reporters who are in the committee.
    function quorumSignatures(bytes32 digest) internal view returns (bytes[] memory list) {
        address[] memory signers = quorumSigners();
        list = new bytes[](signers.length);
        for ((uint256 i, uint256 k) = (0, 0); i < list.length; k++) {
            if (vm.addr(reporterKeys[k]) == signers[i]) list[i++] = signature(reporterKeys[k], digest);
        }
    }

    function quorumSigners() internal view returns (address[] memory list) {
        address[] memory members = proof.committee();
        list = new address[](proof.quorum());
        for (uint256 i = 0; i < list.length; i++) list[i] = members[i];
    }

    function signaturesOf(bytes32 digest, uint256 from, uint256 count) internal view returns (bytes[] memory list) {
        list = new bytes[](count);
        for (uint256 i = 0; i < count; i++) list[i] = signature(reporterKeys[from + i], digest);
    }

    function signersOf(uint256 from, uint256 count) internal view returns (address[] memory list) {
        list = new address[](count);
        for (uint256 i = 0; i < count; i++) list[i] = vm.addr(reporterKeys[from + i]);
    }

    function commit(EpochCommit memory c, Charge[] memory charges) internal {
        proof.commit(c, charges, quorumSignatures(proof.digestOf(c)));
    }

    function claimOne(Leaf[] memory leaves, uint256 i) internal {
        (Leaf[] memory list, bytes32[][] memory proofs) = proven(leaves, i);
        rewards.claim(list, proofs);
    }

    function proven(Leaf[] memory leaves, uint256 i)
        internal
        pure
        returns (Leaf[] memory list, bytes32[][] memory proofs)
    {
        list = new Leaf[](1);
        proofs = new bytes32[][](1);
        (list[0], proofs[0]) = (leaves[i], Tree.proof(leaves, i));
    }

    function pastWindow() internal {
        vm.warp(proof.standing().windowEnds);
    }

    function defaults() internal pure returns (ParameterSet memory) {
        return defaultParameters();
    }
}
