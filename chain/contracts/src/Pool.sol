// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IPool} from "./interfaces/IPool.sol";
import {IVeHUDL} from "./interfaces/IVeHUDL.sol";
import {NO_EPOCH} from "./types/Leaf.sol";

/// @dev Rewards come late, so counts of keys are kept by the epoch from which they hold: a list of checkpoints for
/// the pool, and for each account a queue of changes whose last one, the tail, shares the account's slot. The wei
/// per key is stored only where a count changes; so an epoch without a change writes nothing of its own.
/// @notice See IPool.
contract Pool is IPool, Initializable {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev The latest division. `cursor` is the checkpoint in force at it, `last` the newest checkpoint.
    struct State {
        uint128 index;
        uint32 dust;
        uint32 cursor;
        uint32 last;
        bool exists;
    }

    /// @dev Keys that count from an epoch on, and the index when that epoch began; it is set when the cursor comes
    /// by. Neighbours are named by their epochs. `exists` keeps slots from being empty, because
    /// filling an empty one is dear.
    struct Checkpoint {
        uint128 index;
        uint32 keys;
        uint32 previous;
        uint32 next;
        bool exists;
    }

    /// @dev `keys` of an account count from `index` on until the first change of its queue, or its tail.
    struct Account {
        uint128 index;
        uint32 keys;
        uint32 tail; // epoch of the newest change that is not settled; 0 is none
        uint32 tailKeys;
        uint16 head; // place of the first change of the queue, which is a ring
        uint16 queued; // older changes that are not settled
    }

    struct Change {
        uint32 epoch;
        uint32 keys;
    }

    struct Commission {
        uint32 epoch;
        uint16 bps;
    }

    uint256 private constant CHANGES_PER_CLAIM = 128;

    address private immutable _manager;
    IERC20 private immutable _hudl;
    IVeHUDL private immutable _veHudl;

    address public override node;
    address public override operator;
    uint32 private _nextEpoch; // no reward before this epoch is taken any more
    State private _state;
    mapping(uint32 epoch => Checkpoint) private _checkpoints;
    mapping(address account => Account) private _accounts;
    mapping(address account => uint256) private _owed;
    mapping(address account => mapping(uint16 place => Change)) private _changes;
    Commission[] private _commissions;

    modifier onlyManager() {
        if (msg.sender != _manager) revert Pool_NotManager(msg.sender);
        _;
    }

    constructor(address manager, IERC20 hudl, IVeHUDL veHudl) {
        _manager = manager;
        _hudl = hudl;
        _veHudl = veHudl;
        _disableInitializers();
    }

    /// @param node_ Whose pool this is.
    /// @param operator_ Who gets the commission.
    /// @param commissionBps Basis points, from epoch 0 on.
    function initialize(address node_, address operator_, uint16 commissionBps) external initializer {
        node = node_;
        operator = operator_;
        _checkpoints[0].exists = true;
        _state.exists = true;
        _commissions.push(Commission(0, commissionBps));
        emit OperatorSet(operator_);
        emit CommissionSet(commissionBps, 0);
        // veHUDL takes only what a pool hands it in its own claim.
        _hudl.forceApprove(address(_veHudl), type(uint256).max);
    }

    /// @inheritdoc IPool
    function addKeys(address owner, uint32 count, uint64 epoch) external override onlyManager {
        uint32 from = uint256(epoch + 1).toUint32();
        State memory s = _state;
        uint32 keys = _checkpoints[s.last].keys + count;
        if (s.last == from) _checkpoints[from].keys = keys;
        else _append(s.last, from, keys);

        Account memory a = _accounts[owner];
        if (a.tail == from) a.tailKeys += count;
        else _newTail(a, owner, from, (a.tail == 0 ? a.keys : a.tailKeys) + count);
        _accounts[owner] = a;
    }

    /// @inheritdoc IPool
    function removeKeys(address owner, uint32 counted, uint32 pending, uint64 epoch) external override onlyManager {
        uint32 from = uint256(epoch).toUint32();
        // Keys that were delegated in this epoch stand in checkpoint and tail of the next, and nowhere else.
        if (pending != 0) {
            _checkpoints[from + 1].keys -= pending;
            _accounts[owner].tailKeys -= pending;
        }
        if (counted != 0) {
            _lowerPool(counted, from);
            _lowerAccount(owner, counted, from);
        }
    }

    /// @inheritdoc IPool
    function distribute(uint64[] calldata epochs, uint256[] calldata amounts) external override onlyManager {
        State memory s = _state;
        Checkpoint memory checkpoint = _checkpoints[s.cursor];
        uint256 next = _nextEpoch;
        uint256 position;
        uint256 toOperator;
        for (uint256 i = 0; i < epochs.length; ++i) {
            uint256 epoch = epochs[i];
            if (epoch < next) revert Pool_EpochNotAscending(uint64(epoch), uint64(next - 1));
            next = epoch + 1;
            while (checkpoint.next != 0 && checkpoint.next <= epoch) {
                s.cursor = checkpoint.next;
                checkpoint = _checkpoints[s.cursor];
                _checkpoints[s.cursor].index = s.index;
            }
            uint256 bps;
            (position, bps) = _commission(position, epoch);
            toOperator += _divide(s, epoch, amounts[i], bps, checkpoint.keys);
        }
        _state = s;
        _nextEpoch = next.toUint32();
        if (toOperator != 0) _owed[operator] += toOperator;
    }

    /// @inheritdoc IPool
    function claim(address account) external override onlyManager returns (uint256 amount) {
        Account memory a;
        (a, amount) = _settled(account, CHANGES_PER_CLAIM);
        if (amount == 0) revert Pool_NothingOwed(account);
        _accounts[account] = a;
        _owed[account] = 0;
        emit Claimed(account, amount);
        _veHudl.deposit(account, amount);
    }

    /// @inheritdoc IPool
    function setCommission(uint16 bps, uint64 epoch, uint64 fromEpoch) external override onlyManager {
        while (_commissions[_commissions.length - 1].epoch > epoch) _commissions.pop();
        Commission storage last = _commissions[_commissions.length - 1];
        if (last.epoch == fromEpoch) last.bps = bps;
        else _commissions.push(Commission(uint256(fromEpoch).toUint32(), bps));
        emit CommissionSet(bps, fromEpoch);
    }

    /// @inheritdoc IPool
    function setOperator(address operator_) external override onlyManager {
        operator = operator_;
        emit OperatorSet(operator_);
    }

    /// @inheritdoc IPool
    function commissionAt(uint64 epoch) external view override returns (uint16) {
        (, uint256 bps) = _commission(0, epoch);
        return uint16(bps);
    }

    /// @inheritdoc IPool
    function keysAt(uint64 epoch) external view override returns (uint256) {
        uint32 from = _state.last;
        while (from > epoch) from = _checkpoints[from].previous;
        return _checkpoints[from].keys;
    }

    /// @inheritdoc IPool
    function keysOf(address account) external view override returns (uint256) {
        Account memory a = _accounts[account];
        return a.tail == 0 ? a.keys : a.tailKeys;
    }

    /// @inheritdoc IPool
    function owed(address account) external view override returns (uint256 amount) {
        (, amount) = _settled(account, type(uint256).max);
    }

    /// @inheritdoc IPool
    function index() external view override returns (uint256 perKey, uint256 dust) {
        return (_state.index, _state.dust);
    }

    /// @inheritdoc IPool
    function lastEpoch() external view override returns (uint64) {
        return _nextEpoch == 0 ? NO_EPOCH : _nextEpoch - 1;
    }

    /// @dev Commission first, then per key, both down; what is left is the next dust. Without a key all is the
    /// operator's and the dust waits.
    function _divide(State memory s, uint256 epoch, uint256 amount, uint256 bps, uint256 keys)
        private
        returns (uint256 toOperator)
    {
        if (keys == 0) {
            emit Distributed(uint64(epoch), amount, amount, 0, 0);
            return amount;
        }
        toOperator = amount.toUint128() * bps / 10_000;
        uint256 shared = amount - toOperator + s.dust;
        uint256 perKey = shared / keys;
        s.dust = uint32(shared % keys);
        s.index = (s.index + perKey).toUint128();
        emit Distributed(uint64(epoch), amount, toOperator, perKey, keys);
    }

    /// @dev Commission in an epoch, searched from a position on that is not past it.
    function _commission(uint256 position, uint256 epoch) private view returns (uint256, uint256) {
        uint256 length = _commissions.length;
        while (position + 1 < length && _commissions[position + 1].epoch <= epoch) ++position;
        return (position, _commissions[position].bps);
    }

    function _append(uint32 last, uint32 epoch, uint32 keys) private {
        _checkpoints[last].next = epoch;
        _checkpoints[epoch] = Checkpoint(0, keys, last, 0, true);
        _state.last = epoch;
    }

    /// @dev Fewer keys from this epoch on, before which there may already be a checkpoint of the next.
    function _lowerPool(uint32 count, uint32 epoch) private {
        uint32 last = _state.last;
        if (last < epoch) {
            _append(last, epoch, _checkpoints[last].keys - count);
            return;
        }
        _checkpoints[last].keys -= count;
        if (last == epoch) return;
        uint32 before = _checkpoints[last].previous;
        if (before == epoch) {
            _checkpoints[before].keys -= count;
            return;
        }
        _checkpoints[epoch] = Checkpoint(0, _checkpoints[before].keys - count, before, last, true);
        _checkpoints[before].next = epoch;
        _checkpoints[last].previous = epoch;
    }

    function _lowerAccount(address owner, uint32 count, uint32 epoch) private {
        Account memory a = _accounts[owner];
        if (a.tail <= epoch) {
            if (a.tail == epoch) a.tailKeys -= count;
            else _newTail(a, owner, epoch, (a.tail == 0 ? a.keys : a.tailKeys) - count);
        } else {
            a.tailKeys -= count;
            Change storage back = _changes[owner][_place(a, a.queued == 0 ? 0 : a.queued - 1)];
            if (a.queued != 0 && back.epoch == epoch) back.keys -= count;
            else _enqueue(a, owner, epoch, (a.queued == 0 ? a.keys : back.keys) - count);
        }
        _accounts[owner] = a;
    }

    /// @dev Makes room for a newer change: the tail is settled if its epoch has begun for the cursor and nothing
    /// older waits, otherwise it joins the queue.
    function _newTail(Account memory a, address owner, uint32 epoch, uint32 keys) private {
        if (a.tail != 0) {
            if (a.queued == 0 && a.tail <= _state.cursor) {
                uint256 gained = _pass(a, a.tail, a.tailKeys);
                if (gained != 0) _owed[owner] += gained;
            } else {
                _enqueue(a, owner, a.tail, a.tailKeys);
            }
        }
        (a.tail, a.tailKeys) = (epoch, keys);
    }

    function _enqueue(Account memory a, address owner, uint32 epoch, uint32 keys) private {
        _changes[owner][_place(a, a.queued)] = Change(epoch, keys);
        ++a.queued;
    }

    function _place(Account memory a, uint16 ahead) private pure returns (uint16) {
        unchecked {
            return a.head + ahead; // a ring comes round
        }
    }

    /// @dev Moves an account over a change that the cursor has passed.
    function _pass(Account memory a, uint32 epoch, uint32 keys) private view returns (uint256 gained) {
        uint128 boundary = _checkpoints[epoch].index;
        gained = uint256(a.keys) * (boundary - a.index);
        (a.index, a.keys) = (boundary, keys);
    }

    /// @dev The account after at most so many of its changes, and what it then is owed.
    function _settled(address account, uint256 most) private view returns (Account memory a, uint256 amount) {
        a = _accounts[account];
        amount = _owed[account];
        State memory s = _state;
        while (a.queued != 0) {
            Change memory change = _changes[account][a.head];
            if (change.epoch > s.cursor) break;
            if (most == 0) return (a, amount);
            --most;
            amount += _pass(a, change.epoch, change.keys);
            a.head = _place(a, 1);
            --a.queued;
        }
        if (a.queued == 0 && a.tail != 0 && a.tail <= s.cursor) {
            amount += _pass(a, a.tail, a.tailKeys);
            (a.tail, a.tailKeys) = (0, 0);
        }
        amount += uint256(a.keys) * (s.index - a.index);
        a.index = s.index;
    }
}
