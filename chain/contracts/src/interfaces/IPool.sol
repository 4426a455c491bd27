// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The Pool of one Media Node (whitepaper 5.6): who delegated how many keys since which epoch, and what
/// they and the operator are owed. Everybody speaks to it through the Pool Manager.
///
/// Whole epochs count. A key delegated in epoch e counts from e+1; one undelegated or transferred in e does not
/// count for e any more. Of each epoch's reward the operator's commission is taken first, rounded down; what is
/// left, and the dust of before, is shared per key, rounded down; the rest is the next dust. An epoch in which no
/// key counts goes to the operator whole.
interface IPool {
    /// @notice An epoch's reward as it was shared.
    event Distributed(uint64 indexed epoch, uint256 amount, uint256 commission, uint256 perKey, uint256 keys);
    event Claimed(address indexed account, uint256 amount);
    event CommissionSet(uint16 bps, uint64 fromEpoch);
    event OperatorSet(address indexed operator);

    error Pool_NotManager(address caller);
    /// @notice Nothing is owed to the account.
    error Pool_NothingOwed(address account);
    /// @notice Rewards of an epoch come once, and in order.
    error Pool_EpochNotAscending(uint64 epoch, uint64 afterEpoch);

    function node() external view returns (address);
    function operator() external view returns (address);

    /// @notice Commission in an epoch, basis points.
    function commissionAt(uint64 epoch) external view returns (uint16);

    /// @notice Keys of all owners that count in an epoch, as far as delegations until now say.
    function keysAt(uint64 epoch) external view returns (uint256);

    /// @notice Keys that an account has delegated, those that count from the next epoch on included.
    function keysOf(address account) external view returns (uint256);

    /// @notice What a claim would pay an account, wei.
    function owed(address account) external view returns (uint256);

    /// @notice Wei per key since the pool began, and what the last division left.
    function index() external view returns (uint256 perKey, uint256 dust);

    /// @notice Last epoch whose reward came; `NO_EPOCH` if none.
    function lastEpoch() external view returns (uint64);

    /// @notice Counts more keys of an owner from the epoch after `epoch` on; this and what follows is for the Pool
    /// Manager alone.
    function addKeys(address owner, uint32 count, uint64 epoch) external;

    /// @notice Counts fewer keys of an owner.
    /// @param counted Keys that counted before; they do not from `epoch` on.
    /// @param pending Keys that would have counted from `epoch + 1` on.
    function removeKeys(address owner, uint32 counted, uint32 pending, uint64 epoch) external;

    /// @notice Shares epochs' rewards that are already here.
    function distribute(uint64[] calldata epochs, uint256[] calldata amounts) external;

    /// @notice Turns what is owed to an account into veHUDL of that account. Settles at most 128 changes of the
    /// account's keys; who made more since the last claim calls again.
    function claim(address account) external returns (uint256 amount);

    /// @notice Drops a change that has not come into effect and sets the commission from an epoch on.
    function setCommission(uint16 bps, uint64 epoch, uint64 fromEpoch) external;

    function setOperator(address operator_) external;
}
