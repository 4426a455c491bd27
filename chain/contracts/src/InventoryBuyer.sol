// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IHUDLBuyer} from "./interfaces/IHUDLBuyer.sol";
import {IPriceOracle} from "./interfaces/IPriceOracle.sol";

/// @notice Keeps an inventory of HUDL and sells from it at the lower of the oracle's spot and average price.
/// Governance fills the inventory and takes the stablecoins out.
contract InventoryBuyer is IHUDLBuyer, AccessManaged {
    using SafeERC20 for IERC20;

    IERC20 public immutable override stable;
    IERC20 private immutable _hudl;
    IPriceOracle private immutable _oracle;
    address private immutable _dataCredits;
    /// @dev Units of the stablecoin that make one USD.
    uint256 private immutable _unit;

    constructor(
        IERC20 stable_,
        uint8 stableDecimals,
        IERC20 hudl,
        IPriceOracle oracle,
        address dataCredits,
        address authority
    ) AccessManaged(authority) {
        stable = stable_;
        _unit = 10 ** stableDecimals;
        _hudl = hudl;
        _oracle = oracle;
        _dataCredits = dataCredits;
    }

    /// @inheritdoc IHUDLBuyer
    function turn(uint256 stableAmount) external override returns (uint256 hudlWei) {
        if (msg.sender != _dataCredits) revert HUDLBuyer_NotDataCredits(msg.sender);
        // Rounded up: the credits of one whole USD are then one whole USD's.
        hudlWei = (stableAmount * 1e26 + _unit * _oracle.low() - 1) / (_unit * _oracle.low());
        uint256 held = _hudl.balanceOf(address(this));
        if (hudlWei > held) revert HUDLBuyer_Inventory(hudlWei, held);
        emit Turned(stableAmount, hudlWei);
        _hudl.safeTransfer(_dataCredits, hudlWei);
    }

    /// @notice Takes HUDL or stablecoins out; for governance.
    function withdraw(IERC20 token, address to, uint256 amount) external restricted {
        token.safeTransfer(to, amount);
    }
}
