// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

import {IParameters} from "../src/interfaces/IParameters.sol";
import {Parameters} from "../src/Parameters.sol";
import {ParameterSet} from "../src/types/ParameterSet.sol";
import {Test} from "./base/Test.sol";
import {defaultParameters} from "./base/Set.sol";

contract ParametersTest is Test {
    uint64 private constant GENESIS = 1_000_000;
    uint32 private constant DAY = 86_400;

    AccessManager private authority;
    Parameters private parameters;

    function setUp() public {
        vm.warp(GENESIS);
        authority = new AccessManager(address(this));
        parameters = deploy(GENESIS, DAY);
    }

    function deploy(uint64 genesis, uint32 length) private returns (Parameters) {
        bytes memory call = abi.encodeCall(Parameters.initialize, (address(authority), defaultParameters()));
        return Parameters(address(new ERC1967Proxy(address(new Parameters(genesis, length)), call)));
    }

    function test_clock_epochsBeginAtGenesis() public {
        assertEq(parameters.currentEpoch(), 0, "epoch at genesis");
        assertEq(parameters.epochOf(GENESIS + DAY - 1), 0, "last second of epoch 0");
        assertEq(parameters.epochOf(GENESIS + DAY), 1, "first second of epoch 1");
        assertEq(parameters.genesisTime(), GENESIS, "genesis");
        assertEq(parameters.epochLength(), DAY, "length");
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_BeforeGenesis.selector, GENESIS - 1, GENESIS));
        parameters.epochOf(GENESIS - 1);
    }

    function test_clock_refusesALengthOfZero() public {
        vm.expectRevert(IParameters.Parameters_EpochLengthIsZero.selector);
        new Parameters(GENESIS, 0);
    }

    function test_set_holdsFromTheNextEpoch() public {
        vm.warp(GENESIS + 5 * DAY + 7);
        ParameterSet memory p = defaultParameters();
        p.supply.dcPerGB = 6000;
        uint32 version = parameters.set(p);
        assertEq(version, 2, "version");
        assertEq(parameters.newestVersion(), 2, "newest");
        assertEq(parameters.fromEpoch(2), 6, "from");
        assertEq(parameters.versionOf(5), 1, "version of the running epoch");
        assertEq(parameters.versionOf(6), 2, "version of the next");
        (uint32 v,) = parameters.supplyRules(5);
        assertEq(v, 1, "rules of the running epoch");
        assertEq(parameters.parametersOf(1).supply.dcPerGB, 5000, "old price");
        assertEq(parameters.parametersOf(2).supply.dcPerGB, 6000, "new price");
    }

    function test_set_twiceInAnEpochTheLaterHolds() public {
        vm.warp(GENESIS + DAY);
        ParameterSet memory p = defaultParameters();
        parameters.set(p);
        p.reward.k = 12e18;
        parameters.set(p);
        assertEq(parameters.versionOf(1), 1, "running");
        assertEq(parameters.versionOf(2), 3, "next");
        assertEq(parameters.rewardRules(3).k, 12e18, "k");
    }

    function test_set_isForGovernance() public {
        vm.prank(address(0xBAD));
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(0xBAD)));
        parameters.set(defaultParameters());
    }

    function test_read_refusesAnUnknownVersion() public {
        bytes memory e = abi.encodeWithSelector(IParameters.Parameters_NoSuchVersion.selector, 2, 1);
        vm.expectRevert(e);
        parameters.parametersOf(2);
        vm.expectRevert(e);
        parameters.rewardRules(2);
        vm.expectRevert(e);
        parameters.fromEpoch(2);
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_NoSuchVersion.selector, 0, 1));
        parameters.parametersOf(0);
    }

    function refused(ParameterSet memory p, bytes32 name, int256 got, int256 least, int256 most) private {
        vm.expectRevert(
            abi.encodeWithSelector(IParameters.Parameters_OutOfBounds.selector, name, got, least, most)
        );
        parameters.set(p);
    }

    function test_set_namesTheParameterOutOfBounds() public {
        ParameterSet memory p = defaultParameters();
        p.reward.weightHistory = 499;
        refused(p, "weightHistory", 499, 500, 1e4);
        p = defaultParameters();
        p.reward.weightHistory = 1501;
        vm.expectRevert(abi.encodeWithSelector(IParameters.Parameters_WeightsSum.selector, 10_001, 10_000));
        parameters.set(p);
        p = defaultParameters();
        p.reward.k = 5e18 - 1;
        refused(p, "k", 5e18 - 1, 5e18, 20e18);
        p.reward.k = 20e18 + 1;
        refused(p, "k", 20e18 + 1, 5e18, 20e18);
        p = defaultParameters();
        p.reward.vMin = 1e18 + 1;
        refused(p, "vMin", 1e18 + 1, 0, 1e18);
        p = defaultParameters();
        p.reward.vTau = -0.1e18 - 1;
        refused(p, "vTau", -0.1e18 - 1, -0.1e18, 0.1e18);
        p = defaultParameters();
        p.reward.vMid = 0.95e18;
        refused(p, "vMid+vTau", 1.05e18, 0, 1e18);
        p = defaultParameters();
        p.reward.hMin = 1e18 + 1;
        refused(p, "hMin", 1e18 + 1, 0, 1e18);
        p = defaultParameters();
        p.reward.alphaBps = 10_001;
        refused(p, "alphaBps", 10_001, 0, 1e4);
        p = defaultParameters();
        p.reward.wRelayBps = 100_001;
        refused(p, "wRelayBps", 100_001, 0, 1e5);
        p = defaultParameters();
        p.supply.kappaBps = 9001;
        refused(p, "kappaBps", 9001, 1, 9000);
        p = defaultParameters();
        p.reward.marginBps = 0;
        refused(p, "marginBps", 0, 1, 9999);
        p = defaultParameters();
        p.supply.lo = p.supply.hi + 1;
        refused(p, "lo", int256(uint256(p.supply.lo)), 0, int256(uint256(p.supply.hi)));
        p = defaultParameters();
        p.supply.hi = 0.05e18 + 1;
        refused(p, "hi", 0.05e18 + 1, 1, 0.05e18);
        p = defaultParameters();
        p.supply.dcPerGB = 0;
        refused(p, "dcPerGB", 0, 1, 1e6);
        p = defaultParameters();
        p.supply.challengeWindow = uint24(DAY + 1);
        refused(p, "challengeWindow", int256(uint256(DAY + 1)), 1, int256(uint256(DAY)));
        p = defaultParameters();
        p.supply.creditsCapBps = 0;
        refused(p, "creditsCapBps", 0, 1, 1e4);
        p = defaultParameters();
        p.supply.betaBps = 10_001;
        refused(p, "betaBps", 10_001, 0, 1e4);
        p = defaultParameters();
        p.supply.betaSlewBps = 10_001;
        refused(p, "betaSlewBps", 10_001, 0, 1e4);
    }

    /// @dev Whatever order of sets, an epoch's version is the last one set before it began.
    function testFuzz_versionOf_isTheLastSetBefore(uint8[6] memory gaps) public {
        uint64[7] memory from;
        uint256 now_ = GENESIS;
        for (uint256 i = 0; i < 6; i++) {
            now_ += uint256(gaps[i]) * DAY / 3;
            vm.warp(now_);
            parameters.set(defaultParameters());
            from[i + 1] = parameters.currentEpoch() + 1;
        }
        for (uint64 e = 0; e < 12; e++) {
            uint64 epoch = e * 50;
            uint256 want = 0;
            while (want < 6 && from[want + 1] <= epoch) want++;
            assertEq(parameters.versionOf(epoch), want + 1, "version");
        }
    }

    function test_upgrade_keepsTheClock() public {
        address other = address(new Parameters(GENESIS, DAY + 1));
        vm.expectRevert(
            abi.encodeWithSelector(IParameters.Parameters_ClockDiffers.selector, GENESIS, DAY + 1)
        );
        parameters.upgradeToAndCall(other, "");
        address same = address(new Parameters(GENESIS, DAY));
        vm.prank(address(0xBAD));
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(0xBAD)));
        parameters.upgradeToAndCall(same, "");
        parameters.upgradeToAndCall(same, "");
        assertEq(parameters.newestVersion(), 1, "version after the upgrade");
    }

    function test_initialize_once() public {
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        parameters.initialize(address(this), defaultParameters());
    }
}
