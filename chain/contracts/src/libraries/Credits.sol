// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Data credits in HUDL and in bytes (whitepaper 3.3.1): rule E16 of spec/economics.md. One credit is
/// 1e-5 USD, a price is USD per HUDL times 1e8.
library Credits {
    /// @dev 1 HUDL is 1e18 wei, 1 USD is 1e5 DC and price 1e8: wei * price * 1e5 / 1e26.
    uint256 private constant _WEI_PRICE_PER_DC = 1e21;

    error Credits_PriceIsZero();

    /// @notice DC that `weiIn` buys, rounded down.
    function bought(uint256 weiIn, uint256 price8) internal pure returns (uint256) {
        return weiIn * price8 / _WEI_PRICE_PER_DC;
    }

    /// @notice Wei that `dc` cost, rounded up.
    function cost(uint256 dc, uint256 price8) internal pure returns (uint256) {
        if (price8 == 0) revert Credits_PriceIsZero();
        return _ceil(dc * _WEI_PRICE_PER_DC, price8);
    }

    /// @notice DC that serving `bytes_` costs, rounded up.
    function charge(uint128 bytes_, uint32 dcPerGB) internal pure returns (uint256) {
        // Below 2^161.
        unchecked {
            return (uint256(bytes_) * dcPerGB + 1e9 - 1) / 1e9;
        }
    }

    function _ceil(uint256 a, uint256 b) private pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }
}
