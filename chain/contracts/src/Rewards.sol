// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {MerkleProofLib} from "solady/utils/MerkleProofLib.sol";

import {IParameters} from "./interfaces/IParameters.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";
import {IProofOfResource} from "./interfaces/IProofOfResource.sol";
import {IReserve} from "./interfaces/IReserve.sol";
import {IRewards} from "./interfaces/IRewards.sol";
import {RewardMath} from "./libraries/RewardMath.sol";
import {Leaf, NO_EPOCH} from "./types/Leaf.sol";
import {RewardRules} from "./types/ParameterSet.sol";

/// @notice See IRewards.
contract Rewards is IRewards, UUPSUpgradeable, AccessManagedUpgradeable, PausableUpgradeable, ReentrancyGuardTransient {
    uint8 private constant LEAF_VERSION = 1;

    /// @dev The parameters of one version as the formula takes them.
    struct Formula {
        uint256[4] weights;
        uint256 k;
        int256 midpoint;
        uint256 vMin;
        uint256 relayWeightBps;
        uint256 alphaBps;
    }

    /// @custom:storage-location erc7201:drtc.storage.Rewards
    struct Store {
        /// @dev One more than the last epoch paid; 0 if none was.
        mapping(address node => uint64) nextBatch;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.Rewards")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORE = 0x7899f3a620e88178305b9da4b6a4098925a68bf070b864b23b8ab42873407200;

    IProofOfResource private immutable _proofOfResource;
    IParameters private immutable _parameters;
    IPoolManager private immutable _poolManager;
    IReserve private immutable _reserve;

    constructor(
        IProofOfResource proofOfResource,
        IParameters parameters,
        IPoolManager poolManager,
        IReserve reserve
    ) {
        _proofOfResource = proofOfResource;
        _parameters = parameters;
        _poolManager = poolManager;
        _reserve = reserve;
        _disableInitializers();
    }

    function initialize(address authority) external initializer {
        __AccessManaged_init(authority);
        __Pausable_init();
    }

    /// @inheritdoc IRewards
    function claim(Leaf[] calldata leaves, bytes32[][] calldata proofs)
        external
        override
        whenNotPaused
        nonReentrant
    {
        uint256 gas_ = gasleft();
        if (leaves.length == 0) revert Rewards_NoLeaves();
        if (proofs.length != leaves.length) revert Rewards_LengthsDiffer(leaves.length, proofs.length);
        address node = leaves[0].node;
        (uint64[] memory epochs, uint256[] memory amounts) = _compute(node, leaves, proofs);
        bool reimburses = _pay(node, epochs, amounts, leaves[leaves.length - 1].provenMbps);
        // A byte of input costs 4 at least: whoever fills it up with zeros gains nothing.
        if (reimburses) _reserve.reimburse(msg.sender, gas_ - gasleft() + 21_000 + 4 * msg.data.length);
    }

    /// @inheritdoc IRewards
    function pause() external override restricted {
        _pause();
    }

    /// @inheritdoc IRewards
    function unpause() external override restricted {
        _unpause();
    }

    /// @inheritdoc IRewards
    function lastRewardedBatch(address node) public view override returns (uint64) {
        uint64 next = _store().nextBatch[node];
        return next == 0 ? NO_EPOCH : next - 1;
    }

    /// @inheritdoc IRewards
    function payoutOf(Leaf calldata leaf) external view override returns (uint256) {
        uint64[] memory epochs = new uint64[](1);
        epochs[0] = leaf.epoch;
        IProofOfResource.ClaimTerms memory terms = _proofOfResource.claimTerms(epochs)[0];
        return _payout(leaf, terms, _formula(terms.parametersVersion));
    }

    /// @dev Payout of each leaf, after its place in the order and its proof were checked.
    function _compute(address node, Leaf[] calldata leaves, bytes32[][] calldata proofs)
        private
        view
        returns (uint64[] memory epochs, uint256[] memory amounts)
    {
        epochs = new uint64[](leaves.length);
        amounts = new uint256[](leaves.length);
        uint64 last = lastRewardedBatch(node);
        for (uint256 i = 0; i < leaves.length; ++i) {
            _checkOrder(leaves[i], node, last);
            epochs[i] = last = leaves[i].epoch;
        }
        IProofOfResource.ClaimTerms[] memory terms = _proofOfResource.claimTerms(epochs);
        uint32 version;
        Formula memory formula;
        for (uint256 i = 0; i < leaves.length; ++i) {
            Leaf calldata leaf = leaves[i];
            if (!MerkleProofLib.verifyCalldata(proofs[i], terms[i].root, _hash(leaf))) {
                revert Rewards_BadProof(node, epochs[i]);
            }
            if (terms[i].parametersVersion != version) {
                version = terms[i].parametersVersion;
                formula = _formula(version);
            }
            amounts[i] = _payout(leaf, terms[i], formula);
        }
    }

    /// @dev Leaf.hash without decoding it: the input already holds the twelve words that abi.encode writes. One whose
    /// upper bits are not clean hashes to no leaf of a tree.
    function _hash(Leaf calldata leaf) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let words := mload(0x40)
            calldatacopy(words, leaf, 0x180)
            mstore(0x00, keccak256(words, 0x180))
            hash := keccak256(0x00, 0x20)
        }
    }

    /// @dev Marks the epochs as paid before any HUDL moves.
    function _pay(address node, uint64[] memory epochs, uint256[] memory amounts, uint32 provenMbps)
        private
        returns (bool reimburses)
    {
        address pool = _poolManager.poolOf(node);
        if (pool == address(0)) revert Rewards_NoPool(node);
        // An epoch that is over is far below 2^64 - 1.
        _store().nextBatch[node] = epochs[epochs.length - 1] + 1;
        uint256[] memory fewer = _proofOfResource.takeRewards(epochs, amounts);
        if (fewer.length != 0) amounts = fewer;
        uint256 total;
        for (uint256 i = 0; i < epochs.length; ++i) total += amounts[i];
        emit Rewarded(node, pool, epochs, amounts);
        // A claim of nothing is paid back nothing either.
        if (total != 0) reimburses = _reserve.payPool(pool, total);
        _poolManager.distribute(node, epochs, amounts, provenMbps);
    }

    function _checkOrder(Leaf calldata leaf, address node, uint64 last) private pure {
        if (leaf.version != LEAF_VERSION) revert Rewards_LeafVersion(leaf.version, LEAF_VERSION);
        if (leaf.node != node) revert Rewards_NodesDiffer(node, leaf.node);
        if (last != NO_EPOCH && leaf.epoch <= last) revert Rewards_EpochPaid(node, leaf.epoch, last);
        if (leaf.previousEpoch != last) revert Rewards_EpochSkipped(node, leaf.previousEpoch, last);
    }

    function _formula(uint32 version) private view returns (Formula memory f) {
        RewardRules memory rules = _parameters.rewardRules(version);
        f.weights = [
            uint256(rules.weightAvailability), rules.weightHistory, rules.weightLocation, rules.weightCoverage
        ];
        (f.k, f.midpoint, f.vMin) = (rules.k, int256(rules.vMid) + rules.vTau, rules.vMin);
        (f.relayWeightBps, f.alphaBps) = (rules.wRelayBps, rules.alphaBps);
    }

    /// @dev E8, E11, E14, E18 and E20, every step rounded down.
    function _payout(Leaf calldata leaf, IProofOfResource.ClaimTerms memory terms, Formula memory f)
        private
        pure
        returns (uint256 payout)
    {
        uint256 quality = leaf.quality;
        uint256 unit = RewardMath.unitReward(terms.rMax, f.k, f.midpoint, _reputation(leaf, f), quality);
        if (quality < f.vMin) return 0;
        uint256 bytes_ = RewardMath.rewardableBytes(leaf.clientBytes, leaf.relayBytes, f.relayWeightBps);
        payout = RewardMath.payout(unit, bytes_, f.alphaBps);
        if (terms.rewardTotal != 0) {
            // A payout above M0 cannot be part of it; below it the product stays under 2^256.
            if (payout > terms.rewardTotal) {
                revert IProofOfResource.ProofOfResource_MoreThanMinted(leaf.epoch, payout, terms.rewardTotal);
            }
            payout = payout * terms.cap / terms.rewardTotal;
        }
    }

    function _reputation(Leaf calldata leaf, Formula memory f) private pure returns (uint256) {
        return RewardMath.weigh(f.weights, leaf.availability, leaf.history, leaf.location, leaf.coverage);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _store() private pure returns (Store storage s) {
        bytes32 slot = STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
