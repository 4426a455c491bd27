// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ParameterSet, RewardRules, SupplyRules} from "../../src/types/ParameterSet.sol";

/// @dev The defaults of spec/economics.md, for epochs of a day.
function defaultParameters() pure returns (ParameterSet memory) {
    return ParameterSet({
        reward: RewardRules({
            weightAvailability: 4000,
            weightHistory: 1500,
            weightLocation: 2000,
            weightCoverage: 2500,
            k: 10e18,
            vMin: 0.2e18,
            alphaBps: 10_000,
            wRelayBps: 10_000,
            vMid: 0.5e18,
            vTau: 0.1e18,
            hMin: 0.5e18,
            marginBps: 1000
        }),
        supply: SupplyRules({
            lo: 54_255_245_176_771,
            hi: 382_982_750_338_958,
            dcPerGB: 5000,
            challengeWindow: 6 hours,
            creditsCapBps: 500,
            kappaBps: 9000,
            betaBps: 6000,
            betaSlewBps: 200,
            filler: false
        })
    });
}
