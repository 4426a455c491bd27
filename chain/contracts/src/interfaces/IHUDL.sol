// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice HUDL, the network's token (whitepaper 5.4.1, item 5): an ERC-20 with permit whose supply grows by the
/// Reserve alone. It has no owner and cannot be upgraded.
interface IHUDL is IERC20 {
    /// @notice A holding at genesis.
    /// @param holder Who gets it, a vesting wallet for example.
    /// @param amount In wei.
    struct Allocation {
        address holder;
        uint256 amount;
    }

    /// @notice Only the Reserve mints.
    error HUDL_NotReserve(address caller);

    /// @notice The Reserve, the only minter for ever.
    function reserve() external view returns (address);

    /// @notice Mints to an account; for the Reserve alone.
    function mint(address to, uint256 amount) external;

    /// @notice Burns what the caller holds.
    function burn(uint256 amount) external;
}
