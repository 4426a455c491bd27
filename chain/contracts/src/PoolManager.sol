// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {PausableUpgradeable} from "@openzeppelin/contracts-upgradeable/utils/PausableUpgradeable.sol";
import {BeaconProxy} from "@openzeppelin/contracts/proxy/beacon/BeaconProxy.sol";
import {IBeacon} from "@openzeppelin/contracts/proxy/beacon/IBeacon.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IEpochClock} from "./interfaces/IEpochClock.sol";
import {IMediaNodeKey} from "./interfaces/IMediaNodeKey.sol";
import {IPool} from "./interfaces/IPool.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";
import {Domain} from "./libraries/Domain.sol";
import {Pool} from "./Pool.sol";

/// @notice See IPoolManager. It is also the beacon of its pools, which it calls: their implementation is then known
/// without another contract.
contract PoolManager is
    IPoolManager,
    IBeacon,
    UUPSUpgradeable,
    AccessManagedUpgradeable,
    PausableUpgradeable,
    ReentrancyGuardTransient
{

    struct Node {
        address pool;
        uint32 number;
        uint32 keys;
        uint32 provenMbps;
    }

    /// @dev In one slot, because a delegation needs nearly all of it.
    struct State {
        uint32 maxKeys;
        uint32 mbpsPerKey;
        uint32 maxActiveNodes;
        uint16 maxCommissionBps;
        uint16 commissionNotice;
        uint16 unbonding;
        uint32 pools;
        uint32 activeNodes;
    }

    bytes32 private constant NAME_HASH = keccak256("dRTC PoolManager");
    bytes32 private constant CONSENT_TYPEHASH =
        keccak256("CreatePool(address node,address operator,uint16 commissionBps,uint256 deadline)");

    IMediaNodeKey private immutable _keys;
    address public immutable override implementation;
    uint64 private immutable _genesisTime;
    uint32 private immutable _epochLength;

    State private _state;
    mapping(address node => Node) private _nodes;
    mapping(uint32 number => address node) private _numbers;
    mapping(address pool => bool) public override isPool;
    mapping(address node => address operator) private _proposed;

    /// @param keys The key contract.
    /// @param pool Implementation of all pools; another comes with another implementation of this contract.
    /// @param clock Asked once: genesis time and length of an epoch never change.
    constructor(IMediaNodeKey keys, address pool, IEpochClock clock) {
        _keys = keys;
        implementation = pool;
        _genesisTime = clock.genesisTime();
        _epochLength = clock.epochLength();
        _disableInitializers();
    }

    function initialize(address authority, Bounds calldata bounds_) external initializer {
        __AccessManaged_init(authority);
        __Pausable_init();
        _setBounds(bounds_);
    }

    /// @inheritdoc IPoolManager
    function createPool(address node, uint16 commissionBps, uint256 deadline, bytes calldata consent)
        external
        override
        whenNotPaused
        returns (address pool)
    {
        if (_nodes[node].pool != address(0)) revert PoolManager_PoolExists(node, _nodes[node].pool);
        if (commissionBps > _state.maxCommissionBps) {
            revert PoolManager_CommissionTooHigh(commissionBps, _state.maxCommissionBps);
        }
        if (block.timestamp > deadline) revert PoolManager_ConsentExpired(deadline, block.timestamp);
        address signer = ECDSA.recover(consentDigest(node, msg.sender, commissionBps, deadline), consent);
        if (signer != node) revert PoolManager_NotNodesConsent(node, signer);

        uint32 number = ++_state.pools;
        pool = address(new BeaconProxy(address(this), abi.encodeCall(Pool.initialize, (node, msg.sender, commissionBps))));
        _nodes[node].pool = pool;
        _nodes[node].number = number;
        _numbers[number] = node;
        isPool[pool] = true;
        emit PoolCreated(node, pool, msg.sender, number, commissionBps);
    }

    /// @inheritdoc IPoolManager
    function delegate(address node, uint256[] calldata ids) external override {
        if (ids.length == 0) revert PoolManager_NoKeys();
        Node memory n = _node(node);
        State memory s = _state;
        uint256 keys = n.keys + ids.length;
        uint256 most = _mostKeys(s, n.provenMbps);
        if (keys > most) revert PoolManager_TooManyKeys(node, keys, most);
        if (n.keys == 0) {
            if (s.activeNodes >= s.maxActiveNodes) {
                revert PoolManager_TooManyNodes(uint256(s.activeNodes) + 1, s.maxActiveNodes);
            }
            _state.activeNodes = s.activeNodes + 1;
        }
        _nodes[node].keys = uint32(keys);
        uint64 epoch = _currentEpoch();
        emit Delegated(msg.sender, node, ids, epoch + 1);
        _keys.markDelegated(ids, msg.sender, n.number, epoch);
        IPool(n.pool).addKeys(msg.sender, uint32(ids.length), epoch);
    }

    /// @inheritdoc IPoolManager
    function undelegate(address node, uint256[] calldata ids) external override {
        if (ids.length == 0) revert PoolManager_NoKeys();
        uint32 number = _node(node).number;
        uint64 epoch = _currentEpoch();
        (uint32[] memory pools, uint64[] memory since) =
            _keys.markUndelegated(ids, msg.sender, epoch + _state.unbonding);
        for (uint256 i = 0; i < ids.length; ++i) {
            if (pools[i] != number) revert PoolManager_NotDelegatedHere(ids[i], pools[i], number);
        }
        emit Undelegated(msg.sender, node, ids, epoch);
        _release(msg.sender, pools, since, epoch);
    }

    /// @inheritdoc IPoolManager
    function onKeyTransfer(address from, address, uint256[] calldata ids) external override {
        if (msg.sender != address(_keys)) revert PoolManager_NotKeyContract(msg.sender);
        uint64 epoch = _currentEpoch();
        (uint32[] memory pools, uint64[] memory since) = _keys.markUndelegated(ids, from, epoch + _state.unbonding);
        for (uint256 i = 0; i < ids.length; ++i) {
            if (pools[i] == 0) continue;
            uint256[] memory one = new uint256[](1);
            one[0] = ids[i];
            emit Undelegated(from, _numbers[pools[i]], one, epoch);
        }
        _release(from, pools, since, epoch);
    }

    /// @inheritdoc IPoolManager
    function claim(address account, address[] calldata nodes)
        external
        override
        whenNotPaused
        nonReentrant
        returns (uint256 amount)
    {
        for (uint256 i = 0; i < nodes.length; ++i) {
            amount += IPool(_node(nodes[i]).pool).claim(account);
        }
    }

    /// @inheritdoc IPoolManager
    function distribute(address node, uint64[] calldata epochs, uint256[] calldata amounts, uint32 provenMbps_)
        external
        override
        restricted
        whenNotPaused
        nonReentrant
    {
        if (epochs.length != amounts.length) revert PoolManager_LengthsDiffer(epochs.length, amounts.length);
        Node memory n = _node(node);
        uint64 current = _currentEpoch();
        // The pool holds the order, so that the last one is the highest.
        if (epochs.length != 0 && epochs[epochs.length - 1] >= current) {
            revert PoolManager_EpochNotOver(epochs[epochs.length - 1], current);
        }
        if (n.provenMbps != provenMbps_) {
            _nodes[node].provenMbps = provenMbps_;
            emit ProvenMbpsSet(node, provenMbps_);
        }
        IPool(n.pool).distribute(epochs, amounts);
    }

    /// @inheritdoc IPoolManager
    function setCommission(address node, uint16 bps) external override {
        IPool pool = _operated(node);
        State memory b = _state;
        if (bps > b.maxCommissionBps) revert PoolManager_CommissionTooHigh(bps, b.maxCommissionBps);
        uint64 epoch = _currentEpoch();
        uint64 from = bps > pool.commissionAt(epoch) ? epoch + b.commissionNotice : epoch;
        pool.setCommission(bps, epoch, from);
    }

    /// @inheritdoc IPoolManager
    function proposeOperator(address node, address operator) external override {
        _operated(node);
        _proposed[node] = operator;
        emit OperatorProposed(node, operator);
    }

    /// @inheritdoc IPoolManager
    function acceptOperator(address node) external override {
        address proposed = _proposed[node];
        if (msg.sender != proposed) revert PoolManager_NotProposed(node, msg.sender, proposed);
        delete _proposed[node];
        IPool(_node(node).pool).setOperator(msg.sender);
    }

    /// @inheritdoc IPoolManager
    function setBounds(Bounds calldata bounds_) external override restricted {
        _setBounds(bounds_);
    }

    /// @inheritdoc IPoolManager
    function pause() external override restricted {
        _pause();
    }

    /// @inheritdoc IPoolManager
    function unpause() external override restricted {
        _unpause();
    }

    /// @inheritdoc IPoolManager
    function poolOf(address node) external view override returns (address) {
        return _nodes[node].pool;
    }

    /// @inheritdoc IPoolManager
    function nodeOf(uint32 number) external view override returns (address) {
        return _numbers[number];
    }

    /// @inheritdoc IPoolManager
    function poolCount() external view override returns (uint256) {
        return _state.pools;
    }

    /// @inheritdoc IPoolManager
    function activeNodes() external view override returns (uint256) {
        return _state.activeNodes;
    }

    /// @inheritdoc IPoolManager
    function keysOf(address node) external view override returns (uint256 keys, uint256 most) {
        Node memory n = _node(node);
        return (n.keys, _mostKeys(_state, n.provenMbps));
    }

    /// @inheritdoc IPoolManager
    function provenMbps(address node) external view override returns (uint32) {
        return _nodes[node].provenMbps;
    }

    /// @inheritdoc IPoolManager
    function bounds() external view override returns (Bounds memory) {
        State memory s = _state;
        return Bounds(s.maxKeys, s.mbpsPerKey, s.maxActiveNodes, s.maxCommissionBps, s.commissionNotice, s.unbonding);
    }

    /// @inheritdoc IPoolManager
    function consentDigest(address node, address operator, uint16 commissionBps, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        bytes32 structHash = keccak256(abi.encode(CONSENT_TYPEHASH, node, operator, commissionBps, deadline));
        return Domain.digest(NAME_HASH, address(this), structHash);
    }

    /// @dev Takes keys out of their pools, keys of one pool that follow each other in one step.
    function _release(address owner, uint32[] memory pools, uint64[] memory since, uint64 epoch) private {
        uint256 i = 0;
        while (i < pools.length) {
            uint32 number = pools[i];
            uint32 counted;
            uint32 pending;
            for (; i < pools.length && pools[i] == number; ++i) {
                if (since[i] == epoch) ++pending;
                else ++counted;
            }
            if (number != 0) _releaseFrom(_numbers[number], owner, counted, pending, epoch);
        }
    }

    function _releaseFrom(address node, address owner, uint32 counted, uint32 pending, uint64 epoch) private {
        Node storage n = _nodes[node];
        n.keys -= counted + pending;
        if (n.keys == 0) --_state.activeNodes;
        IPool(n.pool).removeKeys(owner, counted, pending, epoch);
    }

    function _setBounds(Bounds calldata bounds_) private {
        if (bounds_.maxCommissionBps > 10_000 || bounds_.maxKeys == 0) revert PoolManager_BadBounds();
        State memory s = _state;
        (s.maxKeys, s.mbpsPerKey, s.maxActiveNodes) = (bounds_.maxKeys, bounds_.mbpsPerKey, bounds_.maxActiveNodes);
        (s.maxCommissionBps, s.commissionNotice) = (bounds_.maxCommissionBps, bounds_.commissionNotice);
        s.unbonding = bounds_.unbonding;
        _state = s;
        emit BoundsSet(bounds_);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _node(address node) private view returns (Node memory n) {
        n = _nodes[node];
        if (n.pool == address(0)) revert PoolManager_NoPool(node);
    }

    function _operated(address node) private view returns (IPool pool) {
        pool = IPool(_node(node).pool);
        address operator = pool.operator();
        if (msg.sender != operator) revert PoolManager_NotOperator(node, msg.sender, operator);
    }

    function _currentEpoch() private view returns (uint64) {
        return uint64((block.timestamp - _genesisTime) / _epochLength);
    }

    function _mostKeys(State memory b, uint32 proven) private pure returns (uint256) {
        if (proven == 0 || b.mbpsPerKey == 0) return b.maxKeys;
        uint256 carried = proven / b.mbpsPerKey;
        return carried < b.maxKeys ? carried : b.maxKeys;
    }
}
