// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from
    "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {ParameterSet, RewardRules, SupplyRules} from "./types/ParameterSet.sol";

/// @notice The epoch clock and the parameters of the economy, by version: see IParameters.
contract Parameters is IParameters, AccessManagedUpgradeable, UUPSUpgradeable {
    int256 private constant _WAD = 1e18;
    int256 private constant _BPS = 1e4;

    /// @dev First epoch and rules of one version.
    struct Version {
        RewardRules reward;
        SupplyRules supply;
    }

    /// @custom:storage-location erc7201:drtc.storage.Parameters
    struct Store {
        /// @dev Newest version and the epoch from which it holds, together in the slot that a commit reads.
        uint32 newest;
        uint64 newestFrom;
        mapping(uint32 version => Version) versions;
        mapping(uint32 version => uint64) fromEpoch;
    }

    // keccak256(abi.encode(uint256(keccak256("drtc.storage.Parameters")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant _STORE = 0x528e47bb7e90cfba9f5eb3ddad5fadbd9d42e925c525286e0d6c846934a3ad00;

    uint64 private immutable _genesisTime;
    uint32 private immutable _epochLength;

    constructor(uint64 genesisTime_, uint32 epochLength_) {
        if (epochLength_ == 0) revert Parameters_EpochLengthIsZero();
        _genesisTime = genesisTime_;
        _epochLength = epochLength_;
        _disableInitializers();
    }

    /// @notice Sets the authority and version 1, which holds from epoch 0.
    function initialize(address authority, ParameterSet calldata genesis) external initializer {
        __AccessManaged_init(authority);
        _check(genesis);
        _add(genesis, 0);
    }

    /// @inheritdoc IParameters
    function set(ParameterSet calldata next) external restricted returns (uint32) {
        _check(next);
        return _add(next, currentEpoch() + 1);
    }

    /// @inheritdoc IEpochClock
    function epochOf(uint64 timestamp) public view returns (uint64) {
        if (timestamp < _genesisTime) revert Parameters_BeforeGenesis(timestamp, _genesisTime);
        return (timestamp - _genesisTime) / _epochLength;
    }

    /// @inheritdoc IEpochClock
    function currentEpoch() public view returns (uint64) {
        return epochOf(uint64(block.timestamp));
    }

    /// @inheritdoc IEpochClock
    function epochLength() external view returns (uint32) {
        return _epochLength;
    }

    /// @inheritdoc IEpochClock
    function genesisTime() external view returns (uint64) {
        return _genesisTime;
    }

    /// @inheritdoc IParameters
    function newestVersion() external view returns (uint32) {
        return _store().newest;
    }

    /// @inheritdoc IParameters
    function versionOf(uint64 epoch) public view returns (uint32) {
        Store storage s = _store();
        uint32 version = s.newest;
        uint64 from = s.newestFrom;
        // Sets are rare and hold from the next epoch, so that the one asked for is the newest or just before it.
        while (from > epoch) from = s.fromEpoch[--version];
        return version;
    }

    /// @inheritdoc IParameters
    function fromEpoch(uint32 version) external view returns (uint64) {
        _exists(version);
        return _store().fromEpoch[version];
    }

    /// @inheritdoc IParameters
    function parametersOf(uint32 version) external view returns (ParameterSet memory) {
        _exists(version);
        Version storage v = _store().versions[version];
        return ParameterSet(v.reward, v.supply);
    }

    /// @inheritdoc IParameters
    function rewardRules(uint32 version) external view returns (RewardRules memory) {
        RewardRules memory rules = _store().versions[version].reward;
        // Every version has a k; looking at it saves a read of the newest version in each claim.
        if (rules.k == 0) _exists(version);
        return rules;
    }

    /// @inheritdoc IParameters
    function supplyRules(uint64 epoch) external view returns (uint32 version, SupplyRules memory) {
        version = versionOf(epoch);
        return (version, _store().versions[version].supply);
    }

    function _add(ParameterSet calldata parameters, uint64 from) private returns (uint32 version) {
        Store storage s = _store();
        version = s.newest + 1;
        s.newest = version;
        s.newestFrom = from;
        s.fromEpoch[version] = from;
        s.versions[version] = Version(parameters.reward, parameters.supply);
        emit ParametersSet(version, from, parameters);
    }

    function _exists(uint32 version) private view {
        uint32 newest = _store().newest;
        if (version == 0 || version > newest) revert Parameters_NoSuchVersion(version, newest);
    }

    function _check(ParameterSet calldata parameters) private view {
        RewardRules calldata r = parameters.reward;
        SupplyRules calldata s = parameters.supply;
        _within("weightAvailability", int256(uint256(r.weightAvailability)), 500, _BPS);
        _within("weightHistory", int256(uint256(r.weightHistory)), 500, _BPS);
        _within("weightLocation", int256(uint256(r.weightLocation)), 500, _BPS);
        _within("weightCoverage", int256(uint256(r.weightCoverage)), 500, _BPS);
        uint256 sum =
            uint256(r.weightAvailability) + r.weightHistory + r.weightLocation + r.weightCoverage;
        if (sum != uint256(_BPS)) revert Parameters_WeightsSum(sum, uint256(_BPS));
        _within("k", int256(uint256(r.k)), 5 * _WAD, 20 * _WAD);
        _within("vMin", int256(uint256(r.vMin)), 0, _WAD);
        _within("alphaBps", int256(uint256(r.alphaBps)), 0, _BPS);
        _within("wRelayBps", int256(uint256(r.wRelayBps)), 0, 10 * _BPS);
        _within("vMid", r.vMid, 0, _WAD);
        _within("vTau", r.vTau, -_WAD / 10, _WAD / 10);
        _within("vMid+vTau", int256(r.vMid) + r.vTau, 0, _WAD);
        _within("hMin", int256(uint256(r.hMin)), 0, _WAD);
        _within("marginBps", int256(uint256(r.marginBps)), 1, _BPS - 1);
        _within("kappaBps", int256(uint256(s.kappaBps)), 1, _BPS - int256(uint256(r.marginBps)));
        _within("betaBps", int256(uint256(s.betaBps)), 0, _BPS);
        _within("betaSlewBps", int256(uint256(s.betaSlewBps)), 0, _BPS);
        // 5 % in an epoch is far above 15 % a year in epochs of a day and leaves room for long epochs.
        _within("hi", int256(uint256(s.hi)), 1, _WAD / 20);
        _within("lo", int256(uint256(s.lo)), 0, int256(uint256(s.hi)));
        _within("dcPerGB", int256(uint256(s.dcPerGB)), 1, 1e6);
        _within(
            "challengeWindow", int256(uint256(s.challengeWindow)), 1, int256(uint256(_epochLength))
        );
        _within("creditsCapBps", int256(uint256(s.creditsCapBps)), 1, _BPS);
    }

    function _within(bytes32 parameter, int256 got, int256 least, int256 most) private pure {
        if (got < least || got > most) revert Parameters_OutOfBounds(parameter, got, least, most);
    }

    function _authorizeUpgrade(address implementation) internal override restricted {
        IEpochClock next = IEpochClock(implementation);
        (uint64 genesisTime_, uint32 epochLength_) = (next.genesisTime(), next.epochLength());
        if (genesisTime_ != _genesisTime || epochLength_ != _epochLength) {
            revert Parameters_ClockDiffers(genesisTime_, epochLength_);
        }
    }

    function _store() private pure returns (Store storage s) {
        bytes32 slot = _STORE;
        assembly ("memory-safe") {
            s.slot := slot
        }
    }
}
