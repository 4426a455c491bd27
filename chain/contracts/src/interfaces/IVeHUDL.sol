// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice veHUDL (whitepaper 5.4.1, item 4): the form in which rewards are paid. It cannot be transferred, it
/// votes, and each wei of it is backed by a wei of HUDL in this contract. Who wants HUDL burns veHUDL and waits.
/// It cannot be upgraded; governance sets the lock within a bound.
interface IVeHUDL is IERC20 {
    /// @notice HUDL that leaves after its lock.
    /// @param amount In wei; 0 once it was withdrawn.
    /// @param readyAt When it may be withdrawn, seconds since 1970.
    struct Redemption {
        uint128 amount;
        uint64 readyAt;
    }

    /// @notice Pools deposit rewards for an account, which then votes for itself unless it chose a delegate.
    event Deposited(address indexed pool, address indexed account, uint256 amount);
    event RedeemRequested(address indexed account, uint256 indexed id, uint256 amount, uint64 readyAt);
    event Withdrawn(address indexed account, uint256 indexed id, uint256 amount);
    event RedeemLockSet(uint32 lock);

    /// @notice veHUDL stays with who earned it.
    error VeHUDL_NotTransferable();
    /// @notice Only pools of the Pool Manager deposit.
    error VeHUDL_NotPool(address caller);
    error VeHUDL_NothingToRedeem(address account);
    /// @notice The redemption does not exist or was withdrawn.
    error VeHUDL_NoRedemption(address account, uint256 id);
    error VeHUDL_StillLocked(uint64 now_, uint64 readyAt);
    error VeHUDL_LockTooLong(uint32 lock, uint32 most);

    /// @notice The token behind it.
    function hudl() external view returns (IERC20);

    /// @notice Seconds between a request and its withdrawal; applies to requests from now on.
    function redeemLock() external view returns (uint32);

    /// @notice HUDL of redemptions that are not withdrawn yet, wei.
    function pendingRedemptions() external view returns (uint256);

    /// @notice Number of redemptions that an account ever requested; their ids count from 0.
    function redemptionCount(address account) external view returns (uint256);

    function redemption(address account, uint256 id) external view returns (Redemption memory);

    /// @notice Takes HUDL of the calling pool and mints as much veHUDL to an account.
    function deposit(address account, uint256 amount) external;

    /// @notice Burns the caller's veHUDL now; its HUDL may be withdrawn after the lock.
    /// @return id Names the redemption.
    function requestRedeem(uint256 amount) external returns (uint256 id);

    /// @notice Sends a redemption's HUDL to the caller.
    function withdraw(uint256 id) external;

    /// @notice Sets the lock, at most 365 days; for governance.
    function setRedeemLock(uint32 lock) external;
}
