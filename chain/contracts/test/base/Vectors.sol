// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Test} from "./Test.sol";

/// @notice Reads the reference vectors that the Go tests read too.
abstract contract Vectors is Test {
    string internal constant REFERENCE = "../../spec/vectors/reference/";

    error NotADecimal(string text);

    /// @dev ".cases[i].key"
    function field(uint256 i, string memory key) internal pure returns (string memory) {
        return string.concat(".cases[", vm.toString(i), "].", key);
    }

    /// @dev A decimal such as "-0.05" times 1e18; further digits are cut off.
    function wad(string memory text) internal pure returns (int256) {
        bytes memory b = bytes(text);
        bool negative = b.length > 0 && b[0] == "-";
        uint256 value;
        uint256 places;
        bool point;
        for (uint256 i = negative ? 1 : 0; i < b.length; i++) {
            if (b[i] == "." && !point) {
                point = true;
                continue;
            }
            if (b[i] < "0" || b[i] > "9") revert NotADecimal(text);
            if (point && places == 18) continue;
            value = value * 10 + uint8(b[i]) - 48;
            if (point) places++;
        }
        value *= 10 ** (18 - places);
        return negative ? -int256(value) : int256(value);
    }

    function wadAt(string memory json, string memory key) internal pure returns (int256) {
        return wad(vm.parseJsonString(json, key));
    }

    function uwadAt(string memory json, string memory key) internal pure returns (uint256) {
        return uint256(wadAt(json, key));
    }
}
