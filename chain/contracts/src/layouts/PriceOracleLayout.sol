// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PriceOracle} from "../PriceOracle.sol";

/// @notice Never deployed. The compiler tells the layout of variables, and a struct in a namespace of ERC-7201 is none:
/// here it is one, so that artefacts.mjs can compare it with what deployed contracts have.
contract PriceOracleLayout {
    PriceOracle.Store internal store;
}
