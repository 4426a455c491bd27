// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1155} from "@openzeppelin/contracts/token/ERC1155/IERC1155.sol";

/// @notice Media Node Keys (whitepaper 5.5): one ERC-1155 id per key, of which one exists. A key is bought at the
/// price of its region. Delegating it does not move it; moving it ends its delegation.
/// It cannot be upgraded; governance sets prices.
interface IMediaNodeKey is IERC1155 {
    /// @notice What keys of a region cost.
    /// @param price HUDL wei per key.
    /// @param remaining How many are for sale.
    struct Sale {
        uint128 price;
        uint64 remaining;
    }

    /// @notice One key.
    /// @param owner Who holds it.
    /// @param pool Number of the pool that it is delegated to; 0 if none.
    /// @param epoch With a pool the epoch in which it was delegated, otherwise the first in which it may be.
    /// @param region Region it was sold for, as "NAM" or "EU".
    struct Key {
        address owner;
        uint32 pool;
        uint40 epoch;
        bytes3 region;
    }

    event KeyBought(address indexed buyer, address indexed to, bytes3 indexed region, uint256 firstId, uint256 count, uint256 cost);
    event SaleSet(bytes3 indexed region, uint128 price, uint64 remaining);

    error MediaNodeKey_SoldOut(bytes3 region, uint256 wanted, uint256 remaining);
    error MediaNodeKey_TooDear(uint256 cost, uint256 maxCost);
    error MediaNodeKey_BuysNothing();
    error MediaNodeKey_NotPoolManager(address caller);
    error MediaNodeKey_NoSuchKey(uint256 id);
    /// @notice Each id exists once, so an amount other than one is a mistake.
    error MediaNodeKey_NotOne(uint256 id, uint256 amount);
    error MediaNodeKey_NotOwner(uint256 id, address account, address owner);
    error MediaNodeKey_Delegated(uint256 id, uint32 pool);
    /// @notice The key was undelegated a short while ago.
    error MediaNodeKey_Unbonding(uint256 id, uint64 epoch, uint64 until);

    /// @notice Number of keys sold; ids are 1 to this.
    function totalSupply() external view returns (uint256);

    /// @notice Holder of a key; the zero address for an id that was not sold.
    function ownerOf(uint256 id) external view returns (address);

    function keyOf(uint256 id) external view returns (Key memory);

    /// @notice Ids between two bounds, both included, that an account holds. For reading off chain.
    function keysOf(address account, uint256 fromId, uint256 toId) external view returns (uint256[] memory ids);

    function saleOf(bytes3 region) external view returns (Sale memory);

    /// @notice Buys keys of a region. The caller must have approved HUDL, which goes to the Reserve.
    /// @param region As "NAM" or "EU".
    /// @param count How many, at least 1.
    /// @param maxCost Most HUDL wei to pay in all.
    /// @param to Who gets them.
    /// @return firstId Their ids follow each other from here.
    function buy(bytes3 region, uint256 count, uint256 maxCost, address to) external returns (uint256 firstId);

    /// @notice Sets price and number for sale of a region; for governance.
    function setSale(bytes3 region, uint128 price, uint64 remaining) external;

    /// @notice Records a delegation of keys; for the Pool Manager.
    function markDelegated(uint256[] calldata ids, address owner, uint32 pool, uint64 epoch) external;

    /// @notice Records the end of delegations; for the Pool Manager. Keys that are not delegated stay as they are.
    /// @param availableFrom First epoch in which they may be delegated again.
    /// @return pools Number of the pool that each was delegated to; 0 if none.
    /// @return epochs Epoch in which each was delegated.
    function markUndelegated(uint256[] calldata ids, address owner, uint64 availableFrom)
        external
        returns (uint32[] memory pools, uint64[] memory epochs);
}
