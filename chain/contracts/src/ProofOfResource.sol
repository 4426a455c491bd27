// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IDataCredits} from "./interfaces/IDataCredits.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";
import {IProofOfResource} from "./interfaces/IProofOfResource.sol";
import {IReserve} from "./interfaces/IReserve.sol";
import {Credits} from "./libraries/Credits.sol";
import {Domain} from "./libraries/Domain.sol";
import {RewardMath} from "./libraries/RewardMath.sol";
import {SupplyBand} from "./libraries/SupplyBand.sol";
import {Charge} from "./types/Charge.sol";
import {EpochCommit} from "./types/EpochCommit.sol";
import {NO_EPOCH} from "./types/Leaf.sol";
import {SupplyRules} from "./types/ParameterSet.sol";

/// @notice See IProofOfResource.
contract ProofOfResource is IProofOfResource, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using SupplyBand for SupplyBand.Projection;

    uint40 private constant NO_LAST = type(uint40).max;
    bytes32 private constant NAME_HASH = keccak256("dRTC ProofOfResource");

    /// @dev One slot, read and written once by each commit.
    struct State {
        uint40 lastEpoch;
        uint40 windowEnds;
        uint16 betaBps;
        /// @dev Beta of the parameters that `betaBps` drifted from; when governance sets another, beta starts anew.
        uint16 betaFrom;
        Status status;
        bool paused;
        uint128 supply;
    }

    /// @dev Three slots.
    struct Record {
        bytes32 root;
        uint128 mintTotal;
        uint128 paid;
        uint96 rMax;
        uint24 parametersVersion;
        uint32 committedAt;
        Status status;
        bool isCut;
        /// @dev Head of keccak256(digest, signers): whoever voids shows both again.
        bytes11 evidence;
    }

    struct Cut {
        uint128 cap;
        uint128 rewardTotal;
    }

    /// @dev An epoch whose charges did not fit into one transaction. Lives in memory only if they did.
    struct Progress {
        bytes32 chargesHash;
        bytes32 wantHash;
        uint256 bytes_;
        uint256 wantBytes;
        uint256 consumedDC;
        uint128 received;
        uint128 rewardTotal;
        uint32 count;
        uint32 wantCount;
        uint32 leafCount;
        uint40 previousEpoch;
        address application;
        address orchestrator;
    }

    /// @dev An epoch in hand, in memory only.
    struct Work {
        uint64 epoch;
        State state;
        Record record;
        Progress progress;
        SupplyRules rules;
        uint256 low;
    }

    /// @dev What a replacement must keep of a void commit.
    struct Kept {
        bytes32 hash;
        uint256 rewardTotal;
    }

    /// @custom:storage-location erc7201:drtc.storage.ProofOfResource
    struct Store {
        State state;
        Progress progress;
        Kept kept;
        mapping(uint64 epoch => Record) records;
        mapping(uint64 epoch => Cut) cuts;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.ProofOfResource")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORE = 0xf9f3c6182418e22ec05805f85ab2d2606ddba1b4c03b0fcf9dda51a95236b600;

    IBonds private immutable _bonds;
    IParameters private immutable _parameters;
    IPriceOracle private immutable _oracle;
    IDataCredits private immutable _credits;
    IReserve private immutable _reserve;
    address private immutable _rewards;

    constructor(
        IBonds bonds,
        IParameters parameters,
        IPriceOracle oracle,
        IDataCredits credits,
        IReserve reserve,
        address rewards
    ) {
        _bonds = bonds;
        _parameters = parameters;
        _oracle = oracle;
        _credits = credits;
        _reserve = reserve;
        _rewards = rewards;
        _disableInitializers();
    }

    /// @param genesisSupply S_C before the first epoch: HUDL's genesis allocation in wei.
    function initialize(address authority, uint128 genesisSupply) external initializer {
        __AccessManaged_init(authority);
        State storage state = _store().state;
        (state.lastEpoch, state.supply) = (NO_LAST, genesisSupply);
    }

    /// @inheritdoc IProofOfResource
    function commit(EpochCommit calldata c, Charge[] calldata first, bytes[] calldata signatures)
        external
        override
        nonReentrant
    {
        uint256 gas_ = gasleft();
        Work memory w = _begin(c);
        bytes32 digest = digestOf(c);
        address[] memory signers = _checkQuorum(digest, signatures);
        w.record.evidence = _evidence(digest, signers);
        emit Committed(c.epoch, c.root, c, signers);
        _charge(w, first);
        _advance(w);
        _reserve.reimburse(msg.sender, _spent(gas_));
    }

    /// @inheritdoc IProofOfResource
    function continueCharges(uint64 epoch, Charge[] calldata more) external override nonReentrant {
        uint256 gas_ = gasleft();
        Store storage s = _store();
        Work memory w;
        (w.epoch, w.state, w.record, w.progress) = (epoch, s.state, s.records[epoch], s.progress);
        if (w.state.paused) revert ProofOfResource_Paused();
        if (w.state.status != Status.Charging || w.state.lastEpoch != epoch) {
            revert ProofOfResource_NotCharging(epoch);
        }
        if (more.length == 0) revert ProofOfResource_NoCharges();
        (, w.rules) = _parameters.supplyRules(epoch);
        (w.low,) = _oracle.epochPrices(epoch);
        _charge(w, more);
        _advance(w);
        _reserve.reimburse(msg.sender, _spent(gas_));
    }

    /// @inheritdoc IProofOfResource
    function voidEpoch(EpochCommit calldata c, address[] calldata signers, Equivocation[] calldata proofs)
        external
        override
        nonReentrant
    {
        _checkStands(c, signers);
        // Of the reporters before these are forfeited.
        uint256 want = quorum();
        address last;
        uint256 i;
        for (uint256 j = 0; j < proofs.length; ++j) {
            Equivocation calldata e = proofs[j];
            (address identity,) =
                _bonds.forfeitForCommits(c, e.firstSignature, e.second, e.secondSignature);
            if (identity <= last) revert ProofOfResource_SignersNotAscending(last, identity);
            last = identity;
            // Both lists ascend, so one walk finds them all.
            while (i < signers.length && signers[i] < identity) ++i;
            if (i == signers.length || signers[i] != identity) revert ProofOfResource_NotSigner(identity);
        }
        uint256 remaining = signers.length - proofs.length;
        if (remaining >= want) revert ProofOfResource_QuorumRemains(remaining, want);
        _void(c, proofs.length);
    }

    /// @inheritdoc IProofOfResource
    function voidByGuardian(EpochCommit calldata c, address[] calldata signers) external override restricted {
        _checkStands(c, signers);
        _void(c, 0);
    }

    /// @inheritdoc IProofOfResource
    function replace(EpochCommit calldata c, bytes[] calldata signatures) external override nonReentrant {
        Store storage s = _store();
        State memory state = s.state;
        if (state.paused) revert ProofOfResource_Paused();
        if (state.status != Status.Void || state.lastEpoch != c.epoch) revert ProofOfResource_NotVoid(c.epoch);
        if (_keptHash(c) != s.kept.hash || c.rewardTotal > s.kept.rewardTotal) {
            revert ProofOfResource_ReplacementDiffers(c.epoch);
        }
        bytes32 digest = digestOf(c);
        address[] memory signers = _checkQuorum(digest, signatures);
        Record storage record = s.records[c.epoch];
        Cut storage cut = s.cuts[c.epoch];
        bool isCut = record.isCut && c.rewardTotal > cut.cap;
        _checkMint(c.mintTotal, c.rewardTotal, c.leafCount, isCut, cut.cap);
        uint256 before = record.mintTotal;
        if (isCut) cut.rewardTotal = uint128(c.rewardTotal);
        record.root = c.root;
        record.mintTotal = uint128(c.mintTotal);
        record.isCut = isCut;
        record.status = Status.Committed;
        record.evidence = _evidence(digest, signers);

        (, SupplyRules memory rules) = _parameters.supplyRules(c.epoch);
        state.status = Status.Committed;
        state.windowEnds = uint40(block.timestamp + rules.challengeWindow);
        state.supply = uint128(state.supply + c.mintTotal - before);
        s.state = state;
        delete s.kept;
        emit Replaced(c.epoch, c.root, c, signers);
        if (c.mintTotal < before) _reserve.burnForReplacement(c.epoch, before - c.mintTotal);
        // Under a cut, payouts of other leaves may sum to a few wei more; the cap bounds both.
        if (c.mintTotal > before) _reserve.mintForEpoch(c.epoch, c.mintTotal - before, 0, 0, 0);
    }

    /// @inheritdoc IProofOfResource
    function abandonCharges(uint64 epoch) external override restricted {
        Store storage s = _store();
        if (s.state.status != Status.Charging || s.state.lastEpoch != epoch) {
            revert ProofOfResource_NotCharging(epoch);
        }
        (s.state.lastEpoch, s.state.status) = (s.progress.previousEpoch, Status.Committed);
        delete s.records[epoch];
        delete s.progress;
        emit ChargesAbandoned(epoch);
    }

    /// @inheritdoc IProofOfResource
    function takeRewards(uint64[] calldata epochs_, uint256[] calldata amounts) external override {
        if (msg.sender != _rewards) revert ProofOfResource_NotRewards(msg.sender);
        Store storage s = _store();
        for (uint256 i = 0; i < epochs_.length; ++i) {
            Record storage record = s.records[epochs_[i]];
            (uint256 total, uint256 paid) = (record.mintTotal, record.paid);
            if (amounts[i] > total - paid) revert ProofOfResource_MoreThanMinted(epochs_[i], amounts[i], total - paid);
            // paid + amount <= mintTotal, which is a uint128.
            (record.mintTotal, record.paid) = (uint128(total), uint128(paid + amounts[i]));
        }
    }

    /// @inheritdoc IProofOfResource
    function pause() external override restricted {
        _store().state.paused = true;
        emit Paused();
    }

    /// @inheritdoc IProofOfResource
    function unpause() external override restricted {
        _store().state.paused = false;
        emit Unpaused();
    }

    /// @inheritdoc IProofOfResource
    function claimTerms(uint64 epoch) external view override returns (ClaimTerms memory terms) {
        Store storage s = _store();
        Record storage record = s.records[epoch];
        Status status = record.status;
        if (status != Status.Committed) revert ProofOfResource_NotClaimable(epoch, status);
        // Later epochs were committed only after this one's window.
        State memory state = s.state;
        if (epoch == state.lastEpoch && block.timestamp < state.windowEnds) {
            revert ProofOfResource_WindowOpen(epoch, state.windowEnds);
        }
        (terms.root, terms.rMax, terms.parametersVersion) = (record.root, record.rMax, record.parametersVersion);
        if (record.isCut) (terms.cap, terms.rewardTotal) = (s.cuts[epoch].cap, s.cuts[epoch].rewardTotal);
    }

    /// @inheritdoc IProofOfResource
    function epochs(uint64 epoch) external view override returns (EpochRecord memory) {
        Record memory r = _store().records[epoch];
        Cut memory cut;
        if (r.isCut) cut = _store().cuts[epoch];
        return EpochRecord({
            root: r.root,
            mintTotal: r.mintTotal,
            paid: r.paid,
            rMax: r.rMax,
            parametersVersion: r.parametersVersion,
            committedAt: r.committedAt,
            status: r.status,
            isCut: r.isCut,
            cap: cut.cap,
            rewardTotal: cut.rewardTotal
        });
    }

    /// @inheritdoc IProofOfResource
    function standing() external view override returns (Standing memory) {
        State memory s = _store().state;
        return Standing(lastEpoch(), s.windowEnds, s.betaBps, s.supply, s.status, s.paused);
    }

    /// @inheritdoc IProofOfResource
    function lastEpoch() public view override returns (uint64) {
        uint40 last = _store().state.lastEpoch;
        return last == NO_LAST ? NO_EPOCH : last;
    }

    /// @inheritdoc IProofOfResource
    function quorum() public view override returns (uint256) {
        return _bonds.reporterCount() * 2 / 3 + 1;
    }

    /// @inheritdoc IProofOfResource
    function rMaxOf(uint64 epoch) external view override returns (uint256) {
        (, SupplyRules memory rules) = _parameters.supplyRules(epoch);
        (, uint256 high) = _oracle.epochPrices(epoch);
        return RewardMath.scale(rules.kappaBps, rules.dcPerGB, high);
    }

    /// @inheritdoc IProofOfResource
    function digestOf(EpochCommit calldata c) public view override returns (bytes32) {
        return Domain.digest(NAME_HASH, address(this), c.structHash());
    }

    function _checkOrder(EpochCommit calldata c, State memory state) private view {
        if (state.paused) revert ProofOfResource_Paused();
        bytes32 previous;
        if (state.lastEpoch != NO_LAST) {
            if (c.epoch <= state.lastEpoch) revert ProofOfResource_EpochOrder(c.epoch, state.lastEpoch);
            if (state.status != Status.Committed) {
                revert ProofOfResource_LastEpochOpen(state.lastEpoch, state.status);
            }
            if (block.timestamp < state.windowEnds) {
                revert ProofOfResource_WindowOpen(state.lastEpoch, state.windowEnds);
            }
            previous = _store().records[state.lastEpoch].root;
        }
        if (c.previousRoot != previous) revert ProofOfResource_PreviousRoot(c.previousRoot, previous);
        uint64 current = _parameters.currentEpoch();
        if (c.epoch >= current) revert ProofOfResource_EpochNotOver(c.epoch, current);
    }

    /// @dev Checks all of a commit but its signatures and charges.
    function _begin(EpochCommit calldata c) private returns (Work memory w) {
        w.epoch = c.epoch;
        w.state = _store().state;
        _checkOrder(c, w.state);
        uint256 version;
        (version, w.rules) = _parameters.supplyRules(c.epoch);
        if (c.parametersVersion != version) {
            revert ProofOfResource_ParametersVersion(c.parametersVersion, uint32(version));
        }
        uint256 high;
        (w.low, high) = _oracle.recordEpoch(c.epoch);
        uint256 most = RewardMath.scale(w.rules.kappaBps, w.rules.dcPerGB, high);
        if (most > type(uint96).max) most = type(uint96).max;
        if (c.rMax > most) revert ProofOfResource_RMaxTooHigh(c.rMax, most);
        if (c.rewardTotal > type(uint128).max) {
            revert ProofOfResource_TotalTooHigh(c.rewardTotal, type(uint128).max);
        }
        if (c.mintTotal > c.rewardTotal) revert ProofOfResource_MintTotal(c.mintTotal, 0, c.rewardTotal);

        Record memory record = w.record;
        (record.root, record.mintTotal, record.rMax) = (c.root, uint128(c.mintTotal), uint96(c.rMax));
        (record.parametersVersion, record.committedAt) = (uint24(version), uint32(block.timestamp));
        Progress memory p = w.progress;
        (p.wantHash, p.wantBytes, p.wantCount) = (c.chargesHash, c.totalBytes, c.chargeCount);
        (p.leafCount, p.rewardTotal) = (c.leafCount, uint128(c.rewardTotal));
        p.previousEpoch = w.state.lastEpoch;
        w.state.lastEpoch = uint40(c.epoch);
    }

    function _checkQuorum(bytes32 digest, bytes[] calldata signatures)
        private
        view
        returns (address[] memory signers)
    {
        uint256 want = quorum();
        if (signatures.length < want) revert ProofOfResource_TooFewSignatures(signatures.length, want);
        signers = new address[](signatures.length);
        address last;
        for (uint256 i = 0; i < signatures.length; ++i) {
            address signer = ECDSA.recoverCalldata(digest, signatures[i]);
            if (signer <= last) revert ProofOfResource_SignersNotAscending(last, signer);
            if (!_bonds.isReporter(signer)) revert ProofOfResource_NotReporter(signer);
            signers[i] = last = signer;
        }
    }

    /// @dev Chains, counts and charges a batch. Strict order means that no pair is charged twice.
    function _charge(Work memory w, Charge[] calldata charges) private {
        if (charges.length == 0) return;
        Progress memory p = w.progress;
        for (uint256 i = 0; i < charges.length; ++i) {
            Charge memory c = charges[i];
            if (p.count != 0 && !_ascends(p, c)) {
                revert ProofOfResource_ChargesNotAscending(c.application, c.orchestrator);
            }
            (p.application, p.orchestrator) = (c.application, c.orchestrator);
            p.chargesHash = c.chain(p.chargesHash);
            p.bytes_ += c.bytes_;
            ++p.count;
        }
        if (p.count > p.wantCount) revert ProofOfResource_TooManyCharges(p.count, p.wantCount);
        (uint256 dc, uint256 received) = _credits.charge(w.epoch, w.rules.dcPerGB, charges);
        p.consumedDC += dc;
        // The escrow of all accounts is HUDL that exists, far below 2^128.
        p.received += uint128(received);
    }

    function _ascends(Progress memory p, Charge memory c) private pure returns (bool) {
        return c.application > p.application || (c.application == p.application && c.orchestrator > p.orchestrator);
    }

    /// @dev Settles the epoch when its last charge has come, keeps the progress if not.
    function _advance(Work memory w) private {
        Progress memory p = w.progress;
        Store storage s = _store();
        if (p.count < p.wantCount) {
            (w.state.status, w.record.status) = (Status.Charging, Status.Charging);
            (s.state, s.records[w.epoch], s.progress) = (w.state, w.record, p);
            return;
        }
        if (p.chargesHash != p.wantHash) revert ProofOfResource_ChargesHash(p.chargesHash, p.wantHash);
        if (p.bytes_ != p.wantBytes) revert ProofOfResource_ChargedBytes(p.bytes_, p.wantBytes);
        uint256 mostDC = Credits.bought(w.state.supply, w.low) * w.rules.creditsCapBps / 1e4;
        if (p.consumedDC > mostDC) revert ProofOfResource_CreditsCap(p.consumedDC, mostDC);
        if (w.state.status == Status.Charging) delete s.progress;
        _settle(w);
    }

    /// @dev Mint, burn, filler and beta of an epoch all of whose charges have come.
    function _settle(Work memory w) private {
        (State memory state, SupplyRules memory rules, Progress memory p) = (w.state, w.rules, w.progress);
        if (rules.betaBps != state.betaFrom) (state.betaBps, state.betaFrom) = (rules.betaBps, rules.betaBps);
        SupplyBand.Projection memory b =
            SupplyBand.project(p.rewardTotal, p.received, state.supply, state.betaBps, rules.lo, rules.hi);
        uint256 mintTotal = w.record.mintTotal;
        (bool isCut, uint256 cap) = b.cut(p.rewardTotal);
        _checkMint(mintTotal, p.rewardTotal, p.leafCount, isCut, cap);
        uint256 filler = rules.filler ? b.filler(mintTotal) : 0;
        w.record.isCut = isCut;
        (state.status, w.record.status) = (Status.Committed, Status.Committed);
        // S_C grows by at most 5 % an epoch (Parameters bounds hi and lo), so 2^128 is out of reach.
        state.supply = uint128(state.supply + mintTotal + filler - b.burnWei);
        state.betaBps = uint16(b.nextBeta(p.received, state.betaBps, rules.betaSlewBps));
        state.windowEnds = uint40(block.timestamp + rules.challengeWindow);
        Store storage s = _store();
        if (isCut) s.cuts[w.epoch] = Cut(uint128(cap), p.rewardTotal);
        (s.state, s.records[w.epoch]) = (state, w.record);
        emit Settled(w.epoch, p.received, mintTotal, b.burnWei, filler, state.supply, state.betaBps);
        _reserve.mintForEpoch(w.epoch, mintTotal, filler, b.burnWei, p.received - b.burnWei);
    }

    /// @dev M is M0, or under a cut what rounding each payout down leaves of the cap: less than a wei per leaf.
    function _checkMint(uint256 mintTotal, uint256 rewardTotal, uint256 leafCount, bool isCut, uint256 cap)
        private
        pure
    {
        uint256 most = isCut ? cap : rewardTotal;
        uint256 least = !isCut ? rewardTotal : cap > leafCount ? cap - leafCount : 0;
        if (mintTotal < least || mintTotal > most) revert ProofOfResource_MintTotal(mintTotal, least, most);
    }

    /// @dev The last epoch is committed, its window is open, and it is this commit by these signers.
    function _checkStands(EpochCommit calldata c, address[] calldata signers) private view {
        State memory state = _store().state;
        if (state.lastEpoch != c.epoch || state.status != Status.Committed) {
            revert ProofOfResource_NotTheCommit(c.epoch);
        }
        if (block.timestamp >= state.windowEnds) revert ProofOfResource_WindowOver(c.epoch, state.windowEnds);
        if (_evidence(digestOf(c), signers) != _store().records[c.epoch].evidence) {
            revert ProofOfResource_NotTheCommit(c.epoch);
        }
    }

    function _void(EpochCommit calldata c, uint256 equivocators) private {
        Store storage s = _store();
        (s.state.status, s.records[c.epoch].status) = (Status.Void, Status.Void);
        s.kept = Kept(_keptHash(c), c.rewardTotal);
        emit Voided(c.epoch, c.root, equivocators);
    }

    function _keptHash(EpochCommit calldata c) private pure returns (bytes32) {
        return keccak256(
            abi.encode(c.totalBytes, c.chargesHash, c.chargeCount, c.previousRoot, c.parametersVersion, c.rMax)
        );
    }

    function _evidence(bytes32 digest, address[] memory signers) private pure returns (bytes11) {
        return bytes11(keccak256(abi.encode(digest, signers)));
    }

    /// @dev Gas of this call so far, with what the transaction and its input cost at least.
    function _spent(uint256 start) private view returns (uint256) {
        return start - gasleft() + 21_000 + 8 * msg.data.length;
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _store() private pure returns (Store storage s) {
        bytes32 slot = STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
