// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IDataCredits} from "./interfaces/IDataCredits.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";
import {IProofOfResource} from "./interfaces/IProofOfResource.sol";
import {IReserve} from "./interfaces/IReserve.sol";
import {Committee} from "./libraries/Committee.sol";
import {Credits} from "./libraries/Credits.sol";
import {Domain} from "./libraries/Domain.sol";
import {RewardMath} from "./libraries/RewardMath.sol";
import {SupplyBand} from "./libraries/SupplyBand.sol";
import {Charge, Charges} from "./types/Charge.sol";
import {EpochCommit} from "./types/EpochCommit.sol";
import {NO_EPOCH} from "./types/Leaf.sol";
import {Replacement} from "./types/Replacement.sol";
import {SupplyRules} from "./types/ParameterSet.sol";

/// @notice See IProofOfResource.
contract ProofOfResource is IProofOfResource, UUPSUpgradeable, AccessManagedUpgradeable, ReentrancyGuardTransient {
    using SupplyBand for SupplyBand.Projection;

    uint40 private constant NO_LAST = type(uint40).max;
    /// @dev Wei by which payouts of a cut may exceed an M that was signed for another Q: less than one per leaf.
    uint256 private constant MOST_DUST = type(uint32).max;
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

    /// @dev Three slots. While an epoch is open, `root` is that of the epoch committed before and `committedAt` the
    /// low bits of that one's id, `rMax` is the highest that a commit may carry, and `evidence` is the lower price
    /// recorded for the epoch.
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
        uint88 evidence;
    }

    struct Cut {
        uint128 cap;
        uint128 rewardTotal;
    }

    /// @dev An epoch whose charges did not fit into one transaction. Lives in memory only if they did. Charges are
    /// taken from the last to the first: `wantHash` is the hash of those that are left, and pins the last of them.
    struct Progress {
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
        /// @dev Lower price recorded for the epoch.
        uint64 low8;
        /// @dev The first of the charges that were taken.
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
    }

    /// @dev What a replacement must keep of a void commit.
    struct Kept {
        bytes32 hash;
        bytes32 voided;
    }

    /// @custom:storage-location erc7201:drtc.storage.ProofOfResource
    struct Store {
        State state;
        address committee;
        Progress progress;
        Kept kept;
        mapping(uint64 epoch => Record) records;
        mapping(uint64 epoch => Cut) cuts;
        /// @dev Copies of what Parameters holds; a version never changes.
        mapping(uint32 version => SupplyRules) rules;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.ProofOfResource")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORE = 0xf9f3c6182418e22ec05805f85ab2d2606ddba1b4c03b0fcf9dda51a95236b600;

    IBonds private immutable _bonds;
    IParameters private immutable _parameters;
    IPriceOracle private immutable _oracle;
    IDataCredits private immutable _credits;
    IReserve private immutable _reserve;
    address private immutable _rewards;
    uint64 private immutable _genesisTime;
    uint32 private immutable _epochLength;

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
        (_genesisTime, _epochLength) = (parameters.genesisTime(), parameters.epochLength());
        _disableInitializers();
    }

    /// @param genesisSupply S_C before the first epoch: HUDL's genesis allocation in wei.
    function initialize(address authority, uint128 genesisSupply) external initializer {
        __AccessManaged_init(authority);
        State storage state = _store().state;
        (state.lastEpoch, state.supply) = (NO_LAST, genesisSupply);
    }

    /// @inheritdoc IProofOfResource
    function open(uint64 epoch) external override {
        State memory state = _store().state;
        if (!_isOpen(_store().records[epoch], state)) _open(epoch, state);
    }

    /// @inheritdoc IProofOfResource
    function refreshCommittee() external override {
        State memory state = _store().state;
        if (state.status == Status.Charging) {
            revert ProofOfResource_LastEpochOpen(state.lastEpoch, state.status);
        }
        if (state.status == Status.Committed && block.timestamp < state.windowEnds) {
            revert ProofOfResource_WindowOpen(state.lastEpoch, state.windowEnds);
        }
        _refreshCommittee();
    }

    /// @inheritdoc IProofOfResource
    function commit(EpochCommit calldata c, Charge[] calldata charges, bytes[] calldata signatures)
        external
        override
        nonReentrant
    {
        uint256 gas_ = gasleft();
        Work memory w = _begin(c);
        bytes32 digest = digestOf(c);
        address[] memory signers = Committee.check(_store().committee, digest, signatures);
        w.record.evidence = Committee.evidence(digest, signers);
        emit Committed(c.epoch, c.root, c.dataHash);
        _charge(w, charges, 0);
        if (_advance(w)) _reserve.reimburse(msg.sender, _spent(gas_));
    }

    /// @inheritdoc IProofOfResource
    function continueCharges(uint64 epoch, Charge[] calldata more, bytes32 before) external override nonReentrant {
        uint256 gas_ = gasleft();
        Store storage s = _store();
        Work memory w;
        (w.epoch, w.state, w.record, w.progress) = (epoch, s.state, s.records[epoch], s.progress);
        if (w.state.paused) revert ProofOfResource_Paused();
        if (w.state.status != Status.Charging || w.state.lastEpoch != epoch) {
            revert ProofOfResource_NotCharging(epoch);
        }
        if (more.length == 0) revert ProofOfResource_NoCharges();
        w.rules = s.rules[w.record.parametersVersion];
        _charge(w, more, before);
        if (_advance(w)) _reserve.reimburse(msg.sender, _spent(gas_));
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
            if (identity <= last) revert ProofOfResource_ProofsNotAscending(last, identity);
            last = identity;
            // Both lists ascend, so one walk finds them all.
            while (i < signers.length && signers[i] < identity) ++i;
            if (i == signers.length || signers[i] != identity) revert ProofOfResource_NotSigner(identity);
        }
        uint256 remaining = signers.length - proofs.length;
        if (remaining >= want) revert ProofOfResource_QuorumRemains(remaining, want);
        _refreshCommittee();
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
        bool isCut = _checkReplacement(c);
        address[] memory signers = Committee.check(s.committee, replacementDigestOf(c), signatures);
        Record storage record = s.records[c.epoch];
        uint256 before = record.mintTotal;
        if (isCut) s.cuts[c.epoch].rewardTotal = uint128(c.rewardTotal);
        record.root = c.root;
        record.mintTotal = uint128(c.mintTotal);
        record.isCut = isCut;
        record.status = Status.Committed;
        record.evidence = Committee.evidence(digestOf(c), signers);

        state.status = Status.Committed;
        state.windowEnds = uint40(block.timestamp + s.rules[record.parametersVersion].challengeWindow);
        state.supply = uint128(state.supply + c.mintTotal - before);
        s.state = state;
        delete s.kept;
        emit Replaced(c.epoch, c.root, c.dataHash);
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
        // The epoch stays the last one: its commit is public, and sent again would charge again.
        s.state.status = Status.Committed;
        bytes32 root = s.records[s.progress.previousEpoch].root;
        delete s.records[epoch];
        s.records[epoch].root = root;
        delete s.progress;
        emit ChargesAbandoned(epoch);
    }

    /// @inheritdoc IProofOfResource
    function takeRewards(uint64[] calldata epochs_, uint256[] calldata amounts)
        external
        override
        returns (uint256[] memory fewer)
    {
        if (msg.sender != _rewards) revert ProofOfResource_NotRewards(msg.sender);
        Store storage s = _store();
        for (uint256 i = 0; i < epochs_.length; ++i) {
            Record storage record = s.records[epochs_[i]];
            (uint256 total, uint256 paid) = (record.mintTotal, record.paid);
            uint256 amount = amounts[i];
            if (amount > total - paid) {
                uint256 left = total - paid;
                if (!record.isCut || amount - left > MOST_DUST) {
                    revert ProofOfResource_MoreThanMinted(epochs_[i], amount, left);
                }
                if (fewer.length == 0) fewer = amounts;
                fewer[i] = amount = left;
            }
            // paid + amount <= mintTotal, which is a uint128.
            record.paid = uint128(paid + amount);
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
    function claimTerms(uint64[] calldata epochs_) external view override returns (ClaimTerms[] memory list) {
        Store storage s = _store();
        (uint64 last, uint256 windowEnds) = (s.state.lastEpoch, s.state.windowEnds);
        list = new ClaimTerms[](epochs_.length);
        for (uint256 i = 0; i < epochs_.length; ++i) {
            uint64 epoch = epochs_[i];
            Record storage record = s.records[epoch];
            Status status = record.status;
            if (status != Status.Committed) revert ProofOfResource_NotClaimable(epoch, status);
            // Later epochs were committed only after this one's window.
            if (epoch == last && block.timestamp < windowEnds) revert ProofOfResource_WindowOpen(epoch, windowEnds);
            ClaimTerms memory terms = list[i];
            (terms.root, terms.rMax, terms.parametersVersion) = (record.root, record.rMax, record.parametersVersion);
            if (record.isCut) (terms.cap, terms.rewardTotal) = (s.cuts[epoch].cap, s.cuts[epoch].rewardTotal);
        }
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
    function committee() external view override returns (address[] memory) {
        return Committee.members(_store().committee);
    }

    /// @inheritdoc IProofOfResource
    function quorum() public view override returns (uint256) {
        return Committee.quorum(Committee.members(_store().committee).length);
    }

    /// @inheritdoc IProofOfResource
    function digestOf(EpochCommit calldata c) public view override returns (bytes32) {
        return Domain.digest(NAME_HASH, address(this), c.structHash());
    }

    /// @inheritdoc IProofOfResource
    function replacementDigestOf(EpochCommit calldata c) public view override returns (bytes32) {
        return Domain.digest(NAME_HASH, address(this), Replacement.structHash(_store().kept.voided, c));
    }

    /// @dev Checks all of a commit but its signatures and charges.
    function _begin(EpochCommit calldata c) private returns (Work memory w) {
        Store storage s = _store();
        w.epoch = c.epoch;
        w.state = s.state;
        if (w.state.paused) revert ProofOfResource_Paused();
        Record storage stored = s.records[c.epoch];
        if (!_isOpen(stored, w.state)) _open(c.epoch, w.state);
        Record memory record = stored;
        w.record = record;
        w.progress.low8 = uint64(record.evidence);
        if (c.previousRoot != record.root) revert ProofOfResource_PreviousRoot(c.previousRoot, record.root);
        w.rules = s.rules[record.parametersVersion];
        if (c.parametersVersion != record.parametersVersion) {
            revert ProofOfResource_ParametersVersion(c.parametersVersion, record.parametersVersion);
        }
        if (c.rMax > record.rMax) revert ProofOfResource_RMaxTooHigh(c.rMax, record.rMax);
        if (c.rewardTotal > type(uint128).max) {
            revert ProofOfResource_TotalTooHigh(c.rewardTotal, type(uint128).max);
        }
        if (c.mintTotal > c.rewardTotal) revert ProofOfResource_MintTotal(c.mintTotal, 0, c.rewardTotal);
        (record.root, record.mintTotal, record.rMax) = (c.root, uint128(c.mintTotal), uint96(c.rMax));
        record.committedAt = uint32(block.timestamp);

        Progress memory p = w.progress;
        (p.wantHash, p.wantBytes, p.wantCount) = (c.chargesHash, c.totalBytes, c.chargeCount);
        (p.leafCount, p.rewardTotal) = (c.leafCount, uint128(c.rewardTotal));
        p.previousEpoch = w.state.lastEpoch;
        w.state.lastEpoch = uint40(c.epoch);
    }

    /// @dev Whether an epoch was opened after the last one was committed.
    function _isOpen(Record storage record, State memory state) private view returns (bool) {
        return record.status == Status.Open && record.committedAt == uint32(state.lastEpoch);
    }

    /// @dev Fixes what reporters need to know of an epoch before they can sign it.
    function _open(uint64 epoch, State memory state) private {
        uint64 current = _currentEpoch();
        if (epoch >= current) revert ProofOfResource_EpochNotOver(epoch, current);
        Record storage record = _store().records[epoch];
        if (state.lastEpoch != NO_LAST) {
            if (epoch <= state.lastEpoch) revert ProofOfResource_EpochOrder(epoch, state.lastEpoch);
            if (state.status != Status.Committed) {
                revert ProofOfResource_LastEpochOpen(state.lastEpoch, state.status);
            }
            // Past its window the last root stays what it is.
            if (block.timestamp < state.windowEnds) {
                revert ProofOfResource_WindowOpen(state.lastEpoch, state.windowEnds);
            }
            record.root = _store().records[state.lastEpoch].root;
        }
        Store storage s = _store();
        (uint32 version, SupplyRules memory rules) = _parameters.supplyRules(epoch);
        (uint256 low, uint256 high) = _oracle.recordEpoch(epoch);
        uint256 most = RewardMath.scale(rules.kappaBps, rules.dcPerGB, high);
        if (most > type(uint96).max) most = type(uint96).max;
        // The oracle's prices are uint64 and versions count up from 1.
        (record.rMax, record.parametersVersion, record.evidence) = (uint96(most), uint24(version), uint88(low));
        (record.committedAt, record.status) = (uint32(state.lastEpoch), Status.Open);
        if (s.rules[version].dcPerGB == 0) s.rules[version] = rules;
        _refreshCommittee();
        emit Opened(epoch, version, most, low);
    }

    function _currentEpoch() private view returns (uint64) {
        return (uint64(block.timestamp) - _genesisTime) / _epochLength;
    }

    function _refreshCommittee() private {
        Store storage s = _store();
        address committee_ = Committee.copy(_bonds, s.committee);
        if (committee_ == s.committee) return;
        s.committee = committee_;
        emit CommitteeRefreshed(Committee.members(committee_));
    }

    /// @dev Counts and charges a batch, once it has shown to be the last of the charges that are left: a chain of
    /// hashes can be followed back from its end, so that nobody is charged what was not signed. Strict order means
    /// that no pair is charged twice.
    /// @param before Hash of the charges before the batch.
    function _charge(Work memory w, Charge[] calldata charges, bytes32 before) private {
        if (charges.length == 0) return;
        Progress memory p = w.progress;
        bytes32 hash = before;
        uint256 bytes_ = p.bytes_;
        address application;
        address orchestrator;
        for (uint256 i = 0; i < charges.length; ++i) {
            (address payer, address by, uint128 more) = Charges.read(charges, i);
            _checkAscending(application, orchestrator, payer, by);
            (application, orchestrator) = (payer, by);
            hash = Charges.chainAt(charges, i, hash);
            // Fewer than 2^32 charges of fewer than 2^128 bytes.
            unchecked {
                bytes_ += more;
            }
        }
        if (p.count != 0) _checkAscending(application, orchestrator, p.application, p.orchestrator);
        p.count += uint32(charges.length);
        if (p.count > p.wantCount) revert ProofOfResource_TooManyCharges(p.count, p.wantCount);
        if (hash != p.wantHash) revert ProofOfResource_ChargesHash(hash, p.wantHash);
        (p.wantHash, p.bytes_) = (before, bytes_);
        (p.application, p.orchestrator) = (charges[0].application, charges[0].orchestrator);
        (uint256 dc, uint256 received) = _chargeCredits(w.epoch, w.rules.dcPerGB, charges);
        p.consumedDC += dc;
        // The escrow of all accounts is HUDL that exists, far below 2^128.
        p.received += uint128(received);
    }

    function _checkAscending(address application, address orchestrator, address payer, address by) private pure {
        if (payer <= application && (payer < application || by <= orchestrator)) {
            revert ProofOfResource_ChargesNotAscending(payer, by);
        }
    }

    /// @dev IDataCredits.charge, given the charges as they came: to encode them again would cost 400 gas for each.
    function _chargeCredits(uint64 epoch, uint32 dcPerGB, Charge[] calldata charges)
        private
        returns (uint256 consumedDC, uint256 escrowWei)
    {
        // The list begins after three words: two numbers and its own place.
        bytes memory head =
            abi.encodeWithSelector(IDataCredits.charge.selector, epoch, dcPerGB, 0x60, charges.length);
        bytes memory result = Address.functionCall(address(_credits), bytes.concat(head, Charges.encoded(charges)));
        return abi.decode(result, (uint256, uint256));
    }

    /// @dev Settles the epoch when its last charge has come, keeps the progress if not.
    /// @return reimburses Whether the Reserve pays gas back.
    function _advance(Work memory w) private returns (bool reimburses) {
        Progress memory p = w.progress;
        Store storage s = _store();
        // Nothing is left to hash exactly when nothing is left to count.
        if ((p.count == p.wantCount) != (p.wantHash == 0)) revert ProofOfResource_ChargesHash(0, p.wantHash);
        if (p.count < p.wantCount) {
            (w.state.status, w.record.status) = (Status.Charging, Status.Charging);
            (s.state, s.records[w.epoch], s.progress) = (w.state, w.record, p);
            return false;
        }
        if (p.bytes_ != p.wantBytes) revert ProofOfResource_ChargedBytes(p.bytes_, p.wantBytes);
        uint256 mostDC = Credits.bought(w.state.supply, p.low8) * w.rules.creditsCapBps / 1e4;
        if (p.consumedDC > mostDC) revert ProofOfResource_CreditsCap(p.consumedDC, mostDC);
        if (w.state.status == Status.Charging) delete s.progress;
        return _settle(w);
    }

    /// @dev Mint, burn, filler and beta of an epoch all of whose charges have come.
    function _settle(Work memory w) private returns (bool reimburses) {
        (State memory state, SupplyRules memory rules, Progress memory p) = (w.state, w.rules, w.progress);
        if (rules.betaBps != state.betaFrom) (state.betaBps, state.betaFrom) = (rules.betaBps, rules.betaBps);
        SupplyBand.Projection memory b =
            SupplyBand.project(p.rewardTotal, p.received, state.supply, state.betaBps, rules.lo, rules.hi);
        _checkCut(w, b);
        uint256 mintTotal = w.record.mintTotal;
        uint256 filler = rules.filler ? b.filler(mintTotal) : 0;
        (state.status, w.record.status) = (Status.Committed, Status.Committed);
        // S_C grows by at most 5 % an epoch (Parameters bounds hi and lo), so 2^128 is out of reach.
        state.supply = uint128(state.supply + mintTotal + filler - b.burnWei);
        state.betaBps = uint16(b.nextBeta(p.received, state.betaBps, rules.betaSlewBps));
        state.windowEnds = uint40(block.timestamp + rules.challengeWindow);
        (_store().state, _store().records[w.epoch]) = (state, w.record);
        emit Settled(w.epoch, p.consumedDC, p.received, mintTotal, b.burnWei, filler, state.supply, state.betaBps);
        return _reserve.mintForEpoch(w.epoch, mintTotal, filler, b.burnWei, p.received - b.burnWei);
    }

    /// @dev Q may have moved since reporters signed M, by a purchase for a payer. A commit is then refused, unless
    /// charges were taken already: these must be settled, and M is the most.
    function _checkCut(Work memory w, SupplyBand.Projection memory b) private {
        Progress memory p = w.progress;
        (bool isCut, uint256 cap) = b.cut(p.rewardTotal);
        (uint256 least, uint256 most) = _mintRange(p.rewardTotal, p.leafCount, isCut, cap);
        uint256 mintTotal = w.record.mintTotal;
        if (mintTotal < least || mintTotal > most) {
            if (w.state.status != Status.Charging) revert ProofOfResource_MintTotal(mintTotal, least, most);
            w.record.mintTotal = uint128(most);
        }
        w.record.isCut = isCut;
        if (isCut) _store().cuts[w.epoch] = Cut(uint128(cap), p.rewardTotal);
    }

    /// @dev M is M0, or under a cut what rounding each payout down leaves of the cap: less than a wei per leaf.
    function _mintRange(uint256 rewardTotal, uint256 leafCount, bool isCut, uint256 cap)
        private
        pure
        returns (uint256 least, uint256 most)
    {
        if (!isCut) return (rewardTotal, rewardTotal);
        return (cap > leafCount ? cap - leafCount + 1 : 0, cap);
    }

    /// @dev Charges and all that came of them stay, M0 does not grow, and M is what M0 and the cut allow.
    /// @return isCut Whether the void commit's cut still cuts.
    function _checkReplacement(EpochCommit calldata c) private view returns (bool isCut) {
        Store storage s = _store();
        Record storage record = s.records[c.epoch];
        Cut storage cut = s.cuts[c.epoch];
        // As the chain settled it: of the void commit itself only a short hash is known.
        uint256 mostReward = record.isCut ? cut.rewardTotal : record.mintTotal;
        if (_keptHash(c) != s.kept.hash || c.rewardTotal > mostReward) {
            revert ProofOfResource_ReplacementDiffers(c.epoch);
        }
        isCut = record.isCut && c.rewardTotal > cut.cap;
        (uint256 least, uint256 most) = _mintRange(c.rewardTotal, c.leafCount, isCut, cut.cap);
        if (c.mintTotal < least || c.mintTotal > most) revert ProofOfResource_MintTotal(c.mintTotal, least, most);
    }

    /// @dev The last epoch is committed, its window is open, and it is this commit by these signers.
    function _checkStands(EpochCommit calldata c, address[] calldata signers) private view {
        State memory state = _store().state;
        if (state.lastEpoch != c.epoch || state.status != Status.Committed) {
            revert ProofOfResource_NotTheCommit(c.epoch);
        }
        if (block.timestamp >= state.windowEnds) revert ProofOfResource_WindowOver(c.epoch, state.windowEnds);
        if (Committee.evidence(digestOf(c), signers) != _store().records[c.epoch].evidence) {
            revert ProofOfResource_NotTheCommit(c.epoch);
        }
    }

    function _void(EpochCommit calldata c, uint256 equivocators) private {
        Store storage s = _store();
        (s.state.status, s.records[c.epoch].status) = (Status.Void, Status.Void);
        s.kept = Kept(_keptHash(c), c.structHash());
        emit Voided(c.epoch, c.root, equivocators);
    }

    function _keptHash(EpochCommit calldata c) private pure returns (bytes32) {
        return keccak256(
            abi.encode(c.totalBytes, c.chargesHash, c.chargeCount, c.previousRoot, c.parametersVersion, c.rMax)
        );
    }

    /// @dev Gas of this call so far, with what the transaction and its input cost at least: a byte of 0 costs 4.
    function _spent(uint256 start) private view returns (uint256) {
        return start - gasleft() + 21_000 + 4 * msg.data.length;
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _store() private pure returns (Store storage s) {
        bytes32 slot = STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
