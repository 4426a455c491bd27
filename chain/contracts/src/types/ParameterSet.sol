// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What a claim needs to compute a reward (spec/economics.md E8 to E18). Two slots.
/// @param weightAvailability Weight of score A in bps; the four weights sum to 10,000.
/// @param weightHistory Weight of score H in bps.
/// @param weightLocation Weight of score L in bps.
/// @param weightCoverage Weight of score C in bps.
/// @param k Steepness, a wad, 5e18 to 20e18.
/// @param vMin Quality below which nothing is paid, a wad.
/// @param alphaBps Share of the reward that is minted.
/// @param wRelayBps Weight of a byte sent to another node, up to 100,000.
/// @param vMid Midpoint of quality, a wad.
/// @param vTau Shift of the midpoint, a wad of either sign.
/// @param hMin Floor of score H, a wad; reporters apply it.
/// @param marginBps mu, the margin of the network; kappa is at most 10,000 less this.
struct RewardRules {
    uint16 weightAvailability;
    uint16 weightHistory;
    uint16 weightLocation;
    uint16 weightCoverage;
    uint72 k;
    uint64 vMin;
    uint16 alphaBps;
    uint24 wRelayBps;
    int64 vMid;
    int64 vTau;
    uint64 hMin;
    uint16 marginBps;
}

/// @notice What a commit needs to price, charge, mint and burn (E16 to E24). One slot.
/// @param lo Smallest net mint of an epoch over supply, a wad.
/// @param hi Largest net mint of an epoch over supply, a wad.
/// @param dcPerGB Price of a GB in data credits.
/// @param challengeWindow Seconds from a commit to the first claim.
/// @param creditsCapBps Most credits that an epoch may consume, as a share of market cap.
/// @param kappaBps Highest reward over the price of the same byte.
/// @param betaBps Share of the HUDL received that is burned, where beta starts from.
/// @param betaSlewBps Most that beta moves in an epoch.
/// @param filler Whether the floor of the band is filled (E21).
struct SupplyRules {
    uint56 lo;
    uint56 hi;
    uint32 dcPerGB;
    uint24 challengeWindow;
    uint16 creditsCapBps;
    uint16 kappaBps;
    uint16 betaBps;
    uint16 betaSlewBps;
    bool filler;
}

/// @notice All parameters of the economy that governance sets, under one version.
struct ParameterSet {
    RewardRules reward;
    SupplyRules supply;
}
