// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @dev A stablecoin of six decimals. It can call somebody while it moves, as a hostile one would, and burn a fee.
contract Stable is ERC20("Stable", "USDX") {
    address public target;
    bytes public call;
    uint256 public feeBps;
    bytes public refusal;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burnFrom(address from, uint256 amount) external {
        _burn(from, amount);
    }

    function setCall(address target_, bytes calldata call_) external {
        (target, call) = (target_, call_);
    }

    function setFee(uint256 bps) external {
        feeBps = bps;
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (feeBps != 0 && from != address(0) && to != address(0)) super._update(to, address(0), amount * feeBps / 1e4);
        if (target != address(0)) {
            (bool ok, bytes memory out) = target.call(call);
            if (!ok) refusal = out;
        }
    }
}
