// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What an epoch mints and burns, so that supply grows within a band: rules E19 to E24 of
/// spec/economics.md.
library SupplyBand {
    uint256 private constant _WAD = 1e18;
    uint256 private constant _BPS = 1e4;

    /// @notice Outcome of the burn projection for an epoch.
    /// @param burnWei B.
    /// @param projectedWei P, what beta alone would burn.
    /// @param least loS, the smallest net mint of the band.
    /// @param most hiS, the largest.
    struct Projection {
        uint256 burnWei;
        uint256 projectedWei;
        uint256 least;
        uint256 most;
    }

    /// @notice B = min(Q, max(low, min(high, P))) with low = max(0, M0 - hiS), high = max(0, M0 - loS) (E19).
    /// @param rewardTotal M0 in wei, below 2^128.
    /// @param received Q in wei, below 2^128.
    /// @param supply S_C in wei, below 2^128.
    function project(uint256 rewardTotal, uint256 received, uint256 supply, uint256 betaBps, uint256 lo, uint256 hi)
        internal
        pure
        returns (Projection memory p)
    {
        p.least = supply * lo / _WAD;
        p.most = supply * hi / _WAD;
        p.projectedWei = betaBps * received / _BPS;
        uint256 low = _excess(rewardTotal, p.most);
        uint256 high = _excess(rewardTotal, p.least);
        p.burnWei = _min(received, _max(low, _min(high, p.projectedWei)));
    }

    /// @notice Whether payouts must be cut, and to which sum (E20).
    function cut(Projection memory p, uint256 rewardTotal) internal pure returns (bool isCut, uint256 cap) {
        // B <= M0 always: each of low and high is.
        isCut = rewardTotal - p.burnWei > p.most;
        cap = p.burnWei + p.most;
    }

    /// @notice Y, what is missing to the floor of the band (E21).
    function filler(Projection memory p, uint256 mintTotal) internal pure returns (uint256) {
        return _excess(p.least + p.burnWei, mintTotal);
    }

    /// @notice Beta of the next epoch: a step toward the value that would have burned B (E24).
    function nextBeta(Projection memory p, uint256 received, uint256 betaBps, uint256 slewBps)
        internal
        pure
        returns (uint256)
    {
        if (received == 0 || p.burnWei == p.projectedWei) return betaBps;
        if (p.burnWei > p.projectedWei) {
            return _min(_min(_BPS * p.burnWei / received, betaBps + slewBps), _BPS);
        }
        uint256 target = (_BPS * p.burnWei + received - 1) / received;
        return target + slewBps >= betaBps ? target : betaBps - slewBps;
    }

    function _excess(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
