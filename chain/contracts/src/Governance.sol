// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {GovernorVotesQuorumFraction} from
    "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";

/// @notice Votes of veHUDL holders. What a vote decides waits in the timelock, which administers the access manager
/// of every contract; so nothing but a vote, and time to leave, changes a parameter or a contract.
contract Governance is
    Governor,
    GovernorSettings,
    GovernorCountingSimple,
    GovernorVotes,
    GovernorVotesQuorumFraction,
    GovernorTimelockControl
{
    /// @notice How votes run.
    /// @param votingDelay Seconds between a proposal and its vote.
    /// @param votingPeriod Seconds that a vote takes.
    /// @param proposalThreshold veHUDL wei of votes that a proposer needs; not 0, so that nobody decides while
    /// nobody has earned anything.
    /// @param quorumPercent Percent of the supply that must take part.
    /// @param leastQuorum veHUDL wei that must take part however small the supply is.
    struct Rules {
        uint48 votingDelay;
        uint32 votingPeriod;
        uint256 proposalThreshold;
        uint256 quorumPercent;
        uint256 leastQuorum;
    }

    error Governance_NoThreshold();

    /// @notice Least quorum in veHUDL wei; it protects the time in which few hold any.
    uint256 public immutable leastQuorum;

    constructor(IVotes veHudl, TimelockController timelock_, Rules memory rules)
        Governor("dRTC Governance")
        GovernorSettings(rules.votingDelay, rules.votingPeriod, rules.proposalThreshold)
        GovernorVotes(veHudl)
        GovernorVotesQuorumFraction(rules.quorumPercent)
        GovernorTimelockControl(timelock_)
    {
        if (rules.proposalThreshold == 0 || rules.leastQuorum == 0) revert Governance_NoThreshold();
        leastQuorum = rules.leastQuorum;
    }

    /// @notice Votes that a proposal needs: the fraction of the supply, but never less than the least quorum.
    function quorum(uint256 timepoint) public view override(Governor, GovernorVotesQuorumFraction) returns (uint256) {
        uint256 fraction = super.quorum(timepoint);
        return fraction < leastQuorum ? leastQuorum : fraction;
    }

    // What follows chooses between bases, as Solidity asks for.

    function state(uint256 id) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(id);
    }

    function proposalNeedsQueuing(uint256 id) public view override(Governor, GovernorTimelockControl) returns (bool) {
        return super.proposalNeedsQueuing(id);
    }

    function proposalThreshold() public view override(Governor, GovernorSettings) returns (uint256) {
        return super.proposalThreshold();
    }

    function _queueOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(id, targets, values, calldatas, descriptionHash);
    }

    function _executeOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(id, targets, values, calldatas, descriptionHash);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calldatas,
        bytes32 descriptionHash
    ) internal override(Governor, GovernorTimelockControl) returns (uint256) {
        return super._cancel(targets, values, calldatas, descriptionHash);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }
}
