// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {IERC1155} from "@openzeppelin/contracts/token/ERC1155/IERC1155.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IMediaNodeKey} from "./interfaces/IMediaNodeKey.sol";
import {IPoolManager} from "./interfaces/IPoolManager.sol";

/// @notice See IMediaNodeKey.
contract MediaNodeKey is IMediaNodeKey, ERC1155, AccessManaged {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    IERC20 private immutable _hudl;
    address private immutable _reserve;
    IPoolManager private immutable _poolManager;

    uint256 public override totalSupply;
    mapping(uint256 id => Key) private _keys;
    mapping(bytes3 region => Sale) private _sales;

    constructor(IERC20 hudl, address reserve, IPoolManager poolManager, address authority, string memory uri_)
        ERC1155(uri_)
        AccessManaged(authority)
    {
        _hudl = hudl;
        _reserve = reserve;
        _poolManager = poolManager;
    }

    modifier onlyPoolManager() {
        if (msg.sender != address(_poolManager)) revert MediaNodeKey_NotPoolManager(msg.sender);
        _;
    }

    /// @inheritdoc IMediaNodeKey
    function buy(bytes3 region, uint256 count, uint256 maxCost, address to) external override returns (uint256 firstId) {
        Sale storage sale = _sales[region];
        (uint256 price, uint256 remaining) = (sale.price, sale.remaining);
        if (count == 0) revert MediaNodeKey_BuysNothing();
        if (count > remaining) revert MediaNodeKey_SoldOut(region, count, remaining);
        uint256 cost = price * count;
        if (cost > maxCost) revert MediaNodeKey_TooDear(cost, maxCost);

        sale.remaining = uint64(remaining - count);
        firstId = totalSupply + 1;
        totalSupply += count;
        uint256[] memory ids = new uint256[](count);
        uint256[] memory ones = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            (ids[i], ones[i]) = (firstId + i, 1);
            _keys[firstId + i].region = region;
        }
        emit KeyBought(msg.sender, to, region, firstId, count, cost);
        _hudl.safeTransferFrom(msg.sender, _reserve, cost);
        // Asks a contract that buys whether it can hold keys, so it comes last.
        _mintBatch(to, ids, ones, "");
    }

    /// @inheritdoc IMediaNodeKey
    function setSale(bytes3 region, uint128 price, uint64 remaining) external override restricted {
        _sales[region] = Sale(price, remaining);
        emit SaleSet(region, price, remaining);
    }

    /// @inheritdoc IMediaNodeKey
    function markDelegated(uint256[] calldata ids, address owner, uint32 pool, uint64 epoch)
        external
        override
        onlyPoolManager
    {
        for (uint256 i = 0; i < ids.length; ++i) {
            Key memory key = _keys[ids[i]];
            if (key.owner != owner) revert MediaNodeKey_NotOwner(ids[i], owner, key.owner);
            if (key.pool != 0) revert MediaNodeKey_Delegated(ids[i], key.pool);
            if (key.epoch > epoch) revert MediaNodeKey_Unbonding(ids[i], epoch, key.epoch);
            (key.pool, key.epoch) = (pool, uint256(epoch).toUint40());
            _keys[ids[i]] = key;
        }
    }

    /// @inheritdoc IMediaNodeKey
    function markUndelegated(uint256[] calldata ids, address owner, uint64 availableFrom)
        external
        override
        onlyPoolManager
        returns (uint32[] memory pools, uint64[] memory epochs)
    {
        pools = new uint32[](ids.length);
        epochs = new uint64[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            Key memory key = _keys[ids[i]];
            if (key.owner != owner) revert MediaNodeKey_NotOwner(ids[i], owner, key.owner);
            if (key.pool == 0) continue;
            (pools[i], epochs[i]) = (key.pool, key.epoch);
            (key.pool, key.epoch) = (0, uint256(availableFrom).toUint40());
            _keys[ids[i]] = key;
        }
    }

    /// @inheritdoc IMediaNodeKey
    function ownerOf(uint256 id) external view override returns (address) {
        return _keys[id].owner;
    }

    /// @inheritdoc IMediaNodeKey
    function keyOf(uint256 id) external view override returns (Key memory) {
        if (_keys[id].owner == address(0)) revert MediaNodeKey_NoSuchKey(id);
        return _keys[id];
    }

    /// @inheritdoc IMediaNodeKey
    function keysOf(address account, uint256 fromId, uint256 toId) external view override returns (uint256[] memory ids) {
        if (toId > totalSupply) toId = totalSupply;
        if (fromId > toId) return ids;
        ids = new uint256[](toId - fromId + 1);
        uint256 n;
        for (uint256 id = fromId; id <= toId; ++id) {
            if (_keys[id].owner == account) ids[n++] = id;
        }
        // The array was made for the most that there can be; it shrinks to what was found.
        assembly ("memory-safe") {
            mstore(ids, n)
        }
    }

    /// @inheritdoc IMediaNodeKey
    function saleOf(bytes3 region) external view override returns (Sale memory) {
        return _sales[region];
    }

    /// @inheritdoc IERC1155
    function balanceOf(address account, uint256 id) public view override(ERC1155, IERC1155) returns (uint256) {
        return account != address(0) && _keys[id].owner == account ? 1 : 0;
    }

    /// @dev Keeps owners in place of the balances of ERC1155: of each id there is one.
    function _update(address from, address to, uint256[] memory ids, uint256[] memory values) internal override {
        if (ids.length != values.length) revert ERC1155InvalidArrayLength(ids.length, values.length);
        if (from != address(0)) _endDelegations(from, to, ids);
        for (uint256 i = 0; i < ids.length; ++i) {
            Key storage key = _keys[ids[i]];
            if (values[i] != 1) revert MediaNodeKey_NotOne(ids[i], values[i]);
            if (key.owner != from) revert MediaNodeKey_NotOwner(ids[i], from, key.owner);
            key.owner = to;
        }
        if (ids.length == 1) {
            emit TransferSingle(msg.sender, from, to, ids[0], values[0]);
        } else {
            emit TransferBatch(msg.sender, from, to, ids, values);
        }
    }

    /// @dev The Pool Manager settles and calls markUndelegated back. Who delegated nothing does not depend on it.
    function _endDelegations(address from, address to, uint256[] memory ids) private {
        for (uint256 i = 0; i < ids.length; ++i) {
            if (_keys[ids[i]].pool != 0) {
                _poolManager.onKeyTransfer(from, to, ids);
                return;
            }
        }
    }
}
