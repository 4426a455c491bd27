// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The one interface to pools (whitepaper 5.6.1): it makes a pool for a node, takes delegations, changes
/// commissions and pays claims. Each node has one pool for ever, and the node's own key must have agreed to it.
interface IPoolManager {
    /// @notice Bounds on pools.
    /// @param maxKeys Most keys per node.
    /// @param mbpsPerKey Proven Mbit/s that a node needs for each key; 0 leaves maxKeys alone.
    /// @param maxActiveNodes Most nodes with keys.
    /// @param maxCommissionBps Highest commission, basis points, at most 10,000.
    /// @param commissionNotice Epochs between an increase of a commission and its effect.
    /// @param unbonding Epochs that a key rests between two delegations.
    struct Bounds {
        uint32 maxKeys;
        uint32 mbpsPerKey;
        uint32 maxActiveNodes;
        uint16 maxCommissionBps;
        uint16 commissionNotice;
        uint16 unbonding;
    }

    event PoolCreated(address indexed node, address indexed pool, address indexed operator, uint32 number, uint16 commissionBps);
    /// @param countsFrom First epoch that the keys count for.
    event Delegated(address indexed owner, address indexed node, uint256[] ids, uint64 countsFrom);
    /// @param countedBefore First epoch that they do not count for.
    event Undelegated(address indexed owner, address indexed node, uint256[] ids, uint64 countedBefore);
    event BoundsSet(Bounds bounds);
    event OperatorProposed(address indexed node, address indexed operator);
    event ProvenMbpsSet(address indexed node, uint32 provenMbps);

    error PoolManager_PoolExists(address node, address pool);
    error PoolManager_NoPool(address node);
    error PoolManager_ConsentExpired(uint256 deadline, uint256 now_);
    /// @notice The node's key did not sign this consent, for this contract on this chain.
    error PoolManager_NotNodesConsent(address node, address signer);
    error PoolManager_NotOperator(address node, address caller, address operator);
    error PoolManager_NotProposed(address node, address caller, address proposed);
    error PoolManager_CommissionTooHigh(uint16 bps, uint16 most);
    error PoolManager_TooManyKeys(address node, uint256 keys, uint256 most);
    error PoolManager_TooManyNodes(uint256 active, uint256 most);
    error PoolManager_NoKeys();
    error PoolManager_NotDelegatedHere(uint256 id, uint32 pool, uint32 wanted);
    error PoolManager_NotKeyContract(address caller);
    error PoolManager_EpochNotOver(uint64 epoch, uint64 currentEpoch);
    error PoolManager_LengthsDiffer(uint256 epochs, uint256 amounts);
    error PoolManager_BadBounds();

    /// @notice The pool of a node; the zero address if it has none.
    function poolOf(address node) external view returns (address);

    /// @notice The node of a pool's number, which counts from 1.
    function nodeOf(uint32 number) external view returns (address);

    /// @notice Whether an address is a pool of this manager.
    function isPool(address pool) external view returns (bool);

    function poolCount() external view returns (uint256);

    /// @notice Nodes with at least one delegated key.
    function activeNodes() external view returns (uint256);

    /// @notice Keys delegated to a node, and the most that it may have: maxKeys, or fewer when tests have proven
    /// less egress than that many keys need.
    function keysOf(address node) external view returns (uint256 keys, uint256 most);

    function provenMbps(address node) external view returns (uint32);
    function bounds() external view returns (Bounds memory);

    /// @notice Digest that a node's key signs to let `operator` run its pool (EIP-712).
    function consentDigest(address node, address operator, uint16 commissionBps, uint256 deadline) external view returns (bytes32);

    /// @notice Makes the pool of a node; the caller becomes its operator.
    /// @param deadline Until when the consent holds, seconds since 1970.
    /// @param consent The node's signature over `consentDigest`, 65 bytes R, S, V.
    function createPool(address node, uint16 commissionBps, uint256 deadline, bytes calldata consent)
        external
        returns (address pool);

    /// @notice Delegates keys of the caller to a node. They count from the next epoch.
    function delegate(address node, uint256[] calldata ids) external;

    /// @notice Ends delegations of the caller's keys. They do not count for the current epoch any more.
    function undelegate(address node, uint256[] calldata ids) external;

    /// @notice Pays what pools owe to an account, as veHUDL. Anyone may call it for anyone.
    /// @return amount Wei paid.
    function claim(address account, address[] calldata nodes) external returns (uint256 amount);

    /// @notice Changes the commission: a decrease from the current epoch, an increase after the notice. A change
    /// replaces one that has not come into effect.
    function setCommission(address node, uint16 bps) external;

    /// @notice The operator offers the pool to another wallet, which must accept.
    function proposeOperator(address node, address operator) external;

    /// @notice Takes an offered pool over. Commission of epochs that come in from now on is the new operator's.
    function acceptOperator(address node) external;

    /// @notice Ends the delegations of keys that change hands; for MediaNodeKey alone, and never paused.
    function onKeyTransfer(address from, address to, uint256[] calldata ids) external;

    /// @notice Shares epochs' rewards that are already in the node's pool; for Rewards alone.
    /// @param epochs Ascending, all over.
    /// @param amounts Wei of each.
    /// @param provenMbps_ What the newest leaf says; 0 is unknown.
    function distribute(address node, uint64[] calldata epochs, uint256[] calldata amounts, uint32 provenMbps_) external;

    /// @notice Sets the bounds; for governance. Pools above a new bound keep their keys.
    function setBounds(Bounds calldata bounds_) external;

    /// @notice Stops what moves money, and new pools; for the guardian. Keys can still be delegated, undelegated and
    /// sold.
    function pause() external;

    /// @notice For governance.
    function unpause() external;
}
