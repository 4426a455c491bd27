// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {VestingWallet} from "@openzeppelin/contracts/finance/VestingWallet.sol";
import {VestingWalletCliff} from "@openzeppelin/contracts/finance/VestingWalletCliff.sol";

/// @notice Holds an allocation of genesis and releases it to its owner in a straight line, nothing before the cliff.
/// The owner may hand the wallet on.
contract Vesting is VestingWalletCliff {
    /// @param beneficiary Who gets the tokens.
    /// @param start When the line begins, seconds since 1970.
    /// @param duration Length of the line, seconds.
    /// @param cliff Seconds after the start in which nothing is released; at most the duration.
    constructor(address beneficiary, uint64 start, uint64 duration, uint64 cliff)
        VestingWallet(beneficiary, start, duration)
        VestingWalletCliff(cliff)
    {}
}
