// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IGovernor} from "@openzeppelin/contracts/governance/IGovernor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Network} from "./base/Network.sol";
import {Governance} from "../src/Governance.sol";
import {IPoolManager} from "../src/interfaces/IPoolManager.sol";

contract GovernanceTest is Network {
    address private alice = makeAddress("alice");
    address private bob = makeAddress("bob");
    address private node;
    TimelockController private timelock;
    Governance private governance;

    function setUp() public {
        deployNetwork();
        (node,) = createPool("node", alice, 0);
        timelock = new TimelockController(2 days, new address[](0), new address[](1), address(this));
        governance = new Governance(veHudl, timelock, Governance.Rules(1 days, 3 days, 10, 4, 50));
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governance));
        timelock.grantRole(timelock.CANCELLER_ROLE(), address(governance));
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), address(this));
        access.grantRole(0, address(timelock), 0);
        toEpoch(10);
        // alice has earned veHUDL by running a node.
        reward(node, 9, 1000);
        claim(alice, node);
        access.renounceRole(0, address(this));
        vm.warp(block.timestamp + 1);
    }

    function proposal() private view returns (address[] memory, uint256[] memory, bytes[] memory, string memory) {
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(IPoolManager.setBounds, (IPoolManager.Bounds(33, 1, 2, 500, 4, 5)));
        return (one(address(manager)), one(uint256(0)), calls, "fewer keys");
    }

    function propose() private returns (uint256) {
        (address[] memory to, uint256[] memory values, bytes[] memory calls, string memory text) = proposal();
        vm.prank(alice);
        return governance.propose(to, values, calls, text);
    }

    function test_aVoteChangesAParameterAfterTheTimelock() public {
        uint256 id = propose();
        vm.warp(block.timestamp + 1 days + 1);
        vm.prank(alice);
        governance.castVote(id, 1);
        vm.warp(block.timestamp + 3 days);
        assertEq(uint256(governance.state(id)), uint256(IGovernor.ProposalState.Succeeded), "state");
        (address[] memory to, uint256[] memory values, bytes[] memory calls, string memory text) = proposal();
        governance.queue(to, values, calls, keccak256(bytes(text)));
        vm.expectRevert();
        governance.execute(to, values, calls, keccak256(bytes(text)));
        vm.warp(block.timestamp + 2 days);
        governance.execute(to, values, calls, keccak256(bytes(text)));
        assertEq(manager.bounds().maxKeys, 33, "keys per node");
        assertEq(manager.bounds().unbonding, 5, "unbonding");
    }

    function test_aVoteUpgradesNothingByItself_onlyThroughTheTimelock() public {
        vm.prank(address(governance));
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(governance)));
        manager.setBounds(IPoolManager.Bounds(33, 1, 2, 500, 4, 5));
    }

    function test_aVoteAgainstChangesNothing() public {
        uint256 id = propose();
        vm.warp(block.timestamp + 1 days + 1);
        vm.prank(alice);
        governance.castVote(id, 0);
        vm.warp(block.timestamp + 3 days);
        assertEq(uint256(governance.state(id)), uint256(IGovernor.ProposalState.Defeated), "state");
    }

    function test_whoHasEarnedTooLittleProposesNothing() public {
        (address[] memory to, uint256[] memory values, bytes[] memory calls, string memory text) = proposal();
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSelector(IGovernor.GovernorInsufficientProposerVotes.selector, bob, 0, 10));
        governance.propose(to, values, calls, text);
    }

    function test_votesGoneByRedemptionDoNotCount() public {
        uint256 id = propose();
        vm.prank(alice);
        veHudl.requestRedeem(1000);
        vm.warp(block.timestamp + 1 days + 1);
        vm.prank(alice);
        governance.castVote(id, 1);
        vm.warp(block.timestamp + 3 days);
        assertEq(uint256(governance.state(id)), uint256(IGovernor.ProposalState.Defeated), "state");
    }

    // While few hold anything the fraction is next to nothing; the least quorum stands.
    function test_quorum_neverBelowTheLeast() public {
        assertEq(governance.quorum(block.timestamp - 1), 50, "4 percent of 1000 is 40");
        assertEq(governance.quorum(GENESIS), 50, "before anything was earned");
    }

    function test_rules_withoutAThresholdAreRefused() public {
        vm.expectRevert(Governance.Governance_NoThreshold.selector);
        new Governance(veHudl, timelock, Governance.Rules(1, 1, 0, 4, 50));
        vm.expectRevert(Governance.Governance_NoThreshold.selector);
        new Governance(veHudl, timelock, Governance.Rules(1, 1, 1, 4, 0));
    }

    function test_theDeployerKeepsNothing() public {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(this)));
        manager.setBounds(IPoolManager.Bounds(33, 1, 2, 500, 4, 5));
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerUnauthorizedAccount.selector, address(this), 0)
        );
        access.grantRole(0, address(this), 0);
    }

    function test_guardian_pausesAtOnceAndAVoteUnpauses() public {
        vm.prank(guardian);
        manager.pause();
        assertTrue(manager.paused(), "paused");
        vm.prank(guardian);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessManager.AccessManagerUnauthorizedAccount.selector, guardian, 0)
        );
        access.grantRole(2, guardian, 0);
        vm.prank(address(timelock));
        manager.unpause();
        assertFalse(manager.paused(), "paused");
    }
}
