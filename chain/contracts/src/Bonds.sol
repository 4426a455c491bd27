// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IBonds, Kind} from "./interfaces/IBonds.sol";
import {Domain} from "./libraries/Domain.sol";
import {EpochCommit} from "./types/EpochCommit.sol";
import {Receipt} from "./types/Receipt.sol";

/// @notice See IBonds.
contract Bonds is IBonds, UUPSUpgradeable, AccessManagedUpgradeable, PausableUpgradeable {
    using EnumerableSet for EnumerableSet.AddressSet;
    using SafeERC20 for IERC20;

    struct Terms {
        uint96 minimum;
        uint32 unbonding;
    }

    bytes32 private constant NAME_HASH = keccak256("dRTC Bonds");
    bytes32 private constant COMMITS_NAME_HASH = keccak256("dRTC ProofOfResource");
    bytes32 private constant RECEIPTS_NAME_HASH = keccak256("dRTC DataCredits");
    bytes32 private constant CONSENT_TYPEHASH =
        keccak256("Bond(uint8 kind,address identity,address owner,uint256 deadline)");

    /// @dev A commit carries a signature of most reporters, so their number is bounded.
    uint256 private constant MAX_REPORTERS = 64;

    IERC20 private immutable _hudl;
    address private immutable _reserve;
    address private immutable _proofOfResource;
    address private immutable _dataCredits;

    mapping(Kind kind => mapping(address identity => Bond)) private _bonds;
    mapping(Kind kind => EnumerableSet.AddressSet) private _active;
    mapping(Kind kind => Terms) public override terms;
    EnumerableSet.AddressSet private _reporters;

    /// @param proofOfResource Domain of the commits that Registries sign.
    /// @param dataCredits Domain of the receipts that Orchestrators sign.
    constructor(IERC20 hudl, address reserve, address proofOfResource, address dataCredits) {
        _hudl = hudl;
        _reserve = reserve;
        _proofOfResource = proofOfResource;
        _dataCredits = dataCredits;
        _disableInitializers();
    }

    /// @param first Terms of each kind, in the order of Kind.
    function initialize(address authority, Terms[3] calldata first) external initializer {
        __AccessManaged_init(authority);
        __Pausable_init();
        for (uint8 i = 0; i < 3; ++i) {
            _setTerms(Kind(i), first[i].minimum, first[i].unbonding);
        }
    }

    /// @inheritdoc IBonds
    function bond(Kind kind, address identity, uint96 amount, uint256 deadline, bytes calldata consent)
        external
        override
        whenNotPaused
    {
        Bond storage b = _bonds[kind][identity];
        if (b.amount == 0) {
            _checkConsent(kind, identity, deadline, consent);
            b.owner = msg.sender;
        } else if (b.owner != msg.sender) {
            revert Bonds_NotOwner(kind, identity, msg.sender, b.owner);
        } else if (b.readyAt != 0) {
            revert Bonds_Unbonding(kind, identity, b.readyAt);
        }
        uint96 minimum = terms[kind].minimum;
        uint96 total = b.amount + amount;
        if (amount == 0 || total < minimum) revert Bonds_TooSmall(kind, total, minimum);
        b.amount = total;
        _active[kind].add(identity);
        emit Bonded(kind, identity, msg.sender, total);
        _hudl.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IBonds
    function startUnbonding(Kind kind, address identity) external override {
        Bond storage b = _owned(kind, identity);
        if (b.readyAt != 0) revert Bonds_Unbonding(kind, identity, b.readyAt);
        b.readyAt = uint64(block.timestamp) + terms[kind].unbonding;
        _deactivate(kind, identity);
        emit UnbondingStarted(kind, identity, b.readyAt);
    }

    /// @inheritdoc IBonds
    function withdraw(Kind kind, address identity) external override {
        Bond storage b = _owned(kind, identity);
        if (b.readyAt == 0) revert Bonds_NotUnbonding(kind, identity);
        if (block.timestamp < b.readyAt) revert Bonds_StillLocked(uint64(block.timestamp), b.readyAt);
        uint256 amount = b.amount;
        (b.owner, b.amount, b.readyAt) = (address(0), 0, 0);
        emit BondWithdrawn(kind, identity, amount);
        _hudl.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IBonds
    function raiseGeneration(Kind kind, address identity, uint64 generation) external override {
        Bond storage b = _owned(kind, identity);
        if (generation <= b.generation) revert Bonds_GenerationNotHigher(generation, b.generation);
        b.generation = generation;
        emit GenerationRaised(kind, identity, generation);
    }

    /// @inheritdoc IBonds
    function forfeitForCommits(
        EpochCommit calldata first,
        bytes calldata firstSignature,
        EpochCommit calldata second,
        bytes calldata secondSignature
    ) external override returns (address identity, uint256 amount) {
        (bytes32 a, bytes32 b) = (first.structHash(), second.structHash());
        if (first.epoch != second.epoch || a == b) revert Bonds_NoContradiction(a, b);
        a = Domain.digest(COMMITS_NAME_HASH, _proofOfResource, a);
        b = Domain.digest(COMMITS_NAME_HASH, _proofOfResource, b);
        identity = _sameSigner(a, firstSignature, b, secondSignature);
        amount = _forfeit(Kind.Registry, identity, a, b);
    }

    /// @inheritdoc IBonds
    function forfeitForReceipts(
        Receipt calldata first,
        bytes calldata firstSignature,
        Receipt calldata second,
        bytes calldata secondSignature
    ) external override returns (address identity, uint256 amount) {
        (bytes32 a, bytes32 b) = (first.structHash(), second.structHash());
        bool sameReceipt = first.application == second.application && first.orchestrator == second.orchestrator
            && first.node == second.node && first.epoch == second.epoch && first.sequence == second.sequence;
        if (!sameReceipt || a == b) revert Bonds_NoContradiction(a, b);
        a = Domain.digest(RECEIPTS_NAME_HASH, _dataCredits, a);
        b = Domain.digest(RECEIPTS_NAME_HASH, _dataCredits, b);
        identity = _sameSigner(a, firstSignature, b, secondSignature);
        if (identity != first.orchestrator) revert Bonds_SignersDiffer(identity, first.orchestrator);
        amount = _forfeit(Kind.Orchestrator, identity, a, b);
    }

    /// @inheritdoc IBonds
    function admitReporter(address identity) external override restricted {
        if (!isActive(Kind.Registry, identity)) revert Bonds_NotBonded(Kind.Registry, identity);
        if (_reporters.length() == MAX_REPORTERS) revert Bonds_TooManyReporters(MAX_REPORTERS);
        if (!_reporters.add(identity)) revert Bonds_AlreadyReporter(identity);
        emit ReporterAdmitted(identity);
    }

    /// @inheritdoc IBonds
    function removeReporter(address identity) external override restricted {
        if (!_reporters.remove(identity)) revert Bonds_NotReporter(identity);
        emit ReporterRemoved(identity);
    }

    /// @inheritdoc IBonds
    function setTerms(Kind kind, uint96 minimum, uint32 unbonding) external override restricted {
        _setTerms(kind, minimum, unbonding);
    }

    /// @inheritdoc IBonds
    function pause() external override restricted {
        _pause();
    }

    /// @inheritdoc IBonds
    function unpause() external override restricted {
        _unpause();
    }

    /// @inheritdoc IBonds
    function bondOf(Kind kind, address identity) external view override returns (Bond memory) {
        return _bonds[kind][identity];
    }

    /// @inheritdoc IBonds
    function active(Kind kind, uint256 start, uint256 most) external view override returns (address[] memory) {
        uint256 length = _active[kind].length();
        if (start > length) start = length;
        return _active[kind].values(start, most < length - start ? start + most : length);
    }

    /// @inheritdoc IBonds
    function activeCount(Kind kind) external view override returns (uint256) {
        return _active[kind].length();
    }

    /// @inheritdoc IBonds
    function reporters() external view override returns (address[] memory) {
        return _reporters.values();
    }

    /// @inheritdoc IBonds
    function isReporter(address identity) external view override returns (bool) {
        return _reporters.contains(identity);
    }

    /// @inheritdoc IBonds
    function reporterCount() external view override returns (uint256) {
        return _reporters.length();
    }

    /// @inheritdoc IBonds
    function minGeneration(Kind kind, address identity) external view override returns (uint64) {
        return _bonds[kind][identity].generation;
    }

    /// @inheritdoc IBonds
    function isActive(Kind kind, address identity) public view override returns (bool) {
        return _active[kind].contains(identity);
    }

    /// @inheritdoc IBonds
    function consentDigest(Kind kind, address identity, address owner, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        bytes32 structHash = keccak256(abi.encode(CONSENT_TYPEHASH, kind, identity, owner, deadline));
        return Domain.digest(NAME_HASH, address(this), structHash);
    }

    function _checkConsent(Kind kind, address identity, uint256 deadline, bytes calldata consent) private view {
        if (block.timestamp > deadline) revert Bonds_ConsentExpired(deadline, block.timestamp);
        address signer = ECDSA.recover(consentDigest(kind, identity, msg.sender, deadline), consent);
        if (signer != identity) revert Bonds_NotIdentitysConsent(identity, signer);
    }

    function _sameSigner(bytes32 a, bytes calldata signatureA, bytes32 b, bytes calldata signatureB)
        private
        pure
        returns (address signer)
    {
        signer = ECDSA.recover(a, signatureA);
        address other = ECDSA.recover(b, signatureB);
        if (signer != other) revert Bonds_SignersDiffer(signer, other);
    }

    /// @dev The generation outlives the bond: what was revoked stays revoked.
    function _forfeit(Kind kind, address identity, bytes32 a, bytes32 b) private returns (uint256 amount) {
        Bond storage lost = _bonds[kind][identity];
        amount = lost.amount;
        if (amount == 0) return 0;
        (lost.owner, lost.amount, lost.readyAt) = (address(0), 0, 0);
        _deactivate(kind, identity);
        emit Forfeited(kind, identity, amount, a, b);
        _hudl.safeTransfer(_reserve, amount);
    }

    function _deactivate(Kind kind, address identity) private {
        _active[kind].remove(identity);
        if (kind == Kind.Registry && _reporters.remove(identity)) emit ReporterRemoved(identity);
    }

    function _owned(Kind kind, address identity) private view returns (Bond storage b) {
        b = _bonds[kind][identity];
        if (b.amount == 0) revert Bonds_NotBonded(kind, identity);
        if (b.owner != msg.sender) revert Bonds_NotOwner(kind, identity, msg.sender, b.owner);
    }

    function _setTerms(Kind kind, uint96 minimum, uint32 unbonding) private {
        terms[kind] = Terms(minimum, unbonding);
        emit TermsSet(kind, minimum, unbonding);
    }

    function _authorizeUpgrade(address) internal override restricted {}
}
