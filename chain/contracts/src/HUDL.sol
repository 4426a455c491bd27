// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IHUDL} from "./interfaces/IHUDL.sol";

/// @notice See IHUDL.
contract HUDL is IHUDL, ERC20Permit {
    address public immutable override reserve;

    /// @param reserve_ The only minter.
    /// @param genesis Holdings that exist from the start.
    constructor(address reserve_, Allocation[] memory genesis) ERC20("HUDL", "HUDL") ERC20Permit("HUDL") {
        reserve = reserve_;
        for (uint256 i = 0; i < genesis.length; ++i) {
            _mint(genesis[i].holder, genesis[i].amount);
        }
    }

    /// @inheritdoc IHUDL
    function mint(address to, uint256 amount) external override {
        if (msg.sender != reserve) revert HUDL_NotReserve(msg.sender);
        _mint(to, amount);
    }

    /// @inheritdoc IHUDL
    function burn(uint256 amount) external override {
        _burn(msg.sender, amount);
    }
}
