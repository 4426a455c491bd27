// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EpochCommit} from "../types/EpochCommit.sol";
import {Receipt} from "../types/Receipt.sol";

/// @notice What a bond stands behind.
enum Kind {
    Registry,
    Orchestrator,
    NodeOperator
}

/// @notice Bonds in HUDL behind the keys of Registries, Orchestrators and Media Nodes. A bond is forfeited only by
/// two signed statements of its key that contradict each other, and then whole, to the Reserve. Reporters are
/// bonded Registries that governance admitted.
interface IBonds {
    /// @notice A bond.
    /// @param owner Wallet that placed it and gets it back.
    /// @param amount HUDL wei.
    /// @param readyAt When it may be withdrawn, seconds since 1970; 0 while it stands.
    /// @param generation Records of the key below this generation are revoked.
    struct Bond {
        address owner;
        uint96 amount;
        uint64 readyAt;
        uint64 generation;
    }

    event Bonded(Kind indexed kind, address indexed identity, address indexed owner, uint256 amount);
    event UnbondingStarted(Kind indexed kind, address indexed identity, uint64 readyAt);
    event BondWithdrawn(Kind indexed kind, address indexed identity, uint256 amount);
    event Forfeited(Kind indexed kind, address indexed identity, uint256 amount, bytes32 first, bytes32 second);
    event ReporterAdmitted(address indexed identity);
    event ReporterRemoved(address indexed identity);
    event GenerationRaised(Kind indexed kind, address indexed identity, uint64 generation);
    event TermsSet(Kind indexed kind, uint96 minimum, uint32 unbonding);

    error Bonds_TooSmall(Kind kind, uint256 amount, uint256 minimum);
    error Bonds_NotOwner(Kind kind, address identity, address caller, address owner);
    error Bonds_NotBonded(Kind kind, address identity);
    error Bonds_Unbonding(Kind kind, address identity, uint64 readyAt);
    error Bonds_NotUnbonding(Kind kind, address identity);
    error Bonds_StillLocked(uint64 now_, uint64 readyAt);
    error Bonds_NotIdentitysConsent(address identity, address signer);
    error Bonds_ConsentExpired(uint256 deadline, uint256 now_);
    error Bonds_AlreadyReporter(address identity);
    error Bonds_NotReporter(address identity);
    error Bonds_TooManyReporters(uint256 most);
    /// @notice The two statements can both be true.
    error Bonds_NoContradiction(bytes32 first, bytes32 second);
    error Bonds_SignersDiffer(address first, address second);
    error Bonds_GenerationNotHigher(uint64 got, uint64 current);

    function bondOf(Kind kind, address identity) external view returns (Bond memory);

    /// @notice Whether a bond stands: placed, not forfeited, not on its way out.
    function isActive(Kind kind, address identity) external view returns (bool);

    /// @notice Identities whose bonds of a kind stand, from the `start`th on, at most `most`. For reading off chain.
    function active(Kind kind, uint256 start, uint256 most) external view returns (address[] memory);

    function activeCount(Kind kind) external view returns (uint256);

    /// @notice Registries that may sign epochs.
    function reporters() external view returns (address[] memory);
    function isReporter(address identity) external view returns (bool);
    function reporterCount() external view returns (uint256);

    /// @notice Lowest generation of an identity's records that holds.
    function minGeneration(Kind kind, address identity) external view returns (uint64);

    /// @notice Lowest amount of a new bond in HUDL wei, and the seconds that it takes to get one back.
    function terms(Kind kind) external view returns (uint96 minimum, uint32 unbonding);

    /// @notice Digest that an identity's key signs to let `owner` place its bond (EIP-712).
    function consentDigest(Kind kind, address identity, address owner, uint256 deadline) external view returns (bytes32);

    /// @notice Places a bond, or adds to the caller's own; adding needs no consent.
    /// @param amount HUDL wei, which the caller must have approved.
    /// @param consent The identity's signature over `consentDigest`, 65 bytes R, S, V.
    function bond(Kind kind, address identity, uint96 amount, uint256 deadline, bytes calldata consent) external;

    /// @notice Starts unbonding. The identity is no longer active, its bond can still be forfeited.
    function startUnbonding(Kind kind, address identity) external;

    /// @notice Sends a bond back to its owner after the unbonding time.
    function withdraw(Kind kind, address identity) external;

    /// @notice Revokes an identity's records of lower generations; for the bond's owner.
    function raiseGeneration(Kind kind, address identity, uint64 generation) external;

    /// @notice Forfeits the Registry's bond of a key that signed two different commits of one epoch.
    /// A proof that comes after the bond is gone is no error: the amount is 0.
    function forfeitForCommits(
        EpochCommit calldata first,
        bytes calldata firstSignature,
        EpochCommit calldata second,
        bytes calldata secondSignature
    ) external returns (address identity, uint256 amount);

    /// @notice Forfeits the Orchestrator's bond of a key that signed two receipts of one sequence with different
    /// counters.
    function forfeitForReceipts(
        Receipt calldata first,
        bytes calldata firstSignature,
        Receipt calldata second,
        bytes calldata secondSignature
    ) external returns (address identity, uint256 amount);

    /// @notice Lets an actively bonded Registry sign epochs; for governance.
    function admitReporter(address identity) external;

    /// @notice For governance.
    function removeReporter(address identity) external;

    /// @notice Sets the terms of new bonds of a kind; for governance.
    function setTerms(Kind kind, uint96 minimum, uint32 unbonding) external;

    /// @notice Stops new bonds; for the guardian. Forfeits and withdrawals go on.
    function pause() external;

    /// @notice For governance.
    function unpause() external;
}
