// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";
import {IVeHUDL} from "./interfaces/IVeHUDL.sol";

/// @notice See IVeHUDL.
contract VeHUDL is IVeHUDL, ERC20Votes, AccessManaged {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    uint32 private constant MAX_LOCK = 365 days;

    IERC20 public immutable override hudl;
    IPoolManager private immutable _poolManager;

    uint32 public override redeemLock;
    uint256 public override pendingRedemptions;
    mapping(address account => Redemption[]) private _redemptions;

    constructor(IERC20 hudl_, IPoolManager poolManager, address authority, uint32 lock)
        ERC20("Vote-escrowed HUDL", "veHUDL")
        EIP712("veHUDL", "1")
        AccessManaged(authority)
    {
        hudl = hudl_;
        _poolManager = poolManager;
        _setRedeemLock(lock);
    }

    /// @inheritdoc IVeHUDL
    function deposit(address account, uint256 amount) external override {
        if (!_poolManager.isPool(msg.sender)) revert VeHUDL_NotPool(msg.sender);
        if (delegates(account) == address(0)) _delegate(account, account);
        _mint(account, amount);
        emit Deposited(msg.sender, account, amount);
        hudl.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IVeHUDL
    function requestRedeem(uint256 amount) external override returns (uint256 id) {
        if (amount == 0) revert VeHUDL_NothingToRedeem(msg.sender);
        _burn(msg.sender, amount);
        pendingRedemptions += amount;
        uint64 readyAt = uint64(block.timestamp) + redeemLock;
        id = _redemptions[msg.sender].length;
        _redemptions[msg.sender].push(Redemption(amount.toUint128(), readyAt));
        emit RedeemRequested(msg.sender, id, amount, readyAt);
    }

    /// @inheritdoc IVeHUDL
    function withdraw(uint256 id) external override {
        Redemption memory r = redemption(msg.sender, id);
        if (r.amount == 0) revert VeHUDL_NoRedemption(msg.sender, id);
        if (block.timestamp < r.readyAt) revert VeHUDL_StillLocked(uint64(block.timestamp), r.readyAt);
        _redemptions[msg.sender][id].amount = 0;
        pendingRedemptions -= r.amount;
        emit Withdrawn(msg.sender, id, r.amount);
        hudl.safeTransfer(msg.sender, r.amount);
    }

    /// @inheritdoc IVeHUDL
    function setRedeemLock(uint32 lock) external override restricted {
        _setRedeemLock(lock);
    }

    /// @inheritdoc IVeHUDL
    function redemptionCount(address account) external view override returns (uint256) {
        return _redemptions[account].length;
    }

    /// @inheritdoc IVeHUDL
    function redemption(address account, uint256 id) public view override returns (Redemption memory) {
        if (id >= _redemptions[account].length) revert VeHUDL_NoRedemption(account, id);
        return _redemptions[account][id];
    }

    /// @dev Allowances would have no use.
    function approve(address, uint256) public pure override(ERC20, IERC20) returns (bool) {
        revert VeHUDL_NotTransferable();
    }

    /// @dev Votes are counted by time, because block numbers of a rollup are another chain's.
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @dev What clock() counts, as ERC-6372 words it.
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (from != address(0) && to != address(0)) revert VeHUDL_NotTransferable();
        super._update(from, to, amount);
    }

    function _setRedeemLock(uint32 lock) private {
        if (lock > MAX_LOCK) revert VeHUDL_LockTooLong(lock, MAX_LOCK);
        redeemLock = lock;
        emit RedeemLockSet(lock);
    }
}
