// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FixedPointMathLib} from "solady/utils/FixedPointMathLib.sol";

/// @notice The reward function of whitepaper 2.3 in integers: the steps of rules E8 to E14, E17, E18 and E20 of
/// spec/economics.md and no others, so that Go and the chain agree to the wei.
/// @dev Scores, midpoint and k are wads (1e18 is one). What lies outside the domain of E9 is refused by name,
/// never clamped.
library RewardMath {
    uint256 internal constant WAD = 1e18;
    uint256 internal constant BPS = 1e4;
    uint256 internal constant MAX_R_MAX = 1 << 128;
    uint256 internal constant MAX_STEEPNESS = 100e18;
    /// @dev Byte counters of a leaf stay below this (E14), so that no product below reaches 2^256.
    uint256 internal constant MAX_BYTES = (1 << 96) - 1;
    int256 private constant _MOST_EXPONENT = 41e18;

    error RewardMath_RMaxTooHigh(uint256 rMax, uint256 most);
    error RewardMath_SteepnessTooHigh(uint256 k, uint256 most);
    error RewardMath_MidpointOutOfRange(int256 midpoint, int256 least, int256 most);
    error RewardMath_ReputationTooHigh(uint256 reputation, uint256 most);
    error RewardMath_QualityTooHigh(uint256 quality, uint256 most);
    error RewardMath_ScoreTooHigh(bytes32 score, uint256 got, uint256 most);
    error RewardMath_BytesTooMany(uint256 got, uint256 most);
    error RewardMath_WeightTooHigh(uint256 weightBps, uint256 most);
    error RewardMath_PriceIsZero();

    /// @notice Reward in wei per GB (E11), rounded down, never above the true value.
    /// @param rMax Highest reward in wei per GB, at most 2^128.
    /// @param k Steepness, a wad up to 100e18.
    /// @param midpoint vMid + vTau, a wad from 0 to 1e18.
    /// @param reputation S, a wad up to 1e18.
    /// @param quality V, a wad up to 1e18.
    function unitReward(uint256 rMax, uint256 k, int256 midpoint, uint256 reputation, uint256 quality)
        internal
        pure
        returns (uint256)
    {
        if (rMax > MAX_R_MAX) revert RewardMath_RMaxTooHigh(rMax, MAX_R_MAX);
        if (k > MAX_STEEPNESS) revert RewardMath_SteepnessTooHigh(k, MAX_STEEPNESS);
        if (midpoint < 0 || midpoint > int256(WAD)) {
            revert RewardMath_MidpointOutOfRange(midpoint, 0, int256(WAD));
        }
        if (reputation > WAD) revert RewardMath_ReputationTooHigh(reputation, WAD);
        if (quality > WAD) revert RewardMath_QualityTooHigh(quality, WAD);
        if (reputation == 0) return 0;

        // All bounds were checked above: |y| <= 100e18, the first product stays below 2^248 and the
        // denominator below 2^181.
        unchecked {
            int256 y = _exponent(k, uint256(midpoint), quality);
            if (y > _MOST_EXPONENT) return 0;
            uint256 e = uint256(FixedPointMathLib.expWad(y));
            e = e + (e >> 59) + 1;
            return rMax * reputation * WAD / (WAD * WAD + reputation * e);
        }
    }

    /// @notice S, the weighted sum of the four history scores (E8), rounded down.
    function weigh(
        uint256[4] memory weightsBps,
        uint256 availability,
        uint256 history,
        uint256 location,
        uint256 coverage
    ) internal pure returns (uint256) {
        if (availability > WAD) revert RewardMath_ScoreTooHigh("availability", availability, WAD);
        if (history > WAD) revert RewardMath_ScoreTooHigh("history", history, WAD);
        if (location > WAD) revert RewardMath_ScoreTooHigh("location", location, WAD);
        if (coverage > WAD) revert RewardMath_ScoreTooHigh("coverage", coverage, WAD);
        // Four products of a score up to 1e18 and a weight, which Parameters bounds by 1e4.
        unchecked {
            return (
                weightsBps[0] * availability + weightsBps[1] * history + weightsBps[2] * location
                    + weightsBps[3] * coverage
            ) / BPS;
        }
    }

    /// @notice Bytes that count: all to clients, and those to other nodes at their weight (E14).
    function rewardableBytes(uint256 clientBytes, uint256 relayBytes, uint256 relayWeightBps)
        internal
        pure
        returns (uint256)
    {
        if (clientBytes > MAX_BYTES) revert RewardMath_BytesTooMany(clientBytes, MAX_BYTES);
        if (relayBytes > MAX_BYTES) revert RewardMath_BytesTooMany(relayBytes, MAX_BYTES);
        if (relayWeightBps > 1e5) revert RewardMath_WeightTooHigh(relayWeightBps, 1e5);
        // Below 2^96 + 2^96 * 1e5.
        unchecked {
            return clientBytes + relayBytes * relayWeightBps / BPS;
        }
    }

    /// @notice R = floor(r b / 10^9) (E14), then floor(alpha R / 10^4) (E18), in wei.
    /// @param unitReward_ At most 2^128, as `unitReward` gives it.
    /// @param bytes_ Below 2^100, as `rewardableBytes` gives them.
    /// @param alphaBps At most 10,000.
    function payout(uint256 unitReward_, uint256 bytes_, uint256 alphaBps) internal pure returns (uint256) {
        // 2^128 * 2^100, then over 2^29 and times 2^14.
        unchecked {
            return alphaBps * (unitReward_ * bytes_ / 1e9) / BPS;
        }
    }

    /// @notice rMax in wei per GB that the price allows (E17), rounded down.
    /// @param price8High USD per HUDL times 1e8, the higher of spot and average.
    function scale(uint256 kappaBps, uint256 dcPerGB, uint256 price8High) internal pure returns (uint256) {
        if (price8High == 0) revert RewardMath_PriceIsZero();
        return kappaBps * dcPerGB * 1e17 / price8High;
    }

    /// @dev ceil(k (midpoint - quality) / W), toward plus infinity.
    function _exponent(uint256 k, uint256 midpoint, uint256 quality) private pure returns (int256) {
        // k <= 100e18 and both others <= 1e18, so that k times their difference stays below 2^127.
        unchecked {
            if (midpoint > quality) return int256((k * (midpoint - quality) + WAD - 1) / WAD);
            return -int256(k * (quality - midpoint) / WAD);
        }
    }
}
