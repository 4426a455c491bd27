// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Kind} from "../src/interfaces/IBonds.sol";
import {IHUDLBuyer} from "../src/interfaces/IHUDLBuyer.sol";
import {IPoolManager} from "../src/interfaces/IPoolManager.sol";
import {IPriceOracle} from "../src/interfaces/IPriceOracle.sol";
import {IReserve} from "../src/interfaces/IReserve.sol";
import {InventoryBuyer} from "../src/InventoryBuyer.sol";
import {EpochCommit} from "../src/types/EpochCommit.sol";
import {Economy} from "./base/Economy.sol";
import {Stable} from "./mocks/Stable.sol";

/// @notice Every function that is for governance, the guardian or a contract alone refuses everybody else, the
/// guardian among them where it is not for the guardian. mutants.test.mjs holds that none is missing here.
contract AccessTest is Economy {
    address private stranger = makeAddress("stranger");
    InventoryBuyer private inventory;

    function setUp() public {
        deployEconomy(1);
        inventory = new InventoryBuyer(new Stable(), 6, hudl, oracle, address(credits), address(access));
    }

    function refuses(address target, bytes memory call) private {
        refusesOne(stranger, target, call);
        refusesOne(guardian, target, call);
    }

    function refusesOne(address caller, address target, bytes memory call) private {
        vm.prank(caller);
        (bool ok, bytes memory out) = target.call(call);
        assertFalse(ok, "a restricted function took a call");
        bytes memory want = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, caller);
        assertEq(keccak256(out), keccak256(want), "what the caller is told");
    }

    function test_bonds() public {
        refuses(address(bonds), abi.encodeCall(bonds.admitReporter, (stranger)));
        refuses(address(bonds), abi.encodeCall(bonds.removeReporter, (vm.addr(reporterKeys[0]))));
        refuses(address(bonds), abi.encodeCall(bonds.setTerms, (Kind.Registry, 1, 1)));
        refusesOne(stranger, address(bonds), abi.encodeCall(bonds.pause, ()));
        refuses(address(bonds), abi.encodeCall(bonds.unpause, ()));
    }

    function test_dataCredits() public {
        refuses(address(credits), abi.encodeCall(credits.setBuyer, (IHUDLBuyer(stranger))));
        refusesOne(stranger, address(credits), abi.encodeCall(credits.pause, ()));
        refuses(address(credits), abi.encodeCall(credits.unpause, ()));
        refuses(address(inventory), abi.encodeCall(inventory.withdraw, (hudl, stranger, 0)));
    }

    function test_keysAndPools() public {
        refuses(address(keys), abi.encodeCall(keys.setSale, ("EU", 0, 1)));
        refuses(address(manager), abi.encodeCall(manager.setBounds, (IPoolManager.Bounds(1, 1, 1, 1, 1, 1))));
        refuses(
            address(manager), abi.encodeCall(manager.distribute, (stranger, new uint64[](0), new uint256[](0), 0))
        );
        refusesOne(stranger, address(manager), abi.encodeCall(manager.pause, ()));
        refuses(address(manager), abi.encodeCall(manager.unpause, ()));
        refuses(address(veHudl), abi.encodeCall(veHudl.setRedeemLock, (0)));
    }

    function test_numbersAndPrices() public {
        refuses(address(parameters), abi.encodeCall(parameters.set, (defaults())));
        refuses(address(oracle), abi.encodeCall(oracle.addFeeder, (stranger)));
        refuses(address(oracle), abi.encodeCall(oracle.removeFeeder, (stranger)));
        refuses(address(oracle), abi.encodeCall(oracle.setBounds, (IPriceOracle.Bounds(1, 1, 1, 1))));
        refuses(address(oracle), abi.encodeCall(oracle.fixPrice, (1)));
    }

    function test_epochsAndRewards() public {
        EpochCommit memory c;
        address[] memory none;
        refusesOne(stranger, address(proof), abi.encodeCall(proof.voidByGuardian, (c, none)));
        refuses(address(proof), abi.encodeCall(proof.abandonCharges, (0)));
        refusesOne(stranger, address(proof), abi.encodeCall(proof.pause, ()));
        refuses(address(proof), abi.encodeCall(proof.unpause, ()));
        refusesOne(stranger, address(rewards), abi.encodeCall(rewards.pause, ()));
        refuses(address(rewards), abi.encodeCall(rewards.unpause, ()));
        refuses(address(reserve), abi.encodeCall(reserve.spendKept, (stranger, 0)));
        refuses(address(reserve), abi.encodeCall(reserve.spendFiller, (stranger, 0)));
        refuses(address(reserve), abi.encodeCall(reserve.setGasAllowance, (IReserve.GasAllowance(1, 1, 1))));
    }

    function test_upgrades() public {
        address[7] memory all = [
            address(bonds),
            address(credits),
            address(manager),
            address(oracle),
            address(parameters),
            address(proof),
            address(rewards)
        ];
        for (uint256 i = 0; i < all.length; i++) {
            refuses(all[i], abi.encodeCall(UUPSUpgradeable.upgradeToAndCall, (stranger, "")));
        }
    }

    /// @dev What stands behind a proxy belongs to nobody: it cannot be initialized, and so not be upgraded.
    function test_initialize_onceAndNotTheLogic() public {
        (bool ok,) = address(proof).call(initializeProof());
        assertFalse(ok, "initialized twice");
        (ok,) = newProofOfResource(address(rewards)).call(initializeProof());
        assertFalse(ok, "the logic was initialized");
        vm.expectRevert(abi.encodeWithSignature("InvalidInitialization()"));
        credits.initialize(stranger);
        vm.expectRevert(abi.encodeWithSignature("InvalidInitialization()"));
        rewards.initialize(stranger);
        (, address pool) = pooled();
        (ok,) = pool.call(abi.encodeWithSignature("initialize(address,address,uint16)", stranger, stranger, 0));
        assertFalse(ok, "a pool was initialized twice");
    }

    function pooled() private returns (address node, address pool) {
        (node,) = createPool("node", makeAddress("operator"), 0);
        pool = manager.poolOf(node);
    }
}
