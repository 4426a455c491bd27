// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Turns a stablecoin that came in for credits into HUDL. DataCredits counts only the HUDL that it really
/// received, so that whatever stands here can give applications too little and never the network too much.
interface IHUDLBuyer {
    event Turned(uint256 stableAmount, uint256 hudlWei);

    error HUDLBuyer_NotDataCredits(address caller);
    error HUDLBuyer_Inventory(uint256 needed, uint256 held);

    /// @notice The stablecoin taken.
    function stable() external view returns (IERC20);

    /// @notice Sends HUDL for `stableAmount`, which has come in before, to DataCredits; for DataCredits alone.
    function turn(uint256 stableAmount) external returns (uint256 hudlWei);
}
