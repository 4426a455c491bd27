// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// Contracts of OpenZeppelin that a deployment uses as they are. Naming them here has them compiled.
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
