// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @notice What every test contract inherits: cheat codes, assertions that say got and want, and the targets
/// of invariants.
abstract contract Test {
    bool public constant IS_TEST = true;
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    error Differs(string what, uint256 got, uint256 want);
    error DiffersAddress(string what, address got, address want);
    error DiffersBytes32(string what, bytes32 got, bytes32 want);
    error Exceeds(string what, uint256 got, uint256 most);
    error Below(string what, uint256 got, uint256 least);
    error Fails(string what);

    event log_named_uint(string key, uint256 val);

    address[] private _targets;
    FuzzSelector[] private _selectors;

    /// @dev Invariant runs call the functions of target contracts only.
    function targetContract(address target) internal {
        _targets.push(target);
    }

    /// @dev Invariant runs call only these functions of a target.
    function targetSelector(address target, bytes4[] memory selectors) internal {
        _selectors.push(FuzzSelector(target, selectors));
    }

    function targetContracts() public view returns (address[] memory) {
        return _targets;
    }

    function targetSelectors() public view returns (FuzzSelector[] memory) {
        return _selectors;
    }

    /// @dev Maps a fuzzed x into lo..hi, both included, and leaves an x that lies there as it is.
    function bound(uint256 x, uint256 lo, uint256 hi) internal pure returns (uint256) {
        if (x >= lo && x <= hi) return x;
        uint256 size = hi - lo + 1;
        return size == 0 ? x : lo + x % size;
    }

    function assertEq(uint256 got, uint256 want, string memory what) internal pure {
        if (got != want) revert Differs(what, got, want);
    }

    function assertEq(address got, address want, string memory what) internal pure {
        if (got != want) revert DiffersAddress(what, got, want);
    }

    function assertEq(bytes32 got, bytes32 want, string memory what) internal pure {
        if (got != want) revert DiffersBytes32(what, got, want);
    }

    function assertLe(uint256 got, uint256 most, string memory what) internal pure {
        if (got > most) revert Exceeds(what, got, most);
    }

    function assertGe(uint256 got, uint256 least, string memory what) internal pure {
        if (got < least) revert Below(what, got, least);
    }

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert Fails(what);
    }

    function assertFalse(bool condition, string memory what) internal pure {
        if (condition) revert Fails(what);
    }

    /// @dev A 65-byte signature R, S, V over a digest, as every contract here takes it.
    function signature(uint256 privateKey, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest);
        return abi.encodePacked(r, s, v);
    }
}
